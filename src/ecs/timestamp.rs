//! Time as ECS writes it: a JSON number of epoch seconds with milliseconds as decimals, `1763721710.482`.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time, in milliseconds since the epoch. Strings break every SDK but botocore: it is a number in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

/// Up to here whole milliseconds survive the way through a double: the year 9999.
const LIMIT_MILLIS: i64 = 253_402_300_800_000;

impl Timestamp {
    /// From milliseconds since the epoch.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub fn millis(self) -> i64 {
        self.0
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(time: jiff::Timestamp) -> Self {
        Self(time.as_millisecond())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / 1000.0)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let millis = (f64::deserialize(deserializer)? * 1000.0).round();
        if millis.abs() > LIMIT_MILLIS as f64 {
            return Err(D::Error::custom("a time in epoch seconds is out of range"));
        }
        Ok(Self(millis as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_survive_the_wire() {
        for millis in [0, 1, 1_763_721_710_482, 1_763_721_710_000, -5, 253_402_300_799_999] {
            let text = serde_json::to_string(&Timestamp(millis)).unwrap();
            assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), Timestamp(millis), "{text}");
        }
        assert_eq!(serde_json::to_string(&Timestamp(1_763_721_710_482)).unwrap(), "1763721710.482");
    }

    #[test]
    fn whole_seconds_are_taken_and_strings_are_not() {
        assert_eq!(serde_json::from_str::<Timestamp>("1763721710").unwrap().millis(), 1_763_721_710_000);
        assert!(serde_json::from_str::<Timestamp>("\"2026-11-21T10:00:00Z\"").is_err());
        assert!(serde_json::from_str::<Timestamp>("1e300").is_err());
    }
}
