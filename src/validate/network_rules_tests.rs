//! The rules of each network mode as a table.

use serde_json::{Value, json};

use crate::validate::{Problem, Severity, Strictness, ValidTaskDefinition, parse, validate};

fn run(mode: &Value, containers: &Value, more: &Value) -> Result<(ValidTaskDefinition, Vec<Problem>), Vec<Problem>> {
    let mut definition = json!({"family": "f", "requiresCompatibilities": ["EC2"], "memory": "64", "networkMode": mode,
        "containerDefinitions": containers});
    for (name, value) in more.as_object().into_iter().flatten() {
        definition[name] = value.clone();
    }
    validate(parse(&definition.to_string(), Strictness::Strict))
}

/// A container `web` with these members, and one named `db`.
fn web(members: &Value) -> Value {
    let mut web = json!({"name": "web", "image": "nginx"});
    for (name, value) in members.as_object().into_iter().flatten() {
        web[name] = value.clone();
    }
    json!([web, {"name": "db", "image": "postgres", "portMappings": []}])
}

#[track_caller]
fn refused(problems: Result<(ValidTaskDefinition, Vec<Problem>), Vec<Problem>>, path: &str, words: &str) {
    let problems = problems.unwrap_err();
    let found = |problem: &Problem| {
        problem.severity == Severity::Error && problem.path == path && problem.message.contains(words)
    };
    assert!(problems.iter().any(found), "{path}: {words}: {problems:#?}");
}

#[test]
fn every_mode_refuses_what_it_cannot_have() {
    let mapping = |container: i32, host: i32| json!({"portMappings": [{"containerPort": container, "hostPort": host}]});
    let must_match = "the host ports and container ports in port mappings must match.";
    let table = [
        ("awsvpc", json!({"links": ["db"]}), "links", "Links are not supported when networkMode=awsvpc"),
        ("host", json!({"links": ["db"]}), "links", "Links are not supported when networkMode=host"),
        ("none", json!({"links": ["db"]}), "links", "Links are not supported when networkMode=none"),
        (
            "awsvpc",
            json!({"hostname": "x"}),
            "hostname",
            "hostname is not supported on container when networkMode=awsvpc",
        ),
        ("awsvpc", json!({"dnsServers": ["1.1.1.1"]}), "dnsServers", "DNS servers are not supported on container"),
        ("awsvpc", json!({"dnsSearchDomains": ["x"]}), "dnsSearchDomains", "DNS search domains are not supported"),
        ("awsvpc", json!({"extraHosts": [{"hostname": "a", "ipAddress": "::1"}]}), "extraHosts", "Extra hosts are not"),
        ("awsvpc", json!({"disableNetworking": true}), "disableNetworking", "Disable Networking is not supported"),
        ("host", mapping(80, 8080), "portMappings[0].hostPort", must_match),
        ("awsvpc", mapping(80, 0), "portMappings[0].hostPort", must_match),
        ("bridge", mapping(80, 65_536), "portMappings[0].hostPort", "between 0 (which means: any) and 65535"),
        ("bridge", mapping(80, -1), "portMappings[0].hostPort", "between 0"),
        ("none", mapping(80, 80), "portMappings", "not supported when networkMode=none"),
        (
            "host",
            json!({"portMappings": [{"containerPortRange": "80-90"}]}),
            "portMappings[0].containerPortRange",
            "a port range needs the network mode awsvpc or bridge",
        ),
        (
            "bridge",
            json!({"portMappings": [{"containerPortRange": "80-90", "hostPort": 80}]}),
            "portMappings[0].hostPort",
            "leave hostPort out",
        ),
        (
            "bridge",
            json!({"portMappings": [{"containerPort": 1, "hostPort": 80}, {"containerPort": 2, "hostPort": 80}]}),
            "portMappings",
            "port 80/tcp of the host is given to container web already",
        ),
        ("bridge", json!({"links": ["x"]}), "links[0]", "Invalid 'links' setting. Unknown container: 'x'"),
        ("bridge", json!({"links": ["db:a b"]}), "links[0]", "a link is written NAME or NAME:ALIAS"),
        ("bridge", json!({"hostname": "a\nb"}), "hostname", "a host name is"),
        ("bridge", json!({"dnsServers": ["dns"]}), "dnsServers[0]", "a DNS server is an IP address"),
        ("bridge", json!({"dnsSearchDomains": ["a b"]}), "dnsSearchDomains[0]", "this is not a domain"),
        (
            "bridge",
            json!({"extraHosts": [{"hostname": "a\n10.0.0.1 b", "ipAddress": "10.0.0.1"}]}),
            "extraHosts[0].hostname",
            "this is not a host name",
        ),
        ("host", json!({"extraHosts": [{"hostname": "a", "ipAddress": "b"}]}), "extraHosts[0].ipAddress", "not an IP"),
    ];
    for (mode, members, path, words) in table {
        refused(run(&json!(mode), &web(&members), &json!({})), &format!("containerDefinitions[0].{path}"), words);
    }
}

