//! Definitions as people have them, and texts that are none.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Parsed, parse, parse_bytes};
use crate::validate::{Problem, Severity, Strictness, validate};

const WEBSERVER: &str = include_str!("../../../examples/webserver.json");
const TWO_CONTAINERS: &str = include_str!("../../../examples/two-containers.json");

/// What `aws ecs describe-task-definition` prints, with the nulls that some clients add.
const DESCRIBED: &str = r#"{
    "taskDefinition": {
        "taskDefinitionArn": "arn:aws:ecs:us-east-1:123456789012:task-definition/web:7",
        "containerDefinitions": [
            {
                "name": "web", "image": "nginx:latest", "cpu": 0, "links": [], "essential": true,
                "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}],
                "environment": [], "mountPoints": [], "volumesFrom": [], "systemControls": [],
                "secrets": null, "dnsServers": null, "privileged": null, "user": null
            }
        ],
        "family": "web", "taskRoleArn": null, "networkMode": "awsvpc", "revision": 7, "volumes": [],
        "status": "ACTIVE", "requiresAttributes": [{"name": "ecs.capability.task-eni"}],
        "placementConstraints": [], "compatibilities": ["EC2", "FARGATE"],
        "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "registeredAt": "2026-11-21T10:00:00.482000+00:00", "registeredBy": "arn:aws:iam::123456789012:root"
    },
    "tags": [{"key": "team", "value": "a"}]
}"#;

fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|problem| problem.display("x").to_string()).collect()
}

fn errors(text: &str) -> Vec<String> {
    let problems = validate(parse(text, Strictness::Lenient)).unwrap_err();
    lines(&problems).into_iter().filter(|line| line.contains(": error: ")).collect()
}

#[test]
fn the_well_known_task_is_taken_with_a_warning_for_each_number_in_quotes() {
    let (valid, warnings) = validate(parse(WEBSERVER, Strictness::Lenient)).unwrap();
    assert_eq!((valid.family(), valid.cpu_units(), valid.memory_mib()), ("webserver", Some(256), Some(512)));
    let web = valid.containers().next().unwrap();
    assert_eq!((web.name(), web.cpu_units(), web.memory_mib()), ("web", 99, Some(100)));
    let expected = [
        "x:11:17: warning: containerDefinitions[0].memory: \
         ECS expects a whole number here and refuses the string \"100\"",
        "x:12:14: warning: containerDefinitions[0].cpu: \
         ECS expects a whole number here and refuses the string \"99\"",
    ];
    assert_eq!(lines(&warnings), expected);
    assert!(validate(parse(WEBSERVER, Strictness::Strict)).is_err());
}

#[test]
fn the_second_example_is_taken_as_it_stands() {
    let (valid, warnings) = validate(parse(TWO_CONTAINERS, Strictness::Strict)).unwrap();
    assert!(warnings.is_empty() && valid.containers().len() == 2);
}

#[test]
fn described_output_is_taken_with_a_warning_and_without_what_ecs_sets() {
    let (valid, warnings) = validate(parse(DESCRIBED, Strictness::Lenient)).unwrap();
    assert_eq!(valid.definition().tags.as_ref().unwrap()[0].key.as_deref(), Some("team"));
    assert_eq!((valid.definition().revision, valid.definition().registered_at), (None, None));
    let shown = lines(&warnings);
    assert_eq!(shown.len(), 3, "{shown:#?}");
    assert!(shown[0].starts_with("x:1:1: warning: this is what describe-task-definition prints"));
    assert!(
        shown[1].starts_with("x:3:9: warning: taskDefinitionArn: only ECS sets these, they are passed over: taskD")
    );
    assert!(shown[2].starts_with("x:18:13: warning: tags: tags has no effect"));
}

