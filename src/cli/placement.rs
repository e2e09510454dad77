//! Short forms of placement rules and success criteria as people type them, into the members of a request.

use std::str::FromStr;

use crate::ecs::service::{EarlySuccessCriteria, PlacementConstraint, PlacementStrategy};

/// `distinctInstance`, `memberOf=EXPRESSION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint(pub PlacementConstraint);

impl FromStr for Constraint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, expression) = split(text);
        match (kind, &expression) {
            ("distinctInstance", None) | ("memberOf", Some(_)) => {
                Ok(Self(PlacementConstraint { r#type: kind.to_owned(), expression }))
            }
            _ => Err("a constraint is distinctInstance or memberOf=EXPRESSION"),
        }
    }
}

/// `random`, `spread=FIELD`, `binpack=FIELD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strategy(pub PlacementStrategy);

impl FromStr for Strategy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, field) = split(text);
        match (kind, field.as_deref()) {
            ("random", None) | ("spread", Some(_)) | ("binpack", Some("cpu" | "memory")) => {
                Ok(Self(PlacementStrategy { r#type: kind.to_owned(), field }))
            }
            _ => Err("a strategy is random, spread=FIELD, binpack=cpu or binpack=memory"),
        }
    }
}

fn split(text: &str) -> (&str, Option<String>) {
    match text.split_once('=') {
        Some((kind, rest)) => (kind, Some(rest.trim().to_owned()).filter(|rest| !rest.is_empty())),
        None => (text, None),
    }
}

/// `PERCENT`, `PERCENT,deferred`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlySuccess(pub EarlySuccessCriteria);

impl FromStr for EarlySuccess {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "a percentage from 1 to 100, perhaps with ,blocking or ,deferred behind it";
        let (percent, cleanup) = text.split_once(',').map_or((text, None), |(percent, word)| (percent, Some(word)));
        let percent = percent.parse().ok().filter(|percent| (1..=100).contains(percent)).ok_or(FORM)?;
        let cleanup = match cleanup {
            None => None,
            Some(word @ ("blocking" | "deferred")) => Some(word.to_uppercase()),
            Some(_) => return Err(FORM),
        };
        Ok(Self(EarlySuccessCriteria { healthy_percent: Some(percent), cleanup }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_may_have_signs_of_its_own() {
        let Constraint(read) = "memberOf=attribute:ecs.os-type == linux".parse().unwrap();
        assert_eq!(
            (read.r#type.as_str(), read.expression.as_deref()),
            ("memberOf", Some("attribute:ecs.os-type == linux"))
        );
        assert!("distinctInstance=x".parse::<Constraint>().is_err() && "memberOf".parse::<Constraint>().is_err());
    }

    #[test]
    fn what_is_no_strategy_and_no_percentage_is_refused() {
        assert_eq!("binpack=cpu".parse::<Strategy>().unwrap().0.field.as_deref(), Some("cpu"));
        for text in ["binpack", "binpack=disk", "spread", "random=1", "even"] {
            assert!(text.parse::<Strategy>().is_err(), "{text}");
        }
        let EarlySuccess(read) = "50,deferred".parse().unwrap();
        assert_eq!((read.healthy_percent, read.cleanup.as_deref()), (Some(50), Some("DEFERRED")));
        assert!(["0", "101", "50,later", ""].iter().all(|text| text.parse::<EarlySuccess>().is_err()));
    }
}
