//! Account settings: what ECS lets an account, or one of its users, decide. Most of them say how AWS itself works and change
//! nothing on one host; they are kept and shown, so that scripts which set them first go on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::paging::{Asked, page};
use super::{Engine, OpsError};
use crate::ecs::error::EcsError;
use crate::ecs::tags::{
    AccountSettingRequest, AccountSettingResponse, ListAccountSettingsRequest, ListAccountSettingsResponse, Setting,
};
use crate::store::{Commit, Txn};

/// Names, their defaults, and the values that they may have; none where it is a number of days.
const SETTINGS: [(&str, &str, &[&str]); 11] = [
    ("awsvpcTrunking", "disabled", &["enabled", "disabled", "on", "off"]),
    ("containerInsights", "disabled", &["enabled", "disabled", "enhanced", "on", "off"]),
    ("containerInstanceLongArnFormat", "enabled", &["enabled", "disabled", "on", "off"]),
    ("defaultLogDriverMode", "non-blocking", &["blocking", "non-blocking"]),
    ("fargateEventWindows", "disabled", &["enabled", "disabled", "on", "off"]),
    ("fargateFIPSMode", "disabled", &["enabled", "disabled", "on", "off"]),
    ("fargateTaskRetirementWaitPeriod", "7", &["0", "7", "14"]),
    ("guardDutyActivate", "off", &["enabled", "disabled", "on", "off"]),
    ("serviceLongArnFormat", "enabled", &["enabled", "disabled", "on", "off"]),
    ("tagResourceAuthorization", "off", &["enabled", "disabled", "on", "off"]),
    ("taskLongArnFormat", "enabled", &["enabled", "disabled", "on", "off"]),
];
/// The principal of what holds for everybody.
const DEFAULT: &str = "default";

/// The settings of one principal, by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Settings(BTreeMap<String, String>);

impl Engine {
    /// ListAccountSettings: those that were set for the principal; with `effectiveSettings` all of them, as they hold.
    pub fn list_account_settings(
        &self,
        request: &ListAccountSettingsRequest,
        caller: &str,
    ) -> Result<ListAccountSettingsResponse, OpsError> {
        if let Some(name) = &request.name {
            known(name)?;
        }
        if request.value.is_some() && request.name.is_none() {
            return Err(EcsError::invalid_parameter("A name must be specified together with a value.").into());
        }
        let principal = request.principal_arn.as_deref().unwrap_or(caller);
        let own = self.settings_of(principal)?;
        let all: Vec<Setting> = match request.effective_settings {
            Some(true) => {
                let default = self.settings_of(DEFAULT)?;
                let value = |name: &str, built_in: &str| {
                    let set = own.0.get(name).or_else(|| default.0.get(name));
                    set.cloned().unwrap_or_else(|| built_in.to_owned())
                };
                SETTINGS
                    .iter()
                    .map(|(name, built_in, _)| setting(name, Some(value(name, built_in)), principal))
                    .collect()
            }
            Some(false) | None => {
                own.0.iter().map(|(name, value)| setting(name, Some(value.clone()), principal)).collect()
            }
        };
        let asked = |one: &Setting| {
            request.name.as_ref().is_none_or(|name| *name == one.name)
                && (request.value.is_none() || request.value == one.value)
        };
        let all: Vec<Setting> = all.into_iter().filter(asked).collect();
        let asked = Asked::by(request.max_results, request.next_token.as_deref(), (10, 10));
        let (settings, next_token) = page(&"account settings", all, |one| one.name.clone(), asked)?;
        Ok(ListAccountSettingsResponse { settings, next_token })
    }

    /// PutAccountSetting, for the caller or the principal that it names.
    pub fn put_account_setting(
        &mut self,
        request: &AccountSettingRequest,
        caller: &str,
    ) -> Result<AccountSettingResponse, OpsError> {
        let principal = request.principal_arn.as_deref().unwrap_or(caller);
        self.put_setting(principal, principal, request)
    }

    /// PutAccountSettingDefault, for everybody who has not set it otherwise.
    pub fn put_account_setting_default(
        &mut self,
        request: &AccountSettingRequest,
        root: &str,
    ) -> Result<AccountSettingResponse, OpsError> {
        self.put_setting(DEFAULT, root, request)
    }

    /// DeleteAccountSetting: what holds for everybody holds again.
    pub fn delete_account_setting(
        &mut self,
        request: &AccountSettingRequest,
        caller: &str,
    ) -> Result<AccountSettingResponse, OpsError> {
        known(&request.name)?;
        let principal = request.principal_arn.as_deref().unwrap_or(caller);
        self.change_settings(principal, |settings| {
            settings.0.remove(&request.name);
        })?;
        Ok(AccountSettingResponse { setting: setting(&request.name, None, principal) })
    }

