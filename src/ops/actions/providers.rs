//! Capacity providers, as actions.

use super::Kind::{Read, Write};
use super::Scope::Account;
use super::{Action, refuse};

pub(super) const ROWS: &[Action] = &[
    Action::new("CreateCapacityProvider", Write, Account, refuse!("CreateCapacityProvider")).refused("not yet"),
    Action::new("UpdateCapacityProvider", Write, Account, refuse!("UpdateCapacityProvider")).refused("not yet"),
    Action::new("DeleteCapacityProvider", Write, Account, refuse!("DeleteCapacityProvider")).refused("not yet"),
    Action::new("DescribeCapacityProviders", Read, Account, refuse!("DescribeCapacityProviders")).refused("not yet"),
];
