//! The roles of tasks: which of them the configuration knows, and what of it may stand in a plan.

use super::config::RoleConfig;
use super::{Engine, RunOptions};
use crate::aws::{Service, Variables};
use crate::ecs::TaskDefinition;
use crate::plan::agent::{AwsIdentity, RoleSource};
use crate::validate::ValidTaskDefinition;

/// STS's default.
const SECONDS: u32 = 3600;
/// The key of all roles that are not named.
const ANY: &str = "*";

impl Engine {
    /// What of a run's role is not as it would be on AWS, in a sentence.
    pub fn role_remark(&self, definition: &ValidTaskDefinition, options: &RunOptions) -> Option<String> {
        let arn = options.overrides.task_role_arn.as_deref().or_else(|| role_arn(definition.definition()))?;
        let name = name(arn);
        self.role_config(arn).is_none().then(|| {
            format!(
                "warning: the task gets no credentials: the configuration knows no role {name}: \
                 add [roles.{name:?}] with access-key-id and secret-access-key, profile, or assume = true"
            )
        })
    }

    /// Where the credentials of a task's role come from.
    pub(super) fn role(&self, definition: &TaskDefinition) -> Option<RoleSource> {
        let arn = role_arn(definition)?;
        let config = self.role_config(arn)?;
        Some(match config {
            RoleConfig { access_key_id: Some(_), .. } => RoleSource::Keys,
            RoleConfig { profile: Some(profile), .. } => RoleSource::Profile(self.identity(Some(profile))),
            RoleConfig { assume_arn, duration_seconds, .. } => RoleSource::Assume {
                by: self.identity(None),
                role: assume_arn.clone().unwrap_or_else(|| arn.to_owned()),
                seconds: duration_seconds.unwrap_or(SECONDS),
            },
        })
    }

    /// The fixed keys of a task's role, under ECS's names.
    pub(super) fn role_keys(&self, definition: &TaskDefinition) -> Option<Vec<(String, String)>> {
        let config = self.role_config(role_arn(definition)?)?;
        let key = config.access_key_id.as_ref()?;
        let secret = |name: &str, secret: &super::config::RoleSecret| (name.to_owned(), secret.0.clone());
        let secrets = config.secret_access_key.as_ref().map(|text| secret("SecretAccessKey", text)).into_iter();
        let token = config.session_token.as_ref().map(|text| secret("Token", text));
        Some([("AccessKeyId".to_owned(), key.clone())].into_iter().chain(secrets).chain(token).collect())
    }

    fn role_config(&self, arn: &str) -> Option<&RoleConfig> {
        let roles = &self.config.roles;
        roles.get(arn).or_else(|| roles.get(name(arn))).or_else(|| roles.get(ANY))
    }

    fn identity(&self, profile: Option<&String>) -> AwsIdentity {
        let settings = self.config.aws.settings(&self.config.region);
        AwsIdentity {
            endpoint: settings.endpoints.get(&Service::Sts).or(settings.endpoint.as_ref()).cloned(),
            region: settings.region,
            profile: profile.cloned().or(settings.profile),
            variables: Variables::of_process().without_secrets(),
        }
    }
}

fn role_arn(definition: &TaskDefinition) -> Option<&str> {
    definition.task_role_arn.as_deref().filter(|arn| !arn.is_empty())
}

/// The last part of an ARN; of a role with a path, that of the role itself.
fn name(arn: &str) -> &str {
    arn.rsplit(['/', ':']).next().unwrap_or(arn)
}
