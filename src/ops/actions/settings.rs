//! Tags and account settings, as actions.

use super::Kind::{Read, Write};
use super::Scope::{Account, Named};
use super::{Action, Caller, Nothing, run};
use crate::ecs::tags::{
    AccountSettingRequest, ListAccountSettingsRequest, ListTagsForResourceRequest, TagResourceRequest,
    UntagResourceRequest,
};
use crate::ops::Engine;

/// What is to be said of settings of which none changes anything on one host.
const KEPT: &str = "settings are kept and shown; containerInsights is the default of new clusters";

pub(super) const ROWS: &[Action] = &[
    Action::new(
        "TagResource",
        Write,
        Named,
        run!(|engine, it: TagResourceRequest| engine.tag_resource(&it).map(|()| Nothing {})),
    ),
    Action::new(
        "UntagResource",
        Write,
        Named,
        run!(|engine, it: UntagResourceRequest| engine.untag_resource(&it).map(|()| Nothing {})),
    ),
    Action::new(
        "ListTagsForResource",
        Read,
        Named,
        run!(|engine, it: ListTagsForResourceRequest| engine.list_tags_for_resource(&it)),
    ),
    Action::new(
        "ListAccountSettings",
        Read,
        Account,
        run!(|engine, caller, it: ListAccountSettingsRequest| engine.list_account_settings(&it, &arn(engine, caller))),
    )
    .but(KEPT),
    Action::new(
        "PutAccountSetting",
        Write,
        Account,
        run!(|engine, caller, it: AccountSettingRequest| engine.put_account_setting(&it, &arn(engine, caller))),
    )
    .but(KEPT),
    Action::new(
        "PutAccountSettingDefault",
        Write,
        Account,
        run!(|engine, it: AccountSettingRequest| {
            let root = Caller::root().arn(&engine.owner().account);
            engine.put_account_setting_default(&it, &root)
        }),
    )
    .but(KEPT),
    Action::new(
        "DeleteAccountSetting",
        Write,
        Account,
        run!(|engine, caller, it: AccountSettingRequest| engine.delete_account_setting(&it, &arn(engine, caller))),
    )
    .but(KEPT),
];

fn arn(engine: &Engine, caller: &Caller) -> String {
    caller.arn(&engine.owner().account)
}
