//! The options of one driver, taken out one by one: what nobody has taken is unknown. Used by the drivers of this module.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::time::Duration;

use super::table::exists;

/// The options do not make sense. The words are Docker's where it has any; ECS puts `failed to validate logger args: `
/// before them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogOptionError {
    /// The driver has no such option.
    #[error("unknown log opt '{option}' for {driver} log driver")]
    Unknown {
        /// The option.
        option: String,
        /// The driver.
        driver: String,
    },
    /// The driver cannot do without it.
    #[error("must specify a value for log opt '{0}'")]
    Missing(&'static str),
    /// Its value makes no sense.
    #[error("invalid value {value:?} for log opt '{option}': {why}")]
    Invalid {
        /// The option.
        option: &'static str,
        /// The value.
        value: String,
        /// Why not.
        why: String,
    },
    /// Two options that exclude each other.
    #[error("you cannot configure log opt '{0}' and '{1}' at the same time")]
    Both(&'static str, &'static str),
}

/// The options that are left.
pub(super) struct Options<'a> {
    driver: &'a str,
    all: &'a BTreeMap<String, String>,
    taken: BTreeSet<&'static str>,
}

impl<'a> Options<'a> {
    pub(super) fn new(driver: &'a str, all: &'a BTreeMap<String, String>) -> Self {
        Self { driver, all, taken: BTreeSet::new() }
    }

    /// The value of an option; an empty one is none.
    pub(super) fn text(&mut self, name: &'static str) -> Option<&'a str> {
        self.taken.insert(name);
        self.value(name)
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.all.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn owned(&mut self, name: &'static str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    pub(super) fn required(&mut self, name: &'static str) -> Result<&'a str, LogOptionError> {
        self.text(name).ok_or(LogOptionError::Missing(name))
    }

    pub(super) fn number<T: FromStr>(&mut self, name: &'static str) -> Result<Option<T>, LogOptionError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.trim().parse().map(Some).map_err(|_| self.invalid(name, "it is not a number, or not one that can be used"))
    }

    /// A number of bytes, `10m`.
    pub(super) fn size(&mut self, name: &'static str) -> Result<Option<u64>, LogOptionError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        size(text).map(Some).ok_or_else(|| self.invalid(name, "it is not a number of bytes such as 512k, 10m or 1g"))
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Result<bool, LogOptionError> {
        match self.text(name) {
            None | Some("false" | "0" | "f" | "F" | "FALSE" | "False") => Ok(false),
            Some("true" | "1" | "t" | "T" | "TRUE" | "True") => Ok(true),
            Some(_) => Err(self.invalid(name, "it is true or false")),
        }
    }

    /// A regular expression that can be compiled.
    pub(super) fn regex(&mut self, name: &'static str) -> Result<Option<String>, LogOptionError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match super::pattern::compile(text) {
            Ok(_) => Ok(Some(text.to_owned())),
            Err(why) => Err(self.invalid(name, &why)),
        }
    }

    /// That the value of an option makes no sense.
    pub(super) fn invalid(&self, name: &'static str, why: &str) -> LogOptionError {
        let value = self.value(name).unwrap_or_default().to_owned();
        LogOptionError::Invalid { option: name, value, why: why.to_owned() }
    }

    /// A length of time, `1.5s`.
    pub(super) fn duration(&mut self, name: &'static str) -> Result<Option<Duration>, LogOptionError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        duration(text)
            .map(Some)
            .ok_or_else(|| self.invalid(name, "it is not a length of time such as 500ms, 1.5s or 2m"))
    }

    /// All that were not taken are unknown, and so are those without a row in the table of options.
    pub(super) fn finish(self) -> Result<(), LogOptionError> {
        let known = |name: &str| self.taken.contains(name) && exists(self.driver, name);
        match self.all.keys().find(|name| !known(name)) {
            None => Ok(()),
            Some(option) => Err(LogOptionError::Unknown { option: option.clone(), driver: self.driver.to_owned() }),
        }
    }
}

/// A number of bytes as Docker writes it: a number, then perhaps k, m, g or t, then perhaps b or ib; 1k is 1024.
pub fn size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let end = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim();
    let shift = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(unit) {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * (1_u64 << shift) as f64;
    (bytes >= 1.0 && bytes < (1_u64 << 53) as f64).then_some(bytes as u64)
}

/// The longest that is taken: a day.
const LONGEST: f64 = 86_400.0;

/// A length of time as Go writes it: numbers with their units, one after the other.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|character: char| character.is_ascii_digit() || character == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit = match unit {
            "ns" => 1e-9,
            "us" | "\u{b5}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * unit;
        rest = after;
    }
    (!text.trim().is_empty() && seconds <= LONGEST).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_dockers() {
        let sizes = ["10m", "1.5k", "1024", "2GB", "1 MiB", "7b"].map(|text| size(text).unwrap());
        assert_eq!(sizes, [10 << 20, 1536, 1024, 2 << 30, 1 << 20, 7]);
        for text in ["", "m", "-1m", "0", "10x", "99999999t", "1..2m"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn lengths_of_time_are_gos() {
        let milliseconds = ["1s", "500ms", "1.5s", "1m30s", "0s"].map(|text| duration(text).unwrap().as_millis());
        assert_eq!(milliseconds, [1000, 500, 1500, 90_000, 0]);
        for text in ["", "1", "s", "-1s", "1x", "1 s", "25h", "1..2s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
