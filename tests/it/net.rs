//! The network of a task, made and probed in private network namespaces: nothing here touches the real host.
//!
//! Each test runs a second time as the only test of a child process, which `unshare` puts into a fresh network
//! namespace, and unless we are root into a fresh user namespace too. That namespace plays the host. A process of its
//! own is needed, because `unshare(2)` moves the calling thread only, while tests share threads, and because a process
//! with threads may not make a user namespace at all. Inside the child, namespaces for tasks are made and entered by
//! short-lived threads. Where user namespaces are forbidden `unshare` fails, and with it the test.

use std::env;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use berth::net::{self, NetError, Others};
use berth::plan::{Cidr, EniPlan, LinkKind, LinkPlan, NetworkPlan, RootNetwork};
use berth::sys::netns;

mod ports;

const CHILD: &str = "BERTH_TEST_PRIVATE_HOST";
const DEADLINE: Duration = Duration::from_secs(20);

/// Runs a test's body in a child process inside a private "host".
fn on_private_host(name: &str, body: impl FnOnce(&Host)) {
    if env::var(CHILD).is_ok_and(|value| value == name) {
        return body(&Host::new());
    }
    let mut unshare = Command::new("unshare");
    unshare.arg("--net");
    if !nix::unistd::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.arg("--").arg(env::current_exe().expect("the test program has a path"));
    unshare.args([&format!("net::{name}"), "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, name);
    let output = unshare.output().expect("unshare (util-linux) is needed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "in a private namespace ({}):\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The namespace that plays the host.
struct Host {
    namespace: OwnedFd,
}

impl Host {
    fn new() -> Self {
        run("ip", &["link", "set", "lo", "up"]);
        for file in ["ip_forward", "conf/all/rp_filter", "conf/default/rp_filter"] {
            // rp_filter would drop what the rules are to drop, and ip_forward is ours to switch on.
            fs::write(format!("/proc/sys/net/ipv4/{file}"), "0").expect(file);
        }
        Self { namespace: netns::current().expect("own namespace") }
    }

    fn up(&self, task: &Task) -> Result<(), NetError> {
        task.within(|| net::up(&task.plan, self.namespace.as_fd()))
    }

    fn down(&self, task: &Task, others: Others) {
        let plan = NetworkPlan::Awsvpc(Box::new(EniPlan {
            link: task.plan.clone(),
            subnet: String::new(),
            interface: String::new(),
            attachment: String::new(),
            host_name: String::new(),
            proxy: None,
        }));
        net::down(&plan, &root(), self.namespace.as_fd(), others).expect("down");
    }

    /// A task that is up.
    fn task(&self, address: &str) -> Task {
        let task = Task::new(plan(address));
        self.up(&task).expect("up");
        task
    }
}

/// A task's namespace and plan.
struct Task {
    namespace: OwnedFd,
    plan: LinkPlan,
}

impl Task {
    fn new(plan: LinkPlan) -> Self {
        Self { namespace: new_namespace(), plan }
    }

    fn address(&self) -> Ipv4Addr {
        self.plan.address.address
    }

    fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        within(&self.namespace, act)
    }
}

fn new_namespace() -> OwnedFd {
    let made = thread::spawn(|| netns::enter_new().and_then(|()| netns::current()));
    made.join().expect("thread").expect("new network namespace")
}

fn within<T: Send>(namespace: &OwnedFd, act: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            netns::enter(namespace.as_fd()).expect("enter namespace");
            act()
        });
        thread.join().expect("thread")
    })
}

/// The root that all these plans are of.
fn root() -> RootNetwork {
    RootNetwork { table: "berth-test".to_owned(), ..RootNetwork::of("00001b59") }
}

