//! `run`: register the definition, plan the task, commit it with its lease, start its supervisor.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::actions::Caller;
use super::capacity::requirements;
use super::connect::Ground;
use super::definitions::bare;
use super::engine::DEFAULT_CLUSTER;
use super::provide::{Missing, Present};
use super::pull::reason::{chain, shortened};
use super::{Engine, OpsError, TaskImages, TaskRecord, host_facts};
use crate::ecs::task_definition::{Tag, TaskDefinitionStatus};
use crate::ecs::volume::TaskVolumeConfiguration;
use crate::ecs::{LaunchType, TaskDefinition, TaskOverride};
use crate::image::Digest;
use crate::lifecycle::{Starter, TaskState, Timestamp};
use crate::plan::connect::Connection;
use crate::plan::gpus::{self, Gpu};
use crate::plan::make::{Names, Place, plan, plan_unstarted};
use crate::plan::volumes::StorageSettings;
use crate::plan::{Asked, LogSettings, ServiceLink, TaskPlan};
use crate::runtime::cgroup::delegated;
use crate::scheduler::PlacementRules;
use crate::secrets::TaskValues;
use crate::store::records::{self, GPUS, Lease, Room};
use crate::store::{Commit, Txn};
use crate::supervisor::launch::{Beginning, LaunchError, Waiting, begin, launch};
use crate::sys::failpoint::pass;
use crate::sys::{pidfd, time};
use crate::validate::{ValidTaskDefinition, overridden};

/// How often a plan is made anew because somebody else was quicker.
const ATTEMPTS: usize = 100;

/// What a caller may say about a new task besides its definition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunOptions {
    /// `startedBy`.
    pub started_by: Option<String>,
    /// The cluster, where it is not the default one.
    pub cluster: Option<String>,
    /// `group`, where it is not the family's.
    pub group: Option<String>,
    /// The service that it belongs to.
    pub service: Option<ServiceLink>,
    /// The subnets that it may be in; all of them, where none is named.
    pub subnets: Vec<String>,
    /// The revision that it is of; without one, that of the family which is the same definition, or a new one. A task of a
    /// revision is started only where there is room for it.
    pub revision: Option<u32>,
    /// Where it may be.
    pub placement: PlacementRules,
    /// The digests of images by the names of their containers: those with which a deployment began. A container with
    /// `versionConsistency` disabled does not care.
    pub pinned: BTreeMap<String, Digest>,
    /// What this run replaces in the definition.
    pub overrides: TaskOverride,
    /// `volumeConfigurations`: the EBS volume of the task.
    pub volume_configurations: Vec<TaskVolumeConfiguration>,
    /// Its tags, those that ECS adds and those that it takes over among them.
    pub tags: Vec<Tag>,
    /// What is only shown again.
    pub asked: Asked,
    /// The container instance that it is to be on, where somebody names one.
    pub on_instance: Option<String>,
    /// What it runs on, where that is not what its definition is for.
    pub launch_type: Option<LaunchType>,
}

impl RunOptions {
    /// The definition as this run has it; the one that is registered stays as it is.
    pub(super) fn applied<'a>(
        &self,
        definition: &'a ValidTaskDefinition,
    ) -> Result<Cow<'a, ValidTaskDefinition>, OpsError> {
        if self.overrides == TaskOverride::default() {
            return Ok(Cow::Borrowed(definition));
        }
        match overridden(definition, self.overrides.clone().into()) {
            Ok((overridden, _)) => Ok(Cow::Owned(overridden.definition)),
            Err(problems) => Err(OpsError::Overrides { problems }),
        }
    }
}

/// What a task is planned into.
pub(super) struct Surroundings {
    ground: Ground,
    zone: String,
    resolv_conf: String,
    storage: StorageSettings,
    cluster: String,
    launch_type: Option<LaunchType>,
    log: LogSettings,
}

impl Surroundings {
    /// What the task is connected to.
    pub(super) fn ground(&self) -> &Ground {
        &self.ground
    }
}

/// What a task is made of.
#[derive(Clone, Copy)]
struct Definitions<'a> {
    /// What was registered, or will be.
    registered: &'a ValidTaskDefinition,
    /// The same with what the run replaces.
    applied: &'a ValidTaskDefinition,
}

