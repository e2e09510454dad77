//! Ports of the host that lead to containers, and the way through a proxy.

use std::io::Write as _;

use berth::plan::ContainerNetwork;
use berth::plan::ports::{PortBinding, Protocol};
use berth::validate::proxy::Proxy;

use super::*;

/// A container's link that is up.
fn container(host: &Host, address: &str) -> Task {
    let RootNetwork { bridge_group, bridge_table, .. } = root();
    let plan = LinkPlan { kind: LinkKind::Container, group: bridge_group, table: bridge_table, ..plan(address) };
    let container = Task::new(plan);
    host.up(&container).expect("up");
    container
}

const WEB: PortBinding = PortBinding { container: 80, host: 8080, count: 1, protocol: Protocol::Tcp };
const DNS: PortBinding = PortBinding { container: 53, host: 5300, count: 1, protocol: Protocol::Udp };

fn forward(host: &Host, container: &Task, ports: &[PortBinding]) -> Result<(), NetError> {
    container.within(|| net::forward(&container.plan, ports, &root(), host.namespace.as_fd()))
}

/// The plan of a bridge task with this container alone.
fn task_of(container: &Task) -> NetworkPlan {
    let bridge = ContainerNetwork::Bridge { link: container.plan.clone(), ports: vec![WEB, DNS] };
    NetworkPlan::PerContainer { mode: berth::ecs::task_definition::NetworkMode::Bridge, containers: vec![bridge] }
}

fn down(host: &Host, container: &Task, others: Others) {
    net::down(&task_of(container), &root(), host.namespace.as_fd(), others).expect("down");
}

/// Who calls a listener in a namespace that somebody else's `call` is led to.
fn led(to: &OwnedFd, port: u16, from: &OwnedFd, call: (Ipv4Addr, u16)) -> IpAddr {
    let listener = within(to, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("listen"));
    let _out = within(from, || TcpStream::connect_timeout(&call.into(), DEADLINE).expect("connect"));
    listener.accept().expect("accept").1.ip()
}

/// A namespace behind the host's interface `wan0`: it has 192.0.2.1, the host 192.0.2.2.
fn outside() -> OwnedFd {
    let outside = new_namespace();
    within(&outside, || {
        let parent = std::process::id().to_string();
        run("ip", &["link", "add", "up0", "type", "veth", "peer", "name", "wan0", "netns", &parent]);
        run("ip", &["addr", "add", "192.0.2.1/24", "dev", "up0"]);
        run("ip", &["link", "set", "up0", "up"]);
    });
    run("ip", &["addr", "add", "192.0.2.2/24", "dev", "wan0"]);
    run("ip", &["link", "set", "wan0", "up"]);
    outside
}

const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

