//! GPUs of the host for containers that want some (`resourceRequirements`): each is one container's as long as its task lives, by
//! a lease. Which device nodes make up a GPU is the host's configuration. Pure.

use std::path::PathBuf;

use super::ContainerPlan;
use super::isolation::DevicePlan;
use crate::ecs::ContainerDefinition;
use crate::validate::kernel_rules::gpus;

/// A GPU that is free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Its place in the configuration.
    pub number: usize,
    /// Its device nodes; those that several have in common are in the list of each.
    pub devices: Vec<PathBuf>,
}

/// A container wants more than there are. The first words are RunTask's reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("RESOURCE:GPU: container {container} wants {wanted} of this host's GPUs, and {free} are free")]
pub struct NoGpu {
    container: String,
    wanted: usize,
    free: usize,
}

/// The key of a GPU's lease.
pub fn lease(number: usize) -> String {
    format!("gpu/{number}")
}

/// How many GPUs all containers want.
pub fn wanted(containers: &[ContainerDefinition]) -> usize {
    containers.iter().map(gpus).sum()
}

/// Gives each container as many as it wants; the keys of the leases.
pub(super) fn give(
    plans: &mut [ContainerPlan],
    containers: &[ContainerDefinition],
    free: &[Gpu],
) -> Result<Vec<String>, NoGpu> {
    let mut left = free;
    let mut leases = Vec::new();
    for (plan, container) in plans.iter_mut().zip(containers) {
        let wanted = gpus(container);
        let Some((given, rest)) = left.split_at_checked(wanted) else {
            return Err(NoGpu { container: plan.name.clone(), wanted, free: left.len() });
        };
        left = rest;
        leases.extend(given.iter().map(|gpu| lease(gpu.number)));
        for path in given.iter().flat_map(|gpu| &gpu.devices) {
            let path = path.to_string_lossy().into_owned();
            if plan.isolation.devices.iter().all(|device| device.container != path) {
                let device = DevicePlan { host: path.clone(), container: path, read: true, write: true, mknod: true };
                plan.isolation.devices.push(device);
            }
        }
    }
    Ok(leases)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn containers(wanted: [&str; 2]) -> Vec<ContainerDefinition> {
        let one = |value: &str| {
            let text = format!(r#"{{"name": "a", "resourceRequirements": [{{"type": "GPU", "value": "{value}"}}]}}"#);
            serde_json::from_str(&text).unwrap()
        };
        wanted.into_iter().map(one).collect()
    }

    fn free() -> Vec<Gpu> {
        let gpu = |number: usize| Gpu { number, devices: vec![format!("/dev/g{number}").into(), "/dev/ctl".into()] };
        [0, 2, 5].map(gpu).to_vec()
    }

    #[test]
    fn each_gpu_is_one_containers_and_what_they_have_in_common_is_given_once() {
        let mut plans = vec![ContainerPlan::default(), ContainerPlan::default()];
        assert_eq!(give(&mut plans, &containers(["2", "1"]), &free()).unwrap(), ["gpu/0", "gpu/2", "gpu/5"]);
        let paths =
            |plan: &ContainerPlan| plan.isolation.devices.iter().map(|one| one.host.clone()).collect::<Vec<_>>();
        assert_eq!(paths(&plans[0]), ["/dev/g0", "/dev/ctl", "/dev/g2"]);
        assert_eq!(paths(&plans[1]), ["/dev/g5", "/dev/ctl"]);
    }

    #[test]
    fn more_than_are_free_is_runtasks_reason() {
        let mut plans = vec![ContainerPlan::default(), ContainerPlan::default()];
        let error = give(&mut plans, &containers(["2", "2"]), &free()).unwrap_err();
        assert!(error.to_string().starts_with("RESOURCE:GPU: "), "{error}");
        assert_eq!((error.wanted, error.free), (2, 1));
    }
}