/// A revision that exists, or one that is made together with its first task.
struct Revision {
    number: u32,
    is_new: bool,
}

impl Engine {
    /// Starts one task and returns as soon as it has a supervisor; what becomes of it is seen by waiting. A task whose images
    /// cannot be had is on record as stopped.
    pub fn run(
        &mut self,
        definition: &ValidTaskDefinition,
        images: TaskImages,
        options: &RunOptions,
    ) -> Result<TaskRecord, OpsError> {
        let applied = options.applied(definition)?;
        let definitions = Definitions { registered: definition, applied: &applied };
        let names = names(&applied, options, &images);
        match images.outcome {
            Ok(present) => {
                let storage = self.storage(definitions.applied, options)?;
                self.start(definitions, &present, &images.values, storage, &names, options)
            }
            Err(missing) => self.record_unstarted(definitions, &missing, &names, options),
        }
    }

    /// The images are held until the task is on record.
    fn start(
        &mut self,
        definitions: Definitions<'_>,
        images: &Present,
        values: &TaskValues,
        storage: StorageSettings,
        names: &Names,
        options: &RunOptions,
    ) -> Result<TaskRecord, OpsError> {
        let waiting = begin(&names.task, Beginning::New);
        let waiting = waiting.map_err(|source| OpsError::Launch { task: names.task.clone(), source })?;
        pass("run: the supervisor waits");
        let surroundings = self.surroundings(definitions.applied, storage, options)?;
        let room = options.revision.map(|_| self.lock_capacity()).transpose()?;
        match room {
            Some(_) => drop(self.check_room(definitions.applied, options)?),
            None => self.check_constraints(definitions.applied)?,
        }
        for _ in 0..ATTEMPTS {
            let place = self.place(&surroundings, definitions.applied, &HashSet::new())?;
            let revision = self.revision(definitions.registered, options)?;
            let plan = plan(definitions.applied, revision.number, &images.facts, &place, names.clone())?;
            let state = state(&plan);
            let leases = leases(Txn::default(), definitions.applied, &plan);
            if let Some(record) = self.commit(definitions.registered, plan, state, &revision, leases)? {
                pass("run: the task is committed");
                return self.launch(waiting, record, values);
            }
        }
        Err(OpsError::Contention)
    }

    /// No lease, no supervisor: only what there is to tell.
    fn record_unstarted(
        &mut self,
        definitions: Definitions<'_>,
        missing: &Missing,
        names: &Names,
        options: &RunOptions,
    ) -> Result<TaskRecord, OpsError> {
        let surroundings = self.surroundings(definitions.applied, StorageSettings::default(), options)?;
        for _ in 0..ATTEMPTS {
            let place = self.place(&surroundings, definitions.applied, &HashSet::new())?;
            let revision = self.revision(definitions.registered, options)?;
            let plan = plan_unstarted(definitions.applied, revision.number, &place, names.clone());
            let mut state = state(&plan);
            state.never_start(&missing.reason, missing.container, Timestamp(names.pulled_at));
            if let Some(record) = self.commit(definitions.registered, plan, state, &revision, Txn::default())? {
                return Ok(record);
            }
        }
        Err(OpsError::Contention)
    }

    /// What does not change between two attempts.
    pub(super) fn surroundings(
        &mut self,
        definition: &ValidTaskDefinition,
        storage: StorageSettings,
        options: &RunOptions,
    ) -> Result<Surroundings, OpsError> {
        let mut ground = self.ground(definition)?;
        if let Ground::Awsvpc(vpc) = &mut ground
            && !options.subnets.is_empty()
        {
            vpc.subnets.retain(|subnet| options.subnets.contains(&subnet.id));
        }
        let cluster = options.cluster.clone().unwrap_or_else(|| DEFAULT_CLUSTER.to_owned());
        let log = self.config.log.settings(&self.config.aws.settings(&self.config.region));
        let (zone, resolv_conf) = (self.zone(), self.resolv_conf());
        let launch_type = options.launch_type;
        Ok(Surroundings { ground, zone, resolv_conf, storage, cluster, launch_type, log })
    }

