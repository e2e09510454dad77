//! The shares of capacity providers in the tasks of a service or of one RunTask: `base` tasks of one provider first, all others
//! by weight. Pure; called by `ops`.

use serde::{Deserialize, Serialize};

/// What a provider is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The provider's name.
    pub provider: String,
    /// So many tasks before any other provider has one.
    pub base: u32,
    /// Its part of the others; one with 0 has none.
    pub weight: u32,
}

/// The provider of the next task, if each has as many as `have` says; `None` where no provider may have more.
pub fn next_provider<'a>(shares: &'a [Share], have: &dyn Fn(&str) -> u32) -> Option<&'a str> {
    let lacks_base = shares.iter().find(|share| have(&share.provider) < share.base);
    let next = lacks_base.or_else(|| {
        // That whose tasks beyond the base, with this one, are the smallest part of its weight; the first of equals.
        let cost = |share: &Share| u64::from(have(&share.provider).saturating_sub(share.base)) + 1;
        let cheaper =
            |one: &&Share, two: &&Share| (cost(one) * u64::from(two.weight)).cmp(&(cost(two) * u64::from(one.weight)));
        shares.iter().filter(|share| share.weight > 0).min_by(cheaper)
    });
    next.map(|share| share.provider.as_str())
}

/// The providers of so many tasks that are started together, in their order.
pub fn distribute(shares: &[Share], count: u32) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for _ in 0..count {
        let have = |name: &str| u32::try_from(all.iter().filter(|one| *one == name).count()).unwrap_or(u32::MAX);
        match next_provider(shares, &have).map(str::to_owned) {
            Some(next) => all.push(next),
            None => break,
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(provider: &str, base: u32, weight: u32) -> Share {
        Share { provider: provider.to_owned(), base, weight }
    }

    fn counts(shares: &[Share], count: u32) -> Vec<usize> {
        let all = distribute(shares, count);
        shares.iter().map(|share| all.iter().filter(|one| **one == share.provider).count()).collect()
    }

    #[test]
    fn the_examples_of_the_guide_hold() {
        assert_eq!(counts(&[share("a", 0, 1), share("b", 0, 1)], 4), [2, 2]);
        assert_eq!(counts(&[share("a", 0, 1), share("b", 0, 4)], 10), [2, 8]);
        assert_eq!(counts(&[share("FARGATE", 2, 1), share("FARGATE_SPOT", 0, 4)], 12), [4, 8]);
        assert_eq!(distribute(&[share("a", 0, 1), share("b", 3, 1)], 2), ["b", "b"]);
    }

    #[test]
    fn a_weight_of_0_means_the_base_and_no_more() {
        assert_eq!(counts(&[share("a", 2, 0), share("b", 0, 1)], 5), [2, 3]);
        assert_eq!(counts(&[share("a", 2, 0)], 5), [2]);
        assert_eq!(counts(&[], 5), Vec::<usize>::new());
    }

    #[test]
    fn no_provider_is_more_than_one_task_away_from_its_part() {
        let weights = [3_u32, 1, 7, 2];
        let shares: Vec<Share> =
            weights.iter().enumerate().map(|(place, weight)| share(&place.to_string(), 0, *weight)).collect();
        let sum = f64::from(weights.iter().sum::<u32>());
        for count in 0..200 {
            for (got, weight) in counts(&shares, count).into_iter().zip(weights) {
                let exact = f64::from(count) * f64::from(weight) / sum;
                assert!((got as f64 - exact).abs() < 1.5, "{count}: {got} of {exact}");
            }
        }
    }
}
