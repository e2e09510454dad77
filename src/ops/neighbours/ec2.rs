//! EC2: the VPC, its subnets, security groups, availability zones and the interfaces of tasks, by id and by filters.

use super::found::{Asked, Found, choose};
use super::interfaces::interfaces;
use super::params::Params;
use super::view::View;
use super::xml::{Node, document, set, text, tree};
use super::{Fault, XmlAnswer};
use crate::ops::Engine;
use crate::ops::actions::Caller;

const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
/// AWS keeps five addresses of each subnet: four at its beginning, one at its end.
const RESERVED: u64 = 5;

const VPCS: Asked = Asked {
    ids: "VpcId",
    missing: ("InvalidVpcID.NotFound", "vpc"),
    filters: &["cidr", "cidr-block-association.cidr-block", "is-default", "isDefault", "owner-id", "state", "vpc-id"],
};
const SUBNETS: Asked = Asked {
    ids: "SubnetId",
    missing: ("InvalidSubnetID.NotFound", "subnet"),
    filters: &[
        "availability-zone",
        "availabilityZone",
        "availability-zone-id",
        "cidr",
        "cidr-block",
        "cidrBlock",
        "default-for-az",
        "defaultForAz",
        "map-public-ip-on-launch",
        "owner-id",
        "state",
        "subnet-id",
        "vpc-id",
    ],
};
const GROUPS: Asked = Asked {
    ids: "GroupId",
    missing: ("InvalidGroup.NotFound", "security group"),
    filters: &["description", "group-id", "group-name", "owner-id", "vpc-id"],
};
pub(super) const INTERFACES: Asked = Asked {
    ids: "NetworkInterfaceId",
    missing: ("InvalidNetworkInterfaceID.NotFound", "networkInterface"),
    filters: &[
        "addresses.private-ip-address",
        "addresses.primary",
        "association.public-ip",
        "attachment.attachment-id",
        "attachment.status",
        "availability-zone",
        "description",
        "group-id",
        "interface-type",
        "mac-address",
        "network-interface-id",
        "owner-id",
        "private-dns-name",
        "private-ip-address",
        "requester-managed",
        "status",
        "subnet-id",
        "vpc-id",
    ],
};
const ZONES: Asked = Asked {
    ids: "ZoneName",
    missing: ("InvalidParameterValue", "zone"),
    filters: &["opt-in-status", "region-name", "state", "zone-name", "zone-type"],
};

/// Answers a request to EC2.
pub(super) fn answer(engine: &mut Engine, caller: &Caller, params: &Params, id: &str) -> XmlAnswer {
    let answer = match params.get("Action") {
        None => Err(Fault::new("MissingAction", "The request must contain the parameter Action.")),
        Some(action) => match kind(action) {
            None => Err(Fault::new("InvalidAction", format!("The action {action} is not valid for this web service."))),
            Some(kind) => {
                View::read(engine, caller).map_err(|error| Fault::of(&error)).and_then(|view| kind.list(&view, params))
            }
        },
    };
    match answer {
        Ok((root, nodes)) => {
            let nodes: Vec<Node> = std::iter::once(text("requestId", id)).chain(nodes).collect();
            XmlAnswer { status: 200, body: document(root, Some(NAMESPACE), &nodes) }
        }
        Err(fault) => {
            let error = vec![text("Code", fault.code), text("Message", fault.message)];
            let nodes = [tree("Errors", vec![tree("Error", error)]), text("RequestID", id)];
            XmlAnswer { status: fault.status, body: document("Response", None, &nodes) }
        }
    }
}

/// A list of EC2: the name of its answer, that of its set, how it is asked for, and what there is.
struct Kind {
    root: &'static str,
    set: &'static str,
    asked: &'static Asked<'static>,
    all: fn(&View) -> Vec<Found>,
}

