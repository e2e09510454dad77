//! What a task sends to the host and to other tasks under addresses that are not its own, or to addresses that it may not
//! reach; and what it hears of others. Each frame is sent twice: among the rules of berth, where it must not arrive, and on
//! the same host without them, where it must.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::Command;
use std::time::Duration;

use berth::plan::{Layout, RootNetwork};
use serde_json::{Value, json};

use super::packets::{Mac, advertisement, arp, datagram, datagram6, solicitation};
use crate::network_modes::on_own_host;
use crate::support::inside::Inside;
use crate::support::root::{Root, Task};
use crate::support::{attack, container, eventually, say, task};

/// The host's address beside its loopback.
const HOST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const FOREIGN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SUBNETS: [&str; 2] = ["subnet-00000000000000001", "subnet-00000000000000002"];
/// Where everybody listens.
const PORT: u16 = 7777;
/// What the host's end of every link has for a MAC address, and what a task that lies gives for its own.
const HOST_MAC: Mac = [0xee; 6];
const LIAR_MAC: Mac = [2, 0, 0, 0, 0, 0x66];
const EVERYBODY: Mac = [0xff; 6];

fn ip(words: &str) -> String {
    let output = Command::new("ip").args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {words}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Who listens, and how it is seen that a frame has arrived.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Host,
    Neighbour,
    /// In the host's tables, by this text in the answer of this `ip` command.
    Table(&'static str, &'static str),
}

struct Frame {
    name: &'static str,
    at: At,
    bytes: Vec<u8>,
}

/// A liar, a neighbour in its subnet, a third task in another subnet and another security group.
struct Ground<'a> {
    root: &'a Root,
    liar: Task,
    neighbour: Task,
    far: Task,
    /// What listens: on the host, and in the neighbour.
    host: [UdpSocket; 2],
    next_door: UdpSocket,
}

fn address(task: &Task) -> Ipv4Addr {
    task.address().parse().unwrap()
}

fn run(root: &Root, subnet: &str, group: &str) -> Task {
    let network = json!({ "awsvpcConfiguration": { "subnets": [subnet], "securityGroups": [group] } });
    let request = json!({ "taskDefinition": "probe", "networkConfiguration": network }).to_string();
    let answer = root.berth(["ecs", "run-task", &request]).json();
    let arn = answer["tasks"][0]["taskArn"].as_str().unwrap_or_else(|| panic!("no task in {answer:#}"));
    let id = arn.rsplit('/').next().unwrap().to_owned();
    let answer = root.until(&Task { id: id.clone(), answer: Value::Null }, "RUNNING");
    Task { id, answer }
}

impl<'a> Ground<'a> {
    fn new(root: &'a Root) -> Self {
        let blocks = ["10.213.90.0/26", "10.213.90.64/26"];
        let subnet = |place: usize| {
            format!(
                "[[vpc.subnets]]\nid = \"{}\"\nzone = \"us-east-1a\"\ncidr = \"{}\"\n",
                SUBNETS[place], blocks[place]
            )
        };
        root.configure(&format!("[vpc]\ncidr = \"10.213.90.0/24\"\n{}{}", subnet(0), subnet(1)));
        let ears = container("ears", &["sniff"], json!({ "stopTimeout": 1 }));
        let definition = task(&[container("web", &["listen", "80", "web"], json!({})), ears]);
        root.berth(["register", root.file(&definition).to_str().unwrap()]).ok();
        let [liar, neighbour, far] =
            [(0, "sg-1"), (0, "sg-1"), (1, "sg-2")].map(|(place, group)| run(root, SUBNETS[place], group));
        for task in [&liar, &neighbour] {
            root.until_written(task, "ears", "ready");
        }
        let listen = |place: &str| UdpSocket::bind((place, PORT)).unwrap();
        ip(&format!("address add {METADATA}/32 dev lo"));
        let host = [listen("0.0.0.0"), {
            let all: SocketAddr = (Ipv6Addr::UNSPECIFIED, PORT + 1).into();
            UdpSocket::bind(all).unwrap()
        }];
        let next_door = Inside::of(root, &neighbour, "web").there(|| listen("0.0.0.0"));
        let ground = Self { root, liar, neighbour, far, host, next_door };
        ground.loosen();
        ground
    }

    fn link(&self, task: &Task) -> String {
        let route = ip(&format!("route get {}", task.address()));
        route.split(' ').skip_while(|word| *word != "dev").nth(1).expect("it has a route").to_owned()
    }

    /// Takes away what the kernel itself would hold off at the liar's link, so that the rules stand alone.
    fn loosen(&self) {
        let link = self.link(&self.liar);
        let set = |file: &str, value: &str| {
            fs::write(format!("/proc/sys/net/{file}"), value).unwrap_or_else(|error| panic!("{file}: {error}"));
        };
        set("ipv4/conf/all/rp_filter", "0");
        for (name, value) in [("rp_filter", "0"), ("accept_local", "1"), ("route_localnet", "1")] {
            set(&format!("ipv4/conf/{link}/{name}"), value);
        }
        set(&format!("ipv6/conf/{link}/disable_ipv6"), "0");
        set(&format!("ipv6/conf/{link}/accept_ra"), "2");
        for address in ["fe80::1/64", "fd00:5::1/64"] {
            ip(&format!("-6 address add {address} dev {link} nodad"));
        }
    }

