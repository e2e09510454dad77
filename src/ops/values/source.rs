//! Who is asked for values: the local store, or AWS. A client is made when the first value is asked for at AWS, and never
//! without the configuration's word.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

use super::super::config::{Config, Source};
use super::error::{LookupError, Unavailable};
use super::{Values, local, remote};
use crate::aws::{AwsError, Client, Variables};
use crate::ecs::value_from::{SecretReference, ValueFrom};
use crate::plan::Layout;

/// The sources of one root.
pub(in crate::ops) struct Sources<'a> {
    pub(super) layout: &'a Layout,
    pub(super) config: &'a Config,
    client: OnceCell<Client>,
}

impl<'a> Sources<'a> {
    /// Those of a configuration. Nobody is asked yet.
    pub(in crate::ops) fn new(layout: &'a Layout, config: &'a Config) -> Self {
        Self { layout, config, client: OnceCell::new() }
    }

    /// The values of parameters and secrets, each asked for once.
    pub(super) fn resolve(&self, wanted: &BTreeSet<ValueFrom>) -> Result<Values, Unavailable> {
        if wanted.is_empty() {
            return Ok(HashMap::new());
        }
        match self.config.secrets.source {
            Source::Local => local::resolve(self, wanted),
            Source::Aws => remote::resolve(self, wanted),
        }
    }

    /// The value of one secret, without looking into it.
    pub(in crate::ops) fn secret(&self, reference: &SecretReference) -> Result<String, LookupError> {
        match self.config.secrets.source {
            Source::Local => local::secret(&local::snapshot(self)?, reference),
            Source::Aws => remote::secret(self.client().map_err(LookupError::of_call)?, reference),
        }
    }

    /// The region of secrets that are named without one.
    pub(in crate::ops) fn region(&self) -> &str {
        self.config.aws.region.as_ref().unwrap_or(&self.config.region)
    }

    /// The client of AWS.
    pub(super) fn client(&self) -> Result<&Client, AwsError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let settings = self.config.aws.settings(&self.config.region);
        let client = Client::new(&settings, Variables::of_process())?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// A value that a variable can hold.
pub(super) fn checked(value: String, of: &str) -> Result<String, LookupError> {
    if value.contains('\0') { Err(LookupError::Nul(of.to_owned())) } else { Ok(value) }
}
