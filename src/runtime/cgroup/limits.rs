//! The numbers of a plan as the kernel wants them, and their writing: by cgroups-rs, whose setters know the file names
//! of both versions. (Its `apply` is not used: it ignores errors of the memory files.)

use std::error::Error as _;
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use cgroups_rs::fs::MaxValue;
use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::devices::{DevicePermissions, DeviceType, DevicesController};
use cgroups_rs::fs::error::Error as FsError;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;

use super::error::write;
use super::layout::Layout;
use super::{CgroupError, open_group};
use crate::plan::{CgroupPlan, ContainerLimits};
use crate::runtime::devices::{self, Access, Kind, Rule};
use crate::sys::bpf;

/// Microseconds; the kernel's own default, and the one that the ECS agent uses.
pub(crate) const CPU_PERIOD: u64 = 100_000;

/// Microseconds of CPU time per period. The kernel takes no quota under 1 ms (`min_cfs_quota_period`).
fn quota(cpu_units: u32) -> i64 {
    (i64::from(cpu_units) * CPU_PERIOD.cast_signed() / 1024).max(1000)
}

/// `cpu.weight` for CPU shares: the inverse of the kernel's own conversion (`sched_weight_from_cgroup`: weight x 1024 /
/// 100), which systemd uses too. Not runc's or crun's: the old one makes 39 of the default 1024 and the new one
/// (opencontainers/cgroups, `ConvertCPUSharesToCgroupV2Value`) is not linear, while ECS promises that containers share
/// the CPU in the ratio of their units. All groups that are weighed against each other here are ours.
fn weight(shares: u32) -> u64 {
    ((u64::from(shares) * 100 + 512) / 1024).clamp(1, 10_000)
}

/// Sets the limits of a task's group, but for its CPU cap.
pub(super) fn task(layout: &Layout, plan: &CgroupPlan) -> Result<(), CgroupError> {
    let group = super::group(plan, None);
    if let (None, Some(shares)) = (plan.limits.cpu_units, plan.limits.cpu_shares) {
        set_shares(layout, &group, shares)?;
    }
    set_memory(layout, &group, plan.limits.memory, plan.limits.swap)
}

/// A task's CPU cap, ready to be set: one write to an open file, from wherever the process stands by then.
#[derive(Debug)]
pub struct CpuCap {
    file: fs::File,
    path: PathBuf,
    text: String,
}

impl CpuCap {
    /// Opens the file; nothing where the task has no cap.
    pub(super) fn open(layout: &Layout, plan: &CgroupPlan) -> Result<Option<Self>, CgroupError> {
        let Some(units) = plan.limits.cpu_units else { return Ok(None) };
        // v1 has the period in a file of its own, which every group is born with: CPU_PERIOD.
        let (mount, name, text) = match layout {
            Layout::V1 { cpu, .. } => (cpu, "cpu.cfs_quota_us", quota(units).to_string()),
            Layout::V2 { root } => (root, "cpu.max", format!("{} {CPU_PERIOD}", quota(units))),
        };
        let path = mount.join(super::group(plan, None)).join(name);
        let opened = fs::OpenOptions::new().write(true).open(&path);
        let file = opened.map_err(|source| CgroupError::Write { path: path.clone(), value: text.clone(), source })?;
        Ok(Some(Self { file, path, text }))
    }

    /// Sets the cap; again does no harm.
    pub fn set(&self) -> Result<(), CgroupError> {
        let written = (&self.file).write_all(self.text.as_bytes());
        written.map_err(|source| CgroupError::Write { path: self.path.clone(), value: self.text.clone(), source })
    }
}

/// Sets the limits and the device rules of a container's group.
pub(super) fn container(
    layout: &Layout,
    group: &Path,
    limits: &ContainerLimits,
    rules: &[Rule],
) -> Result<(), CgroupError> {
    set_shares(layout, group, limits.cpu_shares)?;
    set_memory(layout, group, limits.memory, limits.swap)?;
    if let (Some(swappiness), Layout::V1 { memory, .. }) = (limits.swappiness, layout) {
        // v2 has nothing like it.
        write(&memory.join(group).join("memory.swappiness"), &swappiness.to_string())?;
    }
    if let Some(soft) = limits.memory_reservation {
        // v2: protects the container when its task is at its limit, which is what the ECS agent sets up as well. For
        // protection from the rest of the host the groups above would have to reserve the sum of theirs.
        let group = layout.memory().join(group);
        memory_controller(layout, &group).set_soft_limit(soft.cast_signed()).map_err(|e| failed(&group, &e))?;
    }
    if let Layout::V2 { root } = layout {
        // ECS: a container that exceeds its memory is killed, not one process of it. On the container's group and not
        // on the task's, so that one container's greed is not the end of its neighbours. v1 has nothing like it.
        write(&root.join(group).join("memory.oom.group"), "1")?;
    }
    let pids = layout.pids().join(group);
    let most = MaxValue::Value(limits.pids.into());
    let controller = PidController::new(pids.clone(), PathBuf::new(), is_v2(layout));
    controller.set_pid_max(most).map_err(|e| failed(&pids, &e))?;
    set_devices(layout, group, rules)
}

