//! Starting one container: its group, its bundle, libcontainer, and the word on disk that tells it from everything else.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::pause::{Joined, Pause};
use super::protocol::{InitFile, Report};
use super::terminal::Carrier;
use super::{Worker, failed};
use crate::plan::ContainerPlan;
use crate::plan::isolation::{IpcNamespace, Streams};
use crate::plan::spec::{CgroupView, Surroundings};
use crate::runtime::cgroup::CpuCap;
use crate::runtime::container::StartError;
use crate::runtime::storage::Disks;
use crate::runtime::{bundle, cgroup, container, nodes};
use crate::secrets::{ValuesError, complete};
use crate::sys::failpoint::{pass, reach};
use crate::sys::{passing, pidfd};

/// Processes of berth's own that a container needs beside itself.
struct Companions {
    /// The task's first process.
    pause: Option<Pause>,
    /// What carries its terminal.
    carrier: Option<Carrier>,
}

impl Worker<'_> {
    /// Starts the container at a place of the plan. What an earlier attempt or run left is killed and removed first, but for
    /// the writable layer.
    pub(super) fn start(&self, place: usize, run: u32) -> Report {
        pass("start: asked");
        let plan = match self.completed(place) {
            Ok(plan) => plan,
            Err(error) => return failed("ResourceInitializationError", &error),
        };
        if run == 0
            && let Some(reason) = self.receiver(place)
        {
            return Report::Failed { reason };
        }
        let companions = match self.companions(place) {
            Ok(companions) => companions,
            Err(error) => return failed("CannotCreateContainerError", error.as_ref()),
        };
        if let Err(error) = self.connect(place) {
            return failed("CannotStartContainerError", error.as_ref());
        }
        match self.create(&plan, place, run, companions) {
            Ok((created, cap, oom_kills)) => {
                let pid = created.pid.as_raw();
                match self.let_go(place, run, created, cap.as_ref()) {
                    Ok(()) => Report::Started { pid, oom_kills },
                    Err(error) => failed("CannotStartContainerError", error.as_ref()),
                }
            }
            Err(error) => failed("CannotCreateContainerError", error.as_ref()),
        }
    }

    /// A container's plan with the values that do not stand in it. They are this process's to know, and its children's.
    pub(super) fn completed(&self, place: usize) -> Result<ContainerPlan, ValuesError> {
        let plan = &self.plan.containers[place];
        let process = complete(&plan.process, &plan.name, &self.plan.paths)?;
        Ok(ContainerPlan { process, ..plan.clone() })
    }

    fn create(
        &self,
        plan: &ContainerPlan,
        place: usize,
        run: u32,
        companions: Companions,
    ) -> Result<(container::Created, Option<CpuCap>, u64), Box<dyn Error>> {
        let paths = self.plan.container_paths(place);
        let Companions { pause, carrier } = companions;
        let libcontainer = self.plan.paths.libcontainer();
        reach("start: companions are there")?;
        self.cgroups.kill_container(&self.plan.cgroup, &plan.name)?;
        reach("start: the earlier run is killed")?;
        // Nobody may take the process of an earlier run for this one's.
        absent(fs::remove_file(paths.state_file()))?;
        container::remove(plan, &paths, &libcontainer)?;
        reach("start: the earlier run is removed")?;
        let nodes = nodes::of_host(&plan.isolation)?;
        let rules = nodes::rules(&plan.isolation, &nodes);
        self.cgroups.create_container(&self.plan.cgroup, &plan.name, &plan.limits, &rules)?;
        reach("start: the group is made")?;
        let cap = self.cgroups.cpu_cap(&self.plan.cgroup)?;
        let oom_kills = match run {
            0 => 0, // the group is new
            _ => self.cgroups.oom_kills(&self.plan.cgroup, &plan.name)?.container,
        };
        // By a thread that has to have ended before what follows, and before the group takes loop devices away.
        let disks = Disks::open(self.plan, place, self.opened_disk()?)?;
        reach("start: the disks are open")?;
        // From here on everything that this process makes is in the container's group, and in a mount namespace where
        // libcontainer finds no group to write.
        self.cgroups.join(&self.plan.cgroup, &plan.name)?;
        reach("start: in the group")?;
        cgroup::hide()?;
        reach("start: in a mount namespace")?;
        let joined = pause.map(|pause| self.join_pause(&pause, place)).transpose()?.unwrap_or_default();
        reach("start: the pause is joined")?;
        container::enter_ipc(&plan.isolation)?;
        container::set_parameters(&plan.isolation.ipc_parameters)?;
        // The task's: of two containers the one that starts last wins.
        container::set_parameters(&plan.isolation.network_parameters)?;
        reach("start: the parameters are set")?;
        let bundle = bundle::prepare(self.plan, place, disks, &self.surroundings(place, &joined))?;
        reach("start: the bundle is made")?;
        let (ours, theirs) = carrier.is_some().then(passing::pair).transpose()?.unzip();
        let created = container::create(bundle, plan, &paths, &libcontainer, &self.plan.filters, nodes, theirs)?;
        reach("start: the container is created")?;
        if let (Some(carrier), Some(socket)) = (carrier, ours) {
            carrier.hand_over(&socket, created.pid, &paths)?;
        }
        Ok((created, cap, oom_kills))
    }

    /// Made before the caller enters the container's network, which they are not to keep. They stand in the task's group for
    /// what is berth's own: not in the container's, which is killed with the container, nor limited by it.
    fn companions(&self, place: usize) -> Result<Companions, Box<dyn Error>> {
        let pause = self.pause_for(place)?;
        let carrier = match self.plan.containers[place].isolation.streams {
            Streams::Terminal => {
                self.cgroups.join_own(&self.plan.cgroup)?;
                Some(Carrier::start(&self.plan.id, &self.plan.container_paths(place))?)
            }
            Streams::Pipes | Streams::WaitingPipes => None,
        };
        Ok(Companions { pause, carrier })
    }

    fn surroundings(&self, place: usize, joined: &Joined) -> Surroundings {
        let isolation = &self.plan.containers[place].isolation;
        Surroundings {
            cgroup: if self.cgroups.is_v2() { CgroupView::ReadOnly } else { CgroupView::Absent },
            pid: joined.pid.clone(),
            shm: if isolation.ipc == IpcNamespace::Host { Some("/dev/shm".into()) } else { joined.shm.clone() },
        }
    }

    /// The file is written when the process is there, and again before it is let go: whoever finds the first form knows that
    /// the program never began. Nothing is left to be written afterwards, when it might run and nobody know; unless it failed.
    fn let_go(
        &self,
        place: usize,
        run: u32,
        created: container::Created,
        cap: Option<&CpuCap>,
    ) -> Result<(), Box<dyn Error>> {
        let path = self.plan.container_paths(place).state_file();
        let mut file = InitFile {
            pid: created.pid.as_raw(),
            start_time: pidfd::stat(created.pid)?.start_time,
            boot_id: pidfd::boot_id()?,
            started: false,
            run,
        };
        reach("start: before the first word on disk")?;
        write_whole(&path, &file)?;
        reach("start: the first word is on disk")?;
        cap.map_or(Ok(()), CpuCap::set)?;
        reach("start: the cap is set")?;
        file.started = true;
        write_whole(&path, &file)?;
        reach("start: the second word is on disk")?;
        let Err(error) = created.start() else {
            pass("start: the program runs");
            return Ok(());
        };
        // Its own word is the last one: an init that has no program has begun for all that can be seen of it.
        if !matches!(error, StartError::Report(_)) {
            file.started = false;
            write_whole(&path, &file)?;
        }
        Err(error.into())
    }
}

fn absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

pub(super) fn write_whole(path: &Path, file: &InitFile) -> io::Result<()> {
    let temporary = path.with_extension("new");
    fs::File::create(&temporary)?.write_all(&serde_json::to_vec(file)?)?;
    reach("word: written")?;
    fs::rename(&temporary, path)
}
