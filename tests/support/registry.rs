//! A registry on loopback: Debian's `docker-registry`, with a storage, a port and a log of its own, filled by `skopeo`. It
//! ends with the value. What it was asked for is read from its access log.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::command::Running;
use super::{eventually, fixture};

/// Who may read and write, where somebody must be known.
pub(crate) const USER: &str = "ada";
/// The user's password.
pub(crate) const PASSWORD: &str = "open-sesame";
/// Both as `htpasswd -B` writes them.
const HTPASSWD: &str = "ada:$2y$05$berthberthberthberthbu3LvTAMhQeoY1BUmcCJHS/BdmDIo05DC\n";

/// How long the registry may take to listen, and skopeo to copy.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Everybody, by HTTP.
    Open,
    /// `USER`, by HTTP.
    Login,
    /// Everybody, by TLS with a certificate of an authority of its own.
    Tls,
}

/// A registry that runs.
pub(crate) struct Registry {
    directory: tempfile::TempDir,
    door: Door,
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
    process: Option<Child>,
}

impl Registry {
    /// An empty one.
    pub(crate) fn start(door: Door) -> Self {
        let directory = tempfile::Builder::new().prefix("registry-").tempdir().expect("make a directory");
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a port is free").to_string();
        let mut registry = Self { directory, door, address, process: None };
        registry.configure();
        registry.resume();
        registry
    }

    /// One with images of `rootfs-fixtures/`, each under its own name and the tag `1`.
    pub(crate) fn with_images(door: Door, images: &[&str]) -> Self {
        let registry = Self::start(door);
        images.iter().for_each(|image| registry.push(&fixture(image), image));
        registry
    }

    /// The name of an image as a task definition has it.
    pub(crate) fn image(&self, name: &str) -> String {
        format!("{}/{name}:1", self.address)
    }

    /// Copies an image, or an index with all its images, under a name and the tag `1`.
    pub(crate) fn push(&self, layout: &Path, name: &str) {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["--insecure-policy", "copy", "--quiet", "--all", "--dest-tls-verify=false"]);
        skopeo.args(["--dest-creds", &format!("{USER}:{PASSWORD}")]);
        skopeo.arg(format!("oci:{}", layout.display())).arg(format!("docker://{}", self.image(name)));
        Running::start(skopeo).wait(PATIENCE).ok();
    }

    /// Kills it in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().and_then(|()| process.wait()).expect("it is our child");
        }
    }

    /// Starts it again, with the same address and the same content.
    pub(crate) fn resume(&mut self) {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fixtures/tools/docker-registry");
        assert!(program.exists(), "{} is missing: run `make fixtures`", program.display());
        let log = |name: &str| File::options().append(true).create(true).open(self.directory.path().join(name));
        let mut command = Command::new(program);
        command.arg("serve").arg(self.file("config.yml")).stdin(Stdio::null());
        command.stdout(log("access").expect("open")).stderr(log("errors").expect("open"));
        let process = self.process.insert(command.spawn().expect("start docker-registry"));
        let (errors, address) = (self.directory.path().join("errors"), &self.address);
        eventually(PATIENCE, "the registry listens", || {
            let ended = process.try_wait().expect("it is our child");
            assert!(ended.is_none(), "docker-registry ended: {}", fs::read_to_string(&errors).unwrap_or_default());
            TcpStream::connect(address).ok()
        });
    }

    /// What it has been asked for since `start`, one `METHOD PATH STATUS` each, requests that are being answered left out.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = fs::read_to_string(self.file("access")).expect("read the access log");
        log.lines().filter_map(request).collect()
    }

    /// How often a successful answer was given to a GET of a path that has this in it.
    pub(crate) fn served(&self, part: &str) -> usize {
        let is = |line: &&String| line.starts_with("GET ") && line.contains(part) && line.contains(" 2");
        self.requests().iter().filter(is).count()
    }

    /// The authority whose certificate a TLS registry shows, in PEM.
    pub(crate) fn authority(&self) -> PathBuf {
        self.file("authority.crt")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn configure(&self) {
        let (storage, address) = (self.file("storage"), &self.address);
        let mut text = format!(
            "version: 0.1\n\
             log: {{level: error, accesslog: {{disabled: false}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}, maintenance: {{uploadpurging: {{enabled: false}}}}}}\n\
             http:\n  addr: {address}\n  secret: tests\n",
            storage.display()
        );
        match self.door {
            Door::Open => (),
            Door::Login => {
                let file = self.file("htpasswd");
                fs::write(&file, HTPASSWD).expect("write");
                text += &format!("auth: {{htpasswd: {{realm: tests, path: {}}}}}\n", file.display());
            }
            Door::Tls => {
                self.certify();
                let (certificate, key) = (self.file("server.crt"), self.file("server.key"));
                text += &format!("  tls: {{certificate: {}, key: {}}}\n", certificate.display(), key.display());
            }
        }
        fs::write(self.file("config.yml"), text).expect("write");
    }

    /// An authority, and a certificate from it for loopback and for `registry.test`.
    fn certify(&self) {
        let openssl = |args: &[&str]| {
            let mut command = Command::new("openssl");
            command.args(args).current_dir(self.directory.path());
            Running::start(command).wait(PATIENCE).ok();
        };
        let new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
        let authority = ["-x509", "-subj", "/CN=tests", "-keyout", "authority.key", "-out", "authority.crt"];
        openssl(&[&new[..], &authority].concat());
        fs::write(self.file("names"), "subjectAltName=IP:127.0.0.1,DNS:registry.test\n").expect("write");
        openssl(&[&new[..6], &["-subj", "/CN=registry.test", "-keyout", "server.key", "-out", "server.csr"]].concat());
        let sign = ["x509", "-req", "-in", "server.csr", "-CA", "authority.crt", "-CAkey", "authority.key"];
        let output = ["-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "server.crt"];
        openssl(&[&sign[..], &output].concat());
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `METHOD PATH STATUS` of a line of the access log, which is in the combined format.
fn request(line: &str) -> Option<String> {
    let mut quoted = line.split('"');
    let (request, status) = (quoted.nth(1)?, quoted.next()?);
    let mut words = request.split(' ');
    Some(format!("{} {} {}", words.next()?, words.next()?, status.split_whitespace().next()?))
}
