//! What a task needs before its first container: its network and its control group.

use std::error::Error;

use nix::fcntl::FlockArg;

use super::cleanup::network_lock;
use super::protocol::Report;
use super::{Worker, failed};
use crate::sys::failpoint::{pass, reach};

impl Worker<'_> {
    /// The kernel's cgroup lock is slow to get when nobody has had it lately; the network is made meanwhile.
    pub(super) fn prepare(&self) -> Report {
        pass("prepare: asked");
        match self.with_receivers(|| self.make()) {
            (Report::Prepared, Some(reason)) => Report::Failed { reason },
            (report, _) => report,
        }
    }

    fn make(&self) -> Report {
        self.begin_disk();
        let group = &self.plan.cgroup;
        // An earlier attempt may have left a container half made. It would hold on to the network of that attempt.
        let killed = self.plan.containers.iter().try_for_each(|one| self.cgroups.kill_container(group, &one.name));
        if let Err(error) = killed.and_then(|()| self.cgroups.create_task(group)) {
            return failed("CannotCreateContainerError", &error);
        }
        pass("prepare: the group is made");
        if let Err(error) = self.renew_pause() {
            return failed("CannotCreateContainerError", &error);
        }
        match self.network_up() {
            Ok(()) => {
                pass("prepare: done");
                Report::Prepared
            }
            Err(error) => failed("ContainerNetworkingError", error.as_ref()),
        }
    }

    /// The network that all containers share, if they do.
    fn network_up(&self) -> Result<(), Box<dyn Error>> {
        let Some(eni) = self.plan.network.eni() else { return Ok(()) };
        let _lock = network_lock(&self.plan.network_lock, FlockArg::LockShared)?;
        reach("prepare: the network's lock is held")?;
        self.link_up(&eni.link)?;
        reach("prepare: the link is up")?;
        crate::net::lead_to_agent()?;
        eni.proxy.as_ref().map_or(Ok(()), crate::net::redirect)?;
        Ok(crate::runtime::container::set_network_sysctls()?)
    }
}
