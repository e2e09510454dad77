//! Credentials: from fixed keys, from a profile of the host, from STS; renewed, refused, absent.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::{one, staying};
use crate::support::inside::Inside;
use crate::support::moto::{Moto, credentials};
use crate::support::root::{Root, Task};
use crate::support::task;

const ROLE: &str = "arn:aws:iam::000000000000:role/service/app";
const KEYS: &str = "[roles.app]\naccess-key-id = 'AKIDAPP'\nsecret-access-key = 'hush'\nsession-token = 'token'\n";

fn python() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python")
}

/// What a script of Python prints, in the container's network and with its variables.
fn script(inside: &Inside, text: &str) -> Value {
    let output = inside.command(&python()).arg("-c").arg(text).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {complaints}"))
}

/// boto3 finds the endpoint by the variables alone.
const WHO: &str = r#"
import boto3, json
found = boto3.Session().get_credentials()
frozen = found.get_frozen_credentials()
print(json.dumps({'method': found.method, 'key': frozen.access_key, 'secret': frozen.secret_key, 'token': frozen.token}))
"#;

#[test]
fn boto3_gets_the_keys_that_the_configuration_has_for_the_role() {
    let root = Root::with_images(&["probe"]);
    root.configure(KEYS);
    let (task, inside) = one(&root, &json!({ "taskRoleArn": ROLE }));
    let found = script(&inside, WHO);
    assert_eq!(found, json!({ "method": "container-role", "key": "AKIDAPP", "secret": "hush", "token": "token" }));
    let path = inside.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").to_owned();
    let document = inside.get(&format!("http://169.254.170.2{path}"));
    assert!(document.head.contains("Cache-Control: no-store"), "{document:?}");
    let document = document.json();
    assert_eq!(document["RoleArn"], ROLE);
    let end: jiff::Timestamp = document["Expiration"].as_str().unwrap().parse().unwrap();
    let hours = (end.as_second() - jiff::Timestamp::now().as_second()) / 60;
    assert!((350..=361).contains(&hours), "six hours: {hours} minutes");
    // nobody else's id, and none
    let refused = |path: &str| {
        let answer = inside.get(&format!("http://169.254.170.2{path}"));
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        (answer.status, body["code"].as_str().unwrap().to_owned(), body["HTTPErrorCode"].as_u64().unwrap())
    };
    let other = "/v2/credentials/00000000-0000-4000-8000-000000000000";
    assert_eq!(refused(other), (400, "InvalidIdInRequest".into(), 400));
    assert_eq!(refused("/v2/credentials"), (400, "NoIdInRequest".into(), 400));
    // what is secret stands in no record that people look at
    let shown = root.berth(["--format", "json", "describe", &task.id]).ok();
    assert!(!shown.contains("hush") && !shown.contains("AKIDAPP"), "{shown}");
}

