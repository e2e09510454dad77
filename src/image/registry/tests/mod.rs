//! The client against a server that behaves well and one that does not. Each lie has its control: the same contents,
//! served rightly, are pulled.

mod auth;
mod blobs;
mod endpoints;
mod login;
mod manifests;
mod redirects;
#[path = "../../../../tests/support/scripted.rs"]
mod scripted;
mod tls;

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use scripted::{Contents, Reply, Request, Server};

use super::error::RegistryError;
use super::limits::Timing;
use super::repository::Repository;
use super::retry::chain;
use crate::image::digest::Digest;
use crate::image::request::{Certificates, Credentials, Endpoint, FailureKind, Progress, Proxies, PullRequest};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A manifest as bytes; nothing in it is looked at here.
fn manifest() -> Vec<u8> {
    format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{}},"layers":[]}}"#).into_bytes()
}

/// 100,000 bytes that differ from place to place.
fn layer() -> Vec<u8> {
    (0..100_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// A registry with the tag `1` and one layer.
fn contents() -> Contents {
    let (manifest, layer) = (manifest(), layer());
    Contents::default()
        .manifest(Some("1"), OCI_MANIFEST, &Digest::of(&manifest).to_string(), &manifest)
        .blob(&Digest::of(&layer).to_string(), &layer)
}

/// A server of these contents in which `interfere` answers first.
fn server(interfere: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Server {
    let contents = contents();
    Server::start(move |request| interfere(request).unwrap_or_else(|| contents.answer(request)))
}

/// A server of these contents that changes what it answers.
fn altered(alter: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static) -> Server {
    let contents = contents();
    Server::start(move |request| alter(request, contents.answer(request)))
}

fn endpoint(url: &str) -> Endpoint {
    Endpoint { url: url.into(), credentials: None, certificates: Certificates::System }
}

fn request(endpoints: Vec<Endpoint>) -> PullRequest {
    PullRequest {
        reference: "registry.example/a/b:1".parse().unwrap(),
        known: None,
        endpoints,
        proxies: Proxies::default(),
        local_hosts: Vec::new(),
        parallel: 2,
    }
}

/// Everything a thousand times faster.
fn timing() -> Timing {
    Timing {
        resolve: Duration::from_secs(2),
        connect: Duration::from_secs(2),
        stall: Duration::from_millis(300),
        document: Duration::from_millis(1500),
        window: Duration::from_millis(200),
        rate: 10_000.0,
        wait: Duration::from_millis(1),
        wait_max: Duration::from_millis(4),
        asked_max: Duration::from_millis(40),
    }
}

/// A client, and what it tells.
struct Client {
    repository: Repository,
    told: Arc<Mutex<Vec<Progress>>>,
}

impl std::ops::Deref for Client {
    type Target = Repository;

    fn deref(&self) -> &Repository {
        &self.repository
    }
}

impl Client {
    fn of(request: &PullRequest) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&told);
        let repository =
            Repository::with_timing(request, timing(), move |progress| list.lock().unwrap().push(progress));
        Self { repository: repository.unwrap(), told }
    }

    /// A client of one server, without credentials.
    fn to(server: &Server) -> Self {
        Self::of(&request(vec![endpoint(&server.url())]))
    }

    fn with(server: &Server, credentials: Credentials) -> Self {
        Self::of(&request(vec![Endpoint { credentials: Some(credentials), ..endpoint(&server.url()) }]))
    }

    fn retries_told(&self) -> usize {
        self.told.lock().unwrap().iter().filter(|progress| matches!(progress, Progress::Retrying { .. })).count()
    }

    /// Reads the layer whole.
    fn pull_layer(&self) -> Result<Vec<u8>, RegistryError> {
        let mut bytes = Vec::new();
        let mut blob = self.blob(&Digest::of(&layer()), layer().len() as u64)?;
        match blob.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(_) => Err(blob.failure().unwrap()),
        }
    }

    /// Manifest and layer, right to the last byte.
    fn pulls(&self) {
        assert_eq!(self.manifest().map_err(|error| chain(&error)).unwrap().bytes, manifest());
        assert!(self.pull_layer().map_err(|error| chain(&error)).unwrap() == layer());
    }
}

fn basic() -> Credentials {
    Credentials::Basic { username: "me".into(), password: "secret".into() }
}

/// Asserts what kind of failure it is and that its words have this in them.
#[track_caller]
fn fails<T: std::fmt::Debug>(result: Result<T, RegistryError>, kind: FailureKind, words: &str) {
    let error = result.unwrap_err();
    let text = chain(&error);
    assert_eq!(error.kind(), kind, "{text}");
    assert!(text.contains(words), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

const RESOLVE: FailureKind = FailureKind::Resolve { retries: 0 };
const COPY: FailureKind = FailureKind::Copy { retries: 0 };

#[test]
fn a_registry_that_behaves_is_pulled_from() {
    let server = server(|_| None);
    let client = Client::to(&server);
    client.pulls();
    assert_eq!(client.head().unwrap(), Digest::of(&manifest()));
    assert_eq!(client.small_blob(&Digest::of(&layer()), 100_000).unwrap(), layer());
    let document = client.manifest_by_digest(&Digest::of(&manifest()), manifest().len() as u64).unwrap();
    assert_eq!(document.media_type, OCI_MANIFEST);
    assert_eq!(client.retries_told(), 0);
    let first = &server.requests()[0];
    assert_eq!((first.method.as_str(), first.target.as_str()), ("GET", "/v2/a/b/manifests/1"));
    assert_eq!(first.header("accept-encoding"), Some("identity"));
    assert!(first.header("accept").unwrap().contains(OCI_MANIFEST));
    assert!(first.header("user-agent").unwrap().starts_with("berth/"));
    assert_eq!(first.header("authorization"), None);
}
