//! The network modes of container instances: bridge, host and none; and the way through a proxy. Each test plays on a host
//! of its own, a network namespace, so that ports and addresses of the real one do not matter.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::root::{Root, Task};
use crate::support::supervised::{PATIENCE, copies, init, kill_loop, pair, processes, strike};
use crate::support::{container, eventually, of, task};

/// An address of the host beside 127.0.0.1.
const HOST: &str = "198.51.100.1";

fn ip(words: &str) -> String {
    let output = Command::new("ip").args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {words}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a test on a host of its own, with a root; nothing of berth may be left on that host.
pub(crate) fn on_own_host(test: impl FnOnce(&Root) + Send + 'static) {
    let inside = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        ip("link set lo up");
        ip(&format!("address add {HOST}/32 dev lo"));
        let root = Root::with_images(&["probe"]);
        test(&root);
        let all = root.berth(["ps", "-q"]).ok();
        if !all.trim().is_empty() {
            root.berth(["stop"].into_iter().chain(all.lines())).ok();
        }
        eventually(Duration::from_secs(10), "no link is left", || (ip("-o link").lines().count() == 1).then_some(()));
        let present = root.present();
        assert!(!present.iter().any(|line| line.starts_with("nftables")), "{present:#?}");
        assert!(!ip("route").contains("dev ve"));
    });
    if let Err(panic) = inside.join() {
        std::panic::resume_unwind(panic);
    }
}

/// A definition for container instances; without a mode it means bridge.
fn instance(mode: Option<&str>, containers: &[Value]) -> Value {
    let mut definition = task(containers);
    definition["requiresCompatibilities"] = json!(["EC2"]);
    definition["networkMode"] = json!(mode);
    definition
}

fn listener(name: &str, port: u16, mappings: &Value) -> Value {
    container(name, &["listen", &port.to_string(), name], json!({ "portMappings": mappings }))
}

/// What somebody answers at an address; waits until there is somebody.
fn answer(host: &str, port: u16) -> String {
    let mut stream = eventually(Duration::from_secs(10), &format!("{host}:{port} answers"), || {
        TcpStream::connect((host, port)).ok()
    });
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.trim().to_owned()
}

/// What `connect` says in a container: exit code (1 refused, 2 no answer) and what it read.
fn connect(root: &Root, task: &Task, from: &str, host: &str, port: u16) -> (i32, String) {
    let finished = root.exec(task, from, &["/probe", "connect", host, &port.to_string()]);
    (finished.code(), finished.stdout.trim().to_owned())
}

fn heard(text: &str) -> (i32, String) {
    (0, text.to_owned())
}

fn inside(root: &Root, task: &Task, container: &str, command: &[&str]) -> String {
    root.exec(task, container, &[&["/probe"], command].concat()).ok()
}

