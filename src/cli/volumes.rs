//! `--volume-configurations`: what RunTask has as `volumeConfigurations`, from the command line itself or from a file.

use serde::Deserialize;

use super::error::Failure;
use super::input::Json;
use crate::ops::TaskVolumeConfiguration;

/// What RunTask's request has around them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wrapped {
    volume_configurations: Vec<TaskVolumeConfiguration>,
}

/// A list of a few volumes is short.
const LONGEST: u64 = 1 << 20;

/// Reads them.
pub(super) fn read(given: &Json) -> Result<Vec<TaskVolumeConfiguration>, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::Usage(format!("--volume-configurations: {error}"));
    let text = given.read(LONGEST).map_err(|error| wrong(&error))?;
    parse(&text).map_err(|error| wrong(&error))
}

fn parse(json: &str) -> Result<Vec<TaskVolumeConfiguration>, serde_json::Error> {
    match json.trim_start().starts_with('[') {
        true => serde_json::from_str(json),
        false => serde_json::from_str(json).map(|given: Wrapped| given.volume_configurations),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_with_and_without_its_wrapping() {
        let list = r#"[{"name": "data", "managedEBSVolume": {"sizeInGiB": 1, "roleArn": "r"}}]"#;
        let wrapped = format!("{{\"volumeConfigurations\": {list}}}");
        for text in [list, &wrapped] {
            let read = parse(text).unwrap();
            assert_eq!(read[0].managed_ebs_volume.as_ref().unwrap().size_in_gib, Some(1));
        }
    }

    #[test]
    fn a_member_that_is_not_known_is_named() {
        let error = parse(r#"[{"name": "data", "managedEbsVolume": {}}]"#).unwrap_err().to_string();
        assert!(error.contains("managedEbsVolume"), "{error}");
    }
}
