//! The variables of a container's processes, as far as they stand in its plan. Pure; called by `make`.

use super::make::{ImageFacts, Place};
use super::user::User;
use crate::ecs::{ContainerDefinition, LaunchType};

/// Docker's default search path (moby `daemon/pkg/oci/defaults`).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Whether a container has variables whose values are known to nobody but its processes.
pub(super) fn has_values(container: &ContainerDefinition) -> bool {
    let is_some = |count: Option<usize>| count.is_some_and(|count| count > 0);
    is_some(container.secrets.as_ref().map(Vec::len)) || is_some(container.environment_files.as_ref().map(Vec::len))
}

/// Defaults, then the image's, then the definition's, then what ECS injects; a later value takes the place of an earlier one.
/// With it the names of the last two, which neither files nor secrets change.
pub(super) fn environment(
    container: &ContainerDefinition,
    image: &ImageFacts,
    place: &Place,
    hostname: &str,
    user: &User,
) -> (Vec<(String, String)>, Vec<String>) {
    let defaults = [("PATH", PATH), ("HOSTNAME", hostname), ("HOME", user.home.as_str())];
    let runs_on = if place.launch_type == LaunchType::Fargate { "AWS_ECS_FARGATE" } else { "AWS_ECS_EC2" };
    let injected = [("AWS_EXECUTION_ENV", runs_on), ("AWS_REGION", place.region), ("AWS_DEFAULT_REGION", place.region)];
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let of_image = image.env.iter().cloned();
    let of_definition = container
        .environment
        .iter()
        .flatten()
        .map(|pair| (pair.name.clone().unwrap_or_default(), pair.value.clone().unwrap_or_default()));
    let fixed: Vec<(String, String)> = of_definition.chain(injected.into_iter().map(own)).collect();
    let names = fixed.iter().map(|(name, _)| name.clone()).collect();
    let mut all: Vec<(String, String)> = Vec::new();
    let layers = defaults.into_iter().map(own).chain(of_image).chain(fixed);
    for (name, value) in layers.filter(|(name, _)| !name.is_empty()) {
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => all.push((name, value)),
        }
    }
    (all, names)
}
