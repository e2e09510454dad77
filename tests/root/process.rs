//! What a definition gives a container's processes: user, limits, capabilities, devices, shared memory, kernel parameters;
//! for the first process and for those of `berth exec` alike.

use std::fs;
use std::os::unix::ffi::OsStrExt;

use serde_json::{Value, json};

use crate::support::derived::{self, Layer};
use crate::support::root::{Root, Task};
use crate::support::{container, definition, instance, of, task};

/// A container of busybox that runs a script.
fn script(name: &str, script: &str, more: Value) -> Value {
    let mut container = container(name, &[script], more);
    container["image"] = json!("busybox");
    container["entryPoint"] = json!(["sh", "-c"]);
    container
}

fn shell(root: &Root, task: &Task, name: &str, script: &str) -> String {
    let finished = root.exec(task, name, &["sh", "-c", script]);
    finished.stdout + &finished.stderr
}

/// What a script says as a container's first program, and what it says by `berth exec`.
fn both(root: &Root, asked: &str, more: &Value, with: impl Fn(&[Value]) -> Value) -> [String; 2] {
    let first = root.run(&with(&[script("web", asked, more.clone())])).ok();
    let standing = root.run_detached(&with(&[script("web", "sleep 1000", more.clone())]));
    let second = shell(root, &standing, "web", asked);
    root.berth(["rm", "-f", &standing.id]).ok();
    [first, second]
}

#[test]
fn every_form_of_user_is_who_it_says_and_what_is_not_there_is_named() {
    let root = Root::with_images(&["busybox"]);
    let asked = "id -u; id -g; id -G";
    let cases = [
        ("app", "1000\n1000\n1000 26 50\n"),
        ("1000", "1000\n1000\n1000 26 50\n"),
        ("app:1000", "1000\n1000\n1000\n"),
        ("1000:50", "1000\n50\n50\n"),
        ("4711", "4711\n0\n0\n"),
        ("4711:4712", "4711\n4712\n4712\n"),
        (":50", "0\n50\n50\n"),
        ("4294967294:4294967294", "4294967294\n4294967294\n4294967294\n"),
    ];
    for (user, expected) in cases {
        for (text, who) in both(&root, asked, &json!({ "user": user }), task).iter().zip(["init", "exec"]) {
            assert_eq!(text, expected, "{who} as {user}");
        }
    }
    for (user, words) in [("nobody2", "unable to find user nobody2"), ("app:nogroup2", "unable to find group nogroup2")]
    {
        let finished = root.run(&task(&[script("web", asked, json!({ "user": user }))]));
        assert!(finished.code() != 0 && finished.stderr.contains(words), "{finished:#?}");
    }
}

#[test]
fn a_passwd_of_a_hostile_image_makes_nobody_root_and_leads_nowhere() {
    let root = Root::new();
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    fs::write(&secret, "evil:x:0:0::/:\n").unwrap();
    let lines = "evil:x:4294967295:0::/:\nover:x:4294967296:0::/:\nminus:x:-1:0::/:\nhex:x:0x0:0::/:\ngroup:x:7:4294967295::/:\n";
    let images = [
        ("numbers", Layer::new().file("etc/passwd", 0o644, lines)),
        ("link", Layer::new().link("etc/passwd", &secret)),
        ("fifo", Layer::new().fifo("etc/passwd")),
        ("huge", Layer::new().file("etc/passwd", 0o644, &"x".repeat(2 << 20))),
    ];
    for (name, layer) in images {
        let layout = directory.path().join(name);
        derived::image(&layout, "probe", name, layer);
        root.import(&layout);
    }
    let run = |image: &str, user: &str| {
        root.run(&task(&[container("web", &["id"], json!({ "image": image, "user": user }))]))
    };
    for user in ["evil", "over", "minus", "hex", "group"] {
        let finished = run("numbers", user);
        assert!(finished.code() != 0, "{user}: {finished:#?}");
        assert!(finished.stderr.contains(&format!("unable to find user {user}")), "{finished:#?}");
    }
    let linked = run("link", "evil");
    assert!(linked.code() != 0 && linked.stderr.contains("unable to find user evil"), "{linked:#?}");
    for (image, words) in [("fifo", "not a regular file"), ("huge", "larger than")] {
        let finished = run(image, "app");
        assert!(finished.code() != 0 && finished.stderr.contains(words), "{finished:#?}");
    }
}

