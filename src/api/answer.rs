//! Performing a call, and writing down what comes of it: JSON for ECS, XML for services with forms.

use super::front::{Call, Service};
use super::refusal::Refusal;
use crate::ops::{Engine, Neighbour, XmlAnswer, actions, neighbour};

/// What goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The exception's name, if it is one.
    pub error: Option<String>,
    /// `application/x-amz-json-1.1`, `text/xml`.
    pub content_type: &'static str,
    /// The bytes.
    pub body: Vec<u8>,
}

const JSON: &str = "application/x-amz-json-1.1";
const XML: &str = "text/xml;charset=UTF-8";

/// Performs a call; `body` is the request's.
pub fn perform(engine: &mut Engine, call: &Call, body: &[u8], id: &str) -> Answer {
    let which = match call.service {
        Service::Ecs => {
            return match actions::call(engine, &call.caller, &call.action, body) {
                Ok(body) => Answer { status: 200, error: None, content_type: JSON, body },
                Err(error) => refuse(call.service, error.into(), id),
            };
        }
        // Sessions are the endpoint's own, and no engine is needed for them.
        Service::Ssm => return refuse(call.service, Refusal::new("UnknownOperationException", ""), id),
        Service::Sts => Neighbour::Sts,
        Service::Ec2 => Neighbour::Ec2,
    };
    let XmlAnswer { status, body } = neighbour(engine, &call.caller, which, body, id);
    let code = body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    let error = code.filter(|_| status != 200).map(|(code, _)| code.to_owned());
    Answer { status, error, content_type: XML, body: body.into_bytes() }
}

fn content_type(service: Service) -> &'static str {
    match service {
        Service::Ecs | Service::Ssm => JSON,
        Service::Sts | Service::Ec2 => XML,
    }
}

/// The answer that says no, in the form of the service that was called.
pub(super) fn refuse(service: Service, refusal: Refusal, id: &str) -> Answer {
    let (status, body) = match service {
        Service::Ecs | Service::Ssm => {
            let Refusal { status, code, message, body } = &refusal;
            let plain = || serde_json::json!({ "__type": code, "message": message }).to_string().into_bytes();
            (*status, body.clone().unwrap_or_else(plain))
        }
        Service::Sts => xml(&refusal, id, sts_code(&refusal.code), sts_document),
        Service::Ec2 => xml(&refusal, id, ec2_code(&refusal.code), ec2_document),
    };
    Answer { status, error: Some(refusal.code), content_type: content_type(service), body }
}

type Document = fn(&str, &str, &str) -> String;

fn xml(refusal: &Refusal, id: &str, known: Option<(u16, &str)>, document: Document) -> (u16, Vec<u8>) {
    let (status, code) = known.unwrap_or((refusal.status, &refusal.code));
    let message = quick_xml::escape::escape(refusal.message.as_str());
    (status, document(&quick_xml::escape::escape(code), &message, id).into_bytes())
}

fn sts_document(code: &str, message: &str, id: &str) -> String {
    format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>"
    )
}

fn ec2_document(code: &str, message: &str, id: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message>\
         </Error></Errors><RequestID>{id}</RequestID></Response>"
    )
}

/// How STS calls what ECS calls so.
fn sts_code(code: &str) -> Option<(u16, &'static str)> {
    Some(match code {
        "MissingAuthenticationTokenException" => (403, "MissingAuthenticationToken"),
        "UnrecognizedClientException" => (403, "InvalidClientTokenId"),
        "InvalidSignatureException" => (403, "SignatureDoesNotMatch"),
        "IncompleteSignatureException" => (400, "IncompleteSignature"),
        "ExpiredTokenException" => (403, "ExpiredToken"),
        "AccessDeniedException" => (403, "AccessDenied"),
        "ThrottlingException" => (400, "Throttling"),
        "UnknownOperationException" => (400, "InvalidAction"),
        "ServerException" => (500, "InternalFailure"),
        _ => return None,
    })
}

/// How EC2 calls what ECS calls so.
fn ec2_code(code: &str) -> Option<(u16, &'static str)> {
    Some(match code {
        "MissingAuthenticationTokenException" => (400, "MissingAuthenticationToken"),
        "UnrecognizedClientException" | "InvalidSignatureException" => (401, "AuthFailure"),
        "IncompleteSignatureException" => (400, "IncompleteSignature"),
        "ExpiredTokenException" => (400, "RequestExpired"),
        "AccessDeniedException" => (403, "UnauthorizedOperation"),
        "ThrottlingException" => (503, "RequestLimitExceeded"),
        "UnknownOperationException" => (400, "InvalidAction"),
        "ServerException" => (500, "InternalError"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_form_of_the_service_that_was_called() {
        let refusal = Refusal::unknown_key();
        let ecs = refuse(Service::Ecs, refusal.clone(), "id");
        assert_eq!((ecs.status, ecs.content_type), (400, JSON));
        assert_eq!(
            String::from_utf8(ecs.body).unwrap(),
            r#"{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}"#
        );
        let sts = refuse(Service::Sts, refusal.clone(), "id");
        assert_eq!(sts.status, 403);
        assert!(String::from_utf8(sts.body).unwrap().contains("<Code>InvalidClientTokenId</Code>"));
        let ec2 = refuse(Service::Ec2, Refusal { message: "a<b".into(), ..refusal }, "id");
        assert_eq!(ec2.status, 401);
        assert!(String::from_utf8(ec2.body).unwrap().contains("<Code>AuthFailure</Code><Message>a&lt;b</Message>"));
    }
}
