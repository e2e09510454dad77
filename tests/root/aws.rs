//! Values from AWS, which here is moto: parameters, secrets with members, stages and versions, an environment file, and
//! signatures that somebody else checks.

use std::ffi::OsStr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::command::{Finished, Running};
use crate::support::moto::{Moto, credentials};
use crate::support::root::Root;
use crate::support::{container, task};

const PATIENCE: Duration = Duration::from_secs(90);

/// `berth run` in the foreground, known to AWS by these variables.
fn run(root: &Root, definition: &Value, variables: &[(&str, &str)]) -> Finished {
    let file = root.file(definition);
    let mut command = root.command([OsStr::new("run"), file.as_os_str()]);
    command.env("HOME", root.path()).envs(variables.iter().copied());
    Running::start(command).wait(PATIENCE)
}

/// A task that prints its variables.
fn printing(secrets: &[(&str, String)], files: &[&str]) -> Value {
    let secrets: Vec<Value> = secrets.iter().map(|(name, from)| json!({ "name": name, "valueFrom": from })).collect();
    let files: Vec<Value> = files.iter().map(|arn| json!({ "value": arn, "type": "s3" })).collect();
    let more = json!({ "secrets": secrets, "environmentFiles": files });
    let mut definition = task(&[container("web", &["env"], more)]);
    definition["executionRoleArn"] = "arn:aws:iam::000000000000:role/execution".into();
    definition
}

const FILL: &str = r#"
ssm, sm, s3 = client('ssm'), client('secretsmanager'), client('s3')
for name in ['/app/key', 'level'] + ['/many/%d' % n for n in range(11)]:
    ssm.put_parameter(Name=name, Value='of ' + name, Type='SecureString')
arn = sm.create_secret(Name='app/db', SecretString='{"user": "old", "port": 1}')['ARN']
old = sm.describe_secret(SecretId=arn)['VersionIdsToStages']
sm.put_secret_value(SecretId=arn, SecretString='{"user": "new", "port": 5432}')
s3.create_bucket(Bucket='settings')
s3.put_object(Bucket='settings', Key='deep/a b.env', Body=b'# ours\nMODE=s3\nUSER=file\n')
print(json.dumps({'arn': arn, 'old': list(old)[0]}))
"#;

const ASKS: &str = "[secrets]\nsource = 'aws'\n[environment-files]\nsource = 'aws'\n";

