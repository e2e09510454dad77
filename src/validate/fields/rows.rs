//! The table of fields as rows for a reader: `berth fields`. Everything in a row is read from the table.

use serde::Serialize;

use super::super::log_rules::FARGATE;
use super::overrides::TASK_OVERRIDE;
use super::{Field, Refusal, Shape, Support, TASK_DEFINITION, Word};
use crate::logging::{Effect, LogOption, log_options};

const OVERRIDES: Field = super::yes("overrides", Shape::Structure(TASK_OVERRIDE))
    .remark("`berth run --overrides`; the result keeps all rules");

/// One member, with all that is said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The place in a task definition, `containerDefinitions[].healthCheck.interval`, or in RunTask, `overrides.cpu`.
    pub field: String,
    /// What JSON has there: `string`, `integer`, `boolean`, `object`, `map`, or a list of them, `string[]`.
    pub r#type: String,
    /// Whether the object around it must have it.
    pub required: bool,
    /// The words that it can be; empty where any is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<&'static str>,
    /// What ECS does with it on Fargate: `yes`, `refused`, or the words that it takes.
    pub fargate: String,
    /// What berth does with it where ECS takes it: `yes`, `no effect`, `refused`, or the words that it takes.
    pub berth: String,
    /// What exactly.
    pub remark: String,
}

/// All members of a task definition in the order of the service model, each in front of those below it; then, as
/// `overrides.`, what RunTask replaces; and as `logOptions.DRIVER.`, the options of log drivers.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    add(TASK_DEFINITION, "", Status::default(), &mut rows);
    add(&[OVERRIDES], "", Status::default(), &mut rows);
    rows.extend(log_options().map(|option| log_row(&option)));
    rows
}

fn log_row(option: &LogOption) -> Row {
    let (berth, remark) = match option.effect {
        Effect::Honoured => ("yes", ""),
        Effect::Idle(why) => ("no effect", why),
        Effect::Refused => ("refused", ""),
    };
    Row {
        field: format!("logOptions.{}.{}", option.driver, option.name),
        r#type: "string".to_owned(),
        required: false,
        words: Vec::new(),
        fargate: if FARGATE.contains(&option.driver) { "yes" } else { "refused" }.to_owned(),
        berth: berth.to_owned(),
        remark: remark.to_owned(),
    }
}

/// What the members around one make of it.
#[derive(Debug, Clone, Copy, Default)]
struct Status {
    /// Refused on Fargate.
    off_fargate: bool,
    /// What berth does, where that is less than ECS does.
    berth: Option<&'static str>,
}

fn add(fields: &[Field], prefix: &str, around: Status, rows: &mut Vec<Row>) {
    for field in fields {
        let (kind, inner, words) = describe(&field.shape);
        let place = format!("{prefix}{}{}", field.name, if kind.ends_with("[]") { "[]" } else { "" });
        let own = status(field, around);
        rows.push(Row {
            field: place.trim_end_matches("[]").to_owned(),
            required: field.required,
            words: words.iter().map(|word| word.text).collect(),
            fargate: column(own.off_fargate.then_some("refused"), words, |word| {
                word.off_fargate.is_none() && by_ecs(word)
            }),
            berth: column(own.berth, words, |word| matches!(word.support, Support::Supported)),
            remark: remark(field, words),
            r#type: kind,
        });
        add(inner, &format!("{place}."), own, rows);
    }
}

fn status(field: &Field, around: Status) -> Status {
    let berth = match field.support {
        Support::Supported => around.berth,
        Support::AcceptedWithWarning(_) => around.berth.or(Some("no effect")),
        Support::Refused(_) => Some("refused"),
    };
    let by_ecs = matches!(field.support, Support::Refused(Refusal::Ecs(_)));
    Status { off_fargate: around.off_fargate || field.off_fargate.is_some() || by_ecs, berth }
}

fn by_ecs(word: &Word) -> bool {
    !matches!(word.support, Support::Refused(Refusal::Ecs(_)))
}

