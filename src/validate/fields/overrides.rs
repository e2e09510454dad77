//! The rows of what RunTask replaces in a task definition: each like the row that it replaces.

use super::Shape::{List, Structure, Text};
use super::{CONTAINER_DEFINITION, Field, TASK_DEFINITION, ecs, yes};

/// What RunTask takes as `overrides`.
pub const TASK_OVERRIDE: &[Field] = &[
    yes("containerOverrides", List(&Structure(CONTAINER_OVERRIDE))).remark("each container at most once, by its name"),
    like(TASK_DEFINITION, "cpu"),
    ecs(
        "inferenceAcceleratorOverrides",
        List(&Structure(&[yes("deviceName", Text), yes("deviceType", Text)])),
        "Unsupported field 'inferenceAcceleratorOverrides'",
    ),
    like(TASK_DEFINITION, "executionRoleArn"),
    like(TASK_DEFINITION, "memory"),
    like(TASK_DEFINITION, "taskRoleArn"),
    like(TASK_DEFINITION, "ephemeralStorage"),
];

const CONTAINER_OVERRIDE: &[Field] = &[
    yes("name", Text).remark("a container of the task definition"),
    like(CONTAINER_DEFINITION, "command"),
    like(CONTAINER_DEFINITION, "environment")
        .remark("added to the definition's variables, or in place of those of the same name"),
    like(CONTAINER_DEFINITION, "environmentFiles"),
    like(CONTAINER_DEFINITION, "cpu"),
    like(CONTAINER_DEFINITION, "memory"),
    like(CONTAINER_DEFINITION, "memoryReservation"),
    like(CONTAINER_DEFINITION, "resourceRequirements"),
];

/// The row of that name, which stands in the table: anything else does not compile.
const fn like(fields: &[Field], name: &str) -> Field {
    let mut index = 0;
    while !is(fields[index].name, name) {
        index += 1;
    }
    fields[index]
}

/// `==`, which is not const.
const fn is(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut index = 0;
    while index < a.len() && index < b.len() && a[index] == b[index] {
        index += 1;
    }
    index == a.len() && index == b.len()
}