#[test]
fn parameters_secrets_and_files_come_from_aws_when_the_configuration_says_so() {
    let root = Root::with_images(&["probe"]);
    let moto = Moto::start();
    let filled = moto.script(FILL);
    let text = |name: &str| filled[name].as_str().unwrap().to_owned();
    let (arn, old) = (text("arn"), text("old"));
    root.configure(&(ASKS.to_owned() + &moto.configuration()));
    let mut secrets = vec![
        ("KEY", "/app/key".to_owned()),
        ("LEVEL", "arn:aws:ssm:us-east-1:123456789012:parameter/level".to_owned()),
        ("WHOLE", arn.clone()),
        ("USER", format!("{arn}:user::")),
        ("PORT", format!("{arn}:port::")),
        ("PREVIOUS", format!("{arn}:user:AWSPREVIOUS:")),
        ("VERSION", format!("{arn}:user::{old}")),
    ];
    let many: Vec<String> = (0..11).map(|number| format!("M{number}")).collect();
    secrets.extend(many.iter().enumerate().map(|(number, name)| (name.as_str(), format!("/many/{number}"))));
    let definition = printing(&secrets, &["arn:aws:s3:::settings/deep/a b.env"]);
    let printed = run(&root, &definition, &credentials()).ok();
    let expected = [
        "KEY=of /app/key",
        "LEVEL=of level",
        "WHOLE={\"user\": \"new\", \"port\": 5432}",
        "USER=new",
        "PORT=5432",
        "PREVIOUS=old",
        "VERSION=old",
        "M10=of /many/10",
        "MODE=s3",
    ];
    for line in expected {
        assert!(printed.lines().any(|one| one == line), "{line} in {printed}");
    }

    let refused = |secrets: &[(&str, String)], files: &[&str], words: &[&str]| {
        let finished = run(&root, &printing(secrets, files), &credentials());
        assert_eq!(finished.code(), 1, "{finished:#?}");
        for word in words {
            assert!(finished.stderr.contains(word), "{word} in {}", finished.stderr);
        }
    };
    refused(&[("A", "/none".into())], &[], &["unable to retrieve secrets from ssm: ", "invalid ssm parameters: /none"]);
    refused(&[("A", format!("{arn}:pw::"))], &[], &["did not contain json key pw"]);
    refused(
        &[("A", arn.replace("app", "none"))],
        &[],
        &[
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: \
             unable to retrieve secret from asm: service call has been retried 0 time(s): failed to fetch secret",
            "operation error Secrets Manager: GetSecretValue, https response error StatusCode: 4",
            "ResourceNotFoundException: Secrets Manager can't find the specified secret",
        ],
    );
    refused(
        &[("A", format!("{arn}::none:"))],
        &[],
        &["unable to retrieve secret from asm", "ResourceNotFoundException"],
    );
    let missing = "arn:aws:s3:::settings/none.env";
    refused(&[], &[missing], &["failed to download env files: arn:aws:s3:::settings/none.env: ", "NoSuchKey"]);

    let answer = json!({ "Version": 1, "AccessKeyId": "AKPROCESS", "SecretAccessKey": "s", "SessionToken": "t" });
    std::fs::create_dir(root.path().join(".aws")).unwrap();
    let profile = format!("[profile team]\ncredential_process = echo '{answer}'\nendpoint_url = {}\n", moto.endpoint);
    std::fs::write(root.path().join(".aws/config"), profile).unwrap();
    root.configure(&(ASKS.to_owned() + "[aws]\nprofile = 'team'\n"));
    let printed = run(&root, &printing(&[("KEY", "/app/key".into())], &[]), &[]).ok();
    assert!(printed.contains("KEY=of /app/key"), "{printed}");
    std::fs::remove_dir_all(root.path().join(".aws")).unwrap();
    root.configure(&(ASKS.to_owned() + &moto.configuration()));
    let nobody = run(&root, &printing(&[("A", "/app/key".into())], &[]), &[]);
    assert!(nobody.code() == 1 && nobody.stderr.contains("no AWS credentials"), "{nobody:#?}");
}

/// Makes somebody who may do everything, and has moto look at every signature from the next request on.
const GUARD: &str = r#"
import urllib.request
iam = client('iam')
iam.create_user(UserName='me')
iam.put_user_policy(UserName='me', PolicyName='all', PolicyDocument=json.dumps({'Version': '2012-10-17',
    'Statement': [{'Effect': 'Allow', 'Action': '*', 'Resource': '*'}]}))
key = iam.create_access_key(UserName='me')['AccessKey']
url = iam.meta.endpoint_url + '/moto-api/reset-auth'
urllib.request.urlopen(urllib.request.Request(url, b'0', {'Content-Type': 'text/plain'})).read()
print(json.dumps({'key': key['AccessKeyId'], 'secret': key['SecretAccessKey']}))
"#;

#[test]
fn a_server_that_checks_signatures_takes_ours_and_refuses_those_of_a_wrong_key() {
    let root = Root::with_images(&["probe"]);
    let moto = Moto::start();
    moto.script(FILL);
    let keys = moto.script(GUARD);
    let (key, secret) = (keys["key"].as_str().unwrap(), keys["secret"].as_str().unwrap());
    root.configure(&(ASKS.to_owned() + &moto.configuration()));
    let definition = printing(&[("KEY", "/app/key".into())], &["arn:aws:s3:::settings/deep/a b.env"]);
    let known = [("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", secret)];
    let printed = run(&root, &definition, &known).ok();
    assert!(printed.contains("KEY=of /app/key") && printed.contains("MODE=s3"), "{printed}");
    let wrong = [("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", "wrong")];
    for definition in [definition, printing(&[], &["arn:aws:s3:::settings/deep/a b.env"])] {
        let refused = run(&root, &definition, &wrong);
        assert!(refused.code() == 1 && refused.stderr.contains("StatusCode: 403"), "{refused:#?}");
        assert!(!refused.stderr.contains("wrong"), "{refused:#?}");
    }
}
