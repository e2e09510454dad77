//! What ECS demands of `secrets` and `environmentFiles`. Texts are ECS's own where they are known. Whether a secret or a file
//! is there is seen at the start of a task. Called by `process_rules`.

use std::collections::HashSet;

use super::container_rules::Place;
use super::report::Report;
use super::support::Target;
use crate::ecs::ContainerDefinition;
use crate::ecs::value_from::{ObjectArn, ValueFrom};

/// The most environment files of a container (ECS developer guide, "Task definition parameters").
const FILES_MAX: usize = 10;

/// Secrets, then files.
pub(super) fn check(container: &ContainerDefinition, place: &Place<'_>, report: &mut Report) {
    secrets(container, place, report);
    files(container, place, report);
}

fn secrets(container: &ContainerDefinition, place: &Place<'_>, report: &mut Report) {
    let secrets = container.secrets.as_deref().unwrap_or_default();
    let path = place.path.member("secrets");
    let variables = container.environment.iter().flatten().filter_map(|variable| variable.name.as_deref());
    let variables: HashSet<&str> = variables.collect();
    let mut names = HashSet::new();
    for (index, secret) in secrets.iter().enumerate() {
        let (name, path) = (secret.name.as_str(), path.element(index));
        let at = path.member("name");
        if name.is_empty() {
            report.error(&at, "a secret has no name");
        } else if name.contains('=') {
            report.error(&at, "the name of a variable cannot hold '='");
        } else if variables.contains(name) {
            let words = "The secret name must be unique and not shared with any new or existing environment variables set \
                         on the container, such as";
            report.error(&at, format!("{words} '{name}'."));
        } else if !names.insert(name) {
            report.error(&at, format!("Duplicate secret names found: {name}. Each secret name must be unique."));
        }
        if let Err(error) = secret.value_from.parse::<ValueFrom>() {
            report.warning(&path.member("valueFrom"), format!("the task will not start: {error}"));
        }
    }
    if !secrets.is_empty() && place.target == Target::Fargate && place.execution_role.is_none_or(str::is_empty) {
        let words = "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.";
        report.refused_by_ecs(&path, words);
    }
}

fn files(container: &ContainerDefinition, place: &Place<'_>, report: &mut Report) {
    let files = container.environment_files.as_deref().unwrap_or_default();
    let path = place.path.member("environmentFiles");
    if files.len() > FILES_MAX {
        report.refused_by_ecs(&path, format!("ECS takes at most {FILES_MAX} environment files"));
    }
    for (index, file) in files.iter().enumerate() {
        let at = path.element(index).member("value");
        match file.value.parse::<ObjectArn>() {
            Err(error) => report.error(&at, error.to_string()),
            Ok(object) if !object.key.ends_with(".env") => {
                report.refused_by_ecs(&at, "ECS takes environment files with names that end in .env only");
            }
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Severity, Strictness, parse, validate};

    const OBJECT: &str = "arn:aws:s3:::bucket/a.env";

    /// What is said of a container with these members: the severity and the text.
    fn said(more: &Value) -> Vec<(Severity, String)> {
        let mut container = json!({ "name": "web", "image": "web" });
        for (name, value) in more.as_object().unwrap() {
            container[name] = value.clone();
        }
        let task = json!({
            "family": "f", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
            "executionRoleArn": "arn:aws:iam::123456789012:role/x", "containerDefinitions": [container],
        });
        let problems = match validate(parse(&task.to_string(), Strictness::Lenient)) {
            Ok((_, warnings)) => warnings,
            Err(problems) => problems,
        };
        let own =
            problems.into_iter().filter(|problem| problem.path.contains("secrets") || problem.path.contains("Files"));
        own.map(|problem| (problem.severity, problem.message)).collect()
    }

    #[test]
    fn secrets_share_no_name_with_each_other_or_a_variable() {
        let secret = |name: &str| json!({ "name": name, "valueFrom": "/a" });
        assert_eq!(said(&json!({ "secrets": [secret("A"), secret("B")] })), []);
        let twice = said(&json!({ "secrets": [secret("A"), secret("A")] }));
        assert_eq!(twice[0].1, "Duplicate secret names found: A. Each secret name must be unique.");
        let shared = said(&json!({ "secrets": [secret("A")], "environment": [{ "name": "A", "value": "x" }] }));
        assert!(shared[0].1.starts_with("The secret name must be unique") && shared[0].1.ends_with("such as 'A'."));
        assert!(twice[0].0 == Severity::Error && shared[0].0 == Severity::Error);
    }

    #[test]
    fn a_source_that_cannot_be_one_is_told_before_the_start() {
        let arn = "arn:aws:secretsmanager:r:1:secret:x:key";
        let said = said(&json!({ "secrets": [{ "name": "A", "valueFrom": arn }] }));
        assert!(said[0].0 == Severity::Warning && said[0].1.contains("an invalid ARN format"), "{said:?}");
    }

    #[test]
    fn environment_files_are_objects_of_s3() {
        let file = |value: &str| json!({ "value": value, "type": "s3" });
        assert_eq!(said(&json!({ "environmentFiles": [file(OBJECT)] })), []);
        let wrong = said(&json!({ "environmentFiles": [file("s3://bucket/a.env")] }));
        assert_eq!(wrong, [(Severity::Error, "Invalid arn syntax".to_owned())]);
        let odd = said(&json!({ "environmentFiles": [file("arn:aws:s3:::bucket/a.txt")] }));
        assert!(odd[0].0 == Severity::Warning && odd[0].1.contains(".env"), "{odd:?}");
        let many = said(&json!({ "environmentFiles": vec![file(OBJECT); 11] }));
        assert!(many[0].1.contains("at most 10"), "{many:?}");
    }
}