/// A plan in the VPC 172.31.0.0/16 with subnets of 20 bits.
fn plan(address: &str) -> LinkPlan {
    let address = Cidr { address: address.parse().expect("address"), prefix: 20 };
    let [.., c, d] = address.address.octets();
    LinkPlan {
        kind: LinkKind::Task,
        veth: format!("ve{c:03}{d:03}"),
        group: 7001,
        table: "berth-test".to_owned(),
        vpc: "172.31.0.0/16".parse().expect("block"),
        gateway: Ipv4Addr::from_bits(address.network().to_bits() + 1),
        address,
        mac: [0x02, 0, 0, 0, c, d],
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Connects to a listener that it makes in another namespace; returns who called, as the listener saw it.
fn caller(from: &OwnedFd, to: &OwnedFd, address: Ipv4Addr) -> IpAddr {
    let listener = within(to, || TcpListener::bind((address, 0)).expect("listen"));
    let port = listener.local_addr().expect("port").port();
    let mut out = within(from, || TcpStream::connect_timeout(&(address, port).into(), DEADLINE).expect("connect"));
    let (mut incoming, caller) = listener.accept().expect("accept");
    out.write_all(b"ping").expect("write");
    let mut text = [0; 4];
    incoming.read_exact(&mut text).expect("read");
    caller.ip()
}

/// A UDP socket of a task with any source address: as a root in its namespace could, the task takes the address first.
fn sender(task: &Task, source: Ipv4Addr) -> UdpSocket {
    task.within(|| {
        if source != task.address() {
            run("ip", &["addr", "replace", &format!("{source}/32"), "dev", "lo"]);
        }
        UdpSocket::bind((source, 0)).expect("bind")
    })
}

/// Whether a datagram reaches a socket on the host. After it go datagrams that do: when one of them is there and the
/// first is not, that one was dropped. So nobody waits for a packet that will never come.
fn arrives(task: &Task, probe: &UdpSocket, to: Ipv4Addr) -> bool {
    let receiver = UdpSocket::bind("0.0.0.0:0").expect("bind");
    receiver.set_read_timeout(Some(Duration::from_millis(50))).expect("timeout");
    let port = receiver.local_addr().expect("port").port();
    let good = sender(task, task.address());
    let deadline = Instant::now() + DEADLINE;
    let next = |text: &[u8]| loop {
        assert!(Instant::now() < deadline, "no datagram of the task's arrives at all");
        good.send_to(text, (task.plan.gateway, port)).expect("send");
        let mut buffer = [0; 16];
        match receiver.recv(&mut buffer) {
            Ok(length) if &buffer[..length] == b"warm" && text != b"warm" => {}
            Ok(length) => return buffer[..length].to_vec(),
            Err(error) => assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}"),
        }
    };
    next(b"warm"); // the link is up, and the neighbour known
    probe.send_to(b"probe", (to, port)).expect("send probe");
    next(b"good") == b"probe"
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        thread::yield_now();
    }
}

fn tables() -> String {
    run("nft", &["list", "tables"])
}

/// The table's rules as `nft` shows them, without the comment that stands for their digest.
fn rules() -> Vec<String> {
    let text = run("nft", &["list", "table", "inet", "berth-test"]);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("comment"));
    lines.map(str::to_owned).collect()
}

#[test]
fn host_and_task_reach_each_other() {
    on_private_host("host_and_task_reach_each_other", |host| {
        let task = host.task("172.31.0.10");
        let seen = caller(&host.namespace, &task.namespace, task.address());
        assert_eq!(seen, task.plan.gateway, "the host calls as the gateway");
        let seen = caller(&task.namespace, &host.namespace, task.plan.gateway);
        assert_eq!(seen, task.address(), "the task calls as itself");
        assert_eq!(caller(&task.namespace, &task.namespace, Ipv4Addr::LOCALHOST), Ipv4Addr::LOCALHOST);
    });
}

#[test]
fn tasks_reach_each_other_untranslated_in_one_subnet_and_across_two() {
    on_private_host("tasks_reach_each_other_untranslated_in_one_subnet_and_across_two", |host| {
        let [one, neighbour, far] = ["172.31.0.10", "172.31.0.11", "172.31.16.10"].map(|address| host.task(address));
        for (from, to) in [(&one, &neighbour), (&neighbour, &one), (&one, &far), (&far, &one)] {
            assert_eq!(caller(&from.namespace, &to.namespace, to.address()), from.address());
        }
    });
}