/// Each limit's name, and its line in /proc/self/limits. The values are below the usual hard limits of a host.
const LIMITS: [(&str, &str, i64, i64); 15] = [
    ("core", "Max core file size", 0, 1),
    ("cpu", "Max cpu time", 1000, 2000),
    ("data", "Max data size", 500_000_000, 600_000_000),
    ("fsize", "Max file size", 100_000_000, 200_000_000),
    ("locks", "Max file locks", 11, 12),
    ("memlock", "Max locked memory", 65_536, 131_072),
    ("msgqueue", "Max msgqueue size", 1000, 2000),
    ("nice", "Max nice priority", 0, 0),
    ("nofile", "Max open files", 100, 200),
    ("nproc", "Max processes", 300, 400),
    ("rss", "Max resident set", 50_000_000, 60_000_000),
    ("rtprio", "Max realtime priority", 0, 0),
    ("rttime", "Max realtime timeout", 20_000, 30_000),
    ("sigpending", "Max pending signals", 50, 60),
    ("stack", "Max stack size", 1_000_000, 2_000_000),
];

#[test]
fn all_fifteen_limits_are_read_from_inside_as_they_were_given() {
    let root = Root::with_images(&["busybox"]);
    let ulimits: Vec<Value> = LIMITS
        .iter()
        .map(|(name, _, soft, hard)| json!({ "name": name, "softLimit": soft, "hardLimit": hard }))
        .collect();
    for (text, who) in
        both(&root, "cat /proc/self/limits", &json!({ "ulimits": ulimits }), task).iter().zip(["init", "exec"])
    {
        for (name, title, soft, hard) in LIMITS {
            let line =
                text.lines().find_map(|line| line.strip_prefix(title)).unwrap_or_else(|| panic!("{title}: {text}"));
            let values: Vec<&str> = line.split_whitespace().take(2).collect();
            assert_eq!(values, [soft.to_string(), hard.to_string()], "{who}: {name}");
        }
    }
}

#[test]
fn open_files_and_core_dumps_are_limited_where_the_definition_says_nothing() {
    let root = Root::with_images(&["busybox"]);
    let text = root.run(&task(&[script("web", "ulimit -Hn; ulimit -Hc", json!({}))])).ok();
    let lines: Vec<&str> = text.lines().collect();
    // Fargate's, or what a root without CAP_SYS_RESOURCE may still give
    assert!(lines[0] == "65535" || lines[0].parse::<u32>().unwrap() < 65_535, "{text}");
    assert_eq!(lines[1], "0");
}

#[test]
fn shared_memory_has_the_size_that_was_asked_for() {
    let root = Root::with_images(&["busybox"]);
    let asked = "df -k /dev/shm | awk 'NR > 1 {print $2}'";
    let usual = both(&root, asked, &json!({}), task);
    assert_eq!(usual, ["65536\n", "65536\n"]);
    let more = json!({ "linuxParameters": { "sharedMemorySize": 100 } });
    assert_eq!(both(&root, asked, &more, instance), ["102400\n", "102400\n"]);
}

