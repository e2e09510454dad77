//! What the process of a container may do and use, from its definition: capabilities and resource limits. Pure.

use super::Rlimit;
use super::spec::DEFAULT_CAPABILITIES;
use crate::ecs::ContainerDefinition;
use crate::validate::process_rules::CAPABILITIES;

/// What stands for every capability that the host's own root has.
pub const ALL_CAPABILITIES: &str = "CAP_ALL";

/// Docker's default ones without the dropped, then those that are added; all of them for a privileged container.
pub(super) fn capabilities(container: &ContainerDefinition) -> Vec<String> {
    if container.privileged == Some(true) {
        return vec![ALL_CAPABILITIES.to_owned()];
    }
    let asked = container.linux_parameters.as_ref().and_then(|linux| linux.capabilities.as_ref());
    let long = |name: &String| {
        let name = name.to_ascii_uppercase();
        if name.starts_with("CAP_") { name } else { format!("CAP_{name}") }
    };
    let dropped: Vec<String> = asked.iter().flat_map(|asked| asked.drop.iter().flatten()).map(long).collect();
    let added: Vec<String> = asked.iter().flat_map(|asked| asked.add.iter().flatten()).map(long).collect();
    let keep = |name: &String| !dropped.iter().any(|other| other == ALL_CAPABILITIES || other == name);
    if added.iter().any(|name| name == ALL_CAPABILITIES) {
        return CAPABILITIES.iter().map(|name| format!("CAP_{name}")).filter(|name| !dropped.contains(name)).collect();
    }
    let mut all: Vec<String> =
        DEFAULT_CAPABILITIES.iter().map(|name| (*name).to_owned()).filter(keep).chain(added).collect();
    all.sort();
    all.dedup();
    all
}

/// The definition's, over the default open-files limit and no core dumps: a core pattern of the host is not the container's
/// to use.
pub(super) fn rlimits(container: &ContainerDefinition, open_files: i64) -> Vec<Rlimit> {
    let limit = |name: &str, value| Rlimit { name: name.to_owned(), soft: value, hard: value };
    let mut all = vec![limit("nofile", open_files), limit("core", 0)];
    for ulimit in container.ulimits.iter().flatten() {
        all.retain(|known| known.name != ulimit.name);
        all.push(Rlimit { name: ulimit.name.clone(), soft: ulimit.soft_limit.into(), hard: ulimit.hard_limit.into() });
    }
    all
}

/// Whether no program of the container can gain rights by being executed.
pub(super) fn no_new_privileges(container: &ContainerDefinition) -> bool {
    container.docker_security_options.iter().flatten().any(|option| option == "no-new-privileges")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::linux::{KernelCapabilities, LinuxParameters, Ulimit};
    use crate::plan::make::OPEN_FILES;

    fn strings(list: &[&str]) -> Option<Vec<String>> {
        Some(list.iter().map(|item| (*item).to_owned()).collect())
    }

    #[test]
    fn capabilities_are_dockers_less_the_dropped_ones() {
        let with = |add: &[&str], drop: &[&str]| {
            let capabilities = Some(KernelCapabilities { add: strings(add), drop: strings(drop) });
            let linux = LinuxParameters { capabilities, ..LinuxParameters::default() };
            capabilities_of(&ContainerDefinition { linux_parameters: Some(linux), ..ContainerDefinition::default() })
        };
        assert_eq!(with(&[], &[]).len(), 14);
        assert_eq!(with(&["SYS_PTRACE"], &["ALL"]), ["CAP_SYS_PTRACE"]);
        assert!(!with(&[], &["net_raw"]).contains(&"CAP_NET_RAW".to_owned()));
        assert_eq!((with(&["ALL"], &[]).len(), with(&["ALL"], &["SYS_ADMIN"]).len()), (37, 36));
        let privileged = ContainerDefinition { privileged: Some(true), ..ContainerDefinition::default() };
        assert_eq!(capabilities_of(&privileged), ["CAP_ALL"]);
    }

    fn capabilities_of(container: &ContainerDefinition) -> Vec<String> {
        capabilities(container)
    }

    #[test]
    fn a_limit_of_the_definition_takes_the_place_of_the_default() {
        let ulimits = Some(vec![Ulimit { name: "nofile".to_owned(), soft_limit: 10, hard_limit: 20 }]);
        let limits = rlimits(&ContainerDefinition { ulimits, ..ContainerDefinition::default() }, OPEN_FILES);
        let open_files = limits.iter().find(|limit| limit.name == "nofile").unwrap();
        assert_eq!((open_files.soft, open_files.hard), (10, 20));
        assert_eq!(limits.len(), 2);
    }

    #[test]
    fn no_new_privileges_is_an_option_of_dockers() {
        let with = |options: &[&str]| {
            let docker_security_options = strings(options);
            no_new_privileges(&ContainerDefinition { docker_security_options, ..ContainerDefinition::default() })
        };
        assert!(with(&["apparmor:unconfined", "no-new-privileges"]) && !with(&["apparmor:unconfined"]));
    }
}