    /// A place with addresses and ports that are free now, and not among `also` (keys of leases).
    pub(super) fn place<'a>(
        &'a self,
        surroundings: &'a Surroundings,
        definition: &ValidTaskDefinition,
        also: &HashSet<String>,
    ) -> Result<Place<'a>, OpsError> {
        let connection = self.connection(&surroundings.ground, definition, also)?;
        self.place_at(surroundings, definition, connection, also)
    }

    /// The place of a task whose addresses and ports are chosen.
    pub(super) fn place_at<'a>(
        &'a self,
        surroundings: &'a Surroundings,
        definition: &ValidTaskDefinition,
        connection: Connection<'a>,
        also: &HashSet<String>,
    ) -> Result<Place<'a>, OpsError> {
        let Surroundings { ground: _, zone, resolv_conf, storage, cluster, launch_type, log } = surroundings;
        let own = if definition.is_fargate() { LaunchType::Fargate } else { LaunchType::Ec2 };
        let zone = match &connection {
            Connection::Awsvpc { subnet, .. } => &subnet.zone,
            Connection::Bridge { .. } | Connection::Host { .. } | Connection::None => zone,
        };
        Ok(Place {
            account: &self.config.account,
            region: &self.config.region,
            cluster,
            launch_type: launch_type.unwrap_or(own),
            zone,
            connection,
            layout: &self.layout,
            resolv_conf,
            log,
            cgroup: delegated(),
            pids: self.config.pids_limit,
            open_files: host_facts::open_files(),
            storage,
            gpus: self.free_gpus(definition, also)?,
            role: self.role(definition.definition()),
        })
    }

    /// The GPUs that no task has; none is looked for where none is wanted.
    fn free_gpus(&self, definition: &ValidTaskDefinition, also: &HashSet<String>) -> Result<Vec<Gpu>, OpsError> {
        if gpus::wanted(&definition.definition().container_definitions) == 0 {
            return Ok(Vec::new());
        }
        let leases = self.store.list::<Lease>(GPUS)?;
        let all = self.config.instance.gpus.iter().enumerate();
        let all = all.map(|(number, devices)| Gpu { number, devices: devices.clone() });
        let taken = |key: &String| also.contains(key) || leases.iter().any(|lease| lease.key == *key);
        Ok(all.filter(|gpu| !taken(&gpus::lease(gpu.number))).collect())
    }

    /// One transaction: definition, plan, first state, and what else it is to hold; `None` if the world moved.
    fn commit(
        &mut self,
        definition: &ValidTaskDefinition,
        plan: TaskPlan,
        state: TaskState,
        revision: &Revision,
        with: Txn,
    ) -> Result<Option<TaskRecord>, OpsError> {
        let mut txn = with.put(plan.plan_key(), &plan).put(plan.status_key(), &state);
        if revision.is_new {
            txn = txn.and(self.written(definition, plan.revision, (&Caller::root(), plan.created_at)));
        }
        match self.store.commit(&txn)? {
            Commit::Done => Ok(Some(TaskRecord { plan, desired: None, state, waits: false })),
            Commit::Conflict => Ok(None),
        }
    }

    /// A supervisor that gave up has made nothing yet: the record says so and the lease is free again. One that was killed may
    /// have: another one takes the task up. The values are written when the task is on record, lest they lie about.
    pub(super) fn launch(
        &mut self,
        waiting: Waiting,
        record: TaskRecord,
        values: &TaskValues,
    ) -> Result<TaskRecord, OpsError> {
        if let Err(error) = values.write(&record.plan.paths) {
            self.give_up(record, &shortened(&format!("ResourceInitializationError: {}", chain(&error))))?;
            return Err(error.into());
        }
        let launched = match waiting.launch(&record.plan) {
            Err(LaunchError::NoAnswer) => launch(&record.plan, Beginning::Adopted),
            launched => launched,
        };
        let source = match launched {
            Ok(_) => return Ok(record),
            // What the record says is right already, or for the next supervisor to say.
            Err(source @ (LaunchError::NoAnswer | LaunchError::Lost(_))) => {
                return Err(OpsError::Launch { task: record.plan.id, source });
            }
            Err(source) => source,
        };
        let task = record.plan.id.clone();
        self.give_up(record, &format!("ContainerRuntimeError: {source}"))?;
        Err(OpsError::Launch { task, source })
    }

    /// Makes the record that of a task which stopped before anything of it was made.
    pub(super) fn give_up(&mut self, record: TaskRecord, reason: &str) -> Result<(), OpsError> {
        let mut state = record.state;
        state.never_start(reason, None, Timestamp(time::wall_ns() / 1_000_000));
        let txn = Txn::default().put(record.plan.status_key(), &state).delete(records::room(&record.plan.id));
        let _: Commit = self.store.commit(&record.plan.leases.iter().fold(txn, |txn, lease| txn.delete(lease)))?;
        // What is left of it is a directory with nothing in it that anybody needs.
        let _ = std::fs::remove_dir_all(&record.plan.paths.run);
        Ok(())
    }

    /// The latest revision of the family if it is the same definition, else the next one.
    fn revision(&self, definition: &ValidTaskDefinition, options: &RunOptions) -> Result<Revision, OpsError> {
        if let Some(number) = options.revision {
            return Ok(Revision { number, is_new: false });
        }
        let task: &TaskDefinition = definition.definition();
        let prefix = records::definitions(&self.config.account, &self.config.region, &task.family);
        let Some(last) = self.store.list::<TaskDefinition>(&prefix)?.pop() else {
            return Ok(Revision { number: 1, is_new: true });
        };
        let number: u32 = last.key.strip_prefix(&prefix).and_then(|number| number.parse().ok()).unwrap_or_default();
        let known = self.tags_of(&self.owner().task_definition(&task.family, number).to_string())?;
        let is_new = bare(&last.value) != bare(task)
            || known != task.tags.clone().unwrap_or_default()
            || last.value.status.is_some_and(|status| status != TaskDefinitionStatus::Active);
        Ok(Revision { number: number + u32::from(is_new), is_new })
    }
}

