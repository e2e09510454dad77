//! From JSON as it was written to JSON as the service model has it: by the shapes of `fields`, with numbers as strings
//! and the like put right, and every deviation reported. What cannot be read is left out. Called by `parse`.

use serde_json::{Map, Value};

use super::fields::{Field, Shape};
use super::json::{self, Member, Node, excerpt};
use super::problem::Severity;
use super::report::{Path, Report, Strictness, Words};
use super::suggest;
use crate::ecs::error::Exception;

/// An object of these members; nothing if it is no object, or if a member that it must have is missing.
fn structure(fields: &'static [Field], node: &Node, path: &Path, report: &mut Report) -> Option<Value> {
    let json::Value::Object(given) = &node.value else {
        return mismatch("an object", node, path, report);
    };
    let result = members(fields, given, path, report);
    let whole = fields.iter().all(|field| !field.required || field.ruled || result.contains_key(field.name));
    whole.then_some(Value::Object(result))
}

/// Those of the given members that are known and can be read.
pub(super) fn members(
    fields: &'static [Field],
    given: &[Member],
    path: &Path,
    report: &mut Report,
) -> Map<String, Value> {
    let mut result = Map::new();
    for member in given {
        match fields.iter().find(|field| field.name == member.name) {
            // Null is absence on this wire, and describe output is full of it.
            Some(_) if member.node.value == json::Value::Null => {}
            Some(field) => {
                let value = convert(&field.shape, &member.node, &path.member(field.name), report);
                result.extend(value.map(|value| (field.name.to_owned(), value)));
            }
            None => unknown(fields, member, path, report),
        }
    }
    for field in fields.iter().filter(|field| field.required && !field.ruled && is_missing(given, field.name)) {
        let message = format!("{} is missing", field.name);
        report.unreadable(&path.member(field.name), Exception::InvalidParameterException, message);
    }
    result
}

fn is_missing(members: &[Member], name: &str) -> bool {
    !members.iter().any(|member| member.name == name && member.node.value != json::Value::Null)
}

/// The endpoint passes over what ECS does not know, as ECS does; in a file it is a slip.
fn unknown(fields: &'static [Field], member: &Member, path: &Path, report: &mut Report) {
    let severity = match report.strictness {
        Strictness::Lenient => Severity::Error,
        Strictness::Strict => Severity::Warning,
    };
    if report.drops(severity) {
        return;
    }
    let nearest = suggest::nearest(&member.name, fields.iter().map(|field| field.name));
    let help = nearest.map(|name| format!("did you mean {name:?}?"));
    let words = Words::new(format!("ECS knows no member {}", excerpt(&member.name))).help(help);
    report.at(member.at, severity, &path.member(member.name.clone()), words);
}

fn convert(shape: &Shape, node: &Node, path: &Path, report: &mut Report) -> Option<Value> {
    match shape {
        Shape::Text => text(node, path, report).map(Value::String),
        Shape::Word(words) => {
            let text = text(node, path, report)?;
            if words.iter().any(|word| word.text == text) {
                return Some(Value::String(text));
            }
            let known: Vec<_> = words.iter().map(|word| word.text).collect();
            let nearest = suggest::nearest(&text, known.iter().copied());
            let help = nearest.map(|word| format!("did you mean {word:?}?"));
            let words = Words::new(format!("{} is not one of {}", excerpt(&text), known.join(", "))).help(help);
            report.unreadable(path, Exception::InvalidParameterException, words);
            None
        }
        Shape::Integer => integer(node, path, report).map(Value::from),
        Shape::Boolean => boolean(node, path, report).map(Value::Bool),
        Shape::List(of) => list(of, node, path, report),
        Shape::Map => map(node, path, report),
        Shape::Structure(fields) => structure(fields, node, path, report),
    }
}

fn text(node: &Node, path: &Path, report: &mut Report) -> Option<String> {
    let text = match &node.value {
        json::Value::String(text) => text.clone(),
        json::Value::Number(literal) => literal.clone(),
        json::Value::Bool(value) => value.to_string(),
        _ => return mismatch("a string", node, path, report),
    };
    if !matches!(node.value, json::Value::String(_)) {
        coerced("a string", node, path, report);
    }
    if text.contains('\0') {
        // No string of a task may hold one: the kernel's strings end there.
        report.unreadable(path, Exception::InvalidParameterException, "a NUL character in a string");
        return None;
    }
    Some(text)
}

fn integer(node: &Node, path: &Path, report: &mut Report) -> Option<i32> {
    let literal = match &node.value {
        json::Value::Number(literal) => literal.as_str(),
        json::Value::String(text) => text.trim(),
        _ => return mismatch("a number", node, path, report),
    };
    let number: f64 = match literal.parse() {
        // A double holds every number of 32 bits exactly, so nothing is lost on this way.
        Ok(number) if literal.bytes().all(|b| b.is_ascii_digit() || b"-.eE+".contains(&b)) => number,
        _ => return mismatch("a number", node, path, report),
    };
    if number.fract() != 0.0 || number < f64::from(i32::MIN) || number > f64::from(i32::MAX) {
        let message = format!("{} is not a whole number of 32 bits", found(node));
        report.unreadable(path, Exception::SerializationException, message);
        return None;
    }
    if !matches!(&node.value, json::Value::Number(literal) if literal.parse::<i32>().is_ok()) {
        coerced("a whole number", node, path, report);
    }
    Some(number as i32)
}

fn boolean(node: &Node, path: &Path, report: &mut Report) -> Option<bool> {
    let value = match &node.value {
        json::Value::Bool(value) => return Some(*value),
        json::Value::String(text) if text.eq_ignore_ascii_case("true") => true,
        json::Value::String(text) if text.eq_ignore_ascii_case("false") => false,
        _ => return mismatch("true or false", node, path, report),
    };
    coerced("true or false", node, path, report);
    Some(value)
}

/// A list without its unreadable elements would be another list: then there is none. Only of containers the others are
/// still looked at.
fn list(of: &'static Shape, node: &Node, path: &Path, report: &mut Report) -> Option<Value> {
    let json::Value::Array(elements) = &node.value else {
        return mismatch("a list", node, path, report);
    };
    let containers = *path == Path::root().member("containerDefinitions");
    let converted: Vec<_> = elements
        .iter()
        .enumerate()
        .map(|(index, element)| convert(of, element, &path.element(index), report))
        .map(|element| element.or_else(|| containers.then(|| Value::Object(Map::new()))))
        .collect();
    converted.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
}

fn map(node: &Node, path: &Path, report: &mut Report) -> Option<Value> {
    let json::Value::Object(members) = &node.value else {
        return mismatch("an object", node, path, report);
    };
    let mut result = Map::new();
    for member in members {
        let value = text(&member.node, &path.member(member.name.clone()), report);
        result.extend(value.map(|value| (member.name.clone(), Value::String(value))));
    }
    Some(Value::Object(result))
}

fn mismatch<T>(wanted: &str, node: &Node, path: &Path, report: &mut Report) -> Option<T> {
    let message = format!("expected {wanted}, found {}", found(node));
    report.unreadable(path, Exception::SerializationException, message);
    None
}

fn coerced(wanted: &str, node: &Node, path: &Path, report: &mut Report) {
    report.coerced(path, format!("ECS expects {wanted} here and refuses {}", found(node)));
}

fn found(node: &Node) -> String {
    match &node.value {
        json::Value::String(text) => format!("the string {}", excerpt(text)),
        json::Value::Number(literal) => format!("the number {literal}"),
        json::Value::Bool(value) => value.to_string(),
        value => value.kind().to_owned(),
    }
}
