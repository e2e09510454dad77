//! The network of a container that has one of its own (bridge, host and none mode): the namespace in which the worker will
//! create it, its link, and the ports of the host that lead to it.

use std::error::Error;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::FlockArg;

use super::Worker;
use super::cleanup::network_lock;
use crate::net::{self, NetError};
use crate::plan::{ContainerNetwork, LinkPlan};
use crate::runtime::container::set_network_sysctls;
use crate::sys::netns;

/// How long the link of an earlier attempt may take to go: the kernel frees network namespaces in the background.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);

impl Worker<'_> {
    /// Puts the worker into the namespace of the container at a place of the plan; that of an awsvpc task it has from its
    /// birth, and that of the host too.
    pub(super) fn connect(&self, place: usize) -> Result<(), Box<dyn Error>> {
        let Some(network) = self.plan.network.container(place) else { return Ok(()) };
        // What an earlier attempt left would hold on to its link.
        self.cgroups.kill_container(&self.plan.cgroup, &self.plan.containers[place].name)?;
        match network {
            ContainerNetwork::Host { .. } => return Ok(()),
            ContainerNetwork::Loopback => {
                netns::enter_new()?;
                net::loopback()?;
            }
            ContainerNetwork::Bridge { link, ports } => {
                netns::enter_new()?;
                let _lock = network_lock(&self.plan.network_lock, FlockArg::LockShared)?;
                self.link_up(link)?;
                net::forward(link, ports, &self.plan.root_network, self.host_network.as_fd())?;
            }
        }
        Ok(set_network_sysctls()?)
    }

    /// Brings a link up in the namespace in which the worker is.
    pub(super) fn link_up(&self, link: &LinkPlan) -> Result<(), NetError> {
        let start = Instant::now();
        loop {
            match net::up(link, self.host_network.as_fd()) {
                Err(NetError::LinkTaken { .. }) if start.elapsed() < PATIENCE => thread::sleep(PAUSE),
                up => return up,
            }
        }
    }
}