#[test]
fn eth0_looks_like_an_eni() {
    on_private_host("eth0_looks_like_an_eni", |host| {
        let task = host.task("172.31.0.10");
        let link = task.within(|| run("ip", &["-o", "link", "show", "eth0"]));
        assert!(link.contains("mtu 1500") && link.contains("link/ether 02:00:00:00:00:0a"), "{link}");
        let address = task.within(|| run("ip", &["-o", "-4", "addr", "show", "dev", "eth0"]));
        assert!(address.contains("inet 172.31.0.10/20"), "{address}");
        let routes = task.within(|| run("ip", &["route"]));
        let lines: Vec<&str> = routes.lines().map(str::trim).collect();
        let default = "default via 172.31.0.1 dev eth0 proto static";
        let gateway = "172.31.0.1 dev eth0 proto static scope link src 172.31.0.10";
        assert_eq!(lines, [default, gateway], "even neighbours are behind the gateway");
    });
}

#[test]
fn neither_end_gets_an_ipv6_address() {
    on_private_host("neither_end_gets_an_ipv6_address", |host| {
        let task = host.task("172.31.0.10");
        caller(&host.namespace, &task.namespace, task.address()); // carrier is there: an address would be too
        let file = "/proc/thread-self/net/if_inet6";
        let ours = task.within(|| fs::read_to_string(file).expect(file));
        let hosts = fs::read_to_string(file).expect(file);
        assert!(ours.contains("lo"), "the task keeps ::1 for itself: {ours}");
        assert!(!ours.contains("eth0") && !hosts.contains(&task.plan.veth), "{ours}{hosts}");
    });
}

#[test]
fn a_datagram_with_anothers_source_address_is_dropped() {
    on_private_host("a_datagram_with_anothers_source_address_is_dropped", |host| {
        let [task, other] = ["172.31.0.10", "172.31.0.11"].map(|address| host.task(address));
        let sources = [other.address(), Ipv4Addr::new(172, 31, 5, 5), Ipv4Addr::new(192, 0, 2, 9)];
        for source in sources {
            assert!(!arrives(&task, &sender(&task, source), task.plan.gateway), "{source} got through");
        }
        host.down(&other, Others::None); // control: without the rules the same datagrams arrive
        for source in sources {
            assert!(arrives(&task, &sender(&task, source), task.plan.gateway), "{source} is dropped without rules too");
        }
    });
}

#[test]
fn the_metadata_address_of_the_host_is_out_of_reach() {
    on_private_host("the_metadata_address_of_the_host_is_out_of_reach", |host| {
        run("ip", &["addr", "add", "169.254.169.254/32", "dev", "lo"]);
        let metadata = Ipv4Addr::new(169, 254, 169, 254);
        let task = host.task("172.31.0.10");
        assert!(!arrives(&task, &sender(&task, task.address()), metadata));
        host.down(&task, Others::None);
        assert!(arrives(&task, &sender(&task, task.address()), metadata), "dropped without rules too");
    });
}

#[test]
fn the_loopback_of_the_host_is_out_of_reach_even_where_the_host_would_let_it_in() {
    on_private_host("the_loopback_of_the_host_is_out_of_reach_even_where_the_host_would_let_it_in", |host| {
        let task = host.task("172.31.0.10");
        let localnet = |device: &str| {
            fs::write(format!("/proc/sys/net/ipv4/conf/{device}/route_localnet"), "1").expect("route_localnet");
        };
        localnet(&task.plan.veth);
        task.within(|| {
            localnet("eth0");
            // The task's table of local addresses comes first, and holds 127.0.0.0/8: one of them goes out instead.
            run("ip", &["route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local"]);
            run("ip", &["route", "add", "127.0.0.9", "via", "172.31.0.1"]);
        });
        let target = Ipv4Addr::new(127, 0, 0, 9);
        assert!(!arrives(&task, &sender(&task, task.address()), target));
        host.down(&task, Others::None);
        assert!(arrives(&task, &sender(&task, task.address()), target), "dropped without rules too");
    });
}

