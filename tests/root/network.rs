//! A task's network: what its containers share, who reaches whom, and what no task may send.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use serde_json::json;

use crate::support::root::{Root, Task};
use crate::support::{container, definition, eventually, task};

/// What somebody answers at an address; waits until there is somebody.
fn answer(address: &str, port: u16) -> String {
    let mut stream = eventually(Duration::from_secs(10), &format!("{address}:{port} answers"), || {
        TcpStream::connect((address, port)).ok()
    });
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.trim().to_owned()
}

/// A task of two containers that both listen, each at a port of its own.
fn pair(root: &Root, name: &str, ports: [u16; 2]) -> Task {
    let listen = |side: &str, port: u16| container(side, &["listen", &port.to_string(), name], json!({}));
    let task = root.run_detached(&task(&[listen("one", ports[0]), listen("two", ports[1])]));
    for port in ports {
        assert_eq!(answer(&task.address(), port), name);
    }
    task
}

/// What `connect` says in a container: exit code (1 refused, 2 no answer) and what it read.
fn connect(root: &Root, task: &Task, from: &str, host: &str, port: &str) -> (i32, String) {
    let finished = root.exec(task, from, &["/probe", "connect", host, port]);
    (finished.code(), finished.stdout.trim().to_owned())
}

#[test]
fn containers_of_a_task_share_localhost_and_those_of_two_tasks_do_not() {
    let root = Root::with_images(&["probe"]);
    let (a, b) = (pair(&root, "a", [8001, 8002]), pair(&root, "b", [8001, 8003]));
    assert_ne!(a.address(), b.address());
    for (from, port) in [("one", "8002"), ("two", "8001"), ("one", "8001")] {
        assert_eq!(connect(&root, &a, from, "127.0.0.1", port), (0, "a".into()));
        assert_eq!(connect(&root, &a, from, "localhost", port), (0, "a".into()));
    }
    assert_eq!(connect(&root, &b, "two", "127.0.0.1", "8001"), (0, "b".into()));
    assert_eq!(connect(&root, &b, "one", "127.0.0.1", "8002"), (1, String::new()), "only task a listens there");
    // one task to the other, by its address
    assert_eq!(connect(&root, &a, "one", &b.address(), "8003"), (0, "b".into()));
    assert_eq!(connect(&root, &b, "two", &a.address(), "8002"), (0, "a".into()));
    assert_eq!(connect(&root, &b, "two", &a.address(), "8003"), (1, String::new()));
}

/// A descriptor of the namespace keeps it, and with it both ends of the link, as a kernel does that is not yet done.
#[test]
fn an_address_is_used_again_while_the_link_of_its_last_task_is_still_there() {
    let root = Root::with_images(&["probe"]);
    let subnet = "id = \"subnet-0123abcd\"\nzone = \"us-east-1a\"\ncidr = \"10.213.78.16/28\"\n";
    root.configure(&format!("[vpc]\ncidr = \"10.213.78.0/24\"\n[[vpc.subnets]]\n{subnet}"));
    let old = definition(&[("web", &["listen", "80", "old"])]);
    let tasks: Vec<_> = (0..11).map(|_| root.run_detached(&old)).collect();
    let last = &tasks[5];
    let file = std::fs::read(root.path().join(format!("run/tasks/{}/c/web/init.json", last.id))).unwrap();
    let init: serde_json::Value = serde_json::from_slice(&file).unwrap();
    let namespace = std::fs::File::open(format!("/proc/{}/ns/net", init["pid"])).unwrap();
    root.berth(["rm", "-f", &last.id]).ok();
    assert_eq!(root.present().iter().filter(|line| line.starts_with("link: ")).count(), 11, "the link is still there");
    let next = root.run_detached(&definition(&[("web", &["listen", "80", "new"])]));
    assert_eq!(next.address(), last.address());
    assert_eq!(answer(&next.address(), 80), "new");
    drop(namespace);
    eventually(Duration::from_secs(10), "the old link is gone", || {
        (root.present().iter().filter(|line| line.starts_with("link: ")).count() == 11).then_some(())
    });
    assert_eq!(answer(&next.address(), 80), "new");
    let all = root.berth(["ps", "-q"]).ok();
    root.berth(["rm", "-f"].into_iter().chain(all.lines())).ok();
}

