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

/// crun or runc.
pub fn low_level(runtime: &'static str, bundle: &Bundle) -> Result<Case, Failure> {
    if !has(runtime) {
        return Err(format!("{runtime} is not installed").into());
    }
    let path = bundle.of(runtime)?;
    let command = move |sample: usize| {
        let mut command = Command::new(runtime);
        command.arg("--root").arg(path.join("state")).arg("run").arg("-b").arg(&path);
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

/// A docker daemon of our own.
pub struct Docker {
    daemon: Child,
    socket: PathBuf,
}

impl Docker {
    /// Starts it and gives it the image.
    pub fn start(layer: &Path, scratch: &Path) -> Result<Self, Failure> {
        if !(has("dockerd") && has("docker") && has("containerd")) {
            return Err("docker is not installed (dockerd, containerd, docker)".into());
        }
        let home = scratch.join("docker");
        fs::create_dir_all(&home)?;
        fs::write(home.join("daemon.json"), "{}")?;
        let log = fs::File::create(home.join("log"))?;
        let socket = home.join("sock");
        let at = |name: &str| home.join(name);
        let mut command = Command::new("dockerd");
        command.arg("--config-file").arg(at("daemon.json")).arg("--data-root").arg(at("data"));
        command.arg("--exec-root").arg(at("exec")).arg("--pidfile").arg(at("pid"));
        command.arg("--host").arg(format!("unix://{}", socket.display()));
        command.args([
            "--bip",
            "10.213.0.1/16",
            "--storage-driver",
            "overlay2",
            "--cgroup-parent",
            &format!("/{CGROUP}"),
        ]);
        let daemon = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut docker = Self { daemon, socket };
        docker.wait().map_err(|error| {
            let log = fs::read_to_string(home.join("log")).unwrap_or_default();
            format!("{error}: {}", log.trim().lines().last().unwrap_or_default())
        })?;
        run(docker.client().arg("import").arg(layer).arg(IMAGE))?;
        Ok(docker)
    }

    fn client(&self) -> Command {
        client(&self.socket)
    }

    fn wait(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if run(self.client().arg("version")).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.daemon.try_wait()? {
                return Err(format!("dockerd ended: {status}").into());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err("dockerd does not answer".into())
    }

    /// docker with its bridge.
    pub fn case(&self) -> Case {
        let socket = self.socket.clone();
        let command = move |_| {
            let mut command = client(&socket);
            command.args(["run", "--rm"]).args(LIMITS).arg(IMAGE).args(STAMP);
            command
        };
        Case { name: "docker run, bridge + limits".to_owned(), command: Box::new(command) }
    }
}

fn client(socket: &Path) -> Command {
    let mut command = Command::new("docker");
    command.arg("--host").arg(format!("unix://{}", socket.display()));
    command
}

impl Drop for Docker {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.daemon.id()) {
            kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
        }
        self.daemon.wait().ok();
    }
}