#[test]
fn a_device_that_the_host_grants_is_there_and_opens_and_no_other_does() {
    let root = Root::with_images(&["busybox", "probe"]);
    root.configure("[instance]\ndevices = ['/dev/fuse', '/dev/net']\n");
    let devices = json!([
        { "hostPath": "/dev/fuse", "containerPath": "/dev/a/b", "permissions": ["read"] },
        { "hostPath": "/dev/net" },
    ]);
    let more = json!({ "linuxParameters": { "devices": devices } });
    // /dev/fuse is there under its new name only; the host's memory only as a node that the container makes
    let asked = "for d in a/b net/tun fuse kmsg; do [ -c /dev/$d ] && echo $d; done; \
        (: </dev/a/b) && echo read; (: <>/dev/a/b) 2>/dev/null && echo write; \
        (: <>/dev/net/tun) && echo tun; \
        mknod /tmp/mem$$ c 1 1 && (: </tmp/mem$$) 2>/dev/null && echo mem; :";
    for text in both(&root, asked, &more, instance) {
        assert_eq!(text, "a/b\nnet/tun\nread\ntun\n");
    }
    let refused = json!({ "linuxParameters": { "devices": [{ "hostPath": "/dev/loop-control" }] } });
    let finished = root.run(&instance(&[script("web", "true", refused.clone())]));
    assert!(
        finished.code() != 0 && finished.stderr.contains("[instance] devices = [\"/dev/loop-control\"]"),
        "{finished:#?}"
    );
    let fargate = root.run(&task(&[script("web", "true", refused)]));
    assert!(fargate.stderr.contains("Fargate compatible task definitions do not support devices"), "{fargate:#?}");
    let absent = json!({ "linuxParameters": { "devices": [{ "hostPath": "/dev/net/none" }] } });
    let finished = root.run(&instance(&[script("web", "true", absent)]));
    assert!(finished.code() != 0 && finished.stderr.contains("/dev/net/none"), "{finished:#?}");
}

#[test]
fn swappiness_is_set_where_the_kernel_knows_it() {
    let root = Root::with_images(&["probe"]);
    let linux = json!({ "memory": 64, "linuxParameters": { "maxSwap": 32, "swappiness": 7 } });
    let standing = root.run_detached(&instance(&[container("web", &["sleep"], linux)]));
    if let Some(swappiness) = root.group(&standing, Some("web"), "memory", "memory.swappiness") {
        assert_eq!(swappiness.trim(), "7");
    }
    let swap = |container: Option<&str>| {
        let both = root.group(&standing, container, "memory", "memory.memsw.limit_in_bytes");
        let alone = root.group(&standing, container, "", "memory.swap.max");
        both.or(alone).map(|text| text.trim().parse::<u64>().unwrap() >> 20)
    };
    // v1 counts memory and swap together, v2 swap alone; without swap in the kernel neither file is there
    assert!([None, Some(96), Some(32)].contains(&swap(Some("web"))));
    assert!([None, Some(512 + 32), Some(32)].contains(&swap(None)));
    root.berth(["rm", "-f", &standing.id]).ok();
}

#[test]
fn kernel_parameters_of_the_network_are_the_tasks_and_those_of_ipc_the_containers() {
    let root = Root::with_images(&["busybox"]);
    let control = |name: &str, value: &str| json!({ "namespace": name, "value": value });
    let asked = "cd /proc/sys; cat net/core/somaxconn net/ipv4/ip_local_port_range kernel/msgmax fs/mqueue/msg_max";
    let first = script(
        "first",
        "sleep 1000",
        json!({ "systemControls": [control("net.core.somaxconn", "1111"), control("kernel.msgmax", "9999")] }),
    );
    let last = script(
        "last",
        "sleep 1000",
        json!({
            "systemControls": [
                control("net.core.somaxconn", "2222"),
                control("net.ipv4.ip_local_port_range", "20000 30000"),
                control("fs.mqueue.msg_max", "20"),
            ],
            "dependsOn": [{ "containerName": "first", "condition": "START" }],
        }),
    );
    let host = fs::read_to_string("/proc/sys/kernel/msgmax").unwrap();
    let standing = root.run_detached(&task(&[first, last]));
    root.until(&standing, "RUNNING");
    assert_eq!(shell(&root, &standing, "first", asked), "2222\n20000\t30000\n9999\n10\n");
    assert_eq!(shell(&root, &standing, "last", asked), "2222\n20000\t30000\n8192\n20\n");
    assert_eq!(fs::read_to_string("/proc/sys/kernel/msgmax").unwrap(), host);
    root.berth(["rm", "-f", &standing.id]).ok();
    let wrong = script("web", "true", json!({ "systemControls": [control("net.core.nothing", "1")] }));
    let finished = root.run(&task(&[wrong]));
    assert!(finished.stderr.contains("set the kernel parameter net.core.nothing"), "{finished:#?}");
    let foreign = script("web", "true", json!({ "systemControls": [control("kernel.panic", "1")] }));
    assert!(root.run(&task(&[foreign])).stderr.contains("is not a kernel parameter that belongs to a namespace"));
}