#[test]
fn the_endpoint_takes_no_wrapper_and_passes_over_what_it_does_not_know() {
    let problems = validate(parse(DESCRIBED, Strictness::Strict)).unwrap_err();
    let shown = lines(&problems);
    assert!(shown.iter().any(|line| line.contains("warning: taskDefinition: ECS knows no member")), "{shown:#?}");
    assert!(shown.iter().any(|line| line.contains("error: family: Family should not be null")), "{shown:#?}");
}

#[test]
fn every_violation_is_found_at_once_each_with_its_place() {
    let text = "{\n  \"family\": \"a b\",\n  \"memroy\": \"512\",\n  \"networkMode\": \"awsvpc\",\n  \
                \"containerDefinitions\": [{\n    \"name\": \"web\",\n    \"image\": \"nginx\",\n    \
                \"cpu\": [],\n    \"memory\": true,\n    \"credentialSpecs\": [\"x\"],\n  }]\n}";
    let expected = [
        "x:2:13: error: family: a family is 1 to 255 letters, digits, hyphens and underscores",
        "x:3:3: error: memroy: ECS knows no member \"memroy\": did you mean \"memory\"?",
        "x:8:12: error: containerDefinitions[0].cpu: expected a number, found a list",
        "x:9:15: error: containerDefinitions[0].memory: expected a number, found true",
        "x:10:24: error: containerDefinitions[0].credentialSpecs: credentialSpecs is not supported by this version of berth",
        "x:10:29: error: a comma before '}': JSON has no trailing commas",
    ];
    assert_eq!(errors(text), expected);
}

#[test]
fn values_in_another_form_are_understood_on_the_command_line() {
    let text = json!({
        "family": "a", "networkMode": "awsvpc", "cpu": 256, "memory": 512, "containerDefinitions": [{
            "name": "web", "image": "nginx", "essential": "true", "memory": 64.0,
            "environment": [{"name": "PORT", "value": 3306}, {"name": "DEBUG", "value": false}],
            "dockerLabels": {"a.b": 1}
        }]
    });
    let (valid, warnings) = validate(parse(&text.to_string(), Strictness::Lenient)).unwrap();
    assert_eq!(warnings.len(), 7, "{:#?}", lines(&warnings));
    let web = valid.containers().next().unwrap();
    assert_eq!(web.environment().collect::<Vec<_>>(), [("PORT", "3306"), ("DEBUG", "false")]);
    assert_eq!((valid.cpu_units(), web.memory_mib()), (Some(256), Some(64)));
}

#[test]
fn what_is_no_definition_is_refused_in_one_sentence() {
    let one = |parsed: Parsed| {
        let shown = lines(&validate(parsed).unwrap_err());
        assert_eq!(shown.len(), 1, "{shown:#?}");
        shown[0].clone()
    };
    let text = |text: &str| one(parse(text, Strictness::Lenient));
    let bytes = |bytes: &[u8]| one(parse_bytes(bytes, Strictness::Lenient));
    assert_eq!(text(""), "x:1:1: error: there is nothing here: expected a JSON object");
    assert_eq!(text("[]"), "x:1:1: error: expected an object with family and containerDefinitions, found a list");
    assert_eq!(text("{\n  \"a\": tru"), "x:2:8: error: expected a value, found \"tru\"");
    assert_eq!(text(&"[".repeat(9999)), "x:1:33: error: values are nested more than 32 deep");
    assert_eq!(text(&" ".repeat(2 << 20)), "x:1:1: error: longer than 1048576 bytes");
    assert_eq!(bytes(b"{\n \xff}"), "x:2:2: error: this byte is not UTF-8");
    assert_eq!(bytes(b"\xff\xfe{\0}\0"), "x:1:1: error: this is UTF-16: save the file as UTF-8");
}

#[test]
fn a_definition_longer_than_ecs_takes_is_refused() {
    let mut value: Value = serde_json::from_str(TWO_CONTAINERS).unwrap();
    value["containerDefinitions"][0]["environment"] = json!([{"name": "A", "value": "x".repeat(64 << 10)}]);
    let shown = errors(&value.to_string());
    assert!(shown.len() == 1 && shown[0].contains("ECS takes at most 65536"), "{shown:#?}");
}

