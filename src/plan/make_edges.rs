//! Definitions at the edges of every member: what is accepted has a plan that can be carried out, the rest is refused
//! where the mistake is. Nothing panics.

use serde_json::Value;

use super::generate::{Generated, generate};
use super::*;
use crate::validate::{Problem, Severity, Strictness, parse, validate};

/// How many definitions of each kind are tried.
const CASES: u64 = 3000;

/// What one member is can make another one wrong: then the mistake may be shown at the other.
const BINDING: &[&str] =
    &["name", "cpu", "memory", "requiresCompatibilities", "networkMode", "essential", "executionRoleArn", "volumes"];

fn refused(definition: &Value) -> Result<ValidTaskDefinition, Vec<Problem>> {
    let text = definition.to_string();
    let strict = validate(parse(&text, Strictness::Strict)).map(|(valid, _)| valid);
    let lenient = validate(parse(&text, Strictness::Lenient));
    assert!(strict.is_err() || lenient.is_ok(), "what the endpoint takes, the command line takes: {text}");
    strict
}

/// The plan of a definition, through JSON as the store has it, with what the runtime is given of it.
fn carried_out(definition: &ValidTaskDefinition) {
    let (layout, vpc) = (Layout::system(), Vpc::default_in(Vpc::candidates()[0], "eu-west-1"));
    let containers = definition.definition().container_definitions.len();
    let image = ImageFacts { entrypoint: vec!["/probe".to_owned()], ..ImageFacts::default() };
    let plan = match plan(definition, 1, &vec![image; containers], &place(&layout, &vpc), names(containers)) {
        Ok(plan) => plan,
        Err(PlanError::User { .. }) => return, // the image decides which users there are
        Err(error) => panic!("{error}: {definition:?}"),
    };
    assert_eq!(plan.containers.len(), containers);
    let stored: TaskPlan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(stored, plan);
    for container in &plan.containers {
        assert!(container.limits.cpu_shares >= 2 && container.process.args.iter().all(|word| !word.contains('\0')));
    }
}

#[test]
fn a_definition_at_its_edges_has_a_plan_or_is_refused() {
    let mut accepted = 0;
    for number in 0..CASES {
        let Generated { definition, .. } = generate(number, 4);
        if let Ok(valid) = refused(&definition) {
            accepted += 1;
            carried_out(&valid);
        }
    }
    assert!(accepted > CASES / 10, "{accepted} of {CASES} were accepted: hardly any plan was made");
}

#[test]
fn a_single_mistake_is_shown_where_it_is() {
    let mut mistakes = 0;
    for number in 0..CASES {
        let Generated { definition, set } = generate(number, 1);
        let (Some(set), Err(problems)) = (set.first(), refused(&definition)) else { continue };
        let member = set.rsplit('.').next().unwrap_or(set);
        let errors: Vec<_> = problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
        mistakes += 1;
        let there = errors.iter().any(|error| error.path.starts_with(set.as_str()));
        assert!(there || BINDING.contains(&member), "{set} in {definition}: {errors:#?}");
    }
    assert!(mistakes > CASES / 10, "only {mistakes} mistakes among {CASES}");
}