#[test]
fn a_role_that_the_configuration_does_not_know_is_warned_of_and_has_no_variable() {
    let root = Root::with_images(&["probe"]);
    root.configure(KEYS);
    let mut definition = task(&[staying("app", json!({}))]);
    definition["taskRoleArn"] = "arn:aws:iam::000000000000:role/other".into();
    let file = root.file(&definition);
    let args = [OsStr::new("--format"), OsStr::new("json"), OsStr::new("run"), OsStr::new("-d"), file.as_os_str()];
    let finished = root.berth(args);
    assert!(finished.stderr.contains("the configuration knows no role other"), "{}", finished.stderr);
    let listed = root.list(&[]);
    let id = listed[0]["taskArn"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let inside = Inside::of(&root, &Task { id, answer: listed[0].clone() }, "app");
    assert!(!inside.variables.contains_key("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"));
    assert_eq!(inside.get("http://169.254.170.2/v2/credentials/x").status, 400);
}

/// `berth run -d` with a home of its own, where the shared files are.
fn run_at_home(root: &Root, role: &str) -> (Task, Inside) {
    let mut definition = task(&[staying("app", json!({}))]);
    definition["taskRoleArn"] = role.into();
    let file = root.file(&definition);
    let args = [OsStr::new("--format"), OsStr::new("json"), OsStr::new("run"), OsStr::new("-d"), file.as_os_str()];
    let mut command = root.command(args);
    command.env("HOME", root.path());
    let answer = crate::support::command::Running::start(command).wait(Duration::from_secs(60)).json();
    let text = answer.to_string();
    let id = text.split("task/default/").nth(1).unwrap()[..32].to_owned();
    let task = Task { id, answer };
    root.until_written(&task, "app", "ready");
    let inside = Inside::of(root, &task, "app");
    (task, inside)
}

#[test]
fn a_profile_of_the_host_and_a_role_at_sts_are_handed_on() {
    let root = Root::with_images(&["probe"]);
    let moto = Moto::start();
    let [(_, key), (_, secret)] = credentials();
    std::fs::create_dir(root.path().join(".aws")).unwrap();
    let shared = format!(
        "[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n\
         [team]\naws_access_key_id = AKTEAM\naws_secret_access_key = hush\n"
    );
    std::fs::write(root.path().join(".aws/credentials"), shared).unwrap();
    root.configure(&format!(
        "{}[roles.team]\nprofile = 'team'\n[roles.'*']\nassume = true\nduration-seconds = 1800\n",
        moto.configuration()
    ));
    let (task, inside) = run_at_home(&root, "arn:aws:iam::000000000000:role/team");
    assert_eq!(script(&inside, WHO)["key"], "AKTEAM");
    root.stop(&task);

    let (_task, inside) = run_at_home(&root, ROLE);
    let path = inside.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").to_owned();
    let url = format!("http://169.254.170.2{path}");
    let document = inside.get(&url).json();
    assert_eq!(document["RoleArn"], ROLE);
    assert!(document["AccessKeyId"].as_str().unwrap().starts_with("ASIA"), "{document:#}");
    assert!(!document["Token"].as_str().unwrap().is_empty());
    let end: jiff::Timestamp = document["Expiration"].as_str().unwrap().parse().unwrap();
    let minutes = (end.as_second() - jiff::Timestamp::now().as_second()) / 60;
    assert!((28..=31).contains(&minutes), "half an hour: {minutes} minutes");
    assert_eq!(inside.get(&url).json()["AccessKeyId"], document["AccessKeyId"], "they are kept");
    // moto knows whose they are
    let found = moto.script(&format!(
        "sts = client('sts', aws_access_key_id='{}', aws_secret_access_key='{}', aws_session_token='{}')\n\
         print(json.dumps(sts.get_caller_identity()['Arn']))",
        document["AccessKeyId"].as_str().unwrap(),
        document["SecretAccessKey"].as_str().unwrap(),
        document["Token"].as_str().unwrap()
    ));
    assert!(found.as_str().unwrap().contains("assumed-role/"), "{found}");
    drop(moto);
    std::fs::remove_dir_all(root.path().join(".aws")).unwrap();
}

#[test]
fn credentials_that_cannot_be_had_are_refused_and_keep_nobody_waiting_for_metadata() {
    let root = Root::with_images(&["probe"]);
    // nobody listens there
    root.configure("[aws]\nendpoint = 'http://127.0.0.1:9'\n[roles.app]\nassume = true\n");
    std::fs::create_dir(root.path().join(".aws")).unwrap();
    let shared = "[default]\naws_access_key_id = AK\naws_secret_access_key = hush\n";
    std::fs::write(root.path().join(".aws/credentials"), shared).unwrap();
    let (_task, inside) = run_at_home(&root, ROLE);
    let path = inside.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").to_owned();
    let url = format!("http://169.254.170.2{path}");
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| inside.get(&url));
        let metadata = inside.get(inside.variable("ECS_CONTAINER_METADATA_URI_V4"));
        assert_eq!(metadata.json()["Name"], "app");
        let answer = asked.join().unwrap();
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, body["code"].as_str()), (503, Some("CredentialsUninitialized")));
        let text = body["message"].as_str().unwrap();
        assert!(text.contains("operation error STS: AssumeRole") && !text.contains("hush"), "{text}");
    });
    std::fs::remove_dir_all(root.path().join(".aws")).unwrap();
}