    fn frames(&self) -> Vec<Frame> {
        let (own, neighbour, far) = (address(&self.liar), address(&self.neighbour), address(&self.far));
        let up = [HOST_MAC, LIAR_MAC];
        let frame = |name, at, bytes| Frame { name, at, bytes };
        let to = |name: &'static str, at: At, from: Ipv4Addr, to: Ipv4Addr| {
            frame(name, at, datagram(up, from, to, PORT, format!("attack:{name}\n").as_bytes()))
        };
        let six = |text: &str| text.parse::<Ipv6Addr>().unwrap();
        let (liar6, host6) = (six("fd00:5::66"), six("fd00:5::1"));
        let to6 = |name: &'static str, ends| {
            frame(name, At::Host, datagram6(up, ends, PORT + 1, format!("attack:{name}\n").as_bytes()))
        };
        let gateway = Ipv4Addr::new(10, 213, 90, 1);
        let nobody = Ipv4Addr::new(10, 213, 90, 61);
        vec![
            to("host-as-neighbour", At::Host, neighbour, HOST),
            to("host-as-another-subnet", At::Host, far, HOST),
            to("host-as-a-free-address", At::Host, nobody, HOST),
            to("host-as-the-gateway", At::Host, gateway, HOST),
            to("host-as-a-stranger", At::Host, FOREIGN, HOST),
            to("host-as-the-host", At::Host, HOST, HOST),
            to("host-as-loopback", At::Host, Ipv4Addr::LOCALHOST, HOST),
            to("host-as-the-metadata-service", At::Host, METADATA, HOST),
            to("broadcast-as-nobody", At::Host, Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST),
            to("loopback-of-the-host", At::Host, own, Ipv4Addr::LOCALHOST),
            to("another-loopback-of-the-host", At::Host, own, Ipv4Addr::new(127, 0, 0, 53)),
            to("metadata-of-the-host", At::Host, own, METADATA),
            to("neighbour-as-another-subnet", At::Neighbour, far, neighbour),
            to("neighbour-as-a-free-address", At::Neighbour, nobody, neighbour),
            to("neighbour-as-the-gateway", At::Neighbour, gateway, neighbour),
            to("neighbour-as-a-stranger", At::Neighbour, FOREIGN, neighbour),
            to("neighbour-as-the-host", At::Neighbour, HOST, neighbour),
            to("neighbour-as-the-metadata-service", At::Neighbour, METADATA, neighbour),
            to6("ipv6-to-the-host", [liar6, host6]),
            to6("ipv6-from-another", [six("2001:db8::1"), host6]),
            to6("ipv6-link-local", [six("fe80::66"), six("fe80::1")]),
            frame(
                "ipv6-neighbour-claimed",
                At::Table("-6 neigh show", "fd00:5::77 "),
                solicitation(up, [six("fd00:5::77"), host6]),
            ),
            frame(
                "ipv6-router-claimed",
                At::Table("-6 route show default", "fe80::66 "),
                advertisement(up, [six("fe80::66"), six("fe80::1")]),
            ),
        ]
    }

    /// Sends from within the liar's container, as anybody there may.
    fn send(&self, frames: &[&Vec<u8>]) {
        let hex = |frame: &Vec<u8>| frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let words: Vec<String> = frames.iter().map(|frame| hex(frame)).collect();
        let command: Vec<&str> = ["/probe", "frame"].into_iter().chain(words.iter().map(String::as_str)).collect();
        self.root.exec(&self.liar, "web", &command).ok();
    }

    /// What has arrived of these frames. After them the truth is told in the same way, so that nobody waits for what will
    /// never come.
    fn arrived(&self, frames: &[Frame], round: &str) -> BTreeSet<String> {
        self.send(&frames.iter().map(|frame| &frame.bytes).collect::<Vec<_>>());
        let end = format!("attack:end-{round}\n");
        let (up, own) = ([HOST_MAC, LIAR_MAC], address(&self.liar));
        let truth = |to| datagram(up, own, to, PORT, end.as_bytes());
        self.send(&[&truth(HOST), &truth(address(&self.neighbour))]);
        let mut all = BTreeSet::new();
        for socket in [&self.host[0], &self.next_door] {
            all.extend(heard(socket, Some(&end)));
        }
        all.extend(heard(&self.host[1], None));
        for frame in frames {
            if let At::Table(command, text) = frame.at
                && ip(command).contains(text)
            {
                all.insert(frame.name.to_owned());
            }
        }
        all
    }

    /// What the ears of a task have heard when they have heard this.
    fn overheard(&self, task: &Task, end: &str) -> String {
        self.root.until_written(task, "ears", end)
    }
}