#[test]
fn unreadable_input_stays_cheap_and_its_problems_bounded() {
    let members: Vec<_> = (0..20_000).map(|index| format!("\"m{index}\": 1")).collect();
    let shown = errors(&format!("{{{}}}", members.join(", ")));
    assert!((1..=100).contains(&shown.len()));
}

/// Whatever the text is: no panic, and every problem stands in it.
fn holds(text: &str) -> Result<(), TestCaseError> {
    for strictness in [Strictness::Lenient, Strictness::Strict] {
        match validate(parse(text, strictness)) {
            Ok((valid, warnings)) => {
                prop_assert!(warnings.iter().all(|problem| problem.severity == Severity::Warning));
                let again = serde_json::to_string(valid.definition()).unwrap();
                prop_assert_eq!(validate(parse(&again, strictness)).map(|(valid, _)| valid), Ok(valid));
            }
            Err(problems) => {
                prop_assert!(problems.iter().any(|problem| problem.severity == Severity::Error));
                for problem in problems {
                    let line = text.split('\n').nth(problem.line as usize - 1);
                    let length = line.map(|line| line.chars().count());
                    prop_assert!(length.is_some_and(|length| problem.column as usize <= length + 1), "{:?}", problem);
                }
            }
        }
    }
    Ok(())
}

/// JSON of any shape, with the words of definitions in it.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        prop::sample::select(vec!["awsvpc", "START", "web", "80-90", "512", "0:0", "ALL"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let names =
            prop::sample::select(vec!["name", "containerName", "condition", "containerPort", "value", "x", "add"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names, inner), 0..4)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// Every place in a JSON value.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(index, one)| pointers(one, &format!("{at}/{index}"), found));
        }
        Value::Object(members) => members.iter().for_each(|(name, one)| pointers(one, &format!("{at}/{name}"), found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        holds(&text)?;
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
        let _ = validate(parse_bytes(&bytes, Strictness::Lenient));
    }

    #[test]
    fn any_text_of_json_signs_is_read_or_refused(text in "[\\[\\]{}:,\"\\\\u0-9eE.+ntrf \n-]{0,64}") {
        holds(&text)?;
    }

    #[test]
    fn a_definition_with_a_hole_or_a_wart_is_read_or_refused(
        source in prop::sample::select(vec![WEBSERVER, TWO_CONTAINERS, DESCRIBED]),
        at in any::<prop::sample::Index>(), length in 0_usize..20, wart in "\\PC{0,6}|[\\[\\]{}:,\"\\\\\n]{1,3}",
    ) {
        let mut chars: Vec<char> = source.chars().collect();
        let start = at.index(chars.len());
        let end = (start + length).min(chars.len());
        chars.splice(start..end, wart.chars());
        holds(&chars.into_iter().collect::<String>())?;
    }

    #[test]
    fn a_definition_with_a_foreign_value_is_read_or_refused(
        source in prop::sample::select(vec![WEBSERVER, TWO_CONTAINERS, DESCRIBED]),
        at in any::<prop::sample::Index>(), value in any_json(),
    ) {
        let mut definition: Value = serde_json::from_str(source).unwrap();
        let mut places = Vec::new();
        pointers(&definition, "", &mut places);
        *definition.pointer_mut(&places[at.index(places.len())]).unwrap() = value;
        holds(&definition.to_string())?;
    }

    #[test]
    fn a_definition_with_any_value_in_a_member_of_a_container_is_read_or_refused(
        field in prop::sample::select(super::super::fields::CONTAINER_DEFINITION.to_vec()), value in any_json(),
    ) {
        let mut definition: Value = serde_json::from_str(TWO_CONTAINERS).unwrap();
        definition["containerDefinitions"][0][field.name] = value;
        holds(&definition.to_string())?;
    }
}
