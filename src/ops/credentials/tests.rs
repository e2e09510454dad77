//! What files and helpers together say, and what `login` leaves behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::*;

/// A directory that is home, docker's configuration and search path at once.
struct Home(tempfile::TempDir);

impl Home {
    fn new(config: &Value) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::write(home.config(), config.to_string()).unwrap();
        home
    }

    fn config(&self) -> PathBuf {
        self.0.path().join("config.json")
    }

    /// A helper that writes down what it was asked, and answers for hosts that begin with `known`.
    fn helper(self, name: &str) -> Self {
        let program = self.0.path().join(format!("docker-credential-{name}"));
        let notes = self.0.path().join(format!("{name}.notes"));
        let script = format!(
            "#!/bin/sh\ninput=$(/bin/cat)\necho \"$1 $input\" >> {}\ncase \"$1 $input\" in\n\
             'get known'*) echo '{{\"Username\":\"{name}\",\"Secret\":\"s\"}}';;\n\
             'get '*) echo credentials not found in native keychain; exit 1;;\nesac\n",
            notes.display()
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    fn notes(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(format!("{name}.notes"))).unwrap_or_default()
    }

    fn environment(&self) -> Environment {
        let path = self.0.path().to_str().unwrap();
        Environment::of([("DOCKER_CONFIG", path), ("PATH", path), ("XDG_RUNTIME_DIR", path)])
    }

    fn find(&self, registry: &str) -> Option<Credentials> {
        Keyring::open(&self.environment()).unwrap().find(registry, "team/web").unwrap()
    }

    fn content(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.config()).unwrap()).unwrap()
    }
}

fn basic(username: &str, password: &str) -> Option<Credentials> {
    Some(Credentials::Basic { username: username.into(), password: password.into() })
}

#[test]
fn a_file_holds_names_passwords_and_tokens() {
    let home = Home::new(&json!({"auths": {
        "https://index.docker.io/v1/": {"auth": "bWU6cGE6c3M="},
        "plain.lan": {"username": "me", "password": "open"},
        "identity.lan": {"auth": "bWU6", "identitytoken": "refresh"},
        "bearer.lan": {"registrytoken": "access"},
        "empty.lan": {},
        "space.lan": {"auth": "bWU6d2hvbGU="},
        "space.lan/team": {"auth": "bWU6dGVhbQ=="},
    }, "HttpHeaders": {"X": "y"}}));
    assert_eq!(home.find("docker.io"), basic("me", "pa:ss"));
    assert_eq!(home.find("plain.lan"), basic("me", "open"));
    assert_eq!(home.find("identity.lan"), Some(Credentials::Identity("refresh".into())));
    assert_eq!(home.find("bearer.lan"), Some(Credentials::Bearer("access".into())));
    assert_eq!(home.find("space.lan"), basic("me", "team"));
    assert_eq!(home.find("empty.lan"), None);
    assert_eq!(home.find("other.lan"), None);
}

#[test]
fn the_helper_of_a_registry_counts_before_the_store_and_both_before_the_file() {
    let home = Home::new(&json!({
        "auths": {"known.lan": {"auth": "bWU6ZmlsZQ=="}, "rest.lan": {"auth": "bWU6ZmlsZQ=="}},
        "credHelpers": {"known.lan": "own"}, "credsStore": "store",
    }));
    let home = home.helper("own").helper("store");
    assert_eq!(home.find("known.lan"), basic("own", "s"));
    assert_eq!(home.find("known-too.lan"), basic("store", "s"));
    assert_eq!(home.find("rest.lan"), basic("me", "file"));
    assert_eq!(home.find("docker.io"), None);
    assert!(home.notes("store").contains("get https://index.docker.io/v1/"), "{}", home.notes("store"));
}

#[test]
fn podmans_file_is_asked_after_dockers() {
    let home = Home::new(&json!({"auths": {"one.lan": {"auth": "bWU6ZG9ja2Vy"}}}));
    fs::create_dir(home.0.path().join("containers")).unwrap();
    let auths = json!({"auths": {"one.lan": {"auth": "bWU6cG9kbWFu"}, "two.lan": {"auth": "bWU6cG9kbWFu"}}});
    fs::write(home.0.path().join("containers/auth.json"), auths.to_string()).unwrap();
    assert_eq!(home.find("one.lan"), basic("me", "docker"));
    assert_eq!(home.find("two.lan"), basic("me", "podman"));
}