#[test]
fn links_are_a_part_of_the_start_order() {
    let circle = json!([
        {"name": "web", "image": "nginx", "links": ["db"]},
        {"name": "db", "image": "nginx", "dependsOn": [{"containerName": "web", "condition": "START"}]},
    ]);
    refused(
        run(&Value::Null, &circle, &json!({})),
        "containerDefinitions[0].dependsOn",
        "in a circle: web -> db -> web",
    );
    let (valid, _) = run(&Value::Null, &web(&json!({"links": ["db:store"]})), &json!({})).unwrap();
    let names: Vec<&str> = valid.start_order().iter().map(|container| container.name()).collect();
    assert_eq!(names, ["db", "web"]);
}

#[test]
fn an_absent_host_port_is_described_as_its_mode_has_it() {
    let host_port = |mode: &str| {
        let members = json!({"portMappings": [{"containerPort": 80}]});
        let (valid, _) = run(&json!(mode), &web(&members), &json!({})).unwrap();
        valid.definition().container_definitions[0].port_mappings.as_ref().unwrap()[0].host_port
    };
    assert_eq!(["awsvpc", "host", "bridge"].map(host_port), [Some(80), Some(80), Some(0)]);
}

#[test]
fn a_proxy_needs_awsvpc_a_container_and_its_properties() {
    let configuration = |name: &str, properties: Value| json!({"proxyConfiguration": {"type": "APPMESH", "containerName": name, "properties": properties}});
    let all = |extra: &str| {
        json!([{"name": "IgnoredUID", "value": "1337"}, {"name": "AppPorts", "value": "80"},
            {"name": "ProxyIngressPort", "value": "15000"}, {"name": "ProxyEgressPort", "value": "15001"},
            {"name": "EgressIgnoredIPs", "value": "169.254.170.2"}, {"name": "EgressIgnoredPorts", "value": extra}])
    };
    let of = |mode: &str, more| run(&json!(mode), &web(&json!({})), &more);
    let words = "APPMESH proxy configuration is only supported in networkMode=awsvpc";
    refused(of("bridge", configuration("db", all(""))), "proxyConfiguration", words);
    let words = "Proxy container [x] does not exist";
    refused(of("awsvpc", configuration("x", all(""))), "proxyConfiguration.containerName", words);
    let missing = of("awsvpc", configuration("db", json!([])));
    refused(missing, "proxyConfiguration.properties", "Ingress port not found");
    let odd = of("awsvpc", configuration("db", all("22,x")));
    refused(odd, "proxyConfiguration.properties[5].value", "EgressIgnoredPorts cannot be \"22,x\"");
    let unknown = of("awsvpc", configuration("db", json!([{"name": "AppPort", "value": "80"}])));
    refused(unknown, "proxyConfiguration.properties[0].name", "\"AppPort\" is not one of IgnoredUID");
    assert!(of("awsvpc", configuration("db", all("22"))).is_ok());
}

#[test]
fn what_needs_the_endpoint_is_warned_of_where_there_is_none() {
    let members = json!({"taskRoleArn": "arn:aws:iam::000000000000:role/app", "enableFaultInjection": true});
    let warned = |mode: &str| -> Vec<String> {
        let (_, warnings) = run(&json!(mode), &web(&json!({})), &members).unwrap();
        let about = warnings.into_iter().filter(|warning| warning.message.contains("169.254.170.2"));
        about.map(|warning| warning.path).collect()
    };
    for mode in ["bridge", "host", "none"] {
        assert_eq!(warned(mode), ["taskRoleArn", "enableFaultInjection"], "{mode}");
    }
    assert!(warned("awsvpc").is_empty());
}
