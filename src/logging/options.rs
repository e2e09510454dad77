//! The options of one driver, taken out one by one: what nobody has taken is unknown. Used by the drivers of this module.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

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

    /// All that were not taken are unknown.
    pub(super) fn finish(self) -> Result<(), LogOptionError> {
        match self.all.keys().find(|name| !self.taken.contains(name.as_str())) {
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
}
