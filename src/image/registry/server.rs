//! One endpoint of a repository: a request to it with our credentials, renewed once when it says 401.

use super::address::Reach;
use super::auth::Auth;
use super::error::{RegistryError, RequestError};
use super::follow::{Answer, Direct, follow};
use super::http::{Ask, Common, Http};
use super::target::Target;
use crate::image::request::{Endpoint, PullRequest};

/// An endpoint.
pub(super) struct Server {
    base: Target,
    root: String,
    http: Http,
    auth: Auth,
}

impl Server {
    pub(super) fn new(endpoint: &Endpoint, request: &PullRequest, common: &Common<'_>) -> Result<Self, RegistryError> {
        Self::of(endpoint, Some(request.reference.path()), &request.local_hosts, common)
    }

    /// Of a repository, or of the registry itself.
    pub(super) fn of(
        endpoint: &Endpoint,
        repository: Option<&str>,
        local_hosts: &[String],
        common: &Common<'_>,
    ) -> Result<Self, RegistryError> {
        let base = Target::parse(&endpoint.url)?;
        let reach = Reach::new(&base, local_hosts);
        let below = repository.map(|path| format!("/{path}")).unwrap_or_default();
        Ok(Self {
            http: Http::new(&base, &endpoint.certificates, reach, common)?,
            auth: Auth::new(endpoint.credentials.clone(), repository),
            root: format!("{}/v2{below}", endpoint.url.trim_end_matches('/')),
            base,
        })
    }

    pub(super) fn base(&self) -> &Target {
        &self.base
    }

    /// Host and port, as people write them.
    pub(super) fn name(&self) -> &str {
        self.base.uri().authority().map_or(self.base.host(), |authority| authority.as_str())
    }

    /// Asks for what stands below the repository (`manifests/1`), whatever the status of the answer. A 401 from the
    /// endpoint itself is answered once; one from where it led to is not ours to answer.
    pub(super) fn ask(&self, what: &str, ask: &Ask) -> Result<Answer, RequestError> {
        let url = format!("{}/{what}", self.root);
        let target = Target::parse(&url).map_err(|error| RequestError::Realm(error.to_string(), url))?;
        let authorization = self.auth.current();
        let answer = follow(&self.http, &target, ask, authorization.as_deref())?;
        if answer.status() != 401 || answer.direct != Direct::FromTheServer {
            return Ok(answer);
        }
        let challenges = answer.headers("www-authenticate");
        if challenges.is_empty() {
            return Ok(answer);
        }
        answer.drain();
        let renewed = self.auth.renewed(&self.http, &self.base, authorization.as_deref(), &challenges, ask.limit)?;
        follow(&self.http, &target, ask, Some(&renewed))
    }
}
