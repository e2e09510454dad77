//! The table beside the vocabulary and the service model.

use serde_json::{Value, json};

use super::Shape::{Boolean, Integer, List, Map, Structure, Text};
use super::*;
use crate::ecs::{ContainerDefinition, TaskDefinition};

/// A value of every shape, with every member.
fn full(shape: &Shape) -> Value {
    match shape {
        Text => json!("x"),
        Shape::Word(words) => json!(words[0].text),
        Integer => json!(1),
        Boolean => json!(true),
        List(of) => json!([full(of)]),
        Map => json!({"a.b": "c"}),
        Structure(fields) => fields.iter().map(|field| (field.name.to_owned(), full(&field.shape))).collect(),
    }
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(members.into_iter().collect())
        }
        Value::Array(elements) => elements.into_iter().map(sorted).collect(),
        value => value,
    }
}

#[test]
fn the_table_has_all_members_of_the_service_model() {
    assert_eq!((TASK_DEFINITION.len(), READ_ONLY.len(), CONTAINER_DEFINITION.len()), (19, 9, 42));
}

#[test]
fn the_vocabulary_has_all_members_of_the_table() {
    let value = full(&Structure(TASK_DEFINITION));
    let definition: TaskDefinition = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(sorted(serde_json::to_value(&definition).unwrap()), sorted(value));
}

#[test]
fn the_table_has_all_members_of_the_vocabulary() {
    let known = |fields: &[Field], value: Value| {
        let Value::Object(members) = value else { panic!("an object") };
        members.keys().all(|name| fields.iter().any(|field| field.name == name) || READ_ONLY.contains(&&**name))
    };
    let container: ContainerDefinition = serde_json::from_value(full(&Structure(CONTAINER_DEFINITION))).unwrap();
    assert!(known(CONTAINER_DEFINITION, serde_json::to_value(container).unwrap()));
    let definition: TaskDefinition = serde_json::from_value(full(&Structure(TASK_DEFINITION))).unwrap();
    assert!(known(TASK_DEFINITION, serde_json::to_value(definition).unwrap()));
}
