//! Capacity providers, as actions.

use super::Kind::{Read, Write};
use super::Scope::Account;
use super::{Action, run};
use crate::ecs::capacity_provider::{
    CapacityProviderRequest, DeleteCapacityProviderRequest, DescribeCapacityProvidersRequest,
};

pub(super) const ROWS: &[Action] = &[
    Action::new(
        "CreateCapacityProvider",
        Write,
        Account,
        run!(|engine, it: CapacityProviderRequest| engine.create_capacity_provider(&it)),
    )
    .partly("no managed instances; nothing scales the Auto Scaling group, whose instances are this host's"),
    Action::new(
        "UpdateCapacityProvider",
        Write,
        Account,
        run!(|engine, it: CapacityProviderRequest| engine.update_capacity_provider(&it)),
    )
    .partly("as CreateCapacityProvider"),
    Action::new(
        "DeleteCapacityProvider",
        Write,
        Account,
        run!(|engine, it: DeleteCapacityProviderRequest| engine.delete_capacity_provider(&it)),
    ),
    Action::new(
        "DescribeCapacityProviders",
        Read,
        Account,
        run!(|engine, it: DescribeCapacityProvidersRequest| engine.describe_capacity_providers(&it)),
    ),
];