fn kind(action: &str) -> Option<Kind> {
    let (root, set, asked, all): (_, _, _, fn(&View) -> Vec<Found>) = match action {
        "DescribeVpcs" => ("DescribeVpcsResponse", "vpcSet", &VPCS, vpcs),
        "DescribeSubnets" => ("DescribeSubnetsResponse", "subnetSet", &SUBNETS, subnets),
        "DescribeSecurityGroups" => ("DescribeSecurityGroupsResponse", "securityGroupInfo", &GROUPS, groups),
        "DescribeNetworkInterfaces" => {
            ("DescribeNetworkInterfacesResponse", "networkInterfaceSet", &INTERFACES, interfaces)
        }
        "DescribeAvailabilityZones" => ("DescribeAvailabilityZonesResponse", "availabilityZoneInfo", &ZONES, zones),
        _ => return None,
    };
    Some(Kind { root, set, asked, all })
}

impl Kind {
    fn list(&self, view: &View, params: &Params) -> Result<(&'static str, Vec<Node>), Fault> {
        let mut all = (self.all)(view);
        let names = params.list("GroupName");
        if !names.is_empty() && self.asked.ids == "GroupId" {
            all.retain(|one| {
                one.facts.iter().any(|(name, values)| *name == "group-name" && names.contains(&values[0]))
            });
        }
        let (chosen, next) = choose(all, params, self.asked)?;
        let mut nodes = vec![set(self.set, chosen.into_iter().map(|one| one.nodes))];
        nodes.extend(next.map(|token| text("nextToken", token)));
        Ok((self.root, nodes))
    }
}

pub(super) fn one(value: &str) -> Vec<String> {
    vec![value.to_owned()]
}

fn vpcs(view: &View) -> Vec<Found> {
    let cidr = view.vpc.cidr.to_string();
    let association = vec![
        text("associationId", view.id.replace("vpc-", "vpc-cidr-assoc-")),
        text("cidrBlock", cidr.clone()),
        tree("cidrBlockState", vec![text("state", "associated")]),
    ];
    let nodes = vec![
        text("vpcId", view.id.clone()),
        text("ownerId", view.account.clone()),
        text("state", "available"),
        text("cidrBlock", cidr.clone()),
        set("cidrBlockAssociationSet", [association]),
        text("dhcpOptionsId", "default"),
        text("instanceTenancy", "default"),
        text("isDefault", "true"),
        set("tagSet", []),
    ];
    let facts = vec![
        ("vpc-id", one(&view.id)),
        ("owner-id", one(&view.account)),
        ("state", one("available")),
        ("cidr", one(&cidr)),
        ("cidr-block-association.cidr-block", one(&cidr)),
        ("is-default", one("true")),
        ("isDefault", one("true")),
    ];
    vec![Found { id: view.id.clone(), nodes, facts }]
}

fn subnets(view: &View) -> Vec<Found> {
    let subnet = |subnet: &crate::plan::vpc::Subnet| {
        let cidr = subnet.cidr.to_string();
        let taken = view.leased.iter().filter(|address| subnet.cidr.contains(**address)).count() as u64;
        let free = subnet.cidr.size().saturating_sub(RESERVED + taken);
        let arn = format!("arn:aws:ec2:{}:{}:subnet/{}", view.region, view.account, subnet.id);
        let nodes = vec![
            text("subnetId", subnet.id.clone()),
            text("subnetArn", arn),
            text("state", "available"),
            text("ownerId", view.account.clone()),
            text("vpcId", view.id.clone()),
            text("cidrBlock", cidr.clone()),
            set("ipv6CidrBlockAssociationSet", []),
            text("availableIpAddressCount", free.to_string()),
            text("availabilityZone", subnet.zone.clone()),
            text("availabilityZoneId", zone_id(&subnet.zone)),
            text("defaultForAz", "true"),
            text("mapPublicIpOnLaunch", "true"),
            text("assignIpv6AddressOnCreation", "false"),
            set("tagSet", []),
        ];
        let facts = vec![
            ("subnet-id", one(&subnet.id)),
            ("vpc-id", one(&view.id)),
            ("owner-id", one(&view.account)),
            ("state", one("available")),
            ("availability-zone", one(&subnet.zone)),
            ("availabilityZone", one(&subnet.zone)),
            ("availability-zone-id", one(&zone_id(&subnet.zone))),
            ("cidr", one(&cidr)),
            ("cidr-block", one(&cidr)),
            ("cidrBlock", one(&cidr)),
            ("default-for-az", one("true")),
            ("defaultForAz", one("true")),
            ("map-public-ip-on-launch", one("true")),
        ];
        Found { id: subnet.id.clone(), nodes, facts }
    };
    view.vpc.subnets.iter().map(subnet).collect()
}