#[test]
fn a_helper_that_is_not_installed_is_named() {
    let home = Home::new(&json!({"credsStore": "desktop"}));
    let error = Keyring::open(&home.environment()).unwrap().find("x.lan", "y").unwrap_err();
    assert_eq!(error.to_string(), "docker-credential-desktop");
    let home = Home::new(&json!({"credsStore": "../../bin/x"}));
    assert!(Keyring::open(&home.environment()).unwrap().find("x.lan", "y").is_err());
}

#[test]
fn a_file_that_is_wrong_is_named_and_not_shown() {
    let home = Home::new(&json!({"auths": {"x.lan": {"auth": "hush!"}}}));
    let error = Keyring::open(&home.environment()).unwrap().find("x.lan", "y").unwrap_err().to_string();
    assert!(error.contains("x.lan") && !error.contains("hush"), "{error}");
    fs::write(home.config(), r#"{"auths": {"x.lan": {"auth": 12, "hush"}}}"#).unwrap();
    let error = Keyring::open(&home.environment()).unwrap_err().to_string();
    assert!(error.contains("config.json: line 1") && !error.contains("hush"), "{error}");
}

#[test]
fn a_file_that_everybody_may_write_is_refused() {
    let home = Home::new(&json!({}));
    fs::set_permissions(home.config(), fs::Permissions::from_mode(0o666)).unwrap();
    assert!(Keyring::open(&home.environment()).is_err());
}

#[test]
fn amazons_registries_are_asked_of_amazons_helper_where_it_is_installed() {
    let registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    let ecr = |home: &Home, registry| Keyring::open(&home.environment()).unwrap().ecr(registry).unwrap();
    let home = Home::new(&json!({}));
    assert_eq!(ecr(&home, registry), None);
    let home = home.helper("ecr-login");
    assert_eq!(ecr(&home, registry), None);
    assert_eq!(ecr(&home, "known.lan"), None);
    assert_eq!(home.notes("ecr-login"), format!("get {registry}\n"));
    for other in ["12.dkr.ecr.eu-west-1.amazonaws.com", "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.lan"] {
        assert!(!is_ecr(other), "{other}");
    }
    assert!(is_ecr("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"));
}

#[test]
fn what_is_kept_in_the_file_is_found_again_and_all_else_stays() {
    let home =
        Home::new(&json!({"currentContext": "x", "auths": {"docker.io": {"auth": "old"}, "a.lan": {"auth": "YTpi"}}}));
    assert_eq!(keep(&home.environment(), "docker.io", "me", "new:pass").unwrap(), Kept::File(home.config()));
    assert_eq!(home.find("docker.io"), basic("me", "new:pass"));
    assert_eq!(home.find("a.lan"), basic("a", "b"));
    assert_eq!(home.content()["currentContext"], "x");
    assert!(home.content()["auths"].get("docker.io").is_none());
    assert_eq!(fs::metadata(home.config()).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(erase(&home.environment(), "docker.io").unwrap());
    assert_eq!(home.find("docker.io"), None);
    assert!(!erase(&home.environment(), "docker.io").unwrap());
}

#[test]
fn a_helper_keeps_what_is_not_in_the_file_then() {
    let home = Home::new(&json!({"credsStore": "store"})).helper("store");
    assert_eq!(keep(&home.environment(), "a.lan", "me", "hush").unwrap(), Kept::Helper("store".into()));
    assert_eq!(home.content()["auths"], json!({"a.lan": {}}));
    assert!(home.notes("store").contains(r#"store {"ServerURL":"a.lan","Username":"me","Secret":"hush"}"#));
    assert!(erase(&home.environment(), "a.lan").unwrap());
    assert!(home.notes("store").ends_with("erase a.lan\n"));
}

#[test]
fn the_first_login_makes_the_file_and_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("new/home");
    let environment = Environment::of([("HOME", home.to_str().unwrap())]);
    keep(&environment, "a.lan", "me", "p").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&home.join(".docker")), mode(&home.join(".docker/config.json"))), (0o700, 0o600));
}

#[test]
fn a_link_to_the_file_stays_a_link() {
    let home = Home::new(&json!({}));
    let real = home.0.path().join("real.json");
    fs::rename(home.config(), &real).unwrap();
    std::os::unix::fs::symlink(&real, home.config()).unwrap();
    keep(&home.environment(), "a.lan", "me", "p").unwrap();
    assert!(fs::symlink_metadata(home.config()).unwrap().is_symlink());
    assert_eq!(home.find("a.lan"), basic("me", "p"));
}
