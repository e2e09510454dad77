//! STS: who the caller is.

use super::params::Params;
use super::xml::{document, text, tree};
use super::{Fault, XmlAnswer};
use crate::ops::Engine;
use crate::ops::actions::Caller;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Answers a request to STS.
pub(super) fn answer(engine: &Engine, caller: &Caller, params: &Params, id: &str) -> XmlAnswer {
    match params.get("Action") {
        Some("GetCallerIdentity") => identity(&engine.owner().account, caller, id),
        Some(other) => {
            fault(&Fault::new("InvalidAction", format!("Could not find operation {other} for version 2011-06-15")), id)
        }
        None => fault(&Fault::new("MissingAction", "The request must contain the parameter Action."), id),
    }
}

fn identity(account: &str, caller: &Caller, id: &str) -> XmlAnswer {
    let user = match caller.name.as_str() {
        "root" => account.to_owned(),
        name => user_id(name),
    };
    let result = vec![text("Arn", caller.arn(account)), text("UserId", user), text("Account", account)];
    let nodes = [tree("GetCallerIdentityResult", result), tree("ResponseMetadata", vec![text("RequestId", id)])];
    XmlAnswer { status: 200, body: document("GetCallerIdentityResponse", Some(NAMESPACE), &nodes) }
}

/// The unique id of a user, in the form of IAM's: made of the name, so that it is always the same.
fn user_id(name: &str) -> String {
    const SET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut hash = name.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b)
    });
    let digits = (0..17).map(|_| {
        let digit = char::from(SET[(hash % 32) as usize]);
        hash /= 32;
        digit
    });
    format!("AIDA{}", digits.collect::<String>())
}

fn fault(fault: &Fault, id: &str) -> XmlAnswer {
    let kind = if fault.status < 500 { "Sender" } else { "Receiver" };
    let error = vec![text("Type", kind), text("Code", fault.code.clone()), text("Message", fault.message.clone())];
    let nodes = [tree("Error", error), text("RequestId", id)];
    XmlAnswer { status: fault.status, body: document("ErrorResponse", Some(NAMESPACE), &nodes) }
}
