//! The other tools: crun and runc with a bundle, podman and docker with an image of the same layer, all below one
//! cgroup and with their state in the scratch directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Case;
use crate::bundle::{Bundle, STAMP};
use bench::Failure;
use bench::host::{CGROUP, has, podman_settings, run};

/// The task's limits as the clients spell them.
const LIMITS: [&str; 4] = ["--cpus", "0.25", "--memory", "512m"];
const IMAGE: &str = "bench/probe";
/// Many more than there are callers, so that none has the bundle of another one that still runs.
const BUNDLES: usize = 64;

/// crun or runc.
pub fn low_level(runtime: &'static str, bundle: &Bundle) -> Result<Case, Failure> {
    if !has(runtime) {
        return Err(format!("{runtime} is not installed").into());
    }
    let paths = bundle.of(runtime, BUNDLES)?;
    let command = move |sample: usize| {
        let (mut command, path) = (Command::new(runtime), &paths[sample % BUNDLES]);
        command.arg("--root").arg(path.join("state")).arg("run").arg("-b").arg(path);
        command.arg(format!("bench-{}-{sample}", std::process::id()));
        command
    };
    Ok(Case { name: format!("{runtime} run, bare netns + limits"), command: Box::new(command) })
}

/// podman with its bridge.
pub fn podman(layer: &Path, scratch: &Path) -> Result<Case, Failure> {
    if !has("podman") {
        return Err("podman is not installed".into());
    }
    let settings = podman_settings(&scratch.join("podman"))?;
    let podman = move || {
        let mut command = Command::new("podman");
        command.envs(settings.clone()).arg("--log-level=error");
        command
    };
    run(podman().arg("import").arg(layer).arg(IMAGE))?;
    let command = move |_| {
        let mut command = podman();
        command.args(["run", "--rm", "--cgroup-parent", &format!("/{CGROUP}")]).args(LIMITS);
        command.arg(format!("localhost/{IMAGE}")).args(STAMP);
        command
    };
    Ok(Case { name: "podman run, bridge + limits".to_owned(), command: Box::new(command) })
}

/// A daemon of our own, which ends with this.
pub struct Daemon {
    process: Child,
    socket: PathBuf,
}

impl Daemon {
    /// Starts it and waits until its client is answered.
    fn start(command: &mut Command, log: &Path, socket: PathBuf, client: Command) -> Result<Self, Failure> {
        let output = fs::File::create(log)?;
        let process = command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn()?;
        let mut daemon = Self { process, socket };
        daemon.wait(client).map_err(|error| {
            let log = fs::read_to_string(log).unwrap_or_default();
            format!("{error}: {}", log.trim().lines().last().unwrap_or_default())
        })?;
        Ok(daemon)
    }

    fn wait(&mut self, mut client: Command) -> Result<(), Failure> {
        let deadline = Instant::now() + Duration::from_secs(30);
        let name = client.get_program().to_string_lossy().into_owned();
        while Instant::now() < deadline {
            if run(&mut client).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.process.try_wait()? {
                return Err(format!("the daemon of {name} ended: {status}").into());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err(format!("the daemon of {name} does not answer").into())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.process.id()) {
            kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
        }
        self.process.wait().ok();
    }
}

/// A docker daemon with the image.
pub fn docker(layer: &Path, scratch: &Path) -> Result<Daemon, Failure> {
    if !(has("dockerd") && has("docker") && has("containerd")) {
        return Err("docker is not installed (dockerd, containerd, docker)".into());
    }
    let home = scratch.join("docker");
    fs::create_dir_all(&home)?;
    fs::write(home.join("daemon.json"), "{}")?;
    let at = |name: &str| home.join(name);
    let mut command = Command::new("dockerd");
    command.arg("--config-file").arg(at("daemon.json")).arg("--data-root").arg(at("data"));
    command.arg("--exec-root").arg(at("exec")).arg("--pidfile").arg(at("pid"));
    command.arg("--host").arg(format!("unix://{}", at("sock").display()));
    command.args(["--bip", "10.213.0.1/16", "--storage-driver", "overlay2"]);
    command.args(["--cgroup-parent", &format!("/{CGROUP}")]);
    let mut version = docker_client(&at("sock"));
    version.arg("version");
    let daemon = Daemon::start(&mut command, &at("log"), at("sock"), version)?;
    run(docker_client(&daemon.socket).arg("import").arg(layer).arg(IMAGE))?;
    Ok(daemon)
}

/// docker with its bridge.
pub fn docker_case(daemon: &Daemon) -> Case {
    let socket = daemon.socket.clone();
    let command = move |_| {
        let mut command = docker_client(&socket);
        command.args(["run", "--rm"]).args(LIMITS).arg(IMAGE).args(STAMP);
        command
    };
    Case { name: "docker run, bridge + limits".to_owned(), command: Box::new(command) }
}

fn docker_client(socket: &Path) -> Command {
    let mut command = Command::new("docker");
    command.arg("--host").arg(format!("unix://{}", socket.display()));
    command
}

/// A containerd with the image of this layout.
pub fn containerd(layout: &Path, scratch: &Path) -> Result<Daemon, Failure> {
    if !(has("containerd") && has("ctr")) {
        return Err("containerd is not installed (containerd, ctr)".into());
    }
    let home = scratch.join("containerd");
    fs::create_dir_all(&home)?;
    let at = |name: &str| home.join(name);
    // Its ttrpc socket lies beside the other one; nothing else of it is asked for.
    let config = "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n";
    fs::write(at("config.toml"), config)?;
    let mut command = Command::new("containerd");
    command.arg("--config").arg(at("config.toml")).arg("--address").arg(at("sock"));
    command.arg("--root").arg(at("root")).arg("--state").arg(at("state"));
    let mut version = ctr(&at("sock"));
    version.arg("version");
    let daemon = Daemon::start(&mut command, &at("log"), at("sock"), version)?;
    let archive = at("image.tar");
    run(Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(layout).arg("."))?;
    run(ctr(&daemon.socket).args(["images", "import"]).arg(&archive))?;
    Ok(daemon)
}

/// containerd by its own client: a bare network namespace, as with crun.
pub fn containerd_case(daemon: &Daemon) -> Case {
    let socket = daemon.socket.clone();
    let command = move |sample: usize| {
        let mut command = ctr(&socket);
        command.args(["run", "--rm", "--cpus", "0.25", "--memory-limit", "536870912"]);
        command.arg("--cgroup").arg(format!("/{CGROUP}/ctr-{sample}"));
        command.args(["docker.io/library/probe:latest", &format!("bench-{}-{sample}", std::process::id())]).args(STAMP);
        command
    };
    Case { name: "ctr run, bare netns + limits".to_owned(), command: Box::new(command) }
}

fn ctr(socket: &Path) -> Command {
    let mut command = Command::new("ctr");
    command.arg("--address").arg(socket);
    command
}
