//! What a task needs before its first container: its network and its control group.

use std::error::Error;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::FlockArg;

use super::cleanup::network_lock;
use super::protocol::Report;
use super::{Worker, failed};
use crate::net::NetError;

/// How long the link of an earlier attempt may take to go: the kernel frees network namespaces in the background.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);

impl Worker {
    /// The kernel's cgroup lock is slow to get when nobody has had it lately; the network is made meanwhile.
    pub(super) fn prepare(&self) -> Report {
        let group = &self.plan.cgroup;
        // An earlier attempt may have left a container half made. It would hold on to the network of that attempt.
        let killed = self.plan.containers.iter().try_for_each(|one| self.cgroups.kill_container(group, &one.name));
        if let Err(error) = killed.and_then(|()| self.cgroups.create_task(group)) {
            return failed("CannotCreateContainerError", &error);
        }
        match self.network_up() {
            Ok(()) => Report::Prepared,
            Err(error) => failed("ContainerNetworkingError", error.as_ref()),
        }
    }

    fn network_up(&self) -> Result<(), Box<dyn Error>> {
        let _lock = network_lock(&self.plan.network_lock, FlockArg::LockShared)?;
        let start = Instant::now();
        loop {
            match crate::net::up(&self.plan.network, self.host_network.as_fd()) {
                Err(NetError::LinkTaken { .. }) if start.elapsed() < PATIENCE => thread::sleep(PAUSE),
                up => break up?,
            }
        }
        Ok(crate::runtime::container::set_network_sysctls()?)
    }
}