#[test]
fn a_privileged_container_is_refused_without_the_hosts_word_and_has_everything_with_it() {
    let root = Root::with_images(&["busybox"]);
    let asked = "grep -E '^(CapEff|Seccomp):' /proc/self/status; [ -e /dev/loop-control ] && echo device; \
        (: >>/proc/sys/kernel/printk_ratelimit) && echo written; mkdir -p /tmp/m && mount -t tmpfs x /tmp/m && echo mounted";
    let more = json!({ "privileged": true });
    let refused = root.run(&instance(&[script("web", asked, more.clone())]));
    assert!(refused.code() != 0 && refused.stderr.contains("[instance] privileged = true"), "{refused:#?}");
    root.configure("[instance]\nprivileged = true\n");
    let all = fs::read_to_string("/proc/self/status").unwrap();
    let all = all.lines().find(|line| line.starts_with("CapPrm:")).unwrap().replace("CapPrm:", "CapEff:");
    let device = if fs::exists("/dev/loop-control").unwrap() { "device\n" } else { "" };
    for text in both(&root, asked, &more, instance) {
        assert_eq!(text, format!("{all}\nSeccomp:\t0\n{device}written\nmounted\n"));
    }
    let fargate = root.run(&task(&[script("web", asked, more)]));
    assert!(fargate.stderr.contains("Fargate requires that the 'privileged' setting be 'false'"), "{fargate:#?}");
}

#[test]
fn capabilities_beyond_the_harmless_ones_need_the_hosts_word() {
    let root = Root::with_images(&["busybox"]);
    let add = |name: &str| json!({ "linuxParameters": { "capabilities": { "add": [name] } } });
    let asked = "ip link add dummy1 type dummy 2>/dev/null; ip link set lo mtu 1400 && echo changed";
    for text in both(&root, asked, &add("NET_ADMIN"), instance) {
        assert_eq!(text, "changed\n");
    }
    let finished = root.run(&instance(&[script("web", "true", add("SYS_ADMIN"))]));
    assert!(finished.code() != 0 && finished.stderr.contains("capabilities = [\"SYS_ADMIN\"]"), "{finished:#?}");
    root.configure("[instance]\ncapabilities = ['SYS_ADMIN']\n");
    for text in both(&root, "hostname other && hostname", &add("SYS_ADMIN"), instance) {
        assert_eq!(text, "other\n");
    }
}

#[test]
fn no_new_privileges_is_set_for_every_process() {
    let root = Root::with_images(&["busybox"]);
    let more = json!({ "dockerSecurityOptions": ["no-new-privileges"], "user": "app" });
    for text in both(&root, "grep NoNewPrivs /proc/self/status", &more, instance) {
        assert_eq!(text, "NoNewPrivs:\t1\n");
    }
    let profile = json!({ "dockerSecurityOptions": ["apparmor:mine"] });
    assert!(root.run(&instance(&[script("web", "true", profile)])).stderr.contains("AppArmor profiles are not loaded"));
}

