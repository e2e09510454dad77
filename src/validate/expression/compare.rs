//! Which of two values is more: numbers as numbers, points in time as such, versions part by part, all else as text.

use std::cmp::Ordering;

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    More,
    MoreOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    pub(super) fn named(word: &str) -> Option<Self> {
        match word {
            ">" | "greater_than" => Some(Self::More),
            ">=" | "greater_than_equal" => Some(Self::MoreOrEqual),
            "<" | "less_than" => Some(Self::Less),
            "<=" | "less_than_equal" => Some(Self::LessOrEqual),
            _ => None,
        }
    }

    pub(super) fn holds(self, one: &str, two: &str) -> bool {
        let order = order(one, two);
        match self {
            Self::More => order == Ordering::Greater,
            Self::MoreOrEqual => order != Ordering::Less,
            Self::Less => order == Ordering::Less,
            Self::LessOrEqual => order != Ordering::Greater,
        }
    }
}

fn order(one: &str, two: &str) -> Ordering {
    if let (Ok(one), Ok(two)) = (one.parse::<f64>(), two.parse::<f64>()) {
        return one.total_cmp(&two);
    }
    if let (Ok(one), Ok(two)) = (one.parse::<jiff::Timestamp>(), two.parse::<jiff::Timestamp>()) {
        return one.cmp(&two);
    }
    match (parts(one), parts(two)) {
        (Some(one), Some(two)) => one.cmp(&two),
        _ => one.cmp(two),
    }
}

/// The parts of a version, `1.12.0`.
fn parts(text: &str) -> Option<Vec<u64>> {
    text.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_number_a_time_or_a_version_is_compared_as_one() {
        let more = |one, two| Comparison::More.holds(one, two);
        assert!(more("10", "9") && !more("9", "10"));
        assert!(more("1.12.0", "1.9.3"));
        assert!(more("2026-02-18T22:28:28Z", "2026-02-18T23:28:27+02:00"));
        assert!(more("b", "a10"));
        assert!(Comparison::LessOrEqual.holds("1", "1.0") && Comparison::MoreOrEqual.holds("1", "1.0"));
    }
}
