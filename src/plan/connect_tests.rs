//! What a network plan is made of, and what its containers are told of it.

use super::*;
use crate::ecs::LaunchType;
use crate::plan::Layout;
use crate::plan::ports::{HostPort, Protocol};

fn definition(containers: &str) -> TaskDefinition {
    serde_json::from_str(&format!(r#"{{"family": "f", "containerDefinitions": {containers}}}"#)).unwrap()
}

fn names(count: u8) -> Names {
    Names {
        task: "0123456789abcdef0123456789abcdef".to_owned(),
        attachment: "a".to_owned(),
        credentials: "c".to_owned(),
        containers: (0..count).map(|number| format!("{number:08x}-aaaa-bbbb-cccc-000000000000")).collect(),
        created_at: 0,
        pulled_at: 0,
        started_by: None,
        group: None,
        service: None,
        asked: Default::default(),
        overrides: crate::ecs::TaskOverride::default(),
    }
}

fn place<'a>(layout: &'a Layout, connection: Connection<'a>) -> Place<'a> {
    Place {
        storage: &crate::plan::volumes::NO_SETTINGS,
        cgroup: "",
        account: "0",
        region: "eu-west-1",
        cluster: "default",
        launch_type: LaunchType::Ec2,
        zone: "eu-west-1a",
        connection,
        layout,
        resolv_conf: "search lan\nnameserver 10.0.0.2\n",
        log: crate::plan::make::tests::settings(),
        pids: 1,
        open_files: 1,
        gpus: Vec::new(),
        role: None,
    }
}

fn bridge(addresses: &[Option<&str>], ports: Vec<Vec<PortBinding>>) -> Connection<'static> {
    let addresses = addresses.iter().map(|address| address.map(|text| text.parse().unwrap())).collect();
    Connection::Bridge { block: "172.17.0.0/16".parse().unwrap(), addresses, ports }
}

const LINKED: &str = r#"[{"name": "web", "links": ["db", "db:store"], "hostname": "front",
    "extraHosts": [{"hostname": "far", "ipAddress": "192.0.2.9"}], "dnsServers": ["192.0.2.53"]},
    {"name": "db"}, {"name": "batch", "disableNetworking": true}]"#;

#[test]
fn a_bridge_container_is_told_its_links_its_hosts_and_its_servers() {
    let (layout, definition) = (Layout::system(), definition(LINKED));
    let place = place(&layout, bridge(&[Some("172.17.0.5"), Some("172.17.0.6"), None], vec![Vec::new(); 3]));
    let [web, db, batch] = [0, 1, 2].map(|index| identity(&definition, index, &place, &names(3)));
    let file = |identity: &Identity, path: &str| identity.files.iter().find(|(at, _)| at == path).unwrap().1.clone();
    let hosts = "127.0.0.1 localhost\n192.0.2.9 far\n172.17.0.6 db\n172.17.0.6 store db\n172.17.0.5 front\n";
    assert_eq!((file(&web, "/etc/hosts").as_str(), file(&web, "/etc/hostname").as_str()), (hosts, "front\n"));
    assert_eq!(file(&web, "/etc/resolv.conf"), "search lan\nnameserver 192.0.2.53\n");
    assert_eq!((db.hostname.as_str(), file(&db, "/etc/resolv.conf").as_str()), ("00000001aaaa", place.resolv_conf));
    assert_eq!(file(&batch, "/etc/hosts"), "127.0.0.1 localhost\n", "no address, no line");
    let first: Vec<String> =
        link_dependencies(&definition.container_definitions[0]).into_iter().map(|one| one.container_name).collect();
    assert_eq!(first, ["db", "db"]);
}

#[test]
fn a_bridge_task_holds_addresses_and_ports_and_its_links_have_names_of_their_own() {
    let (layout, definition, root) = (Layout::system(), definition(LINKED), RootNetwork::of("0badcafe"));
    let port = PortBinding { container: 80, host: 8080, count: 2, protocol: Protocol::Tcp };
    let connection = bridge(&[Some("172.17.0.5"), Some("172.17.0.6"), None], vec![vec![port], Vec::new(), Vec::new()]);
    let plan = network(&definition, &place(&layout, connection), &names(3), &root);
    assert_eq!(leases(&plan), ["lease/172.17.0.5", "lease/172.17.0.6", "port/8080/tcp", "port/8081/tcp"]);
    let NetworkPlan::PerContainer { containers, .. } = &plan else { panic!("{plan:?}") };
    let links: Vec<&LinkPlan> = containers
        .iter()
        .filter_map(|one| match one {
            ContainerNetwork::Bridge { link, .. } => Some(link),
            ContainerNetwork::Host { .. } | ContainerNetwork::Loopback => None,
        })
        .collect();
    assert_eq!(links.iter().map(|link| link.veth.as_str()).collect::<Vec<_>>(), ["ve0123456789ab0", "ve0123456789ab1"]);
    assert_eq!(links[0].gateway, Ipv4Addr::new(172, 17, 0, 1));
    assert_eq!((links[0].group, links[0].table.as_str()), (0x8bad_cafe, "berth-0badcafe-bridge"));
    assert_eq!(containers[2], ContainerNetwork::Loopback);
    assert_eq!(plan.host_ports()[1], HostPort { protocol: Protocol::Tcp, port: 8081 });
}

#[test]
fn in_the_hosts_network_the_hosts_names_hold() {
    let (layout, definition) = (
        Layout::system(),
        definition(
            r#"[{"name": "a"}, {"name": "b", "dnsSearchDomains": ["x", "y"],
        "extraHosts": [{"hostname": "far", "ipAddress": "192.0.2.9"}]}]"#,
        ),
    );
    let files = HostFiles {
        hostname: "host".to_owned(),
        hosts: "127.0.0.1 localhost host".to_owned(),
        resolv_conf: "nameserver 127.0.0.53\nsearch old\n".to_owned(),
    };
    let place = place(&layout, Connection::Host { files: &files, ports: vec![Vec::new(); 2] });
    let [a, b] = [0, 1].map(|index| identity(&definition, index, &place, &names(2)));
    assert_eq!(a.hostname, "host");
    assert_eq!(a.files[2].1, files.resolv_conf, "its loopback server is theirs");
    assert_eq!(b.files[1].1, "127.0.0.1 localhost host\n192.0.2.9 far\n");
    assert_eq!(b.files[2].1, "search x y\nnameserver 127.0.0.53\n");
}

#[test]
fn an_awsvpc_task_has_the_names_of_its_interface() {
    let (layout, definition, root) = (Layout::system(), definition(r#"[{"name": "a"}]"#), RootNetwork::of("00000000"));
    let vpc = Vpc::default_in(Vpc::candidates()[0], "eu-west-1");
    let connection = Connection::Awsvpc { vpc: &vpc, subnet: &vpc.subnets[0], address: Ipv4Addr::new(172, 31, 0, 9) };
    let place = place(&layout, connection);
    let plan = network(&definition, &place, &names(1), &root);
    let eni = plan.eni().unwrap();
    assert_eq!(eni.host_name, "ip-172-31-0-9.eu-west-1.compute.internal");
    assert_eq!((eni.link.veth.len(), eni.link.group), (15, 1));
    assert_eq!(identity(&definition, 0, &place, &names(1)).hostname, eni.host_name);
    assert_eq!(leases(&plan), ["lease/172.31.0.9"]);
}