#[test]
fn a_task_for_another_machine_is_on_record_with_ecs_reason() {
    let root = Root::with_images(&["probe"]);
    let mut foreign = definition(&[("web", &["sleep"])]);
    let other = if cfg!(target_arch = "x86_64") { "ARM64" } else { "X86_64" };
    foreign["runtimePlatform"] = json!({ "cpuArchitecture": other, "operatingSystemFamily": "LINUX" });
    let finished = root.run(&foreign);
    assert_ne!(finished.code(), 0);
    let listed = root.list(&["-a"]);
    assert_eq!((listed.len(), &listed[0]["lastStatus"]), (1, &json!("STOPPED")));
    assert_eq!(listed[0]["stopCode"], "TaskFailedToStart");
    let reason = listed[0]["stoppedReason"].as_str().unwrap();
    assert!(reason.starts_with("CannotPullContainerError: image Manifest does not contain descriptor"), "{reason}");
    assert_eq!(of(&listed[0], "web")["lastStatus"], "STOPPED");
}

#[test]
fn ipc_mode_none_has_no_shared_memory_and_host_needs_the_hosts_word() {
    let root = Root::with_images(&["busybox"]);
    let with = |mode: &'static str| {
        move |containers: &[Value]| {
            let mut definition = instance(containers);
            definition["ipcMode"] = json!(mode);
            definition
        }
    };
    let asked = "readlink /proc/self/ns/ipc; [ -e /dev/shm ] && echo shm; :";
    let own = String::from_utf8(fs::read_link("/proc/self/ns/ipc").unwrap().as_os_str().as_bytes().to_vec()).unwrap();
    for text in both(&root, asked, &json!({}), with("none")) {
        assert!(text.starts_with("ipc:[") && text.lines().count() == 1 && text.trim() != own, "{text}");
    }
    let refused = root.run(&with("host")(&[script("web", asked, json!({}))]));
    assert!(refused.code() != 0 && refused.stderr.contains("host-ipc = true"), "{refused:#?}");
    root.configure("[instance]\nhost-ipc = true\n");
    for text in both(&root, asked, &json!({}), with("host")) {
        assert_eq!(text, format!("{own}\nshm\n"));
    }
}

#[test]
fn a_gpu_is_one_containers_as_long_as_its_task_lives() {
    let root = Root::with_images(&["busybox"]);
    let wanting = |number: &str| {
        let more = json!({ "resourceRequirements": [{ "type": "GPU", "value": number }] });
        instance(&[script(
            "web",
            "ls /dev/fuse /dev/net/tun 2>/dev/null; (: <>/dev/fuse) && echo open; sleep 1000",
            more,
        )])
    };
    let refused = root.run(&wanting("1"));
    assert!(refused.code() != 0 && refused.stderr.contains("[instance] gpus = "), "{refused:#?}");
    // any device stands for one
    root.configure("[instance]\ngpus = [['/dev/fuse'], ['/dev/fuse', '/dev/net/tun']]\n");
    let first = root.run_detached(&wanting("1"));
    assert_eq!(root.until_written(&first, "web", "open"), "/dev/fuse\nopen\n");
    let second = root.run_detached(&wanting("1"));
    assert_eq!(root.until_written(&second, "web", "open"), "/dev/fuse\n/dev/net/tun\nopen\n");
    let third = root.run(&wanting("1"));
    assert!(third.code() != 0 && third.stderr.contains("RESOURCE:GPU: container web wants 1"), "{third:#?}");
    root.berth(["rm", "-f", &first.id]).ok();
    let third = root.run_detached(&wanting("1"));
    assert_eq!(root.until_written(&third, "web", "open"), "/dev/fuse\nopen\n");
    for task in [&second, &third] {
        root.berth(["rm", "-f", &task.id]).ok();
    }
    let fargate = json!({ "resourceRequirements": [{ "type": "GPU", "value": "1" }] });
    let words = "Tasks using the Fargate launch type do not support GPU resource requirements";
    assert!(root.run(&task(&[script("web", "true", fargate)])).stderr.contains(words));
}
