//! `[storage]`, `[volumes]` and `[efs]`: how tasks are held to their storage, and what of the host they may mount.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::plan::volume::Identity;
use crate::plan::volumes::{AccessPoint, FileSystem, relative};

/// `[storage]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct StorageConfig {
    /// Whether a task gets no more than its ephemeral storage.
    pub limit: StorageLimit,
}

/// Whether a task gets no more than its ephemeral storage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StorageLimit {
    /// Where the host can do that; a definition that names a size is refused where it cannot.
    #[default]
    Auto,
    /// Nothing is run where it cannot.
    Always,
    /// Writable layers are directories of the host, and may fill it.
    Never,
}

/// `[volumes]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct VolumesConfig {
    /// Directories that definitions may mount (`host.sourcePath`), with all below them.
    pub host_paths: Vec<PathBuf>,
}

/// `[efs."fs-..."]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EfsConfig {
    /// The directory that stands for the file system.
    pub directory: PathBuf,
    /// `[efs."fs-...".access-points."fsap-..."]`
    #[serde(default)]
    pub access_points: BTreeMap<String, AccessPointConfig>,
}

/// `[efs."fs-...".access-points."fsap-..."]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AccessPointConfig {
    /// Its directory in the file system.
    pub directory: String,
    /// The user that everybody is.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The mode of the directory if it has to be made, in octal digits.
    #[serde(default = "default_mode")]
    pub mode: String,
}

fn default_mode() -> String {
    "755".to_owned()
}

impl EfsConfig {
    /// What a plan needs to know.
    pub fn file_system(&self) -> FileSystem {
        let point = |config: &AccessPointConfig| AccessPoint {
            directory: relative(&config.directory),
            identity: Identity { uid: config.uid, gid: config.gid, mode: octal(&config.mode).unwrap_or(0o755) },
        };
        let access_points = self.access_points.iter().map(|(id, config)| (id.clone(), point(config))).collect();
        FileSystem { directory: self.directory.clone(), access_points }
    }
}

/// What is wrong with these settings, if anything.
pub(super) fn contradiction(volumes: &VolumesConfig, efs: &BTreeMap<String, EfsConfig>) -> Option<String> {
    if let Some(path) = volumes.host_paths.iter().find(|path| !is_plain(path)) {
        return Some(format!("volumes.host-paths {} is not an absolute path without ..", path.display()));
    }
    efs.iter().find_map(|(id, config)| {
        if !is_plain(&config.directory) {
            return Some(format!(
                "efs.{id:?} directory {} is not an absolute path without ..",
                config.directory.display()
            ));
        }
        config.access_points.iter().find_map(|(point, config)| {
            if config.directory.split('/').any(|part| part == "..") {
                return Some(format!(
                    "efs.{id:?}.access-points.{point:?} directory {:?} goes up by ..",
                    config.directory
                ));
            }
            let is_mode = octal(&config.mode).is_some();
            (!is_mode).then(|| format!("efs.{id:?}.access-points.{point:?} mode {:?} is not octal", config.mode))
        })
    })
}

fn is_plain(path: &Path) -> bool {
    path.is_absolute() && path.components().all(|component| component != Component::ParentDir)
}

fn octal(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn efs(text: &str) -> BTreeMap<String, EfsConfig> {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_file_system_has_a_directory_and_access_points() {
        let all = efs("[\"fs-1\"]\ndirectory = \"/srv\"\n[\"fs-1\".access-points.\"fsap-1\"]\n\
                       directory = \"/a/./b\"\nuid = 7\ngid = 8\nmode = \"0750\"\n");
        let point = &all["fs-1"].file_system().access_points["fsap-1"];
        assert_eq!(point.directory, Path::new("a/b"));
        assert_eq!(point.identity, Identity { uid: 7, gid: 8, mode: 0o750 });
        assert_eq!(contradiction(&VolumesConfig::default(), &all), None);
    }

    #[test]
    fn paths_that_go_up_and_modes_that_are_none_are_refused() {
        let host = VolumesConfig { host_paths: vec!["srv".into()] };
        assert!(contradiction(&host, &BTreeMap::new()).unwrap().contains("host-paths srv"));
        let point = |directory, mode| {
            efs(&format!(
                "[\"fs-1\"]\ndirectory = \"/srv\"\n[\"fs-1\".access-points.a]\n\
                          directory = \"{directory}\"\nuid = 0\ngid = 0\nmode = \"{mode}\"\n"
            ))
        };
        for (directory, mode, words) in [("/../x", "755", "goes up"), ("/", "9", "not octal"), ("/", "77777", "octal")]
        {
            let found = contradiction(&VolumesConfig::default(), &point(directory, mode)).unwrap();
            assert!(found.contains(words), "{found}");
        }
    }
}