    /// What holds for a setting where a principal has said nothing.
    pub(super) fn default_setting(&self, name: &str) -> Result<String, OpsError> {
        let built_in = SETTINGS.iter().find(|(one, ..)| *one == name).map_or("", |(_, built_in, _)| built_in);
        Ok(self.settings_of(DEFAULT)?.0.remove(name).unwrap_or_else(|| built_in.to_owned()))
    }

    fn put_setting(
        &mut self,
        principal: &str,
        shown: &str,
        request: &AccountSettingRequest,
    ) -> Result<AccountSettingResponse, OpsError> {
        let values = known(&request.name)?;
        if !values.contains(&request.value.as_str()) {
            let message = format!("Invalid value for {}: must be one of {}.", request.name, values.join(", "));
            return Err(EcsError::invalid_parameter(message).into());
        }
        self.change_settings(principal, |settings| {
            settings.0.insert(request.name.clone(), request.value.clone());
        })?;
        Ok(AccountSettingResponse { setting: setting(&request.name, Some(request.value.clone()), shown) })
    }

    fn settings_key(&self, principal: &str) -> String {
        format!("setting/{}/{}/{principal}", self.config.account, self.config.region)
    }

    fn settings_of(&self, principal: &str) -> Result<Settings, OpsError> {
        Ok(self.store.get(&self.settings_key(principal))?.map(|entry| entry.value).unwrap_or_default())
    }

    fn change_settings(&mut self, principal: &str, change: impl Fn(&mut Settings)) -> Result<(), OpsError> {
        let key = self.settings_key(principal);
        for _ in 0..20 {
            let (txn, mut settings) = match self.store.get::<Settings>(&key)? {
                Some(entry) => (Txn::default().require_unchanged(&key, entry.revision), entry.value),
                None => (Txn::default().require_absent(&key), Settings::default()),
            };
            change(&mut settings);
            if self.store.commit_durably(&txn.put(&key, &settings))? == Commit::Done {
                return Ok(());
            }
        }
        Err(OpsError::Contention)
    }
}

fn setting(name: &str, value: Option<String>, principal: &str) -> Setting {
    let kind = if name == "guardDutyActivate" { "aws_managed" } else { "user" };
    Setting { name: name.to_owned(), value, principal_arn: principal.to_owned(), r#type: kind.to_owned() }
}

/// The values that a setting may have.
fn known(name: &str) -> Result<&'static [&'static str], EcsError> {
    let found = SETTINGS.iter().find(|(one, ..)| *one == name);
    found
        .map(|(.., values)| *values)
        .ok_or_else(|| EcsError::invalid_parameter(format!("Invalid setting name: {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: &str = "arn:aws:iam::000000000000:user/me";

    fn put(name: &str, value: &str) -> AccountSettingRequest {
        AccountSettingRequest { name: name.to_owned(), value: value.to_owned(), principal_arn: None }
    }

    #[test]
    fn what_a_user_has_set_holds_before_what_holds_for_all() {
        let root = tempfile::tempdir().unwrap();
        let mut engine = Engine::open(Some(root.path())).unwrap();
        engine.put_account_setting_default(&put("containerInsights", "enabled"), "root").unwrap();
        engine.put_account_setting(&put("defaultLogDriverMode", "blocking"), ME).unwrap();
        let request = ListAccountSettingsRequest { effective_settings: Some(true), ..Default::default() };
        let first = engine.list_account_settings(&request, ME).unwrap();
        let value = |list: &ListAccountSettingsResponse, name: &str| {
            list.settings.iter().find(|one| one.name == name).and_then(|one| one.value.clone())
        };
        assert_eq!((first.settings.len(), first.next_token.is_some()), (10, true), "ten to a page");
        assert_eq!(value(&first, "containerInsights").as_deref(), Some("enabled"));
        assert_eq!(value(&first, "defaultLogDriverMode").as_deref(), Some("blocking"));
        let own = engine.list_account_settings(&ListAccountSettingsRequest::default(), ME).unwrap();
        assert_eq!(own.settings.len(), 1);
        engine.delete_account_setting(&put("defaultLogDriverMode", ""), ME).unwrap();
        assert!(engine.list_account_settings(&ListAccountSettingsRequest::default(), ME).unwrap().settings.is_empty());
    }

    #[test]
    fn names_and_values_that_there_are_not_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let mut engine = Engine::open(Some(root.path())).unwrap();
        for (name, value) in
            [("nothing", "enabled"), ("containerInsights", "maybe"), ("fargateTaskRetirementWaitPeriod", "8")]
        {
            assert!(engine.put_account_setting(&put(name, value), ME).is_err(), "{name} {value}");
        }
    }
}