/// The names in all datagrams up to the one that ends them; or in those that are there.
fn heard(socket: &UdpSocket, end: Option<&str>) -> BTreeSet<String> {
    let (mut all, mut buffer) = (BTreeSet::new(), [0; 256]);
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.set_nonblocking(end.is_none()).unwrap();
    loop {
        let read = match (socket.recv(&mut buffer), end) {
            (Err(_), None) => return all,
            (read, _) => read.expect("what a task says under its own address arrives"),
        };
        let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
        if Some(text.as_str()) == end {
            return all;
        }
        all.insert(text.trim().trim_start_matches("attack:").to_owned());
    }
}

#[test]
fn no_frame_of_a_task_goes_where_it_must_not_and_each_would_without_the_rules() {
    on_own_host(|root| {
        let ground = Ground::new(root);
        let frames = ground.frames();
        let held = ground.arrived(&frames, "held");
        let tag = Layout::below(&root.path().canonicalize().unwrap()).tag();
        let removed = Command::new("nft").args(["delete", "table", "inet", &RootNetwork::of(&tag).table]).status();
        assert!(removed.unwrap().success());
        let free = ground.arrived(&frames, "free");
        let mut bad = Vec::new();
        for Frame { name, .. } in &frames {
            let (passed, would) = (held.contains(*name), free.contains(*name));
            attack(name, if passed { "PASSED" } else { "dropped" }, if would { "arrives" } else { "DOES NOT ARRIVE" });
            bad.extend((passed || !would).then_some(*name));
        }
        say(&format!("{} frames to the host and to other tasks", frames.len()));
        assert!(bad.is_empty(), "{bad:?}");
    });
}

#[test]
fn a_task_hears_and_diverts_nothing_of_what_is_meant_for_another() {
    on_own_host(|root| {
        let ground = Ground::new(root);
        let (own, neighbour) = (address(&ground.liar), address(&ground.neighbour));
        let tell = |to: Ipv4Addr, name: &str| {
            ground.host[0].send_to(format!("attack:{name}\n").as_bytes(), (to, PORT)).unwrap();
        };
        let claims: Vec<Vec<u8>> = [(1, HOST_MAC), (2, HOST_MAC), (1, EVERYBODY), (2, EVERYBODY)]
            .map(|(what, to)| arp([to, LIAR_MAC], what, neighbour, Ipv4Addr::new(10, 213, 90, 1)))
            .into();
        let claim = || ground.send(&claims.iter().collect::<Vec<_>>());
        let broadcasts: Vec<Vec<u8>> =
            [Ipv4Addr::BROADCAST, Ipv4Addr::new(10, 213, 90, 63), Ipv4Addr::new(224, 0, 0, 1)]
                .map(|to| datagram([EVERYBODY, LIAR_MAC], own, to, PORT, b"attack:broadcast\n"))
                .into();
        claim();
        ground.send(&broadcasts.iter().collect::<Vec<_>>());
        tell(neighbour, "diverted");
        tell(neighbour, "end-neighbour");
        tell(own, "end-own");
        let next_door = ground.overheard(&ground.neighbour, "attack:end-neighbour");
        let own_ears = ground.overheard(&ground.liar, "attack:end-own");

        // What makes it hold is that the host knows each address at one link. On a host that is told otherwise the same
        // claims lead everything to the liar.
        ip(&format!("route replace {neighbour}/32 dev {}", ground.link(&ground.liar)));
        claim();
        tell(neighbour, "led-astray");
        tell(own, "end-astray");
        let astray = ground.overheard(&ground.liar, "attack:end-astray");
        let astray = astray.contains("attack:led-astray");
        let rows = [
            ("arp-claims-of-anothers-address", next_door.contains("attack:diverted"), astray),
            ("promiscuous-listening", !own_ears.contains("attack:diverted"), astray && own_ears.contains("end-own")),
            ("broadcasts-to-other-tasks", !next_door.contains("attack:broadcast"), next_door.contains("end-neighbour")),
        ];
        for (name, held, control) in rows {
            attack(name, if held { "nothing" } else { "PASSED" }, if control { "passes" } else { "DOES NOT PASS" });
            assert!(held && control, "{name}: the liar heard {own_ears:?}, the neighbour {next_door:?}");
        }
    });
}

/// Security groups are recorded and not enforced: within a root every task reaches every other one, and the host.
#[test]
fn under_their_own_addresses_tasks_of_a_root_reach_each_other_and_the_host() {
    on_own_host(|root| {
        let ground = Ground::new(root);
        let listener = TcpListener::bind((HOST, 80)).unwrap();
        std::thread::spawn(move || listener.incoming().for_each(drop));
        let tasks = [("liar", &ground.liar), ("neighbour", &ground.neighbour), ("far", &ground.far)];
        for (from, task) in tasks {
            let ends = tasks.map(|(name, task)| (name, task.address()));
            for (to, address) in ends.into_iter().chain([("host", HOST.to_string())]) {
                eventually(Duration::from_secs(10), &format!("{from} reaches {to}"), || {
                    let tried = root.exec(task, "web", &["/probe", "connect", &address, "80"]);
                    (tried.code() == 0).then_some(())
                });
            }
            let refused = root.exec(task, "web", &["/probe", "connect", &METADATA.to_string(), "80"]);
            assert_eq!(refused.code(), 2, "{from} does not reach the host's metadata service");
        }
    });
}
