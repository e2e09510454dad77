//! The pace of ECS's clocks: 1 is real, 0.01 makes 40 seconds 0.4. For tests and for people who watch a deployment.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// One, in millionths.
const WHOLE: f64 = 1_000_000.0;

/// What all of ECS's clocks are multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "f64")]
pub struct TimeScale(u32);

impl TimeScale {
    /// In millionths.
    pub fn millionths(self) -> u32 {
        self.0
    }
}

impl Default for TimeScale {
    fn default() -> Self {
        Self(1_000_000)
    }
}

impl TryFrom<f64> for TimeScale {
    type Error = &'static str;

    fn try_from(scale: f64) -> Result<Self, Self::Error> {
        let known = (0.0001..=1.0).contains(&scale);
        known.then(|| Self((scale * WHOLE).round() as u32)).ok_or("a time scale is a number from 0.0001 to 1")
    }
}

impl FromStr for TimeScale {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<f64>().map_err(|_| "a time scale is a number from 0.0001 to 1")?.try_into()
    }
}

impl fmt::Display for TimeScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / WHOLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_a_part_of_the_real_one() {
        assert_eq!("0.01".parse::<TimeScale>().unwrap().millionths(), 10_000);
        assert!(["0", "2", "NaN", "-1", "x"].iter().all(|text| text.parse::<TimeScale>().is_err()));
    }
}