#[test]
fn what_leaves_the_host_carries_the_hosts_address() {
    on_private_host("what_leaves_the_host_carries_the_hosts_address", |host| {
        let task = host.task("172.31.0.10");
        let outside = new_namespace();
        let thread = thread::scope(|scope| {
            scope
                .spawn(|| {
                    netns::enter(outside.as_fd()).expect("enter");
                    let peer = ["link", "add", "up0", "type", "veth", "peer", "name", "wan0", "netns"];
                    let parent = std::process::id().to_string();
                    run("ip", &[&peer[..], &[parent.as_str()]].concat());
                    run("ip", &["addr", "add", "192.0.2.1/24", "dev", "up0"]);
                    run("ip", &["link", "set", "up0", "up"]);
                })
                .join()
        });
        thread.expect("outside");
        run("ip", &["addr", "add", "192.0.2.2/24", "dev", "wan0"]);
        run("ip", &["link", "set", "wan0", "up"]);
        let seen = caller(&task.namespace, &outside, Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(seen, Ipv4Addr::new(192, 0, 2, 2), "the outside knows nothing of the VPC");
    });
}

#[test]
fn the_kernel_holds_the_rules_that_we_mean() {
    on_private_host("the_kernel_holds_the_rules_that_we_mean", |host| {
        host.task("172.31.0.10");
        assert_eq!(rules(), OUR_TABLE);
    });
}

const OUR_TABLE: [&str; 15] = [
    "table inet berth-test {",
    "chain ingress {",
    "type filter hook prerouting priority raw; policy accept;",
    "iifgroup != 7001 accept",
    "meta nfproto != ipv4 drop",
    "ip saddr != 172.31.0.0/16 drop",
    "fib saddr . iif oif missing drop",
    "ip daddr 169.254.169.254 drop",
    "ip daddr 127.0.0.0/8 drop",
    "}",
    "chain egress {",
    "type nat hook postrouting priority srcnat; policy accept;",
    "oifgroup != 7001 ip saddr 172.31.0.0/16 ip daddr != 172.31.0.0/16 masquerade",
    "}",
    "}",
];

#[test]
fn a_table_with_other_rules_is_replaced() {
    on_private_host("a_table_with_other_rules_is_replaced", |host| {
        run("nft", &["add table inet berth-test; add chain inet berth-test old"]);
        let task = host.task("172.31.0.10");
        assert_eq!(rules(), OUR_TABLE);
        let handle = |text: String| text.lines().next().map(str::to_owned);
        let before = handle(run("nft", &["-a", "list", "table", "inet", "berth-test"]));
        host.up(&task).expect("up again");
        assert_eq!(handle(run("nft", &["-a", "list", "table", "inet", "berth-test"])), before, "made once");
    });
}

#[test]
fn up_of_what_is_up_succeeds_and_changes_nothing() {
    on_private_host("up_of_what_is_up_succeeds_and_changes_nothing", |host| {
        let task = host.task("172.31.0.10");
        let picture = || {
            let inside = task.within(|| run("ip", &["addr"]) + &run("ip", &["route"]));
            inside + &run("ip", &["addr"]) + &run("ip", &["route"])
        };
        // Carrier is noticed by a work queue, a moment later.
        wait_until("a link stays down", || picture().matches("state UP").count() == 2);
        let before = picture();
        host.up(&task).expect("up again");
        assert_eq!(picture(), before);
    });
}

#[test]
fn tasks_that_come_up_at_the_same_moment_share_one_table() {
    on_private_host("tasks_that_come_up_at_the_same_moment_share_one_table", |host| {
        let tasks: Vec<Task> = (10..26).map(|d| Task::new(plan(&format!("172.31.0.{d}")))).collect();
        thread::scope(|scope| {
            for task in &tasks {
                scope.spawn(|| host.up(task).expect("up"));
            }
        });
        assert_eq!(rules(), OUR_TABLE);
        for task in &tasks {
            assert_eq!(caller(&host.namespace, &task.namespace, task.address()), task.plan.gateway);
        }
    });
}

#[test]
fn an_address_of_another_roots_task_is_taken() {
    on_private_host("an_address_of_another_roots_task_is_taken", |host| {
        let first = host.task("172.31.0.10");
        let other_root =
            LinkPlan { veth: "veother".into(), group: 7002, table: "berth-b".into(), ..first.plan.clone() };
        let error = host.up(&Task::new(other_root)).expect_err("one address, two tasks");
        assert_eq!(error.to_string(), "address 172.31.0.10 is already in use on this host, by ve000010");
        assert_eq!(caller(&host.namespace, &first.namespace, first.address()), first.plan.gateway);
    });
}

#[test]
fn an_address_on_a_network_of_the_host_is_taken() {
    on_private_host("an_address_on_a_network_of_the_host_is_taken", |host| {
        run("ip", &["link", "add", "lan0", "type", "veth", "peer", "name", "lan1"]);
        run("ip", &["link", "set", "lan0", "up"]);
        run("ip", &["addr", "add", "172.31.0.77/24", "dev", "lan0"]);
        for address in ["172.31.0.10", "172.31.0.77"] {
            let error = host.up(&Task::new(plan(address))).expect_err("it is the LAN's");
            assert_eq!(error.to_string(), format!("address {address} is already in use on this host, by lan0"));
        }
        host.task("172.31.1.10"); // beside the LAN there is room
    });
}

#[test]
fn a_foreign_link_of_our_name_is_left_alone() {
    on_private_host("a_foreign_link_of_our_name_is_left_alone", |host| {
        let task = Task::new(plan("172.31.0.10"));
        run("ip", &["link", "add", &task.plan.veth, "type", "veth", "peer", "name", "foreign"]);
        let before = run("ip", &["link"]);
        let error = host.up(&task).expect_err("the name is taken");
        assert!(matches!(error, NetError::LinkTaken { .. }), "{error}");
        assert_eq!(run("ip", &["link"]), before);
    });
}

#[test]
fn an_eth0_that_is_there_already_is_not_taken_for_ours() {
    on_private_host("an_eth0_that_is_there_already_is_not_taken_for_ours", |host| {
        let task = Task::new(plan("172.31.0.10"));
        task.within(|| run("ip", &["link", "add", "eth0", "type", "veth", "peer", "name", "foreign"]));
        let error = host.up(&task).expect_err("eth0 exists");
        assert_eq!(error.to_string(), "creation of ve000010");
        assert!(!run("ip", &["link"]).contains(&task.plan.veth), "half a pair was left");
    });
}

#[test]
fn the_table_goes_with_the_last_task_only_and_down_can_be_repeated() {
    on_private_host("the_table_goes_with_the_last_task_only_and_down_can_be_repeated", |host| {
        let task = host.task("172.31.0.10");
        host.down(&task, Others::Remain);
        assert!(tables().contains("berth-test"));
        host.down(&task, Others::None);
        assert_eq!(tables(), "");
        host.down(&task, Others::None);
    });
}

#[test]
fn the_host_end_goes_with_the_tasks_namespace() {
    on_private_host("the_host_end_goes_with_the_tasks_namespace", |host| {
        let Task { namespace, plan } = host.task("172.31.0.10");
        let there = || {
            let routes = net::host_routes(host.namespace.as_fd()).expect("routes");
            routes.iter().any(|route| route.destination.address == plan.address.address)
        };
        assert!(there());
        drop(namespace);
        wait_until("the host end stays", || !there());
        wait_until("the link stays", || !run("ip", &["link"]).contains(&plan.veth));
    });
}

#[test]
fn forwarding_is_switched_on_where_it_is_off() {
    on_private_host("forwarding_is_switched_on_where_it_is_off", |host| {
        let value = || fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("ip_forward");
        assert_eq!(value(), "0\n");
        host.task("172.31.0.10");
        assert_eq!(value(), "1\n");
    });
}

#[test]
fn the_hosts_routes_are_listed_with_their_devices() {
    on_private_host("the_hosts_routes_are_listed_with_their_devices", |host| {
        run("ip", &["link", "add", "lan0", "type", "veth", "peer", "name", "lan1"]);
        run("ip", &["link", "set", "lan0", "up"]);
        run("ip", &["addr", "add", "10.9.0.2/16", "dev", "lan0"]);
        run("ip", &["route", "add", "default", "via", "10.9.0.1"]);
        run("ip", &["route", "add", "blackhole", "10.10.0.0/16"]);
        run("ip", &["route", "add", "10.11.0.0/16", "via", "10.9.0.1", "table", "77"]);
        let routes = net::host_routes(host.namespace.as_fd()).expect("routes");
        let mut shown: Vec<(String, Option<String>)> =
            routes.into_iter().map(|route| (route.destination.to_string(), route.device)).collect();
        shown.sort();
        let lan = Some("lan0".to_owned());
        let expected = [("10.10.0.0/16", None), ("10.11.0.0/16", lan.clone()), ("10.9.0.0/16", lan)];
        assert_eq!(shown, expected.map(|(block, device)| (block.to_owned(), device)));
    });
}
