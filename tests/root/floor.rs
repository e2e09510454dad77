//! The security floor from the inside: what a process of a container may do, the first one and those of `berth exec`
//! alike.

use std::collections::BTreeMap;
use std::fs;

use berth::image::Digest;
use serde_json::{Value, json};

use crate::support::derived::{self, Layer};
use crate::support::root::{Root, Task};
use crate::support::{binary, container, definition, task};

/// Docker's fourteen capabilities.
const DEFAULT: &str = "00000000a80425fb";
const NONE: &str = "0000000000000000";
/// With CAP_SYS_PTRACE, number 19.
const TRACER: &str = "00000000a80c25fb";

/// What `id` must say, but for the pid.
struct Identity {
    ids: &'static str,
    groups: &'static str,
    effective: &'static str,
    bounding: &'static str,
}

const ROOT: Identity = Identity { ids: "0,0,0,0", groups: "", effective: DEFAULT, bounding: DEFAULT };

impl Identity {
    fn expected(&self) -> BTreeMap<String, String> {
        let pairs = [
            ("uid", self.ids),
            ("gid", self.ids),
            ("groups", self.groups),
            ("CapInh", NONE),
            ("CapPrm", self.effective),
            ("CapEff", self.effective),
            ("CapBnd", self.bounding),
            ("CapAmb", NONE),
            ("NoNewPrivs", "0"),
            ("Seccomp", "2"),
            ("Seccomp_filters", "1"),
            ("oom_score_adj", "0"),
            ("cwd", "/"),
        ];
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.filter(|(key, _)| *key != "Pid").map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The same question asked by the first process of a container and by one of `berth exec`.
fn both(root: &Root, verb: &str, more: &Value) -> [String; 2] {
    let first = root.run(&task(&[container("web", &[verb], more.clone())])).ok();
    let standing = root.run_detached(&task(&[container("web", &["sleep"], more.clone())]));
    let second = root.exec(&standing, "web", &["/probe", verb]).ok();
    root.berth(["rm", "-f", &standing.id]).ok();
    [first, second]
}

fn assert_identity(more: &Value, identity: &Identity) {
    let root = Root::with_images(&["probe"]);
    for (text, who) in both(&root, "id", more).iter().zip(["init", "exec"]) {
        assert_eq!(pairs(text), identity.expected(), "{who} with {more}");
    }
}

#[test]
fn root_has_dockers_capabilities_the_filter_and_no_other_group() {
    assert_identity(&json!({}), &ROOT);
}

#[test]
fn a_user_of_the_image_has_its_groups_and_no_capability() {
    let app = Identity { ids: "1000,1000,1000,1000", groups: "26,50", effective: NONE, bounding: DEFAULT };
    assert_identity(&json!({ "user": "app" }), &app);
    let number = Identity { ids: "1000,1000,1000,1000", groups: "", effective: NONE, bounding: DEFAULT };
    assert_identity(&json!({ "user": "1000:1000" }), &number);
}

#[test]
fn capabilities_can_all_be_dropped_and_one_be_added() {
    let with = |capabilities: Value| json!({ "linuxParameters": { "capabilities": capabilities } });
    assert_identity(&with(json!({ "drop": ["ALL"] })), &Identity { effective: NONE, bounding: NONE, ..ROOT });
    assert_identity(&with(json!({ "add": ["SYS_PTRACE"] })), &Identity { effective: TRACER, bounding: TRACER, ..ROOT });
}

#[test]
fn an_exec_as_another_user_is_that_user_in_everything() {
    let root = Root::with_images(&["probe"]);
    let task = root.run_detached(&definition(&[("web", &["sleep"])]));
    let id = root.berth(["exec", "-u", "app", &task.id, "/probe", "id"]).ok();
    let app = Identity { ids: "1000,1000,1000,1000", groups: "26,50", effective: NONE, bounding: DEFAULT };
    assert_eq!(pairs(&id), app.expected());
    assert!(root.berth(["exec", "-u", "app", &task.id, "/probe", "env"]).ok().contains("HOME=/home/app\n"));
    root.berth(["rm", "-f", &task.id]).ok();
}

#[test]
fn no_descriptor_but_the_standard_streams_is_inherited() {
    let root = Root::with_images(&["probe"]);
    for (text, who) in both(&root, "fds", &json!({})).iter().zip(["init", "exec"]) {
        let numbers: Vec<_> = text.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(numbers, ["0", "1", "2"], "{who}: {text}");
        assert!(text.starts_with("0 /dev/null\n"), "{who}: {text}");
    }
}

#[test]
fn a_user_may_open_its_own_standard_streams() {
    let root = Root::with_images(&["probe"]);
    for stream in ["/dev/stdout", "/proc/self/fd/2"] {
        let write = container("web", &["write", stream, "said"], json!({ "user": "app" }));
        let finished = root.run(&task(&[write]));
        assert_eq!((finished.code(), finished.stdout + &finished.stderr), (0, "said\n".to_owned()), "{stream}");
    }
}

#[test]
fn the_home_directory_is_always_in_the_environment() {
    let root = Root::with_images(&["probe"]);
    for (user, home) in [("root", "/root"), ("app", "/home/app"), ("4711", "/")] {
        for (text, who) in both(&root, "env", &json!({ "user": user })).iter().zip(["init", "exec"]) {
            assert!(text.lines().any(|line| line == format!("HOME={home}")), "{who} as {user}: {text}");
        }
    }
}

/// A busybox that waits.
fn busybox(root: &Root, more: Value) -> Task {
    let mut more = more;
    more["image"] = json!("busybox");
    root.run_detached(&task(&[container("box", &["sleep", "1000"], more)]))
}

fn shell(root: &Root, task: &Task, script: &str) -> String {
    let finished = root.exec(task, "box", &["sh", "-c", script]);
    finished.stdout + &finished.stderr
}

#[test]
fn what_the_kernel_tells_about_the_host_is_masked_and_what_changes_it_cannot_be_written() {
    let root = Root::with_images(&["busybox"]);
    let task = busybox(&root, json!({}));
    let empty = "for f in /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /proc/interrupts; do \
        [ ! -e $f ] || [ -z \"$(head -c 1 $f)\" ] || echo $f; done; \
        for d in /proc/acpi /proc/scsi /sys/firmware /sys/devices/virtual/powercap; do ls $d 2>/dev/null; done";
    assert_eq!(shell(&root, &task, empty), "");
    // files that are there on every host; the name is printed if it could be opened for writing
    let write = "for f in /proc/sys/kernel/core_pattern /proc/sys/vm/panic_on_oom /proc/sysrq-trigger \
        /proc/irq/default_smp_affinity /sys/kernel/uevent_helper /sys/kernel/mm/ksm/run; do \
        [ ! -e $f ] || (: >>$f) 2>/dev/null && [ -e $f ] && echo $f; done; \
        mkdir /sys/fs/cgroup/x 2>/dev/null && echo cgroup; mount -o remount,rw /proc/sys 2>/dev/null && echo remount; :";
    assert_eq!(shell(&root, &task, write), "");
    assert_eq!(shell(&root, &task, "echo w >/dev/null && ls /proc/1/comm"), "/proc/1/comm\n", "the control");
    root.berth(["rm", "-f", &task.id]).ok();
}

#[test]
fn nodes_of_all_devices_can_be_made_and_only_harmless_ones_opened() {
    let root = Root::with_images(&["probe"]);
    let task = root.run_detached(&definition(&[("web", &["sleep"])]));
    let open = |major: &str, minor: &str| {
        let path = format!("/tmp/{major}-{minor}");
        root.exec(&task, "web", &["/probe", "mknod", major, minor, &path]).ok();
        let finished = root.exec(&task, "web", &["/probe", "open", &path]);
        finished.stdout + &finished.stderr
    };
    for minor in ["3", "5", "7", "8", "9"] {
        assert_eq!(open("1", minor), "ok\n", "null, zero, full, random, urandom");
    }
    // memory, ports, kernel messages, fuse, the first terminal, kvm, loop control
    for (major, minor) in [("1", "1"), ("1", "4"), ("1", "11"), ("10", "229"), ("4", "0"), ("10", "232"), ("10", "237")]
    {
        let said = open(major, minor);
        assert_eq!(said, "open: Operation not permitted (os error 1)\n", "{major}:{minor}");
    }
    root.berth(["rm", "-f", &task.id]).ok();
}

#[test]
fn an_image_that_runs_its_runtime_cannot_write_it() {
    let before = Digest::of(&fs::read(binary()).unwrap()).to_string();
    let root = Root::new();
    let directory = tempfile::tempdir().unwrap();
    // CVE-2019-5736: a program that is its own interpreter, whoever executes it; and a loop that writes to whatever runs
    let write = "#!/bin/sh\nwhile :; do for exe in /proc/[0-9]*/exe; do (echo x >$exe) 2>/dev/null && \
        case $(readlink $exe) in *busybox) ;; *) echo \"wrote $exe\" ;; esac; done; done\n";
    let layer = Layer::new().file("evil", 0o755, "#!/proc/self/exe\n").file("write", 0o755, write);
    derived::image(directory.path(), "busybox", "evil", layer);
    root.import(directory.path());
    let evil = |name: &str, program: &str| {
        container(name, &[], json!({ "image": "evil", "entryPoint": [program], "command": null }))
    };
    let first = root.run(&task(&[evil("web", "/evil")]));
    assert_ne!(first.code(), 0, "{first:#?}");
    let standing = root.run_detached(&task(&[evil("web", "/write")]));
    for _ in 0..10 {
        assert_ne!(root.exec(&standing, "web", &["/evil"]).code(), 0);
        root.exec(&standing, "web", &["true"]).ok();
    }
    assert_eq!(root.logs(&standing, "web"), "");
    root.berth(["rm", "-f", &standing.id]).ok();
    assert_eq!(Digest::of(&fs::read(binary()).unwrap()).to_string(), before);
}

#[test]
fn an_image_whose_dev_is_a_link_to_the_host_changes_nothing_there() {
    let root = Root::new();
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("target");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("null"), "mine").unwrap();
    let layout = directory.path().join("layout");
    let layer = ["dev", "proc", "sys"].iter().fold(Layer::new(), |layer, name| layer.link(name, &target));
    derived::image(&layout, "probe", "linked", layer);
    root.import(&layout);
    let open = container("web", &["open", "/dev/null"], json!({ "image": "linked" }));
    assert_eq!(root.run(&task(&[open])).ok(), "ok\n");
    let names: Vec<_> = fs::read_dir(&target).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!((names, fs::read(target.join("null")).unwrap()), (vec!["null".into()], b"mine".to_vec()));
}

#[test]
fn a_read_only_root_file_system_is_read_only_for_init_and_exec() {
    let root = Root::with_images(&["busybox"]);
    let task = busybox(&root, json!({ "readonlyRootFilesystem": true }));
    let script = "for d in / /tmp /etc /root; do touch $d/x 2>/dev/null && echo $d; done; \
        for f in /etc/hosts /etc/hostname /etc/resolv.conf; do (: >>$f) 2>/dev/null && echo $f; done; \
        touch /dev/shm/x && echo shm";
    assert_eq!(shell(&root, &task, script), "shm\n");
    root.berth(["rm", "-f", &task.id]).ok();
    let first = container(
        "web",
        &[script],
        json!({ "image": "busybox", "entryPoint": ["sh", "-c"], "readonlyRootFilesystem": true }),
    );
    assert_eq!(root.run(&crate::support::task(&[first])).ok(), "shm\n");
}