fn is_v2(layout: &Layout) -> bool {
    matches!(layout, Layout::V2 { .. })
}

fn with_cpu(
    layout: &Layout,
    group: &Path,
    set: impl FnOnce(&CpuController) -> Result<(), FsError>,
) -> Result<(), CgroupError> {
    let mount = match layout {
        Layout::V1 { cpu, .. } => cpu,
        Layout::V2 { root } => root,
    };
    let group = mount.join(group);
    set(&CpuController::new(group.clone(), PathBuf::new(), is_v2(layout))).map_err(|e| failed(&group, &e))
}

fn set_shares(layout: &Layout, group: &Path, shares: u32) -> Result<(), CgroupError> {
    // Despite its name `set_shares` writes `cpu.weight` on v2, and leaves the conversion to its caller.
    let value = if is_v2(layout) { weight(shares) } else { shares.into() };
    with_cpu(layout, group, |cpu| cpu.set_shares(value))
}

fn memory_controller(layout: &Layout, group: &Path) -> MemController {
    MemController::new(group.to_owned(), PathBuf::new(), is_v2(layout))
}

/// A hard limit, and so much swap beside it. v1 counts memory and swap together, v2 counts swap alone; a kernel without
/// swap accounting has neither file.
fn set_memory(layout: &Layout, group: &Path, limit: Option<u64>, swap: u64) -> Result<(), CgroupError> {
    let Some(limit) = limit.map(u64::cast_signed) else { return Ok(()) };
    let group = layout.memory().join(group);
    let controller = memory_controller(layout, &group);
    let swap = swap.cast_signed();
    let (file, swap) = match is_v2(layout) {
        true => ("memory.swap.max", swap),
        false => ("memory.memsw.limit_in_bytes", limit.saturating_add(swap)),
    };
    controller.set_limit(limit).map_err(|e| failed(&group, &e))?;
    if group.join(file).exists() {
        controller.set_memswap_limit(swap).map_err(|e| failed(&group, &e))?;
    }
    Ok(())
}

fn set_devices(layout: &Layout, group: &Path, rules: &[Rule]) -> Result<(), CgroupError> {
    match layout {
        Layout::V2 { root } => attach_program(&root.join(group), rules),
        Layout::V1 { devices, .. } => {
            let group = devices.join(group);
            let controller = DevicesController::new(group.clone(), PathBuf::new());
            let deny = controller.deny_device(DeviceType::All, ANY, ANY, &DevicePermissions::all());
            deny.map_err(|e| failed(&group, &e))?;
            rules.iter().try_for_each(|rule| allow_device(&controller, rule)).map_err(|e| failed(&group, &e))
        }
    }
}

/// How cgroups-rs spells "every number".
const ANY: i64 = -1;

fn allow_device(controller: &DevicesController, rule: &Rule) -> Result<(), FsError> {
    let kind = match rule.kind {
        Kind::Block => DeviceType::Block,
        Kind::Char => DeviceType::Char,
    };
    let words = [
        (Access::READ, DevicePermissions::Read),
        (Access::WRITE, DevicePermissions::Write),
        (Access::MKNOD, DevicePermissions::MkNod),
    ];
    let allowed: Vec<_> =
        words.into_iter().filter(|(bit, _)| rule.access.contains(*bit)).map(|(_, word)| word).collect();
    controller.allow_device(kind, rule.major.map_or(ANY, i64::from), rule.minor.map_or(ANY, i64::from), &allowed)
}

/// v2 has no device files: a program decides.
fn attach_program(group: &Path, rules: &[Rule]) -> Result<(), CgroupError> {
    let target = open_group(group)?;
    let attached = bpf::load_device_program(&devices::program(rules))
        .and_then(|program| bpf::attach_device_program(target.as_fd(), program.as_fd()));
    attached.map_err(|source| CgroupError::Devices { group: group.to_owned(), source })
}

/// An error of cgroups-rs as ours. Its text is a mixture of its own words and of the cause's in Rust's debug form.
fn failed(group: &Path, error: &FsError) -> CgroupError {
    use cgroups_rs::fs::error::ErrorKind;
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>()).and_then(io::Error::raw_os_error);
    let source = cause.map_or_else(|| io::Error::other(error.to_string()), io::Error::from_raw_os_error);
    match error.kind() {
        // The file is named with its directory by some of its functions, without by others.
        ErrorKind::WriteFailed(file, value) => {
            CgroupError::Write { path: group.join(file), value: value.clone(), source }
        }
        _ => CgroupError::Read { path: group.to_owned(), source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_units_become_microseconds_per_period() {
        assert_eq!([256, 1024, 2048, 196_608].map(quota), [25_000, 100_000, 200_000, 19_200_000]);
        assert_eq!(quota(1), 1000, "the kernel's least");
    }

    #[test]
    fn weights_keep_the_ratio_of_the_shares() {
        assert_eq!([256, 512, 1024, 2048, 10_240].map(weight), [25, 50, 100, 200, 1000]);
        assert_eq!([2, 262_144].map(weight), [1, 10_000], "the kernel's least and most");
    }
}
