//! What clients of Systems Manager ask about a session: ResumeSession and TerminateSession.

use serde::Deserialize;
use serde_json::json;

use super::Sessions;
use crate::api::answer::{Answer, refuse};
use crate::api::front::{Call, Service};
use crate::api::refusal::Refusal;
use crate::ops::actions::Access;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    session_id: String,
}

/// Answers for Systems Manager.
pub(in crate::api) fn answer(sessions: &Sessions, call: &Call, body: &[u8], id: &str) -> Answer {
    match act(sessions, call, body) {
        Ok(body) => Answer {
            status: 200,
            error: None,
            content_type: "application/x-amz-json-1.1",
            body: body.to_string().into_bytes(),
        },
        Err(refusal) => refuse(Service::Ssm, refusal, id),
    }
}

fn act(sessions: &Sessions, call: &Call, body: &[u8]) -> Result<serde_json::Value, Refusal> {
    if call.caller.access != Access::Full {
        let message = format!("A key that may only read may not call {}.", call.action);
        return Err(Refusal::new("AccessDeniedException", message));
    }
    let request: Result<Request, _> = serde_json::from_slice(body);
    let read = || request.map_err(|_| Refusal::new("SerializationException", "SessionId is missing."));
    let caller = call.caller.name.as_str();
    match call.action.as_str() {
        "ResumeSession" => {
            let id = read()?.session_id;
            // Without a token clients say that the session has timed out, and end.
            let Some(token) = sessions.resume(&id, caller) else { return Ok(json!({ "SessionId": id })) };
            let origin = call.caller.streams.as_deref().unwrap_or_default();
            Ok(json!({
                "SessionId": id, "TokenValue": token, "StreamUrl": format!("{origin}{}", super::path(&id)),
            }))
        }
        "TerminateSession" => {
            let id = read()?.session_id;
            sessions.terminate(&id, caller);
            Ok(json!({ "SessionId": id }))
        }
        _ => Err(Refusal::new("UnknownOperationException", "")),
    }
}
