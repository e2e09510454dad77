//! The numbers: floor and ceiling, the circuit breaker's threshold, the pause after failed starts, ECS's clocks.

use super::{DeploymentConfig, Threshold};

/// How long a task without health checks must have been RUNNING before it counts, in milliseconds (ECS API reference,
/// `minimumHealthyPercent`).
pub(super) const SETTLING: u64 = 40_000;
/// The first pause after a task that never ran, in milliseconds; ECS names only the longest.
const FIRST_PAUSE: u64 = 1_000;
/// The longest: 27 minutes (ECS Developer Guide, "Amazon ECS service throttle logic").
const LONGEST_PAUSE: u64 = 1_620_000;
/// One, in the millionths that a time scale is given in.
pub(super) const WHOLE: u32 = 1_000_000;

/// How few tasks must be healthy and how many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Fewer healthy tasks than this are never left by choice.
    pub floor: u32,
    /// More tasks that run or are on their way there are never made.
    pub ceiling: u32,
}

impl Bounds {
    /// Of a service that wants so many tasks: the floor rounded up, the ceiling rounded down.
    pub fn of(config: &DeploymentConfig, wanted: u32) -> Self {
        let part = |percent: u32| u64::from(wanted) * u64::from(percent);
        Self {
            floor: u32::try_from(part(config.minimum_healthy_percent).div_ceil(100)).unwrap_or(u32::MAX),
            ceiling: u32::try_from(part(config.maximum_percent) / 100).unwrap_or(u32::MAX),
        }
    }
}

/// A part of a count, rounded up.
pub(super) fn part(count: u32, percent: u32) -> u32 {
    u32::try_from((u64::from(count) * u64::from(percent)).div_ceil(100)).unwrap_or(u32::MAX)
}

/// How many failures end a deployment.
pub fn breaker_threshold(threshold: Threshold, wanted: u32) -> u32 {
    match threshold {
        Threshold::Count(count) => count.max(1),
        Threshold::BoundedPercent(percent) => part(wanted, percent).clamp(3, 200),
        Threshold::UnboundedPercent(percent) => part(wanted, percent).max(1),
    }
}

/// The pause after so many failed starts in a row, in milliseconds of ECS's time.
pub fn start_delay(level: u32) -> u64 {
    let doublings = level.saturating_sub(1).min(20);
    (FIRST_PAUSE << doublings).min(LONGEST_PAUSE)
}

/// Milliseconds of ECS's time at a pace in millionths.
pub(super) fn scaled(milliseconds: u64, pace: u32) -> u64 {
    let exact = u128::from(milliseconds) * u128::from(pace);
    u64::try_from(exact.div_ceil(u128::from(WHOLE))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Working;
    use super::*;

    #[test]
    fn the_floor_is_rounded_up_and_the_ceiling_down() {
        let of = |minimum_healthy_percent, maximum_percent, wanted| {
            let config = DeploymentConfig::default_for(Working::Replica);
            let Bounds { floor, ceiling } =
                Bounds::of(&DeploymentConfig { minimum_healthy_percent, maximum_percent, ..config }, wanted);
            (floor, ceiling)
        };
        assert_eq!(of(100, 200, 3), (3, 6));
        assert_eq!(of(50, 150, 3), (2, 4));
        assert_eq!(of(50, 100, 1), (1, 1)); // nothing can move
        assert_eq!(of(0, 100, 4), (0, 4));
    }

    #[test]
    fn the_threshold_is_half_the_count_from_3_to_200() {
        let default = |wanted| breaker_threshold(Threshold::BoundedPercent(50), wanted);
        assert_eq!((default(1), default(6), default(7), default(1000)), (3, 3, 4, 200));
        assert_eq!(breaker_threshold(Threshold::UnboundedPercent(50), 1000), 500);
        assert_eq!(breaker_threshold(Threshold::Count(7), 1), 7);
    }

    #[test]
    fn the_pause_doubles_up_to_27_minutes() {
        assert_eq!([1, 2, 3, 11, 12, 99].map(start_delay), [1_000, 2_000, 4_000, 1_024_000, 1_620_000, 1_620_000]);
        assert_eq!(scaled(40_000, WHOLE / 100), 400);
        assert_eq!(scaled(u64::MAX, WHOLE), u64::MAX);
    }
}
