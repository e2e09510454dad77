//! What capacity providers and strategies may be.

use super::FARGATE;
use crate::ecs::arn::is_name;
use crate::ecs::capacity_provider::{AutoScalingGroupProvider, CapacityProviderStrategyItem, ManagedScaling};
use crate::ecs::error::EcsError;
use crate::scheduler::Share;

/// How many a strategy can name (ECS quota).
const IN_STRATEGY: usize = 20;

pub(super) fn check_name(name: &str) -> Result<(), EcsError> {
    let lower = name.to_ascii_lowercase();
    match is_name(name) && !["aws", "ecs", "fargate"].iter().any(|reserved| lower.starts_with(reserved)) {
        true => Ok(()),
        false => Err(EcsError::invalid_parameter(
            "The specified capacity provider name is invalid. Up to 255 characters are allowed, including letters (upper \
             and lowercase), numbers, underscores, and hyphens. The name cannot be prefixed with \"aws\", \"ecs\", or \
             \"fargate\".",
        )),
    }
}

/// What is given, else what was, else ECS's defaults.
pub(super) fn complete(given: AutoScalingGroupProvider, old: AutoScalingGroupProvider) -> AutoScalingGroupProvider {
    let (new, was) = (given.managed_scaling.unwrap_or_default(), old.managed_scaling.unwrap_or_default());
    AutoScalingGroupProvider {
        auto_scaling_group_arn: given.auto_scaling_group_arn.or(old.auto_scaling_group_arn),
        managed_scaling: Some(ManagedScaling {
            status: new.status.or(was.status).or_else(|| Some("DISABLED".to_owned())),
            target_capacity: new.target_capacity.or(was.target_capacity).or(Some(100)),
            minimum_scaling_step_size: new.minimum_scaling_step_size.or(was.minimum_scaling_step_size).or(Some(1)),
            maximum_scaling_step_size: new.maximum_scaling_step_size.or(was.maximum_scaling_step_size).or(Some(10_000)),
            instance_warmup_period: new.instance_warmup_period.or(was.instance_warmup_period).or(Some(300)),
        }),
        managed_termination_protection: given
            .managed_termination_protection
            .or(old.managed_termination_protection)
            .or_else(|| Some("DISABLED".to_owned())),
        managed_draining: given.managed_draining.or(old.managed_draining).or_else(|| Some("ENABLED".to_owned())),
    }
}

pub(super) fn check_group(group: &AutoScalingGroupProvider) -> Result<(), EcsError> {
    let bad = |message: &str| Err(EcsError::invalid_parameter(message));
    if group.auto_scaling_group_arn.as_deref().unwrap_or_default().is_empty() {
        return bad("The autoScalingGroupArn must be specified.");
    }
    let scaling = group.managed_scaling.clone().unwrap_or_default();
    let on = |word: &Option<String>| word.as_deref() == Some("ENABLED");
    let words = [&scaling.status, &group.managed_termination_protection, &group.managed_draining];
    if words.into_iter().flatten().any(|word| !matches!(word.as_str(), "ENABLED" | "DISABLED")) {
        return bad("status, managedTerminationProtection and managedDraining must be ENABLED or DISABLED.");
    }
    let within = |value: Option<i32>, most| value.is_none_or(|value| (1..=most).contains(&value));
    if !within(scaling.target_capacity, 100) {
        return bad("targetCapacity must be between 1 and 100.");
    }
    if !within(scaling.minimum_scaling_step_size, 10_000) || !within(scaling.maximum_scaling_step_size, 10_000) {
        return bad("minimumScalingStepSize and maximumScalingStepSize must be between 1 and 10000.");
    }
    if scaling.instance_warmup_period.is_some_and(|seconds| !(0..=10_000).contains(&seconds)) {
        return bad("instanceWarmupPeriod must be between 0 and 10000.");
    }
    if on(&group.managed_termination_protection) && !on(&scaling.status) {
        return bad(
            "To enable managed termination protection for a capacity provider, managed scaling must be enabled.",
        );
    }
    Ok(())
}

