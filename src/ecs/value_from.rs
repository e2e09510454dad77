//! Where the value of a secret is, as a task definition names it (`valueFrom`), and which S3 object an environment file
//! is. Parsed, and nothing more.

use std::str::FromStr;

/// A `valueFrom`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ValueFrom {
    /// A parameter of Systems Manager: a name, which is one of the task's own region, or an ARN.
    Parameter {
        /// Its name, perhaps with `:VERSION` or `:LABEL` behind it.
        name: String,
        /// The region of its ARN.
        region: Option<String>,
    },
    /// A secret of Secrets Manager.
    Secret(SecretReference),
}

/// `arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME[:JSON-KEY:VERSION-STAGE:VERSION-ID]`, of whose last three any
/// may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretReference {
    /// The ARN up to the name.
    pub arn: String,
    /// The region.
    pub region: String,
    /// The name, with a hyphen and six characters behind it unless they were left out.
    pub name: String,
    /// The member of the secret's JSON object that is wanted.
    pub json_key: Option<String>,
    /// The version's stage.
    pub stage: Option<String>,
    /// The version's id.
    pub version: Option<String>,
}

/// A text is no `valueFrom`. The words are those of the ECS agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueFromError {
    /// The ARN of a secret with neither none nor three parts behind its name.
    #[error(
        "trying to retrieve secret with value {0} resulted in error: an invalid ARN format for the AWS Secrets Manager \
         secret was specified. Specify a valid ARN and try again."
    )]
    Secret(String),
    /// Another ARN, or one that ends too early.
    #[error("{0} is neither the ARN of a Secrets Manager secret nor the name or the ARN of an SSM parameter")]
    Other(String),
}

impl FromStr for ValueFrom {
    type Err = ValueFromError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let other = || ValueFromError::Other(text.to_owned());
        if !text.starts_with("arn:") {
            // An ARN cut off in front is the usual mistake.
            let is_name = !text.is_empty() && !text.contains(char::is_whitespace);
            return if is_name { Ok(Self::Parameter { name: text.to_owned(), region: None }) } else { Err(other()) };
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let [_, _, service, region, _, resource] = parts[..] else { return Err(other()) };
        match service {
            "ssm" => {
                let path = resource.strip_prefix("parameter/").filter(|path| !path.is_empty()).ok_or_else(other)?;
                // The ARN of `/a/b` is that of `a/b`: a name with a slash in it begins with one.
                let name = if path.contains('/') { format!("/{path}") } else { path.to_owned() };
                Ok(Self::Parameter { name, region: Some(region.to_owned()) })
            }
            "secretsmanager" => secret(text, region, resource).map(Self::Secret),
            _ => Err(other()),
        }
    }
}

fn secret(text: &str, region: &str, resource: &str) -> Result<SecretReference, ValueFromError> {
    let wrong = || ValueFromError::Secret(text.to_owned());
    let parts: Vec<&str> = resource.split(':').collect();
    let (name, [key, stage, version]) = match parts[..] {
        ["secret", name] => (name, [""; 3]),
        ["secret", name, key, stage, version] => (name, [key, stage, version]),
        _ => return Err(wrong()),
    };
    if name.is_empty() || region.is_empty() {
        return Err(wrong());
    }
    let given = |part: &str| Some(part.to_owned()).filter(|part| !part.is_empty());
    let behind = if parts.len() == 2 { 0 } else { 3 + key.len() + stage.len() + version.len() };
    Ok(SecretReference {
        arn: text[..text.len() - behind].to_owned(),
        region: region.to_owned(),
        name: name.to_owned(),
        json_key: given(key),
        stage: given(stage),
        version: given(version),
    })
}

/// `arn:PARTITION:s3:::BUCKET/KEY`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectArn {
    /// The bucket.
    pub bucket: String,
    /// The object's key.
    pub key: String,
}

/// A text is not the ARN of an S3 object. The words are ECS's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid arn syntax")]
pub struct ObjectArnError;

impl FromStr for ObjectArn {
    type Err = ObjectArnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", _, "s3", _, _, resource] = parts[..] else { return Err(ObjectArnError) };
        let (bucket, key) = resource.split_once('/').ok_or(ObjectArnError)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_bucket = (3..=63).contains(&bucket.len()) && bucket.bytes().all(plain) && !bucket.starts_with('.');
        match is_bucket && !key.is_empty() {
            true => Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() }),
            false => Err(ObjectArnError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app/db-a1B2c3";

    fn parsed(text: &str) -> Result<ValueFrom, ValueFromError> {
        text.parse()
    }

    fn secret(text: &str) -> SecretReference {
        let Ok(ValueFrom::Secret(secret)) = parsed(text) else { panic!("{text}") };
        secret
    }

    #[test]
    fn a_name_is_a_parameter_and_so_is_its_arn() {
        let parameter = |name: &str, region: Option<&str>| {
            Ok(ValueFrom::Parameter { name: name.into(), region: region.map(str::to_owned) })
        };
        assert_eq!(parsed("/app/db"), parameter("/app/db", None));
        assert_eq!(parsed("db:3"), parameter("db:3", None));
        let arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/";
        assert_eq!(parsed(&format!("{arn}app/db")), parameter("/app/db", Some("eu-west-1")));
        assert_eq!(parsed(&format!("{arn}db")), parameter("db", Some("eu-west-1")));
    }

    #[test]
    fn a_secret_has_three_parts_behind_its_name_or_none() {
        let plain = secret(SECRET);
        assert_eq!((plain.arn.as_str(), plain.name.as_str()), (SECRET, "app/db-a1B2c3"));
        assert_eq!((plain.region.as_str(), plain.json_key), ("eu-west-1", None));
        let full = secret(&format!("{SECRET}:password:AWSPREVIOUS:id"));
        assert_eq!(full.arn, SECRET);
        assert_eq!(full.json_key.as_deref(), Some("password"));
        assert_eq!((full.stage.as_deref(), full.version.as_deref()), (Some("AWSPREVIOUS"), Some("id")));
        let key = secret(&format!("{SECRET}:password::"));
        assert_eq!((key.json_key.as_deref(), key.stage, key.version), (Some("password"), None, None));
        for wrong in [":password", ":password:", ":password:::"] {
            assert!(matches!(parsed(&format!("{SECRET}{wrong}")), Err(ValueFromError::Secret(_))), "{wrong}");
        }
    }

    #[test]
    fn other_arns_and_pieces_of_arns_are_none() {
        for wrong in ["", "a b", "arn:aws:ssm:r:1", "arn:aws:s3:::b/k", "arn:aws:ssm:r:1:parameter/", "arn:x"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
        assert!(parsed("arn:aws:secretsmanager:r:1:secret:").is_err());
    }

    #[test]
    fn an_object_has_a_bucket_and_a_key() {
        let object: ObjectArn = "arn:aws:s3:::my-bucket/a/b c.env".parse().unwrap();
        assert_eq!((object.bucket.as_str(), object.key.as_str()), ("my-bucket", "a/b c.env"));
        for wrong in
            ["s3://b/k", "arn:aws:s3:::bucket", "arn:aws:s3:::bucket/", "arn:aws:ssm:::bucket/k", "arn:aws:s3:::../k"]
        {
            assert!(wrong.parse::<ObjectArn>().is_err(), "{wrong}");
        }
    }
}
