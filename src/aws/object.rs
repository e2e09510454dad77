//! One object of S3, whole. A bucket is asked at its own host name, as S3 wants it, or by its path where the endpoint is
//! not AWS's or the bucket's name cannot be a host's; and in its own region, which S3 tells whoever asks in another.

use super::client::{Client, Draft, shown};
use super::error::AwsError;
use super::http::Answer;
use super::settings::{Endpoint, Origin, Service};

const OPERATION: &str = "S3: GetObject";

/// What came of one question.
enum Found {
    Object(Vec<u8>),
    /// The bucket lives in this region.
    Elsewhere(String),
}

impl Client {
    /// The content of an object, at most `limit` bytes of it.
    pub fn object(&self, bucket: &str, key: &str, limit: u64) -> Result<Vec<u8>, AwsError> {
        let mut region = self.region().to_owned();
        // A bucket has one region: whoever was sent on once is right.
        for _ in 0..2 {
            match self.ask(bucket, key, &region, limit)? {
                Found::Object(content) => return Ok(content),
                Found::Elsewhere(other) => region = other,
            }
        }
        let reason = format!("bucket {bucket} is said to be in {region}, and is not");
        Err(AwsError::Answer { operation: OPERATION.to_owned(), reason })
    }

    fn ask(&self, bucket: &str, key: &str, region: &str, limit: u64) -> Result<Found, AwsError> {
        let url = address(&self.endpoint(Service::S3, region), bucket, key);
        let draft = Draft {
            service: Service::S3,
            operation: OPERATION,
            region,
            method: "GET",
            url: &url,
            headers: &[],
            body: &[],
            limit,
        };
        self.retried(&draft, |answer| judge(answer, region))
    }
}

fn judge(answer: Answer, region: &str) -> Result<Found, AwsError> {
    let other = answer.header("x-amz-bucket-region").filter(|other| *other != region);
    match (answer.status, other) {
        (200..=299, _) => Ok(Found::Object(answer.body)),
        (301 | 307 | 400, Some(other)) => Ok(Found::Elsewhere(other.to_owned())),
        _ => Err(refusal(&answer)),
    }
}

/// Where an object is.
fn address(endpoint: &Endpoint, bucket: &str, key: &str) -> String {
    let key = encoded(key);
    match endpoint.url.split_once("://") {
        // A dot would make it a host below the one that the certificate names.
        Some((scheme, host)) if endpoint.origin == Origin::Aws && !bucket.contains('.') => {
            format!("{scheme}://{bucket}.{host}/{key}")
        }
        _ => format!("{}/{bucket}/{key}", endpoint.url),
    }
}

/// A key as S3 signs it: everything but unreserved characters and slashes is encoded, once.
fn encoded(key: &str) -> String {
    let one = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    key.bytes().map(one).collect()
}

/// What S3 says when it refuses: XML, of which two texts are wanted.
fn refusal(answer: &Answer) -> AwsError {
    let body = String::from_utf8_lossy(&answer.body);
    let element = |name: &str| {
        let rest = body.split_once(&format!("<{name}>"))?.1;
        Some(shown(rest.split_once(&format!("</{name}>"))?.0))
    };
    AwsError::Service {
        operation: OPERATION.to_owned(),
        status: answer.status,
        request: answer.header("x-amz-request-id").unwrap_or_default().to_owned(),
        code: element("Code").unwrap_or_else(|| "UnknownError".to_owned()),
        message: element("Message").unwrap_or_else(|| "UnknownError".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_has_a_host_of_its_own_at_aws_only() {
        let aws = Endpoint { url: "https://s3.eu-west-1.amazonaws.com".into(), origin: Origin::Aws };
        let local = Endpoint { url: "http://127.0.0.1:5000".into(), origin: Origin::Configured };
        assert_eq!(address(&aws, "b", "a/c.env"), "https://b.s3.eu-west-1.amazonaws.com/a/c.env");
        assert_eq!(address(&aws, "b.c", "x"), "https://s3.eu-west-1.amazonaws.com/b.c/x");
        assert_eq!(address(&local, "b", "x y+ä.env"), "http://127.0.0.1:5000/b/x%20y%2B%C3%A4.env");
    }
}