#[test]
fn callers_from_outside_keep_their_address_and_the_hosts_own_are_answered() {
    on_private_host("ports::callers_from_outside_keep_their_address_and_the_hosts_own_are_answered", |host| {
        let (outside, web, other) = (outside(), container(host, "172.31.0.10"), container(host, "172.31.0.11"));
        forward(host, &web, &[WEB, DNS]).expect("forward");
        let seen = |from, call: Ipv4Addr| led(&web.namespace, 80, from, (call, 8080));
        assert_eq!(seen(&outside, HOST), Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(seen(&host.namespace, HOST), HOST);
        assert_eq!(seen(&host.namespace, Ipv4Addr::LOCALHOST), web.plan.gateway);
        assert_eq!(seen(&other.namespace, HOST), web.plan.gateway);
        assert_eq!(seen(&web.namespace, HOST), web.plan.gateway, "it is led to itself");
        let direct = led(&web.namespace, 80, &other.namespace, (web.address(), 80));
        assert_eq!(direct, other.address(), "by its address nothing is translated");

        let socket = web.within(|| UdpSocket::bind(("0.0.0.0", 53)).expect("bind"));
        for from in [&outside, &host.namespace] {
            let to = if std::ptr::eq(from, &raw const outside) { HOST } else { Ipv4Addr::LOCALHOST };
            let caller = within(from, || UdpSocket::bind("0.0.0.0:0").expect("bind"));
            caller.set_read_timeout(Some(DEADLINE)).expect("timeout");
            caller.send_to(b"question", (to, 5300)).expect("send");
            let (_, asked) = socket.recv_from(&mut [0; 16]).expect("question");
            socket.send_to(b"answer", asked).expect("send");
            let (_, answered) = caller.recv_from(&mut [0; 16]).expect("answer");
            assert_eq!(answered, (to, 5300).into());
        }
    });
}

#[test]
fn the_ports_of_all_containers_are_elements_of_two_maps() {
    on_private_host("ports::the_ports_of_all_containers_are_elements_of_two_maps", |host| {
        let (web, other) = (container(host, "172.31.0.10"), container(host, "172.31.0.11"));
        forward(host, &web, &[WEB, DNS]).expect("forward");
        let more = PortBinding { container: 90, host: 50_000, count: 2, protocol: Protocol::Tcp };
        forward(host, &other, &[more]).expect("forward");
        forward(host, &web, &[WEB, DNS]).expect("again");
        let list = || run("nft", &["list", "table", "inet", &root().ports_table]);
        let text = list();
        let words = [
            "8080 : 172.31.0.10 . 80",
            "5300 : 172.31.0.10 . 53",
            "50000 : 172.31.0.11 . 90",
            "50001 : 172.31.0.11 . 91",
            "type nat hook prerouting priority dstnat; policy accept;",
            "type nat hook output priority -100; policy accept;",
            "type nat hook postrouting priority srcnat; policy accept;",
            "meta nfproto ipv4 fib daddr type local dnat ip to tcp dport map @tcp",
            "meta nfproto ipv4 fib daddr type local dnat ip to udp dport map @udp",
            "oifgroup 2147490649 ip saddr 127.0.0.0/8 masquerade",
            "iifgroup 2147490649 oifgroup 2147490649 ct status dnat masquerade",
        ];
        for word in words {
            assert!(text.contains(word), "{word} is not in\n{text}");
        }
        down(host, &web, Others::Remain);
        down(host, &web, Others::Remain);
        let text = list();
        assert!(!text.contains("172.31.0.10") && text.contains("50001 : 172.31.0.11 . 91"), "{text}");
        down(host, &web, Others::None);
        assert_eq!(tables(), "");
        down(host, &web, Others::None);
        down(host, &web, Others::Remain);
    });
}

#[test]
fn what_an_earlier_owner_of_a_port_left_is_taken_over() {
    on_private_host("ports::what_an_earlier_owner_of_a_port_left_is_taken_over", |host| {
        let (old, new) = (container(host, "172.31.0.10"), container(host, "172.31.0.11"));
        forward(host, &old, &[WEB]).expect("forward");
        forward(host, &new, &[WEB, DNS]).expect("taken over");
        assert_eq!(led(&new.namespace, 80, &host.namespace, (Ipv4Addr::LOCALHOST, 8080)), new.plan.gateway);
    });
}

#[test]
fn a_port_that_a_program_of_the_host_has_is_left_to_it() {
    on_private_host("ports::a_port_that_a_program_of_the_host_has_is_left_to_it", |host| {
        let web = container(host, "172.31.0.10");
        let listener = TcpListener::bind("127.0.0.1:8080").expect("listen");
        let error = forward(host, &web, &[WEB]).expect_err("it is in use");
        assert_eq!(error.to_string(), "listen tcp 0.0.0.0:8080: bind");
        assert!(!tables().contains(&root().ports_table));
        drop(listener);
        forward(host, &web, &[WEB]).expect("now it is free");
    });
}

#[test]
fn who_calls_a_container_that_has_ended_is_not_sent_elsewhere() {
    on_private_host("ports::who_calls_a_container_that_has_ended_is_not_sent_elsewhere", |host| {
        let outside = outside();
        within(&outside, || run("ip", &["addr", "add", "172.31.0.10/32", "dev", "up0"]));
        run("ip", &["route", "add", "default", "via", "192.0.2.1"]);
        let Task { namespace, plan } = container(host, "172.31.0.10");
        let web = Task { namespace, plan };
        forward(host, &web, &[WEB]).expect("forward");
        assert_eq!(led(&web.namespace, 80, &host.namespace, (HOST, 8080)), HOST);
        let Task { namespace, plan } = web;
        drop(namespace);
        wait_until("the link stays", || !run("ip", &["link"]).contains(&plan.veth));
        let stranger = within(&outside, || TcpListener::bind("172.31.0.10:80").expect("listen"));
        let soon = Duration::from_millis(300);
        let direct = TcpStream::connect_timeout(&(plan.address.address, 80).into(), DEADLINE);
        direct.expect("the control: that is where the host's default route leads").write_all(b"x").expect("write");
        for address in [HOST, Ipv4Addr::LOCALHOST] {
            TcpStream::connect_timeout(&(address, 8080).into(), soon).expect_err("nobody answers");
        }
        stranger.set_nonblocking(true).expect("nonblocking");
        let callers = std::iter::from_fn(|| stranger.accept().ok()).count();
        assert_eq!(callers, 1, "the control alone");
    });
}

#[test]
fn the_way_through_a_proxy_can_be_made_twice_and_holds_ipv4_only() {
    on_private_host("ports::the_way_through_a_proxy_can_be_made_twice_and_holds_ipv4_only", |host| {
        let task = host.task("172.31.0.10");
        let proxy =
            Proxy { app_ports: vec![80], ingress: 15_000, egress: 15_001, ignored_gid: Some(77), ..Proxy::default() };
        task.within(|| {
            net::redirect(&proxy).expect("redirect");
            net::redirect(&proxy).expect("again");
            let text = run("nft", &["list", "table", "inet", "berth-proxy"]);
            for word in [
                "tcp dport 80 redirect to :15000",
                "meta nfproto != ipv4 accept",
                "meta nfproto ipv4 fib daddr type local accept",
                "meta skgid 77 accept",
                "meta l4proto tcp redirect to :15001",
            ] {
                assert!(text.contains(word), "{word} is not in\n{text}");
            }
            let listener = TcpListener::bind("[::1]:0").expect("listen");
            let address = listener.local_addr().expect("address");
            TcpStream::connect_timeout(&address, DEADLINE).expect("IPv6 within the task is left alone");
        });
        assert_eq!(led(&task.namespace, 15_000, &host.namespace, (task.address(), 80)), task.plan.gateway);
        assert_eq!(led(&task.namespace, 15_001, &task.namespace, (Ipv4Addr::new(203, 0, 113, 1), 9)), task.address());
        assert!(!tables().contains("berth-proxy"), "the host has none of it");
    });
}
