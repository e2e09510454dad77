//! Task definitions, as actions.

use super::Kind::{Read, Write};
use super::Scope::Definitions;
use super::{Action, answer, read, run};
use crate::ecs::error::{EcsError, Exception};
use crate::ecs::request::{
    DeleteTaskDefinitionsRequest, DeregisterTaskDefinitionRequest, DescribeTaskDefinitionRequest,
    ListTaskDefinitionFamiliesRequest, ListTaskDefinitionsRequest,
};
use crate::validate::{Problem, Severity, Strictness, ValidTaskDefinition, parse_bytes, validate};

pub(super) const ROWS: &[Action] = &[
    Action::new("RegisterTaskDefinition", Write, Definitions, |engine, caller, body| {
        answer(engine.register_task_definition(&definition(body)?, caller))
    }),
    Action::new(
        "DescribeTaskDefinition",
        Read,
        Definitions,
        run!(|engine, it: DescribeTaskDefinitionRequest| engine.describe_task_definition(&it.task_definition).map(
            |mut answer| {
                if !it.include.iter().any(|what| what == "TAGS") {
                    answer.tags.clear();
                }
                answer
            }
        )),
    ),
    Action::new(
        "DeregisterTaskDefinition",
        Write,
        Definitions,
        run!(|engine, it: DeregisterTaskDefinitionRequest| engine.deregister_task_definition(&it.task_definition)),
    ),
    Action::new(
        "ListTaskDefinitions",
        Read,
        Definitions,
        run!(|engine, it: ListTaskDefinitionsRequest| engine.list_task_definitions(&it)),
    ),
    Action::new(
        "DeleteTaskDefinitions",
        Write,
        Definitions,
        run!(|engine, it: DeleteTaskDefinitionsRequest| engine.delete_task_definitions(&it)),
    ),
    Action::new(
        "ListTaskDefinitionFamilies",
        Read,
        Definitions,
        run!(|engine, it: ListTaskDefinitionFamiliesRequest| engine.list_task_definition_families(&it)),
    ),
];

/// The definition of a request, or the exception that its first mistake is.
fn definition(body: &[u8]) -> Result<ValidTaskDefinition, EcsError> {
    let request = read::object(body)?;
    let text = serde_json::to_vec(&request).expect("what was JSON is JSON");
    match validate(parse_bytes(&text, Strictness::Strict)) {
        Ok((valid, _)) => Ok(valid),
        Err(problems) => {
            let first = problems.iter().find(|problem| problem.severity == Severity::Error);
            let exception = first.map_or(Exception::ClientException, |problem| problem.exception);
            Err(EcsError::new(exception, Problem::first(&problems).to_string()))
        }
    }
}
