//! Tags and account settings, as actions.

use super::Kind::{Read, Write};
use super::Scope::{Account, Named};
use super::{Action, refuse};

pub(super) const ROWS: &[Action] = &[
    Action::new("TagResource", Write, Named, refuse!("TagResource")).refused("not yet"),
    Action::new("UntagResource", Write, Named, refuse!("UntagResource")).refused("not yet"),
    Action::new("ListTagsForResource", Read, Named, refuse!("ListTagsForResource")).refused("not yet"),
    Action::new("ListAccountSettings", Read, Account, refuse!("ListAccountSettings")).refused("not yet"),
    Action::new("PutAccountSetting", Write, Account, refuse!("PutAccountSetting")).refused("not yet"),
    Action::new("PutAccountSettingDefault", Write, Account, refuse!("PutAccountSettingDefault")).refused("not yet"),
    Action::new("DeleteAccountSetting", Write, Account, refuse!("DeleteAccountSetting")).refused("not yet"),
];
