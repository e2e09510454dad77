//! What a container finds at 169.254.170.2: metadata in ECS's form, credentials, protection, faults; and what it does not
//! find, which is anybody else's.

mod clients;
mod faults;
mod floods;
mod metadata;
mod probes;
mod roles;
mod shape;

use serde_json::{Value, json};

use crate::support::inside::Inside;
use crate::support::root::{Root, Task};
use crate::support::{container, task};

/// A container that stays.
fn staying(name: &str, more: Value) -> Value {
    let mut staying = container(name, &["trap", "TERM"], json!({ "stopTimeout": 2 }));
    let Value::Object(more) = more else { panic!("the members are an object: {more}") };
    for (member, value) in more {
        staying[member] = value;
    }
    staying
}

/// A task of one container, and that from inside.
fn one(root: &Root, members: &Value) -> (Task, Inside) {
    let mut definition = task(&[staying("app", json!({}))]);
    for (name, value) in members.as_object().expect("they are an object") {
        definition[name] = value.clone();
    }
    let task = root.run_detached(&definition);
    let inside = Inside::of(root, &task, "app");
    (task, inside)
}

/// The metadata's address of a container.
fn v4(inside: &Inside, tail: &str) -> String {
    format!("{}{tail}", inside.variable("ECS_CONTAINER_METADATA_URI_V4"))
}
