//! `runtimePlatform`: whether this host can run a task's programs at all. ECS places a task only where it can, and says of an
//! image for another machine that it cannot be pulled; here there is one machine. Called before images are looked for.

use crate::ecs::TaskDefinition;

/// Why this host cannot run a task, if it cannot: ECS's reason.
pub(super) fn foreign(task: &TaskDefinition) -> Option<String> {
    let platform = task.runtime_platform.as_ref()?;
    let system = platform.operating_system_family.as_deref().filter(|family| !family.is_empty()).unwrap_or("LINUX");
    let architecture = match platform.cpu_architecture.as_deref() {
        Some("X86_64") => "amd64",
        Some("ARM64") => "arm64",
        _ => own(),
    };
    let system = if system.starts_with("WINDOWS") { "windows" } else { "linux" };
    ((system, architecture) != ("linux", own())).then(|| {
        format!(
            "CannotPullContainerError: image Manifest does not contain descriptor matching platform \
             '{system}/{architecture}': runtimePlatform asks for it, and this host is linux/{}",
            own()
        )
    })
}

/// This host's architecture, as images name it.
fn own() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign_of(platform: &str) -> Option<String> {
        foreign(&serde_json::from_str(&format!(r#"{{"runtimePlatform": {platform}}}"#)).unwrap())
    }

    #[test]
    fn only_another_machine_is_foreign() {
        let (same, other) = if own() == "amd64" { ("X86_64", "ARM64") } else { ("ARM64", "X86_64") };
        for platform in
            ["{}".to_owned(), format!(r#"{{"cpuArchitecture": "{same}", "operatingSystemFamily": "LINUX"}}"#)]
        {
            assert_eq!(foreign_of(&platform), None, "{platform}");
        }
        let reason = foreign_of(&format!(r#"{{"cpuArchitecture": "{other}"}}"#)).unwrap();
        assert!(reason.starts_with("CannotPullContainerError: image Manifest does not contain"), "{reason}");
        let reason = foreign_of(r#"{"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}"#).unwrap();
        assert!(reason.contains("'windows/"), "{reason}");
    }
}