/// Into a transaction: what a plan holds, if it is free.
pub(super) fn leases(txn: Txn, definition: &ValidTaskDefinition, plan: &TaskPlan) -> Txn {
    let lease = Lease { task: plan.id.clone() };
    let needs = requirements(definition);
    let room = Room { cpu: needs.cpu, memory: needs.memory, instance: plan.container_instance() };
    let txn = txn.put(records::room(&plan.id), &room);
    plan.leases.iter().fold(txn, |txn, key| txn.require_absent(key).put(key, &lease))
}

/// The first state of a task, which this process is about to give a supervisor.
pub(super) fn state(plan: &TaskPlan) -> TaskState {
    let own = nix::unistd::Pid::this();
    let starter = pidfd::stat(own).ok().map(|stat| Starter { pid: own.as_raw(), start_time: stat.start_time });
    let state = TaskState::new(&plan.containers, Timestamp(plan.created_at), Timestamp(plan.pulled_at));
    TaskState { starter, ..state }
}

pub(super) fn names(definition: &ValidTaskDefinition, options: &RunOptions, images: &TaskImages) -> Names {
    names_at(definition, options, images.started_at.0, images.stopped_at.0)
}

/// Names of a task that was asked for, and whose images were here, at these times.
pub(super) fn names_at(
    definition: &ValidTaskDefinition,
    options: &RunOptions,
    created_at: i64,
    pulled_at: i64,
) -> Names {
    let task: &TaskDefinition = definition.definition();
    let mut rng = rand::rng();
    let mut uuid = || uuid::Builder::from_random_bytes(rng.random()).into_uuid().to_string();
    Names {
        attachment: uuid(),
        credentials: uuid(),
        containers: task.container_definitions.iter().map(|_| uuid()).collect(),
        task: uuid().replace('-', ""),
        created_at,
        pulled_at,
        started_by: options.started_by.clone(),
        overrides: options.overrides.clone(),
        group: options.group.clone(),
        service: options.service.clone(),
        asked: options.asked.clone(),
    }
}
