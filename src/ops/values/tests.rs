//! What a definition's secrets and files become from local sources, and what is said when they do not.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::super::config::Config;
use super::super::secrets::store;
use super::*;
use crate::plan::Layout;
use crate::secrets::Kind;

const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:";

/// A root with a secret, two versions of another one, and a parameter.
struct Place {
    directory: tempfile::TempDir,
    config: Config,
}

impl Place {
    fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap(), config: Config::default() };
        place.put(Kind::Secret, "app/db", r#"{"user": "old"}"#, "v1");
        place.put(Kind::Secret, "app/db", r#"{"user": "me", "port": 5432}"#, "v2");
        place.put(Kind::Secret, "plain", "whole", "v1");
        place.put(Kind::Parameter, "/app/key", "one", "");
        place.put(Kind::Parameter, "/app/key", "two", "");
        place
    }

    fn layout(&self) -> Layout {
        Layout::below(self.directory.path())
    }

    fn put(&self, kind: Kind, name: &str, value: &str, id: &str) {
        store(&self.layout(), &self.config.secrets)
            .put(kind, &name.parse().unwrap(), value, &[], id.into(), 1)
            .unwrap();
    }

    /// A directory that stands for the bucket `bucket`, with these files in it.
    fn files(mut self, files: &[(&str, &str)]) -> Self {
        let directory = self.directory.path().join("bucket");
        for (name, text) in files {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        self.config.environment_files.buckets.insert("bucket".into(), directory);
        self
    }

    fn resolve(&self, container: &serde_json::Value) -> Result<Vec<(String, String)>, String> {
        let task = json!({ "family": "f", "containerDefinitions": [container] });
        let task: TaskDefinition = serde_json::from_value(task).unwrap();
        let layout = self.layout();
        let sources = Sources::new(&layout, &self.config);
        let values = values(&sources, &task).map_err(|error| error.reason())?;
        Ok(values.0.into_values().flatten().collect())
    }

    fn secret(&self, value_from: &str) -> Result<String, String> {
        let secrets = json!([{ "name": "A", "valueFrom": value_from }]);
        let found = self.resolve(&json!({ "name": "web", "image": "web", "secrets": secrets }))?;
        Ok(found[0].1.clone())
    }

    fn environment(&self, files: &[&str]) -> Result<Vec<String>, String> {
        let files: Vec<_> =
            files.iter().map(|key| json!({ "value": format!("arn:aws:s3:::{key}"), "type": "s3" })).collect();
        let found = self.resolve(&json!({ "name": "web", "image": "web", "environmentFiles": files }))?;
        Ok(found.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
    }
}

#[test]
fn every_form_of_value_from_finds_its_value() {
    let place = Place::new();
    let cases = [
        ("/app/key".to_owned(), "two"),
        ("/app/key:1".to_owned(), "one"),
        ("app/key".to_owned(), "two"),
        ("arn:aws:ssm:eu-west-1:123456789012:parameter/app/key".to_owned(), "two"),
        (format!("{SECRET}plain"), "whole"),
        (format!("{SECRET}plain-a1B2c3"), "whole"),
        (format!("{SECRET}app/db-a1B2c3:user::"), "me"),
        (format!("{SECRET}app/db:port::"), "5432"),
        (format!("{SECRET}app/db-a1B2c3:user:AWSPREVIOUS:"), "old"),
        (format!("{SECRET}app/db:user::v1"), "old"),
        (format!("{SECRET}app/db:::v1"), r#"{"user": "old"}"#),
    ];
    for (value_from, value) in cases {
        assert_eq!(place.secret(&value_from).as_deref(), Ok(value), "{value_from}");
    }
}

#[test]
fn what_cannot_be_had_is_told_in_ecss_words() {
    let place = Place::new();
    let common =
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: ";
    let asm = "unable to retrieve secret from asm: ";
    let cases = [
        ("/app/none".to_owned(), "unable to retrieve secrets from ssm: invalid ssm parameters: /app/none"),
        ("/app/key:7".to_owned(), "unable to retrieve secrets from ssm: invalid ssm parameters: /app/key:7"),
        (format!("{SECRET}none-a1B2c3"), "ResourceNotFoundException: Secrets Manager can't find the specified secret."),
        (format!("{SECRET}app/db:pw::"), "retrieved secret from Secrets Manager did not contain json key pw"),
        (format!("{SECRET}plain:pw::"), "is not a JSON object, and json key pw was asked for"),
        (format!("{SECRET}plain::none:"), "can't find the specified secret value for staging label: none"),
        (format!("{SECRET}plain:::none"), "can't find the specified secret value for VersionId: none"),
        (format!("{SECRET}plain::AWSPREVIOUS:v1"), "You provided a VersionStage that is not associated"),
        (format!("{SECRET}plain:pw"), "an invalid ARN format for the AWS Secrets Manager secret was specified"),
    ];
    for (value_from, words) in cases {
        let reason = place.secret(&value_from).unwrap_err();
        assert!(reason.starts_with(common) && reason.contains(words), "{value_from}: {reason}");
        assert_eq!(reason.contains(asm), !words.contains("ssm") && !words.contains("invalid ARN"), "{reason}");
        assert!(!reason.contains("whole") && reason.len() <= 1024, "{reason}");
    }
}

#[test]
fn all_parameters_that_are_missing_are_named_at_once() {
    let secrets = json!([{ "name": "A", "valueFrom": "/x" }, { "name": "B", "valueFrom": "/y" }]);
    let reason = Place::new().resolve(&json!({ "name": "w", "image": "w", "secrets": secrets })).unwrap_err();
    assert!(reason.contains("invalid ssm parameters: /x,/y"), "{reason}");
}

#[test]
fn secret_options_of_a_log_driver_are_resolved_with_the_secrets() {
    let place = Place::new();
    let container = |from: &str| {
        let log = json!({ "logDriver": "splunk", "secretOptions": [{ "name": "splunk-token", "valueFrom": from }] });
        json!({ "name": "w", "image": "w", "logConfiguration": log })
    };
    let token = ("splunk-token".to_owned(), "two".to_owned());
    assert_eq!(place.resolve(&container("/app/key")), Ok(vec![token]));
    assert!(place.resolve(&container("/none")).unwrap_err().contains("invalid ssm parameters: /none"));
}

#[test]
fn a_secret_counts_before_a_file_and_the_first_file_before_the_second() {
    let place = Place::new().files(&[("a.env", "A=a\nB=a\n"), ("deep/b.env", "B=b\nC=b\n")]);
    assert_eq!(place.environment(&["bucket/a.env", "bucket/deep/b.env"]).unwrap(), ["A=a", "B=a", "C=b"]);
    let found = place.resolve(&json!({
        "name": "web", "image": "web",
        "secrets": [{ "name": "A", "valueFrom": "/app/key" }],
        "environmentFiles": [{ "value": "arn:aws:s3:::bucket/a.env", "type": "s3" }],
    }));
    let expected = [("A", "two"), ("B", "a")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(found.unwrap(), expected);
}

#[test]
fn a_file_that_cannot_be_had_is_told_with_its_arn() {
    let place = Place::new().files(&[("a.env", "A=a\n"), ("dir/x", "")]);
    fs::write(place.directory.path().join("bucket/binary.env"), [b'A', b'=', 0xff]).unwrap();
    fs::write(place.directory.path().join("bucket/large.env"), vec![b'#'; (1 << 20) + 1]).unwrap();
    let cases = [
        ("other/a.env", "[environment-files.buckets] other"),
        ("bucket/none.env", "No such file"),
        ("bucket/dir", "not a file"),
        ("bucket/../config.toml", "is no path below"),
        ("bucket//etc/passwd", "is no path below"),
        ("bucket/binary.env", "not UTF-8"),
        ("bucket/large.env", "larger than"),
    ];
    for (key, words) in cases {
        let reason = place.environment(&[key]).unwrap_err();
        let begin = format!("ResourceInitializationError: failed to download env files: arn:aws:s3:::{key}: ");
        assert!(reason.starts_with(&begin) && reason.contains(words), "{reason}");
    }
}

#[test]
fn without_secrets_or_files_nothing_is_opened() {
    let place = Place::new();
    fs::write(Path::new(&place.layout().secret_store()), "broken").unwrap();
    assert_eq!(place.resolve(&json!({ "name": "web", "image": "web" })), Ok(Vec::new()));
    let reason = place.secret("/app/key").unwrap_err();
    assert!(
        reason.contains("unable to retrieve secrets from ssm") && reason.contains("not a secret store"),
        "{reason}"
    );
}
