//! `berth serve` for one test, with a key, and AWS's own clients that call it: boto3 and the `aws` command of `target/venv`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::command::{Finished, Running};
use super::moto::program;
use super::root::Root;

/// The region that its clients call.
pub(crate) const REGION: &str = "eu-west-1";
/// How long one client may take.
const CALL: Duration = Duration::from_secs(300);

/// An endpoint. It ends, as on SIGTERM, with this.
pub(crate) struct Endpoint {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    /// Its Unix socket.
    pub(crate) socket: PathBuf,
    key: Value,
    log: PathBuf,
    answers: PathBuf,
    /// Who has signed its certificate, if it speaks TLS.
    authority: Option<PathBuf>,
}

/// A certificate for 127.0.0.1 that has signed itself, and its key.
pub(crate) fn certificate(root: &Root) -> (PathBuf, PathBuf) {
    let (certificate, key) = (root.path().join("cert.pem"), root.path().join("key.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]);
    openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]);
    openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate);
    Running::start(openssl).wait(CALL).ok();
    (certificate, key)
}

impl Endpoint {
    /// One that asks for signatures.
    pub(crate) fn start(root: &Root) -> Self {
        Self::with(root, &[])
    }

    /// One that speaks TLS.
    pub(crate) fn with_tls(root: &Root) -> Self {
        let (certificate, key) = certificate(root);
        let text = |path: &Path| path.to_str().expect("it is a text").to_owned();
        Self::trusted(root, &["--tls-cert", &text(&certificate), "--tls-key", &text(&key)], Some(certificate))
    }

    /// One with more options.
    pub(crate) fn with(root: &Root, more: &[&str]) -> Self {
        Self::trusted(root, more, None)
    }

    fn trusted(root: &Root, more: &[&str], authority: Option<PathBuf>) -> Self {
        let key = root.berth(["--format", "json", "key", "create", "tester"]).json();
        let log = root.path().join("requests.log");
        let mut command = root.command(["serve", "--listen", "127.0.0.1:0"].iter().chain(more));
        command.stdin(Stdio::null()).stdout(File::create(&log).expect("make the log")).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start berth serve");
        let mut told = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut line = String::new();
        while !line.starts_with("listening on http") {
            line.clear();
            if told.read_line(&mut line).is_ok_and(|length| length == 0) {
                panic!("berth serve ended: {:?}", child.wait());
            }
        }
        let url = line.trim().rsplit(' ').next().expect("it has words").to_owned();
        std::thread::spawn(move || told.read_to_end(&mut Vec::new()));
        let answers = root.path().join("answers.jsonl");
        let this = Self { child, url, socket: root.path().join("run/ecs.sock"), key, log, answers, authority };
        super::eventually(Duration::from_secs(10), "it answers", || {
            this.get("/healthz").filter(|text| text.contains("ok"))
        });
        this
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().expect("a pid fits"))
    }

    /// The id and the secret of its key.
    pub(crate) fn key(&self) -> (&str, &str) {
        let text = |name: &str| self.key[name].as_str().expect("a key has it");
        (text("AccessKeyId"), text("SecretAccessKey"))
    }

    /// The lines of the request log so far.
    pub(crate) fn log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).expect("read the log");
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    /// GET without a signature, by curl.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let mut curl = Command::new("curl");
        curl.args(["-sf", &format!("{}{path}", self.url)]);
        if let Some(authority) = &self.authority {
            curl.arg("--cacert").arg(authority);
        }
        let output = curl.output().expect("run curl");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A program that calls it with this key.
    pub(crate) fn client(&self, program: impl AsRef<std::ffi::OsStr>, key: (&str, &str)) -> Command {
        let mut command = Command::new(program);
        for service in ["ECS", "SSM", "STS", "EC2"] {
            command.env(format!("AWS_ENDPOINT_URL_{service}"), &self.url);
        }
        command
            .env("AWS_ACCESS_KEY_ID", key.0)
            .env("AWS_SECRET_ACCESS_KEY", key.1)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_PAGER", "")
            .env("NO_PROXY", "127.0.0.1")
            .env("ANSWERS", &self.answers)
            .env_remove("AWS_SESSION_TOKEN");
        if let Some(authority) = &self.authority {
            command.env("AWS_CA_BUNDLE", authority);
        }
        command
    }

    /// `aws` with these arguments, to its end.
    pub(crate) fn aws(&self, args: &[&str]) -> Finished {
        let mut command = self.client(program("aws"), self.key());
        command.args(["--output", "json"]).args(args);
        Running::start(command).wait(CALL)
    }

    /// A script of `tests/support/clients`; what it prints is JSON.
    pub(crate) fn script(&self, name: &str, args: &[&str]) -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/clients").join(name);
        let mut command = self.client(program("python"), self.key());
        command.arg(path).args(args);
        Running::start(command).wait(CALL).json()
    }

    /// Lines of Python in which `client(SERVICE)` is a boto3 client; what they print is JSON.
    pub(crate) fn python(&self, key: (&str, &str), lines: &str) -> Value {
        let head = "import json, boto3, botocore.config, botocore.exceptions\n\
            def client(service, **more):\n    return boto3.client(service, config=botocore.config.Config(retries={'total_max_attempts': 1}), **more)\n\
            def code(call):\n    try:\n        call()\n        return 'done'\n    except botocore.exceptions.ClientError as error:\n        \
            return error.response['Error']['Code']\n";
        let mut command = self.client(program("python"), key);
        command.arg("-c").arg(head.to_owned() + lines);
        Running::start(command).wait(CALL).json()
    }

    /// Every answer that a script has had fits the model's output shapes, without a member that the model does not know.
    pub(crate) fn check_answers(&self) {
        let checker = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/shapes.py");
        let mut command = Command::new(program("python"));
        command.arg(checker);
        let answers = File::open(&self.answers).expect("there are answers");
        let finished = Running::reading(command, answers).wait(CALL);
        assert!(
            finished.status.success() && finished.stdout.trim().is_empty(),
            "{}{}",
            finished.stdout,
            finished.stderr
        );
    }

    /// SIGTERM, and its exit code.
    pub(crate) fn stop(mut self) -> i32 {
        kill(self.pid(), Signal::SIGTERM).expect("it runs");
        let code = self.until_ended().code();
        code.expect("no signal ended it")
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("it runs");
    }

    fn until_ended(&mut self) -> std::process::ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(40);
        loop {
            match self.child.try_wait().expect("it is our child") {
                Some(status) => return status,
                None => assert!(Instant::now() < deadline, "berth serve does not end"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            kill(self.pid(), Signal::SIGTERM).ok();
            if std::thread::panicking() {
                self.child.kill().and_then(|()| self.child.wait()).ok();
            } else {
                self.until_ended();
            }
        }
    }
}
