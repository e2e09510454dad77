//! The registry that all cases pull from: Debian's `docker-registry` on a free port of loopback, filled by `skopeo`.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bench::Failure;
use bench::host::run;

/// A registry that runs until it is dropped.
pub struct Registry {
    process: Child,
    address: String,
}

impl Registry {
    /// An empty one.
    pub fn start(top: &Path, scratch: &Path) -> Result<Self, Failure> {
        let home = scratch.join("registry");
        fs::create_dir_all(&home)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{address}\", secret: bench}}\n",
            home.join("storage").display()
        );
        fs::write(home.join("config.yml"), config)?;
        let program = top.join("target/fixtures/tools/docker-registry");
        let log = fs::File::create(home.join("log"))?;
        let mut command = Command::new(&program);
        command.arg("serve").arg(home.join("config.yml")).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = command.spawn().map_err(|error| format!("{}: {error}: make fixtures", program.display()))?;
        let registry = Self { process, address };
        registry.wait()?;
        Ok(registry)
    }

    fn wait(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(&self.address).is_err() {
            if Instant::now() > deadline {
                return Err("docker-registry does not answer".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Copies an image; gives back its name there.
    pub fn push(&self, layout: &Path, name: &str) -> Result<String, Failure> {
        let image = format!("{}/{name}:1", self.address);
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]);
        skopeo.arg(format!("oci:{}", layout.display())).arg(format!("docker://{image}"));
        run(&mut skopeo)?;
        Ok(image)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).ok();
    }
}
