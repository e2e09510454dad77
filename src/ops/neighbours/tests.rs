//! What scripts ask of the neighbours, against a root without tasks, and interfaces of a view that is made by hand.

use super::found::Found;
use super::interfaces::interfaces;
use super::view::{Interface, View};
use super::xml::document;
use super::*;
use crate::plan::vpc::Vpc;

fn engine() -> (tempfile::TempDir, Engine) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.toml"), "[vpc]\ncidr = \"172.31.0.0/16\"\n").unwrap();
    let engine = Engine::open(Some(dir.path())).unwrap();
    (dir, engine)
}

fn ask(which: Neighbour, params: &str) -> XmlAnswer {
    let (_dir, mut engine) = engine();
    neighbour(&mut engine, &Caller::root(), which, params.as_bytes(), "req-1")
}

fn ec2(params: &str) -> String {
    let answer = ask(Neighbour::Ec2, params);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

#[test]
fn sts_says_who_calls() {
    let answer = ask(Neighbour::Sts, "Action=GetCallerIdentity&Version=2011-06-15");
    assert_eq!(answer.status, 200);
    for part in [
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">",
        "<Arn>arn:aws:iam::000000000000:root</Arn><UserId>000000000000</UserId><Account>000000000000</Account>",
        "<RequestId>req-1</RequestId>",
    ] {
        assert!(answer.body.contains(part), "{part}: {}", answer.body);
    }
    let (_dir, mut engine) = engine();
    let ci = Caller { name: "ci".to_owned(), ..Caller::root() };
    let body = neighbour(&mut engine, &ci, Neighbour::Sts, b"Action=GetCallerIdentity", "req-2").body;
    assert!(body.contains("<Arn>arn:aws:iam::000000000000:user/ci</Arn><UserId>AIDA"), "{body}");
}

#[test]
fn what_a_neighbour_does_not_know_is_its_own_kind_of_error() {
    let answer = ask(Neighbour::Sts, "Action=AssumeRole");
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("<Type>Sender</Type><Code>InvalidAction</Code>"), "{}", answer.body);
    let answer = ask(Neighbour::Ec2, "Action=RunInstances");
    assert_eq!(answer.status, 400);
    let text = "<Response><Errors><Error><Code>InvalidAction</Code><Message>The action RunInstances";
    assert!(answer.body.contains(text), "{}", answer.body);
    assert!(answer.body.contains("<RequestID>req-1</RequestID>"), "{}", answer.body);
    assert!(ask(Neighbour::Ec2, "").body.contains("MissingAction"));
}