/// A strategy to count with, or what is wrong with it.
pub(in crate::ops) fn shares(items: &[CapacityProviderStrategyItem]) -> Result<Vec<Share>, EcsError> {
    let bad = |message: String| Err(EcsError::invalid_parameter(message));
    if items.len() > IN_STRATEGY {
        return bad(format!("A capacity provider strategy can contain a maximum of {IN_STRATEGY} capacity providers."));
    }
    if items.iter().any(|item| !(0..=1000).contains(&item.weight) || !(0..=100_000).contains(&item.base)) {
        return bad("The weight must be between 0 and 1000, and the base between 0 and 100000.".to_owned());
    }
    if items.iter().filter(|item| item.base > 0).count() > 1 {
        return bad("Only one capacity provider in a capacity provider strategy can have a base defined.".to_owned());
    }
    if items.iter().all(|item| item.weight == 0) {
        return bad(
            "At least one capacity provider in the strategy must have a weight value greater than zero.".to_owned()
        );
    }
    let mut names: Vec<&str> = items.iter().map(|item| item.capacity_provider.as_str()).collect();
    let fargate = names.iter().filter(|name| FARGATE.contains(name)).count();
    if fargate > 0 && fargate < names.len() {
        return bad(
            "A capacity provider strategy cannot contain both Fargate and Auto Scaling group capacity providers."
                .to_owned(),
        );
    }
    names.sort_unstable();
    names.dedup();
    if names.len() < items.len() {
        return bad("A capacity provider strategy cannot contain a capacity provider twice.".to_owned());
    }
    let share = |item: &CapacityProviderStrategyItem| Share {
        provider: item.capacity_provider.clone(),
        base: item.base.unsigned_abs(),
        weight: item.weight.unsigned_abs(),
    };
    Ok(items.iter().map(share).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(capacity_provider: &str, base: i32, weight: i32) -> CapacityProviderStrategyItem {
        CapacityProviderStrategyItem { capacity_provider: capacity_provider.to_owned(), base, weight }
    }

    #[test]
    fn a_strategy_that_cannot_be_is_refused_with_the_reason() {
        let of = |items: &[CapacityProviderStrategyItem]| shares(items).unwrap_err().message;
        assert!(of(&[item("a", 1, 1), item("b", 1, 1)]).contains("base defined"));
        assert!(of(&[item("a", 0, 0)]).contains("greater than zero"));
        assert!(of(&[item("a", 0, 1001)]).contains("0 and 1000"));
        assert!(of(&[item("a", 0, 1), item("FARGATE", 0, 1)]).contains("both Fargate"));
        assert!(of(&[item("a", 0, 1), item("a", 0, 2)]).contains("twice"));
        let many: Vec<_> = (0..21).map(|number| item(&number.to_string(), 0, 1)).collect();
        assert!(of(&many).contains("maximum of 20"));
        assert_eq!(shares(&[item("FARGATE", 2, 1), item("FARGATE_SPOT", 0, 4)]).unwrap().len(), 2);
    }

    #[test]
    fn names_of_aws_are_reserved() {
        for name in ["aws-x", "ECS1", "fargate", "", "a b"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name("mine").is_ok());
    }

    #[test]
    fn what_an_update_does_not_name_stays() {
        let group = |text: &str| serde_json::from_str::<AutoScalingGroupProvider>(text).unwrap();
        let made = complete(
            group(r#"{"autoScalingGroupArn": "arn:x", "managedScaling": {"status": "ENABLED", "targetCapacity": 80}}"#),
            AutoScalingGroupProvider::default(),
        );
        let updated = complete(group(r#"{"managedScaling": {"minimumScalingStepSize": 2}}"#), made.clone());
        let scaling = updated.managed_scaling.clone().unwrap();
        assert_eq!((scaling.status.as_deref(), scaling.target_capacity), (Some("ENABLED"), Some(80)));
        assert_eq!((scaling.minimum_scaling_step_size, scaling.maximum_scaling_step_size), (Some(2), Some(10_000)));
        assert_eq!(updated.auto_scaling_group_arn.as_deref(), Some("arn:x"));
        assert!(check_group(&updated).is_ok());
        assert!(check_group(&complete(group("{}"), AutoScalingGroupProvider::default())).is_err());
    }
}
