//! What ECS refuses, row by row: an input, the place, the exception and the sentence, as RegisterTaskDefinition's endpoint
//! answers them. The rows are `tests/data/refusals.jsonl`.

use std::collections::HashSet;

use berth::validate::{Severity, Strictness, parse, validate};
use serde::Deserialize;
use serde_json::{Value, json};

const ROWS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/refusals.jsonl");

/// Fewer rows than this are not what ECS refuses.
const FEWEST: usize = 350;

/// One value put into a good definition, and what comes of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// `fargate` or `ec2`: what the good definition is for.
    base: String,
    /// Where the value is put: members and indexes between slashes; `.` is the definition itself, with more members.
    at: String,
    value: Value,
    path: String,
    exception: String,
    message: String,
}

fn good(base: &str) -> Value {
    let mut definition = json!({
        "family": "app", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "containerDefinitions": [{"name": "web", "image": "nginx"}, {"name": "db", "image": "postgres:17"}]
    });
    match base {
        "fargate" => {}
        "ec2" => {
            definition["requiresCompatibilities"] = json!(["EC2"]);
            (definition["cpu"], definition["memory"]) = (Value::Null, Value::Null);
            for container in [0, 1] {
                definition["containerDefinitions"][container]["memory"] = json!(64);
            }
        }
        other => panic!("no definition for {other}"),
    }
    definition
}

impl Row {
    fn definition(&self) -> Value {
        let mut definition = good(&self.base);
        if self.at == "." {
            let members = self.value.as_object().expect("members of the definition").clone();
            members.into_iter().for_each(|(name, value)| definition[name] = value);
            return definition;
        }
        let place = self.at.split('/').fold(&mut definition, |at, step| match step.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[step],
        });
        *place = self.value.clone();
        definition
    }
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(ROWS).unwrap_or_else(|error| panic!("{ROWS}: {error}"));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn the_good_definitions_are_taken() {
    for base in ["fargate", "ec2"] {
        let taken = validate(parse(&good(base).to_string(), Strictness::Strict));
        assert!(taken.is_ok(), "{base}: {taken:#?}");
    }
}

#[test]
fn every_row_is_refused_in_its_place_with_its_exception_and_its_sentence() {
    let rows = rows();
    let inputs: HashSet<String> = rows.iter().map(|row| format!("{} {} {}", row.base, row.at, row.value)).collect();
    assert!(inputs.len() == rows.len() && rows.len() >= FEWEST, "{} rows, {} inputs", rows.len(), inputs.len());
    let mut wrong = Vec::new();
    for row in rows {
        let problems = match validate(parse(&row.definition().to_string(), Strictness::Strict)) {
            Err(problems) => problems,
            Ok(_) => Vec::new(),
        };
        let errors: Vec<_> = problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
        let is_it = |problem: &&berth::validate::Problem| {
            problem.path == row.path && problem.exception.to_string() == row.exception && problem.message == row.message
        };
        if !errors.iter().any(is_it) {
            wrong.push(json!({"base": row.base, "at": row.at, "value": row.value, "is": errors, "not": row.message}));
        }
    }
    assert!(wrong.is_empty(), "{:#}", Value::from(wrong));
}