#[test]
fn a_task_sees_the_interface_the_names_and_the_resolver_that_ecs_promises() {
    let root = Root::with_images(&["probe"]);
    root.configure("dns = [\"192.0.2.53\"]\n");
    let task = root.run_detached(&definition(&[("web", &["listen", "80"])]));
    let address = task.address();
    let inside = |command: &[&str]| root.exec(&task, "web", &[&["/probe"], command].concat()).ok();

    let name = format!("ip-{}.ec2.internal", address.replace('.', "-"));
    let network = inside(&["addresses"]);
    let has = |line: &str| assert!(network.lines().any(|other| other == line), "{line:?} is not in\n{network}");
    has(&format!("hostname {name}"));
    has(&format!("address eth0 {address}/20"));
    has("address lo 127.0.0.1/8");
    let bits = address.parse::<Ipv4Addr>().unwrap().to_bits() & !0xfff;
    let gateway = Ipv4Addr::from_bits(bits + 1);
    has(&format!("route 0.0.0.0/0 via {gateway} dev eth0"));
    let link = network.lines().find(|line| line.starts_with("link eth0")).unwrap();
    assert!(link.contains(&format!(" mac {} ", task.interface("macAddress"))) && link.ends_with(" up"), "{link}");
    assert_eq!(network.lines().filter(|line| line.starts_with("link ")).count(), 2, "eth0 and lo\n{network}");

    assert_eq!(inside(&["cat", "/etc/hostname"]).trim(), name);
    assert_eq!(inside(&["cat", "/etc/hosts"]), format!("127.0.0.1 localhost\n{address} {name}\n"));
    assert_eq!(inside(&["resolve", &name]).trim(), address);
    let resolver = inside(&["cat", "/etc/resolv.conf"]);
    let servers: Vec<_> = resolver.lines().filter(|line| line.starts_with("nameserver")).collect();
    assert_eq!(servers, ["nameserver 192.0.2.53"]);
}

#[test]
fn a_packet_under_somebody_elses_address_never_arrives() {
    let root = Root::with_images(&["probe"]);
    let (liar, other) = (
        root.run_detached(&definition(&[("web", &["listen", "80"])])),
        root.run_detached(&definition(&[("web", &["listen", "80"])])),
    );
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let port = socket.local_addr().unwrap().port().to_string();
    // the host's own address as that task sees it
    let towards = UdpSocket::bind("0.0.0.0:0").unwrap();
    towards.connect((liar.address().as_str(), 80)).unwrap();
    let host = towards.local_addr().unwrap().ip().to_string();
    let neighbour = liar.address().parse::<Ipv4Addr>().unwrap().to_bits() ^ 1;
    let own = liar.address();
    // 0.0.0.0 is not among them: the kernel puts the true address in its place (raw(7))
    let lies = [other.address(), Ipv4Addr::from_bits(neighbour).to_string(), "192.0.2.1".into(), host.clone()];
    for source in &lies {
        root.exec(&liar, "web", &["/probe", "spoof", source, &host, &port]);
    }
    // the control: the same way, the same words, and the truth
    root.exec(&liar, "web", &["/probe", "spoof", &own, &host, &port]).ok();
    let (_, from) = socket.recv_from(&mut [0; 64]).expect("what a task says under its own address arrives");
    assert_eq!(from.ip(), own.parse::<IpAddr>().unwrap());
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv_from(&mut [0; 64]).is_err(), "and nothing else");
}

/// In a network namespace that plays the host, so that the metadata address can be given to somebody who would answer.
#[test]
fn the_hosts_metadata_service_is_out_of_reach() {
    let inside = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let ip =
            |words: &str| assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success(), "{words}");
        ip("link set lo up");
        ip("address add 169.254.169.254/32 dev lo");
        ip("address add 198.51.100.1/32 dev lo");
        let listener = TcpListener::bind("0.0.0.0:80").unwrap();
        thread::spawn(move || listener.incoming().for_each(drop));
        assert!(TcpStream::connect("169.254.169.254:80").is_ok(), "the host itself reaches it");
        let root = Root::with_images(&["probe"]);
        let task = root.run_detached(&definition(&[("web", &["listen", "8080"])]));
        assert_eq!(connect(&root, &task, "web", "198.51.100.1", "80").0, 0, "another address of the same host");
        assert_eq!(connect(&root, &task, "web", "169.254.169.254", "80").0, 2);
    });
    inside.join().unwrap();
}

#[test]
fn two_roots_do_not_disturb_each_other() {
    let (left, right) = (Root::with_images(&["probe"]), Root::with_images(&["probe"]));
    let (one, two) = thread::scope(|scope| {
        let one = scope.spawn(|| pair(&left, "left", [8001, 8002]));
        let two = pair(&right, "right", [8001, 8002]);
        (one.join().unwrap(), two)
    });
    let block = |task: &Task| task.address().split('.').take(2).map(str::to_owned).collect::<Vec<_>>();
    assert_ne!(block(&one), block(&two), "each root has a VPC of its own");
    let listed = |root: &Root| root.berth(["ps", "-q"]).ok().trim().to_owned();
    assert_eq!([listed(&left), listed(&right)], [one.id.clone(), two.id.clone()]);
    let things = |root: &Root, what: &str| -> Vec<String> {
        root.present().into_iter().filter(|line| line.starts_with(what)).collect()
    };
    for what in ["nftables table: ", "cgroup: ", "link: "] {
        let (ours, theirs) = (things(&left, what), things(&right, what));
        assert!(!ours.is_empty() && !theirs.is_empty(), "{what}");
        assert!(ours.iter().all(|line| !theirs.contains(line)), "{ours:?} {theirs:?}");
    }
    left.stop(&one);
    eventually(Duration::from_secs(10), "the left root has no table", || {
        things(&left, "nftables").is_empty().then_some(())
    });
    assert_eq!(answer(&two.address(), 8001), "right", "the end of one root is not the other's");
    assert_eq!(things(&right, "nftables").len(), 1);
}