#[test]
fn a_bridge_container_is_reached_through_ports_of_the_host_from_everywhere() {
    on_own_host(|root| {
        let mappings = json!([{"containerPort": 80, "hostPort": 8080}, {"containerPort": 80, "hostPort": 0}]);
        let range = json!([{"containerPortRange": "90-92"}]);
        let task = root.run_detached(&instance(None, &[listener("web", 80, &mappings), listener("db", 91, &range)]));
        let record = root.until(&task, "RUNNING");
        assert_eq!((&record["launchType"], &record["attachments"]), (&json!("EC2"), &json!([])));
        let bindings = &of(&record, "web")["networkBindings"];
        let fixed = json!({"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 8080, "protocol": "tcp"});
        assert_eq!(bindings[0], fixed);
        let open = u16::try_from(bindings[1]["hostPort"].as_u64().unwrap()).unwrap();
        assert!(open >= 49_153, "{bindings}");
        assert_eq!(of(&record, "web")["networkInterfaces"], json!([]));
        for host in ["127.0.0.1", HOST] {
            assert_eq!((answer(host, 8080).as_str(), answer(host, open).as_str()), ("web", "web"));
        }
        let binding = &of(&record, "db")["networkBindings"][0];
        assert_eq!(binding["containerPortRange"], "90-92");
        let first: u16 = binding["hostPortRange"].as_str().unwrap().split('-').next().unwrap().parse().unwrap();
        assert_eq!(answer(HOST, first + 1), "db");
        assert!(TcpStream::connect((HOST, first)).is_err(), "nobody listens at 90");

        let other = root.run_detached(&instance(Some("bridge"), &[listener("a", 80, &json!([]))]));
        let mut awsvpc = task_of_fargate();
        awsvpc["family"] = json!("vpc");
        let vpc = root.run_detached(&awsvpc);
        assert_eq!(connect(root, &other, "a", HOST, 8080), heard("web"), "another task");
        assert_eq!(connect(root, &vpc, "one", HOST, 8080), heard("web"), "an awsvpc task");
        assert_eq!(connect(root, &task, "db", HOST, 8080), heard("web"), "another container");
        assert_eq!(connect(root, &task, "web", HOST, 8080), heard("web"), "the container itself");
        assert_eq!(connect(root, &task, "web", "127.0.0.1", 91), (1, String::new()), "localhost is its own");
        root.stop(&task);
        assert!(TcpStream::connect((HOST, 8080)).is_err(), "with the task the way to it goes");
    });
}

fn task_of_fargate() -> Value {
    task(&[container("one", &["listen", "8001", "one"], json!({}))])
}

#[test]
fn where_there_is_no_endpoint_no_variable_leads_to_one_and_nobody_listens() {
    on_own_host(|root| {
        for mode in ["bridge", "host", "none"] {
            let mut definition =
                instance(Some(mode), &[container("app", &["trap", "TERM"], json!({ "stopTimeout": 2 }))]);
            definition["taskRoleArn"] = json!("arn:aws:iam::000000000000:role/app");
            let warned = root.berth(["lint", root.file(&definition).to_str().unwrap()]);
            assert!((warned.stdout.clone() + &warned.stderr).contains(&format!("networkMode={mode}")), "{warned:#?}");
            let task = root.run_detached(&definition);
            root.until(&task, "RUNNING");
            let variables = inside(root, &task, "app", &["env"]);
            assert!(variables.contains("AWS_EXECUTION_ENV=AWS_ECS_EC2"), "{variables}");
            for of_endpoint in ["ECS_CONTAINER_METADATA_URI", "ECS_AGENT_URI", "AWS_CONTAINER_CREDENTIALS"] {
                assert!(!variables.contains(of_endpoint), "{mode}: {variables}");
            }
            for port in [80, 51_679] {
                assert_ne!(connect(root, &task, "app", "169.254.170.2", port).0, 0, "{mode}, {port}");
            }
            root.stop(&task);
        }
    });
}

/// On the real host, whose links the leak check sees.
#[test]
fn all_that_a_bridge_task_has_is_seen_and_goes_with_it() {
    let root = Root::with_images(&["probe"]);
    let open = json!([{"containerPort": 80}]);
    let task = root.run_detached(&instance(None, &[listener("web", 80, &open), listener("db", 80, &json!([]))]));
    root.until(&task, "RUNNING");
    let present = root.present();
    let count = |what: &str| present.iter().filter(|line| line.starts_with(what)).count();
    assert_eq!((count("link: ve"), count("nftables table: ")), (2, 2), "{present:#?}");
    let listed = root.berth(["--format", "table", "ps"]).ok();
    let addresses = inside(&root, &task, "web", &["addresses"]);
    let address = addresses.lines().find_map(|line| line.strip_prefix("address eth0 ")).unwrap();
    assert!(listed.contains(address.split('/').next().unwrap()), "{listed}");
    root.stop(&task);
    // the end of the root checks that nothing is left
}

#[test]
fn a_port_of_another_task_is_refused_until_that_one_has_stopped() {
    on_own_host(|root| {
        let wants = |mode: &str, name: &str| {
            let port = if mode == "host" { 8080 } else { 80 };
            let mut definition =
                instance(Some(mode), &[listener(name, port, &json!([{"containerPort": port, "hostPort": 8080}]))]);
            definition["family"] = json!(name);
            definition
        };
        let first = root.run_detached(&wants("bridge", "first"));
        for mode in ["bridge", "host"] {
            let refused =
                root.berth([std::ffi::OsStr::new("run"), "-d".as_ref(), root.file(&wants(mode, "second")).as_os_str()]);
            assert_ne!(refused.status.code(), Some(0));
            assert!(
                refused.stderr.contains("RESOURCE:PORTS: port 8080/tcp of the host is taken by task"),
                "{refused:#?}"
            );
            assert!(refused.stderr.contains(&first.id));
        }
        assert_eq!(answer(HOST, 8080), "first");
        root.stop(&first);
        root.run_detached(&wants("bridge", "second"));
        assert_eq!(answer(HOST, 8080), "second");
    });
}

#[test]
fn a_port_that_the_host_listens_on_is_not_taken_from_it() {
    on_own_host(|root| {
        let listening = TcpListener::bind("127.0.0.1:8080").unwrap();
        let mapping = json!([{"containerPort": 80, "hostPort": 8080}]);
        let refused = root.run(&instance(None, &[listener("web", 80, &mapping)]));
        let words = "CannotStartContainerError: listen tcp 0.0.0.0:8080: bind: Address already in use";
        assert!(refused.stderr.contains(words), "{refused:#?}");
        drop(listening);
    });
}

#[test]
fn a_bridge_container_has_the_names_that_its_definition_gives_it() {
    on_own_host(|root| {
        let web = container(
            "web",
            &["listen", "80", "web"],
            json!({"links": ["db:store", "db"], "hostname": "front", "dnsServers": ["192.0.2.53"],
                "dnsSearchDomains": ["lan.example"], "extraHosts": [{"hostname": "far", "ipAddress": "192.0.2.9"}]}),
        );
        let cut_off = container("alone", &["sleep"], json!({"disableNetworking": true, "stopTimeout": 1}));
        let task = root.run_detached(&instance(None, &[web, listener("db", 5432, &json!([])), cut_off]));
        root.until(&task, "RUNNING");
        root.until_written(&task, "db", "listening");
        for name in ["db", "store"] {
            assert_eq!(connect(root, &task, "web", name, 5432), heard("db"), "{name}");
        }
        assert_eq!(inside(root, &task, "web", &["resolve", "far"]).trim(), "192.0.2.9");
        assert_eq!(inside(root, &task, "web", &["cat", "/etc/hostname"]).trim(), "front");
        assert!(inside(root, &task, "web", &["addresses"]).contains("hostname front"));
        assert!(inside(root, &task, "web", &["env"]).contains("AWS_EXECUTION_ENV=AWS_ECS_EC2"));
        let resolver = inside(root, &task, "web", &["cat", "/etc/resolv.conf"]);
        assert_eq!(resolver, "search lan.example\nnameserver 192.0.2.53\n");
        let alone = inside(root, &task, "alone", &["addresses"]);
        assert_eq!(alone.lines().filter(|line| line.starts_with("link ")).count(), 1, "{alone}");
        assert_ne!(connect(root, &task, "alone", HOST, 80).0, 0);

        // What holds for a task's link holds for a container's.
        let own = inside(root, &task, "web", &["addresses"]);
        let own = own
            .lines()
            .find_map(|line| line.strip_prefix("address eth0 "))
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .to_owned();
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let port = socket.local_addr().unwrap().port().to_string();
        for (source, to) in [("192.0.2.1", HOST), (HOST, HOST), (own.as_str(), "127.0.0.1")] {
            root.exec(&task, "web", &["/probe", "spoof", source, to, &port]);
        }
        root.exec(&task, "web", &["/probe", "spoof", &own, HOST, &port]).ok();
        let (_, from) = socket.recv_from(&mut [0; 64]).unwrap();
        assert_eq!(from.ip().to_string(), own);
        socket.set_nonblocking(true).unwrap();
        assert!(socket.recv_from(&mut [0; 64]).is_err(), "nothing else arrives");
    });
}

#[test]
fn a_container_in_host_mode_is_in_the_hosts_network_and_one_in_none_mode_in_no_other() {
    on_own_host(|root| {
        let mut host = instance(Some("host"), &[listener("web", 8090, &json!([{"containerPort": 8090}]))]);
        host["family"] = json!("in-the-host");
        let task = root.run_detached(&host);
        let record = root.until(&task, "RUNNING");
        assert_eq!(answer("127.0.0.1", 8090), "web");
        let network = inside(root, &task, "web", &["addresses"]);
        assert!(network.contains(&format!("address lo {HOST}/32")), "{network}");
        let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert_eq!(inside(root, &task, "web", &["cat", "/etc/hostname"]), name);
        let binding = json!({"bindIP": "0.0.0.0", "containerPort": 8090, "hostPort": 8090, "protocol": "tcp"});
        assert_eq!(of(&record, "web")["networkBindings"], json!([binding]));
        let again = root.berth([std::ffi::OsStr::new("run"), "-d".as_ref(), root.file(&host).as_os_str()]);
        assert!(again.stderr.contains("RESOURCE:PORTS"), "{again:#?}");

        let none = root.run_detached(&instance(Some("none"), &[container("a", &["listen", "80", "a"], json!({}))]));
        let network = inside(root, &none, "a", &["addresses"]);
        assert_eq!(network.lines().filter(|line| line.starts_with("link ")).collect::<Vec<_>>().len(), 1, "{network}");
        root.until_written(&none, "a", "listening");
        assert_eq!(connect(root, &none, "a", "127.0.0.1", 80), heard("a"), "lo is up");
        assert_ne!(connect(root, &none, "a", HOST, 8090).0, 0);
        let sysctl = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
        let (ours, theirs) = (fs::read_to_string(sysctl).unwrap(), inside(root, &none, "a", &["cat", sysctl]));
        assert_eq!((ours.trim(), theirs.trim()), ("1024", "0"), "the host's own settings stay");
    });
}

#[test]
fn connections_of_a_task_go_through_its_proxy_but_for_the_proxys_own() {
    on_own_host(|root| {
        for port in [9000, 9001] {
            let listener = TcpListener::bind((HOST, port)).unwrap();
            thread::spawn(move || {
                for mut stream in listener.incoming().flatten() {
                    let _ = std::io::Write::write_all(&mut stream, b"outside");
                }
            });
        }
        let mut definition = task(&[
            container("app", &["listen", "8000", "app"], json!({})),
            container("ingress", &["listen", "15000", "ingress"], json!({"user": "1337"})),
            container("egress", &["listen", "15001", "egress"], json!({"user": "1337"})),
        ]);
        let property = |name: &str, value: &str| json!({"name": name, "value": value});
        definition["proxyConfiguration"] = json!({"type": "APPMESH", "containerName": "egress", "properties": [
            property("IgnoredUID", "1337"), property("AppPorts", "8000,8001"), property("ProxyIngressPort", "15000"),
            property("ProxyEgressPort", "15001"), property("EgressIgnoredPorts", "9001"),
            property("EgressIgnoredIPs", "192.0.2.0/24"),
        ]});
        let task = root.run_detached(&definition);
        root.until(&task, "RUNNING");
        for name in ["app", "ingress", "egress"] {
            root.until_written(&task, name, "listening");
        }
        assert_eq!(connect(root, &task, "app", HOST, 9000), heard("egress"));
        assert_eq!(connect(root, &task, "egress", HOST, 9000), heard("outside"), "the user that is ignored");
        assert_eq!(connect(root, &task, "app", HOST, 9001), heard("outside"), "the port that is ignored");
        assert_ne!(connect(root, &task, "app", "192.0.2.7", 9000).0, 0, "the block that is ignored");
        assert_eq!(connect(root, &task, "app", "203.0.113.7", 9000), heard("egress"), "as if it were there");
        assert_eq!(
            connect(root, &task, "app", "127.0.0.1", 8000),
            heard("app"),
            "within the task nothing is redirected"
        );
        let address = task.address();
        assert_eq!((answer(&address, 8000).as_str(), answer(&address, 8001).as_str()), ("ingress", "ingress"));
        assert_eq!(answer(&address, 15_001), "egress", "no port of the application");
    });
}

#[test]
fn a_bridge_task_is_adopted_with_its_addresses_and_ports_whoever_was_killed() {
    on_own_host(|root| {
        let mapping = json!([{"containerPort": 80, "hostPort": 8080}]);
        let definition = instance(None, &[listener("web", 80, &mapping), listener("db", 80, &json!([]))]);
        let task = root.run_detached(&definition);
        root.until(&task, "RUNNING");
        kill_loop(root, &task);
        assert_eq!(answer("127.0.0.1", 8080), "web");
        let old = pair(&task.id).unwrap();
        old.end();
        assert_eq!(answer("127.0.0.1", 8080), "web", "nobody is needed for a container to be reached");
        root.berth(["ps"]).ok();
        let new = eventually(PATIENCE, "it has a supervisor", || pair(&task.id));
        assert!(new != old);
        assert_eq!(answer("127.0.0.1", 8080), "web");
        root.stop(&task);
        assert!(TcpStream::connect(("127.0.0.1", 8080)).is_err());

        let file = root.file(&definition);
        for number in 0..12_u64 {
            let running = root.start([std::ffi::OsStr::new("run"), "-d".as_ref(), file.as_os_str()]);
            let holder = eventually(PATIENCE, "a supervisor is there", || {
                let all = processes(&["supervise", "new"]);
                all.into_iter().find(|(_, parent)| *parent == running.pid()).map(|(pid, _)| pid)
            });
            let line = fs::read_to_string(format!("/proc/{holder}/cmdline")).unwrap_or_default();
            let id = line.split('\0').nth(3).unwrap_or_default().to_owned();
            thread::sleep(Duration::from_millis(number * 10));
            processes(&["supervise", &id]).into_iter().for_each(|(pid, _)| strike(pid));
            root.berth(["ps", "--all"]).ok();
            running.wait(PATIENCE);
            let record = eventually(PATIENCE, "it runs or has stopped", || {
                let record = root.berth(["--format", "json", "describe", &id]).json()["tasks"][0].clone();
                ["RUNNING", "STOPPED"].iter().any(|status| record["lastStatus"] == *status).then_some(record)
            });
            if record["lastStatus"] == "RUNNING" {
                assert_eq!(answer("127.0.0.1", 8080), "web", "after {} ms", number * 10);
                assert_eq!(copies(&id).len(), 2);
            }
            root.berth(["rm", "-f", &id]).ok();
        }
    });
}

#[test]
fn a_bridge_container_that_is_started_again_keeps_its_address_and_its_ports() {
    on_own_host(|root| {
        let more = json!({"portMappings": [{"containerPort": 80, "hostPort": 8080}],
            "restartPolicy": {"enabled": true, "restartAttemptPeriod": 0}});
        let task = root.run_detached(&instance(None, &[container("web", &["listen", "80", "web"], more)]));
        root.until(&task, "RUNNING");
        let addresses = || inside(root, &task, "web", &["addresses"]);
        let before = addresses();
        for _ in 0..3 {
            assert_eq!(answer(HOST, 8080), "web");
            let old = init(root, &task);
            kill(old, Signal::SIGTERM).unwrap();
            eventually(PATIENCE, "it runs again", || (init_of(root, &task)? != old).then_some(()));
        }
        assert_eq!((answer(HOST, 8080).as_str(), addresses()), ("web", before));
    });
}

/// A container that may trace others gets hold of it, and must not get hold of the host's network.
#[test]
fn the_pause_process_of_a_task_has_no_network() {
    on_own_host(|root| {
        let mut definition = instance(None, &[listener("web", 80, &json!([]))]);
        definition["pidMode"] = json!("task");
        let task = root.run_detached(&definition);
        root.until(&task, "RUNNING");
        let namespace = |pid: Pid| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        let pause = processes(&["pause", &task.id]).first().expect("there is a pause process").0;
        let host = fs::read_link("/proc/thread-self/ns/net").unwrap();
        let container = namespace(init(root, &task));
        assert!(![host, container].contains(&namespace(pause)));
    });
}

/// The pid of the container `web`, once it is known; between two runs it is not.
fn init_of(root: &Root, task: &Task) -> Option<Pid> {
    let text = fs::read(root.path().join(format!("run/tasks/{}/c/web/init.json", task.id))).ok()?;
    let file: Value = serde_json::from_slice(&text).ok()?;
    (file["started"] == true).then(|| Pid::from_raw(i32::try_from(file["pid"].as_i64().unwrap()).unwrap()))
}