/// The id of a zone in AWS's form: `us-east-1a` is `use1-az1`.
fn zone_id(zone: &str) -> String {
    let parts: Vec<&str> = zone.split('-').collect();
    let [area, side, last] = parts.as_slice() else { return zone.to_owned() };
    let (number, letter) = last.split_at(last.len() - last.chars().last().map_or(0, char::len_utf8));
    let side: String = match *side {
        "northeast" | "northwest" | "southeast" | "southwest" => format!("{}{}", &side[..1], &side[5..6]),
        side => side.chars().take(1).collect(),
    };
    let place = letter.bytes().next().filter(u8::is_ascii_lowercase).map_or(1, |letter| letter - b'a' + 1);
    format!("{area}{side}{number}-az{place}")
}

fn groups(view: &View) -> Vec<Found> {
    let group = |(place, id): (usize, &String)| {
        let (name, description) = match place {
            0 => ("default".to_owned(), "default VPC security group".to_owned()),
            _ => (id.clone(), "named by a task or a service; berth does not enforce it".to_owned()),
        };
        let everything = vec![
            text("ipProtocol", "-1"),
            set("groups", []),
            set("ipRanges", [vec![text("cidrIp", "0.0.0.0/0")]]),
            set("ipv6Ranges", []),
            set("prefixListIds", []),
        ];
        let nodes = vec![
            text("ownerId", view.account.clone()),
            text("groupId", id.clone()),
            text("groupName", name.clone()),
            text("groupDescription", description.clone()),
            text("vpcId", view.id.clone()),
            set("ipPermissions", [everything.clone()]),
            set("ipPermissionsEgress", [everything]),
            set("tagSet", []),
        ];
        let facts = vec![
            ("group-id", one(id)),
            ("group-name", one(&name)),
            ("description", one(&description)),
            ("owner-id", one(&view.account)),
            ("vpc-id", one(&view.id)),
        ];
        Found { id: id.clone(), nodes, facts }
    };
    view.groups.iter().enumerate().map(group).collect()
}

fn zones(view: &View) -> Vec<Found> {
    let mut names: Vec<&String> = view.vpc.subnets.iter().map(|subnet| &subnet.zone).collect();
    names.sort();
    names.dedup();
    let zone = |name: &String| {
        let nodes = vec![
            text("zoneName", name.clone()),
            text("zoneId", zone_id(name)),
            text("zoneState", "available"),
            text("regionName", view.region.clone()),
            text("optInStatus", "opt-in-not-required"),
            text("zoneType", "availability-zone"),
            text("groupName", view.region.clone()),
            text("networkBorderGroup", view.region.clone()),
            set("messageSet", []),
        ];
        let facts = vec![
            ("zone-name", one(name)),
            ("state", one("available")),
            ("region-name", one(&view.region)),
            ("opt-in-status", one("opt-in-not-required")),
            ("zone-type", one("availability-zone")),
        ];
        Found { id: name.clone(), nodes, facts }
    };
    names.into_iter().map(zone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_ids_in_the_form_of_aws() {
        for (zone, id) in [
            ("us-east-1a", "use1-az1"),
            ("eu-central-1b", "euc1-az2"),
            ("ap-southeast-2c", "apse2-az3"),
            ("home", "home"),
        ] {
            assert_eq!(zone_id(zone), id);
        }
    }
}