fn column(status: Option<&str>, words: &[Word], taken: impl Fn(&Word) -> bool) -> String {
    let taken: Vec<_> = words.iter().filter(|word| taken(word)).map(|word| word.text).collect();
    match status {
        Some(status) => status.to_owned(),
        None if taken.len() == words.len() => "yes".to_owned(),
        None if taken.is_empty() => "refused".to_owned(),
        None => taken.join(", "),
    }
}

/// The name of a shape, the members below it, and the words that it can be.
fn describe(shape: &Shape) -> (String, &'static [Field], &'static [Word]) {
    match shape {
        Shape::Text => ("string".to_owned(), &[], &[]),
        Shape::Word(words) => ("string".to_owned(), &[], words),
        Shape::Integer => ("integer".to_owned(), &[], &[]),
        Shape::Boolean => ("boolean".to_owned(), &[], &[]),
        Shape::Map => ("map".to_owned(), &[], &[]),
        Shape::Structure(fields) => ("object".to_owned(), fields, &[]),
        Shape::List(of) => {
            let (kind, fields, words) = describe(of);
            (format!("{kind}[]"), fields, words)
        }
    }
}

/// What berth does, then why ECS refuses.
fn remark(field: &Field, words: &[Word]) -> String {
    let own = match field.support {
        Support::AcceptedWithWarning(remark) => remark,
        Support::Supported | Support::Refused(_) => field.remark,
    };
    let refusal = match field.support {
        Support::Refused(Refusal::Ecs(words)) => Some(("ECS", words)),
        _ => {
            field.off_fargate.or_else(|| words.iter().find_map(|word| word.off_fargate)).map(|words| ("Fargate", words))
        }
    };
    let refusal = refusal.map(|(who, words)| format!("{who}: {words}"));
    [Some(own.to_owned()), refusal].into_iter().flatten().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(". ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(field: &str) -> Row {
        rows().into_iter().find(|row| row.field == field).unwrap_or_else(|| panic!("no row {field}"))
    }

    #[test]
    fn every_member_has_one_row_behind_the_one_that_it_is_in() {
        let rows = rows();
        let places: Vec<_> = rows.iter().map(|row| row.field.as_str()).collect();
        assert_eq!(places.iter().collect::<std::collections::HashSet<_>>().len(), places.len());
        // The options of log drivers are members of a map, listed by driver.
        let members = places.iter().enumerate().filter(|(_, place)| !place.starts_with("logOptions."));
        for (index, place) in members {
            let Some((around, _)) = place.rsplit_once('.') else { continue };
            let around = around.trim_end_matches("[]");
            assert!(places[..index].contains(&around), "{place}");
        }
        assert!(places.contains(&"containerDefinitions[].linuxParameters.tmpfs[].mountOptions"));
    }

    #[test]
    fn a_row_says_what_fargate_does_and_what_berth_does() {
        let mode = row("networkMode");
        assert_eq!((mode.fargate.as_str(), mode.r#type.as_str()), ("awsvpc", "string"));
        let links = row("containerDefinitions[].links");
        assert_eq!((links.fargate.as_str(), links.r#type.as_str()), ("refused", "string[]"));
        assert!(links.remark.ends_with("Links are not supported when networkMode=awsvpc"), "{links:?}");
        let host = row("containerDefinitions[].linuxParameters.devices[].hostPath");
        assert!(host.required && host.fargate == "refused", "{host:?}");
    }

    #[test]
    fn what_is_below_a_refused_member_is_refused_too() {
        let rows = rows();
        for row in rows.iter().filter(|row| row.berth == "refused" && row.r#type.starts_with("object")) {
            let below = format!("{}{}.", row.field, row.r#type.strip_prefix("object").unwrap_or_default());
            assert!(
                rows.iter().filter(|one| one.field.starts_with(&below)).all(|one| one.berth == "refused"),
                "{below}"
            );
        }
    }
}