#[test]
fn the_vpc_and_its_subnets_are_found_by_id_and_by_filter() {
    let vpcs = ec2("Action=DescribeVpcs&Filter.1.Name=is-default&Filter.1.Value.1=true");
    let id = vpcs.split("<vpcId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
    assert!(id.starts_with("vpc-") && id.len() == 21, "{id}");
    assert!(vpcs.contains("<cidrBlock>172.31.0.0/16</cidrBlock>"));
    let subnets = ec2("Action=DescribeSubnets&Filter.1.Name=availability-zone&Filter.1.Value.1=*b");
    assert_eq!(subnets.matches("<subnetId>").count(), 1, "{subnets}");
    assert!(subnets.contains("<availableIpAddressCount>4091</availableIpAddressCount>"), "{subnets}");
    assert_eq!(ec2("Action=DescribeSubnets").matches("<subnetId>").count(), 2);
    assert_eq!(
        ec2("Action=DescribeSubnets&Filter.1.Name=tag:Name&Filter.1.Value.1=x").matches("<subnetId>").count(),
        0
    );
    let answer = ask(Neighbour::Ec2, "Action=DescribeSubnets&SubnetId.1=subnet-0");
    assert!(answer.body.contains("<Code>InvalidSubnetID.NotFound</Code>"), "{}", answer.body);
    let answer = ask(Neighbour::Ec2, "Action=DescribeVpcs&Filter.1.Name=moon&Filter.1.Value.1=x");
    assert!(
        answer.body.contains("<Code>InvalidParameterValue</Code><Message>The filter &apos;moon&apos;"),
        "{}",
        answer.body
    );
    assert!(ec2("Action=DescribeSecurityGroups&GroupName.1=default").contains("<groupName>default</groupName>"));
    assert_eq!(ec2("Action=DescribeAvailabilityZones").matches("<zoneName>").count(), 2);
}

#[test]
fn a_caller_of_another_region_sees_that_regions_zones_and_the_engine_comes_back() {
    let (_dir, mut engine) = engine();
    let far = Caller { region: Some("eu-west-1".to_owned()), ..Caller::root() };
    let body = neighbour(&mut engine, &far, Neighbour::Ec2, b"Action=DescribeAvailabilityZones", "r").body;
    assert!(body.contains("<regionName>eu-west-1</regionName>"), "{body}");
    assert_eq!(engine.owner().region, "us-east-1");
}

fn view() -> View {
    let interface = |number: u8, is_public| Interface {
        id: format!("eni-{number:017}"),
        subnet: "subnet-a".to_owned(),
        zone: "us-east-1a".to_owned(),
        address: format!("172.31.0.{number}"),
        mac: format!("02:00:00:00:00:{number:02x}"),
        name: format!("ip-172-31-0-{number}.ec2.internal"),
        attachment: ("5f0f4ff6-8b1e-4d53-9a5e-b4d4bba2b1b4".to_owned(), "arn:aws:ecs:x:1:attachment/5f".to_owned()),
        attached_at: 1_763_721_710_482,
        groups: vec!["sg-1".to_owned()],
        is_public,
    };
    View {
        account: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        id: "vpc-1".to_owned(),
        vpc: Vpc::default_in("172.31.0.0/16".parse().unwrap(), "us-east-1"),
        groups: vec!["sg-0".to_owned(), "sg-1".to_owned()],
        interfaces: vec![interface(10, true), interface(11, false)],
        leased: Vec::new(),
    }
}

fn chosen(params: &str) -> Vec<String> {
    let params = Params::parse(params.as_bytes());
    let (found, _) = found::choose(interfaces(&view()), &params, &ec2::INTERFACES).unwrap();
    found.into_iter().map(|one| one.id).collect()
}

#[test]
fn a_tasks_interface_is_found_by_its_id_and_by_its_address() {
    let (ten, eleven) = ("eni-00000000000000010", "eni-00000000000000011");
    assert_eq!(chosen(&format!("NetworkInterfaceId.1={ten}")), [ten]);
    let filter = |name: &str, value: &str| chosen(&format!("Filter.1.Name={name}&Filter.1.Value.1={value}"));
    assert_eq!(filter("private-ip-address", "172.31.0.11"), [eleven]);
    assert_eq!(filter("association.public-ip", "*"), [ten]);
    assert_eq!(filter("group-id", "sg-1"), [ten, eleven]);
    assert_eq!(filter("group-id", "sg-2"), Vec::<String>::new());
    let two = "Filter.1.Name=status&Filter.1.Value.1=in-use&Filter.2.Name=mac-address&Filter.2.Value.1=*:0b";
    assert_eq!(chosen(two), [eleven]);
}

#[test]
fn one_that_was_to_be_public_shows_its_address_as_the_public_one() {
    let Found { nodes, .. } = interfaces(&view()).remove(0);
    let body = document("R", None, &nodes);
    assert!(body.contains("<association><publicIp>172.31.0.10</publicIp>"), "{body}");
    assert!(body.contains("<attachTime>2025-11-21T10:41:50.482Z</attachTime>"), "{body}");
    assert!(!document("R", None, &interfaces(&view()).remove(1).nodes).contains("<association>"));
}

#[test]
fn long_lists_come_in_pages() {
    let many = |token: &str| {
        let params = Params::parse(format!("MaxResults=5{token}").as_bytes());
        let all = (10..22).map(|number| Found { id: number.to_string(), nodes: Vec::new(), facts: Vec::new() });
        found::choose(all.collect(), &params, &ec2::INTERFACES)
    };
    let (first, token) = many("").unwrap();
    let (second, token) = many(&format!("&NextToken={}", token.unwrap())).unwrap();
    let (last, token) = many(&format!("&NextToken={}", token.unwrap())).unwrap();
    let ids: Vec<&str> = [&first, &second, &last].into_iter().flatten().map(|one| one.id.as_str()).collect();
    assert_eq!((ids.len(), ids[11], token), (12, "21", None));
    assert!(ids.is_sorted() && many("&NextToken=page-5").is_err() && many("&NextToken=x").is_err());
}
