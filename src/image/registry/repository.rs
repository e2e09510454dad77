//! One repository at its endpoints: manifests and blobs, from the first endpoint that has them. Used by the threads of
//! the fetch worker at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::blob::Blob;
use super::document::{Document, accept, promised};
use super::error::{RegistryError, RequestError};
use super::follow::Answer;
use super::http::{Ask, Common, Limit, Verb};
use super::limits::{MANIFEST_MAX, Timing};
use super::resolve::Names;
use super::retry::Retries;
use super::server::Server;
use super::tls::Authorities;
use crate::image::digest::Digest;
use crate::image::reference::ImageReference;
use crate::image::request::{Progress, PullRequest};

/// A repository of which an image is pulled.
pub(crate) struct Repository {
    reference: ImageReference,
    servers: Vec<Server>,
    /// The endpoint that had the manifest: those before it do not have the image.
    first: AtomicUsize,
    pub(super) timing: Timing,
    told: Box<dyn Fn(Progress) + Send + Sync>,
}

impl Repository {
    /// Reads what it needs of the host (resolv.conf, hosts, certificate authorities): before the process locks itself in.
    pub(crate) fn new(
        request: &PullRequest,
        told: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<Self, RegistryError> {
        Self::with_timing(request, Timing::default(), told)
    }

    pub(super) fn with_timing(
        request: &PullRequest,
        timing: Timing,
        told: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<Self, RegistryError> {
        if request.endpoints.is_empty() {
            return Err(RegistryError::NoEndpoint(request.reference.full()));
        }
        let names = Names::new().map_err(RegistryError::Resolver)?;
        let authorities = Authorities::load();
        let common = Common { authorities: &authorities, names: &names, proxies: &request.proxies, timing: &timing };
        let servers = request.endpoints.iter().map(|endpoint| Server::new(endpoint, request, &common));
        Ok(Self {
            reference: request.reference.clone(),
            servers: servers.collect::<Result<_, _>>()?,
            first: AtomicUsize::new(0),
            told: Box::new(told),
            timing,
        })
    }

    /// The digest that the registry has for the reference, by HEAD; by GET where that says nothing.
    pub(crate) fn head(&self) -> Result<Digest, RegistryError> {
        let what = self.reference.full();
        let headed = self.resolved(|server, limit| {
            let ask = Ask { verb: Verb::Head, headers: vec![accept()], limit };
            let answer = server.ask(&self.manifest_path(), &ask)?;
            match answer.status().as_u16() {
                200 => {
                    let found = promised(&answer)?;
                    match (found, self.reference.digest()) {
                        (Some(actual), Some(expected)) if actual != *expected => {
                            Err(RequestError::Digest { what: what.clone(), expected: *expected, actual })
                        }
                        _ => Ok(found),
                    }
                }
                405 | 501 => Ok(None),
                _ => Err(refused(answer, &what)),
            }
        })?;
        headed.map_or_else(|| self.manifest().map(|document| document.digest), Ok)
    }

    /// The manifest or index that the reference names; at most 4 MiB. Its digest is that of its bytes, verified against
    /// the reference's and against what the registry promises.
    pub(crate) fn manifest(&self) -> Result<Document, RegistryError> {
        let what = self.reference.full();
        self.resolved(|server, limit| {
            let ask = Ask { verb: Verb::Get, headers: vec![accept()], limit };
            let answer = server.ask(&self.manifest_path(), &ask)?;
            let document = Document::read(found(answer, &what)?, &what, MANIFEST_MAX)?;
            match self.reference.digest() {
                Some(digest) => document.verified(&what, digest),
                None => Ok(document),
            }
        })
    }

    /// A manifest by digest (from an index), verified. `size` is its descriptor's: not one byte more is read.
    pub(crate) fn manifest_by_digest(&self, digest: &Digest, size: u64) -> Result<Document, RegistryError> {
        self.copied(digest, &format!("manifests/{digest}"), &[accept()], size)
    }

    /// A small blob whole (the configuration), verified.
    pub(crate) fn small_blob(&self, digest: &Digest, size: u64) -> Result<Vec<u8>, RegistryError> {
        self.copied(digest, &format!("blobs/{digest}"), &[], size).map(|document| document.bytes)
    }

    /// A blob as a stream of exactly `size` bytes, resumed by range after a cut. Its digest is verified by who reads it.
    pub(crate) fn blob(&self, digest: &Digest, size: u64) -> Result<Blob<'_>, RegistryError> {
        Blob::open(self, digest, size)
    }

    /// Tells whoever shows the progress.
    pub(super) fn told(&self) -> &dyn Fn(Progress) {
        &self.told
    }

    /// The first endpoint's answer, or the last one's failure, when nothing between them forbids to go on. Which one it
    /// was comes with it.
    pub(super) fn each<T>(
        &self,
        mut ask: impl FnMut(&Server) -> Result<T, RequestError>,
    ) -> Result<(usize, T), RequestError> {
        let first = self.first.load(Ordering::Relaxed).min(self.servers.len() - 1);
        let mut at = first;
        loop {
            match (ask(&self.servers[at]), self.servers.get(at + 1)) {
                (Ok(value), _) => return Ok((at, value)),
                (Err(error), Some(next)) if error.lets_ask(&self.servers[at], next) => at += 1,
                (Err(error), _) => return Err(error),
            }
        }
    }

    /// Resolves the reference: told, tried again, and remembered who had it.
    fn resolved<T>(&self, ask: impl Fn(&Server, Limit) -> Result<T, RequestError>) -> Result<T, RegistryError> {
        let mut retries = self.retries();
        loop {
            let answer = self.each(|server| {
                let (reference, endpoint) = (self.reference.clone(), server.name().to_owned());
                (self.told)(Progress::Resolving { reference, endpoint });
                ask(server, self.limit(&retries))
            });
            let error = match answer {
                Ok((at, value)) => {
                    self.first.store(at, Ordering::Relaxed);
                    return Ok(value);
                }
                Err(error) => error,
            };
            retries.again(error, &self.told).map_err(|source| RegistryError::Resolve {
                reference: self.reference.full(),
                retries: retries.count(),
                source: Box::new(source),
            })?;
        }
    }

    /// A document whose digest and size are known.
    fn copied(
        &self,
        digest: &Digest,
        path: &str,
        headers: &[(&'static str, String)],
        size: u64,
    ) -> Result<Document, RegistryError> {
        let what = digest.to_string();
        let mut retries = self.retries();
        let failed = |retries, source| RegistryError::Copy { digest: *digest, retries, source: Box::new(source) };
        if size > MANIFEST_MAX {
            return Err(failed(0, RequestError::TooLarge { what, limit: MANIFEST_MAX }));
        }
        loop {
            let answer = self.each(|server| {
                let ask = Ask { verb: Verb::Get, headers: headers.to_vec(), limit: self.limit(&retries) };
                let answer = found(server.ask(path, &ask)?, &what)?;
                Document::read(answer, &what, size)?.sized(&what, size)?.verified(&what, digest)
            });
            match answer {
                Ok((_, document)) => return Ok(document),
                Err(error) => retries.again(error, &self.told).map_err(|error| failed(retries.count(), error))?,
            }
        }
    }

    /// One attempt's time. All attempts together have it once for each endpoint, so that a dead mirror takes none of the
    /// registry's.
    fn limit(&self, retries: &Retries) -> Limit {
        let own = Instant::now() + self.timing.document;
        Limit::Until(retries.end().map_or(own, |end| own.min(end)))
    }

    fn retries(&self) -> Retries {
        let endpoints = u32::try_from(self.servers.len()).unwrap_or(u32::MAX);
        Retries::until(&self.timing, Instant::now() + self.timing.document.saturating_mul(endpoints))
    }

    /// By its digest if it has one: a tag may have moved on.
    fn manifest_path(&self) -> String {
        let digest = self.reference.digest().map(ToString::to_string);
        format!("manifests/{}", digest.as_deref().or(self.reference.tag()).unwrap_or("latest"))
    }
}

/// The answer, if it is a 200.
pub(super) fn found(answer: Answer, what: &str) -> Result<Answer, RequestError> {
    if answer.status() == 200 { Ok(answer) } else { Err(refused(answer, what)) }
}

/// The error that an answer is which is not a 200.
pub(super) fn refused(answer: Answer, what: &str) -> RequestError {
    if answer.status() == 404 { RequestError::NotFound(what.into()) } else { answer.unexpected() }
}
