//! The JSON that stands in messages of the data channel, and before them.

use serde::{Deserialize, Serialize};

/// What clients may compare: the first version of the agent whose behaviour they find here.
const AGENT_VERSION: &str = "3.1.0.0";

/// The first message of a client, as text: who it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Open {
    /// What ExecuteCommand, or ResumeSession, has answered.
    pub token_value: String,
    /// Whether the client wants to be told the exit code in a message of its own. Not one of AWS's members: its plugin
    /// would show the digits as output.
    #[serde(default)]
    pub exit_code: bool,
}

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Size {
    /// Characters in a line.
    pub cols: u32,
    /// Lines.
    pub rows: u32,
}

impl Size {
    /// The size that a payload says.
    pub fn read(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }
}

/// What a number asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// The end of the session.
    TerminateSession,
    /// Something about forwarded ports, which sessions of ECS Exec do not have.
    OfPorts,
}

impl Flag {
    /// The flag that a payload says.
    pub fn read(payload: &[u8]) -> Option<Self> {
        match u32::from_be_bytes(payload.try_into().ok()?) {
            1 | 3 => Some(Self::OfPorts),
            2 => Some(Self::TerminateSession),
            _ => None,
        }
    }
}

/// A message has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Acknowledgement {
    #[serde(rename = "AcknowledgedMessageType")]
    pub(super) kind: String,
    #[serde(rename = "AcknowledgedMessageId")]
    pub(super) id: String,
    #[serde(rename = "AcknowledgedMessageSequenceNumber")]
    pub(super) sequence: i64,
    #[serde(rename = "IsSequentialMessage")]
    pub(super) is_sequential: bool,
}

/// What is asked of a client first: to be a terminal. Nothing is encrypted but by TLS.
pub fn handshake_request() -> Vec<u8> {
    let action = serde_json::json!({
        "ActionType": "SessionType",
        "ActionParameters": { "SessionType": "InteractiveCommands", "Properties": null },
    });
    serde_json::json!({ "AgentVersion": AGENT_VERSION, "RequestedClientActions": [action] }).to_string().into_bytes()
}

/// The client has done it, after so many nanoseconds.
pub fn handshake_complete(took: std::time::Duration) -> Vec<u8> {
    let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    serde_json::json!({ "HandshakeTimeToComplete": took, "CustomerMessage": "" }).to_string().into_bytes()
}

/// The end of a session. Clients show `output`, if there is any, beside the session's id.
pub fn channel_closed(session: &str, id: u128, created: u64, output: &str) -> Vec<u8> {
    let closed = serde_json::json!({
        "MessageId": uuid::Uuid::from_u128(id).to_string(),
        "CreatedDate": created.to_string(),
        "DestinationId": session,
        "SessionId": session,
        "MessageType": "channel_closed",
        "SchemaVersion": 1,
        "Output": output,
    });
    closed.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_of_awss_opens_and_one_may_ask_for_the_exit_code() {
        let text =
            r#"{"MessageSchemaVersion":"1.0","RequestId":"r","TokenValue":"t","ClientId":"c","ClientVersion":"1.2"}"#;
        let open: Open = serde_json::from_str(text).unwrap();
        assert_eq!(open, Open { token_value: "t".to_owned(), exit_code: false });
        let open: Open = serde_json::from_str(r#"{"TokenValue":"t","ExitCode":true}"#).unwrap();
        assert!(open.exit_code);
    }

    #[test]
    fn sizes_and_flags_are_read_and_nonsense_is_nothing() {
        assert_eq!(Size::read(br#"{"cols":80,"rows":24}"#), Some(Size { cols: 80, rows: 24 }));
        assert_eq!(Size::read(br#"{"cols":-1}"#), None);
        assert_eq!(Flag::read(&[0, 0, 0, 2]), Some(Flag::TerminateSession));
        assert_eq!((Flag::read(&[0, 0, 0, 1]), Flag::read(&[2])), (Some(Flag::OfPorts), None));
    }
}
