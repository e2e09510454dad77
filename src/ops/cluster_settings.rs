//! What is changed of a cluster that is there, and how much of it a description shows.

use super::{Engine, OpsError, session_log};
use crate::ecs::LaunchType;
use crate::ecs::cluster::{
    Cluster, ClusterResponse, ClusterSetting, CreateClusterRequest, PutClusterCapacityProvidersRequest,
    UpdateClusterRequest,
};
use crate::ecs::container_definition::KeyValuePair;
use crate::ecs::error::EcsError;
use crate::lifecycle::LastStatus;
use crate::scheduler::ServiceStatus;
use crate::store::{Commit, Txn, records};

const ATTEMPTS: usize = 20;
/// The one setting, and its values.
const CONTAINER_INSIGHTS: &str = "containerInsights";
const INSIGHTS: [&str; 3] = ["enabled", "disabled", "enhanced"];

impl Engine {
    /// UpdateCluster: what is given replaces what was.
    pub fn update_cluster(&mut self, request: &UpdateClusterRequest) -> Result<ClusterResponse, OpsError> {
        check_settings(request.settings.as_deref().unwrap_or_default())?;
        session_log::check(request.configuration.as_ref())?;
        self.change_cluster(&request.cluster, |own| {
            if request.settings.is_some() {
                own.settings.clone_from(&request.settings);
            }
            if request.configuration.is_some() {
                own.configuration.clone_from(&request.configuration);
            }
            if request.service_connect_defaults.is_some() {
                own.service_connect_defaults.clone_from(&request.service_connect_defaults);
            }
        })
    }

    /// PutClusterCapacityProviders: these instead of those that were.
    pub fn put_cluster_capacity_providers(
        &mut self,
        request: &PutClusterCapacityProvidersRequest,
    ) -> Result<ClusterResponse, OpsError> {
        self.cluster_of(Some(&request.cluster))?;
        let bare = |name: &String| name.rsplit('/').next().unwrap_or(name).to_owned();
        let providers: Vec<String> = request.capacity_providers.iter().map(bare).collect();
        let mut strategy = request.default_capacity_provider_strategy.clone();
        strategy.iter_mut().for_each(|item| item.capacity_provider = bare(&item.capacity_provider));
        self.check_cluster_providers(&providers, &strategy)?;
        self.change_cluster(&request.cluster, |own| {
            own.capacity_providers = Some(providers.clone());
            own.default_capacity_provider_strategy = Some(strategy.clone());
        })
    }

    /// Changes what a cluster was made with.
    fn change_cluster(
        &mut self,
        cluster: &str,
        change: impl Fn(&mut CreateClusterRequest),
    ) -> Result<ClusterResponse, OpsError> {
        let name = self.cluster_of(Some(cluster))?;
        let key = records::cluster(&self.config.account, &self.config.region, &name);
        for _ in 0..ATTEMPTS {
            let (txn, mut record) = match self.cluster_record(&name)? {
                Some(entry) => (Txn::default().require_unchanged(&key, entry.revision), entry.value),
                // The default one, which is there before anybody makes it.
                None => (Txn::default().require_absent(&key), super::clusters::ClusterRecord::default_one()),
            };
            change(&mut record.created_with);
            if self.store.commit_durably(&txn.put(&key, &record))? == Commit::Done {
                return Ok(ClusterResponse { cluster: self.cluster_view(&name, true)? });
            }
        }
        Err(OpsError::Contention)
    }

    /// UpdateClusterSettings.
    pub fn update_cluster_settings(&mut self, request: &UpdateClusterRequest) -> Result<ClusterResponse, OpsError> {
        if request.settings.as_ref().is_none_or(Vec::is_empty) {
            return Err(EcsError::invalid_parameter("Settings cannot be empty.").into());
        }
        let only = UpdateClusterRequest { configuration: None, service_connect_defaults: None, ..request.clone() };
        self.update_cluster(&only)
    }

    /// The settings of a cluster: its own, else those of the account.
    pub(super) fn cluster_settings(&self, own: Option<Vec<ClusterSetting>>) -> Result<Vec<ClusterSetting>, OpsError> {
        match own.filter(|own| !own.is_empty()) {
            Some(own) => Ok(own),
            None => {
                let value = self.default_setting(CONTAINER_INSIGHTS)?;
                Ok(vec![ClusterSetting { name: CONTAINER_INSIGHTS.to_owned(), value }])
            }
        }
    }

    /// A cluster with what a description is to include, and without the rest.
    pub(super) fn cluster_included(
        &mut self,
        name: &str,
        active: bool,
        include: &[String],
    ) -> Result<Cluster, OpsError> {
        let includes = |what: &str| include.iter().any(|one| one == what);
        let mut view = self.cluster_view(name, active)?;
        if !includes("TAGS") {
            view.tags.clear();
        }
        if !includes("SETTINGS") {
            view.settings.clear();
        }
        if !includes("CONFIGURATIONS") {
            view.configuration = None;
        }
        if includes("ATTACHMENTS") {
            view.attachments = Some(Vec::new());
        }
        if includes("STATISTICS") {
            view.statistics = self.cluster_statistics(name)?;
        }
        Ok(view)
    }

    /// The counts of a cluster by launch type, as ECS names them.
    fn cluster_statistics(&mut self, name: &str) -> Result<Vec<KeyValuePair>, OpsError> {
        let (tasks, services) = (self.briefs_of(name)?, self.services_of(name)?);
        let kinds = [("EC2", LaunchType::Ec2), ("Fargate", LaunchType::Fargate), ("External", LaunchType::External)];
        let mut all = Vec::new();
        for (word, kind) in kinds {
            let tasks = |which: fn(LastStatus) -> bool| {
                tasks.iter().filter(|task| task.launch_type == kind && which(task.status)).count()
            };
            let services = |status: ServiceStatus| {
                services.iter().filter(|one| one.launch_type == kind && one.service.status == status).count()
            };
            let counts = [
                (format!("running{word}TasksCount"), tasks(|status| status == LastStatus::Running)),
                (format!("pending{word}TasksCount"), tasks(|status| status < LastStatus::Running)),
                (format!("active{word}ServiceCount"), services(ServiceStatus::Active)),
                (format!("draining{word}ServiceCount"), services(ServiceStatus::Draining)),
            ];
            all.extend(
                counts
                    .into_iter()
                    .map(|(name, count)| KeyValuePair { name: Some(name), value: Some(count.to_string()) }),
            );
        }
        Ok(all)
    }
}

/// ECS's rules of a cluster's settings.
pub(super) fn check_settings(settings: &[ClusterSetting]) -> Result<(), EcsError> {
    for setting in settings {
        if setting.name != CONTAINER_INSIGHTS {
            return Err(EcsError::invalid_parameter(format!("Invalid setting name: {}", setting.name)));
        }
        if !INSIGHTS.contains(&setting.value.as_str()) {
            let message = format!("Invalid value for {CONTAINER_INSIGHTS}: must be one of {}.", INSIGHTS.join(", "));
            return Err(EcsError::invalid_parameter(message));
        }
    }
    Ok(())
}
