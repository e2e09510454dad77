//! From text to a task definition: the JSON that people have, the wrapper that describe-task-definition puts around it,
//! the members that only ECS may set. Whether the definition makes sense is asked afterwards, by `validate`.

use serde_json::Value;

use super::convert;
use super::fields::{READ_ONLY, TASK_DEFINITION};
use super::json::{self, Member, Node};
use super::problem::{Problem, Severity};
use super::report::{Path, Report, Strictness};
use crate::ecs::TaskDefinition;
use crate::ecs::error::Exception;

/// Larger texts are not read: ECS takes definitions up to 64 KiB, and white space is generous at this.
const MAX_BYTES: usize = 1 << 20;

/// A definition as it was read, what was wrong with its form, and its text for what will be found wrong later.
#[derive(Debug, Clone)]
pub struct Parsed {
    definition: Option<TaskDefinition>,
    pub(super) report: Report,
}

impl Parsed {
    /// The definition without what could not be read; nothing if there is no telling one.
    pub fn definition(&self) -> Option<&TaskDefinition> {
        self.definition.as_ref()
    }

    /// What is wrong with the form, in the order of the text.
    pub fn problems(&self) -> Vec<Problem> {
        self.report.problems()
    }

    pub(super) fn into_parts(self) -> (Option<TaskDefinition>, Report) {
        (self.definition, self.report)
    }
}

/// Reads a definition from the bytes of a file or a request.
pub fn parse_bytes(bytes: &[u8], strictness: Strictness) -> Parsed {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(text, strictness),
        Err(error) => {
            let readable = &bytes[..error.valid_up_to()];
            let mut report = Report::new(&String::from_utf8_lossy(readable), strictness);
            let message = match bytes {
                [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "this is UTF-16: save the file as UTF-8",
                _ => "this byte is not UTF-8",
            };
            report.at(readable.len(), Severity::Error, &Path::root(), message);
            Parsed { definition: None, report }
        }
    }
}

/// Reads a definition: RegisterTaskDefinition's JSON, or what describe-task-definition prints.
pub fn parse(text: &str, strictness: Strictness) -> Parsed {
    let (root, mut report) = document(text, strictness);
    let definition = root.and_then(|root| {
        let (root, tags) = unwrap(root, &mut report);
        let root = without_read_only(root, tags, &mut report);
        report.source.root = Some(root.clone());
        read(&root, &mut report)
    });
    Parsed { definition, report }
}

/// The JSON of a text, and what is wrong with it.
pub(super) fn document(text: &str, strictness: Strictness) -> (Option<Node>, Report) {
    if text.len() > MAX_BYTES {
        let mut report = Report::new("", strictness);
        report.at(0, Severity::Error, &Path::root(), format!("longer than {MAX_BYTES} bytes"));
        return (None, report);
    }
    let mut report = Report::new(text, strictness);
    let (root, faults) = json::read(text);
    for fault in faults {
        report.at(fault.at, Severity::Error, &Path::root(), fault.message);
    }
    (root, report)
}

fn read(root: &Node, report: &mut Report) -> Option<TaskDefinition> {
    let json::Value::Object(members) = &root.value else {
        let message = format!("expected an object with family and containerDefinitions, found {}", root.value.kind());
        report.unreadable(&Path::root(), Exception::SerializationException, message);
        return None;
    };
    let value = convert::members(TASK_DEFINITION, members, &Path::root(), report);
    match serde_json::from_value(Value::Object(value)) {
        Ok(definition) => Some(definition),
        Err(error) => {
            report.unreadable(&Path::root(), Exception::SerializationException, error.to_string());
            None
        }
    }
}

/// Takes the definition, and its tags, out of describe-task-definition's answer.
fn unwrap(root: Node, report: &mut Report) -> (Node, Option<Member>) {
    let json::Value::Object(members) = root.value else { return (root, None) };
    let wrapped = members.iter().any(|m| m.name == "taskDefinition" && matches!(m.node.value, json::Value::Object(_)));
    if !wrapped || report.strictness == Strictness::Strict {
        return (Node { at: root.at, value: json::Value::Object(members) }, None);
    }
    let (mut definition, mut tags) = (root.at, None);
    let mut value = json::Value::Null;
    for member in members {
        match member.name.as_str() {
            "taskDefinition" => (definition, value) = (member.node.at, member.node.value),
            "tags" => tags = Some(member),
            name => {
                let message = format!("{} beside \"taskDefinition\" is passed over", json::excerpt(name));
                report.at(member.at, Severity::Warning, &Path::root(), message);
            }
        }
    }
    let message = "this is what describe-task-definition prints: ECS takes only what is within \"taskDefinition\"";
    report.at(root.at, Severity::Warning, &Path::root(), message);
    (Node { at: definition, value }, tags)
}

/// Leaves out what only ECS may set, whatever its form: dates are numbers in one client's output and text in another's.
fn without_read_only(root: Node, tags: Option<Member>, report: &mut Report) -> Node {
    let json::Value::Object(members) = root.value else { return root };
    let (read_only, mut members): (Vec<_>, Vec<_>) =
        members.into_iter().partition(|member| READ_ONLY.contains(&member.name.as_str()));
    let set: Vec<_> = read_only.iter().filter(|member| member.node.value != json::Value::Null).collect();
    if let Some(first) = set.first() {
        let names: Vec<_> = set.iter().map(|member| member.name.as_str()).collect();
        let message = format!("only ECS sets these, they are passed over: {}", names.join(", "));
        report.at(first.at, Severity::Warning, &Path::root().member(first.name.clone()), message);
    }
    if !members.iter().any(|member| member.name == "tags") {
        members.extend(tags);
    }
    Node { at: root.at, value: json::Value::Object(members) }
}

#[cfg(test)]
mod tests;
