//! Signature version 4, made by AWS's own crate. S3 signs the path as it is sent, everything else encodes it again.

use std::error::Error;
use std::time::SystemTime;

use aws_credential_types::Credentials as Identity;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign as sign_v4,
};
use aws_sigv4::sign::v4;
use ureq::http::{HeaderName, HeaderValue, Request};

use super::credentials::Credentials;
use super::settings::Service;

/// Adds the signature's headers to a request.
pub(super) fn sign(
    request: &mut Request<Vec<u8>>,
    credentials: &Credentials,
    service: Service,
    region: &str,
    now: SystemTime,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let token = credentials.token.as_ref().map(|token| token.0.clone());
    let identity = Identity::new(&credentials.key, &credentials.secret.0, token, None, "berth").into();
    let mut settings = SigningSettings::default();
    if service == Service::S3 {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    }
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service.name())
        .time(now)
        .settings(settings)
        .build()?
        .into();
    let headers = request.headers().iter().map(|(name, value)| Ok((name.as_str(), value.to_str()?)));
    let headers = headers.collect::<Result<Vec<_>, ureq::http::header::ToStrError>>()?;
    let uri = request.uri().to_string();
    let body = SignableBody::Bytes(request.body());
    let signable = SignableRequest::new(request.method().as_str(), uri, headers.into_iter(), body)?;
    let (signature, _) = sign_v4(signable, &params)?.into_parts();
    let added: Vec<_> = signature.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for (name, value) in added {
        let mut value = HeaderValue::try_from(value)?;
        value.set_sensitive(true);
        request.headers_mut().insert(HeaderName::try_from(name)?, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::credentials::Secret;
    use super::*;

    /// The example of the AWS General Reference's "Signature Version 4 test suite", `get-vanilla`.
    #[test]
    fn the_signature_is_that_of_awss_test_suite() {
        let credentials = Credentials {
            key: "AKIDEXAMPLE".into(),
            secret: Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into()),
            token: None,
            expires: None,
        };
        let mut request = Request::get("https://example.amazonaws.com/").body(Vec::new()).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160); // 2015-08-30T12:36:00Z
        sign(&mut request, &credentials, Service::Ssm, "us-east-1", at).unwrap();
        let authorization = request.headers()["authorization"].to_str().unwrap();
        assert!(
            authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/ssm/aws4_request")
        );
        assert_eq!(request.headers()["x-amz-date"], "20150830T123600Z");
        assert!(!request.headers().contains_key("x-amz-security-token"));
    }
}
