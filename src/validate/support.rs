//! Holds a definition against the table of fields: refuses and warns of what berth does not do. Called by `validate`.

use serde_json::Value;

use super::fields::{Field, Refusal, Shape, Support, TASK_DEFINITION};
use super::report::{Path, Report};

/// What a definition runs on, as far as ECS's refusals differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Fargate.
    Fargate,
    /// A container instance.
    Instance,
}

/// Refuses and warns by the table. `value` is the definition in its JSON form.
pub(super) fn check(value: &Value, target: Target, report: &mut Report) {
    structure(TASK_DEFINITION, value, &Path::root(), target, report);
}

fn structure(fields: &'static [Field], value: &Value, path: &Path, target: Target, report: &mut Report) {
    for field in fields {
        let Some(value) = value.get(field.name).filter(|value| is_set(value)) else { continue };
        let path = path.member(field.name);
        if apply((field.support, field.off_fargate), field.name, &path, target, report) {
            shape(&field.shape, field.name, value, &path, target, report);
        }
    }
}

fn shape(of: &Shape, name: &str, value: &Value, path: &Path, target: Target, report: &mut Report) {
    match (of, value) {
        (Shape::Structure(fields), value) => structure(fields, value, path, target, report),
        (Shape::List(of), Value::Array(elements)) => {
            for (index, element) in elements.iter().enumerate() {
                shape(of, name, element, &path.element(index), target, report);
            }
        }
        (Shape::Word(words), Value::String(text)) => {
            if let Some(word) = words.iter().find(|word| word.text == text) {
                apply((word.support, word.off_fargate), &format!("{name} {text}"), path, target, report);
            }
        }
        (Shape::Text | Shape::Word(_) | Shape::Integer | Shape::Boolean | Shape::List(_) | Shape::Map, _) => {}
    }
}

/// Reports what is not supported, and says whether to look further into the value.
fn apply(
    (support, off_fargate): (Support, Option<&'static str>),
    name: &str,
    path: &Path,
    target: Target,
    report: &mut Report,
) -> bool {
    if let Some(words) = off_fargate.filter(|_| target == Target::Fargate) {
        report.error(path, words);
        return false;
    }
    match support {
        Support::Supported => return true,
        Support::AcceptedWithWarning(remark) => {
            report.warning(path, format!("{name} has no effect in this version of berth: {remark}"));
            return true;
        }
        Support::Refused(Refusal::Ecs(words)) => report.error(path, words),
        Support::Refused(Refusal::Berth) => {
            report.error(path, format!("{name} is not supported by this version of berth"));
        }
    }
    false
}

/// Whether a value asks for anything: what ECS writes for "nothing" (`[]`, `{}`, false, "") does not.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(elements) => !elements.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}
