//! One request: its body read within bounds, the door, a thread that performs it, the answer, the line in the log.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::timeout;

use super::answer::{Answer, perform, refuse};
use super::front::{Call, Peer, Refused, Service};
use super::metrics::OPEN_METRICS;
use super::pool::Undone;
use super::refusal::Refusal;
use super::request_log::Entry;
use super::server::Shared;
use super::session::{self, Keep};
use crate::ops::actions::{Kind, action};

/// The largest body, in bytes. (ECS's largest request, RegisterTaskDefinition, may have 64 KiB.)
const BODY_MAX: usize = 1 << 20;
/// Larger bodies are read a few at a time.
const SMALL: u64 = 64 << 10;
/// How long a body may take.
const BODY_TIME: Duration = Duration::from_secs(20);

/// Answers a request, whatever it is.
pub(super) async fn respond(
    shared: &Arc<Shared>,
    peer: Peer,
    request: Request<Incoming>,
    stop: &watch::Receiver<bool>,
) -> Response<Full<Bytes>> {
    let began = Instant::now();
    if request.method() == Method::GET && request.uri().path().starts_with(session::PATH) {
        let keep = Keep { pool: shared.starts.clone(), stop: stop.clone() };
        return session::accept(&shared.sessions, keep, request);
    }
    let (parts, body) = request.into_parts();
    if parts.method == Method::GET {
        match parts.uri.path() {
            "/healthz" => return health(shared).await,
            "/metrics" => return figures(shared, peer).await,
            _ => {}
        }
    }
    let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string();
    let mut told = Told::default();
    let answer = match read(shared, &parts, body).await {
        Ok(body) => answer(shared, &parts, body, peer, &id, &mut told).await,
        Err(refusal) => refuse(Service::Ecs, refusal, &id),
    };
    tell(shared, peer, &id, told, &answer, began.elapsed());
    response(answer, &id)
}

/// What the log says of a request.
#[derive(Debug, Default)]
struct Told {
    action: String,
    key: String,
    region: Option<String>,
}

/// The whole body.
async fn read(shared: &Shared, parts: &Parts, body: Incoming) -> Result<Bytes, Refusal> {
    let too_large = || {
        let message = format!("The request is larger than {BODY_MAX} bytes.");
        Refusal::with_status(413, "RequestEntityTooLargeException", message)
    };
    let hint = body.size_hint();
    if hint.lower() > BODY_MAX as u64 {
        return Err(too_large());
    }
    if parts.headers.contains_key("content-encoding") {
        return Err(Refusal::with_status(415, "SerializationException", "Content-Encoding is not supported."));
    }
    let late = |_| Refusal::with_status(408, "RequestTimeoutException", "The request took too long to arrive.");
    let reading = async {
        // Who does not say how much it will be may send the most.
        let is_small = hint.upper().is_some_and(|most| most <= SMALL);
        let _turn = match is_small {
            true => None,
            false => shared.large.acquire().await.ok(),
        };
        Limited::new(body, BODY_MAX).collect().await
    };
    match timeout(BODY_TIME, reading).await.map_err(late)? {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Refusal::new("SerializationException", "The body ended early.")),
    }
}

async fn answer(shared: &Arc<Shared>, parts: &Parts, body: Bytes, peer: Peer, id: &str, told: &mut Told) -> Answer {
    match shared.front.admit(parts, &body, peer, SystemTime::now()) {
        Ok(mut call) => {
            call.caller.streams = shared.streams(parts, peer);
            let region = call.caller.region.clone();
            *told = Told { action: call.action.clone(), key: call.key.clone(), region };
            perform_on_a_thread(shared, call, body, id.to_owned()).await
        }
        Err(refused) => {
            let Refused { service, action, key, refusal } = *refused;
            *told = Told { action, key, region: None };
            refuse(service, refusal, id)
        }
    }
}

/// Those who only read have threads of their own.
async fn perform_on_a_thread(shared: &Shared, call: Call, body: Bytes, id: String) -> Answer {
    if call.service == Service::Ssm {
        return session::answer(&shared.sessions, &call, &body, &id);
    }
    let reads = match call.service {
        Service::Ecs => action(&call.action).is_none_or(|row| row.kind == Kind::Read),
        Service::Ssm | Service::Sts | Service::Ec2 => true,
    };
    let pool = if reads { &shared.reads } else { &shared.writes };
    let (service, own_id) = (call.service, id.clone());
    match pool.run(move |engine| perform(engine, &call, &body, &id)).await {
        Ok(answer) => answer,
        Err(Undone::Busy) => refuse(service, Refusal::throttled(), &own_id),
        Err(Undone::Lost) => refuse(service, Refusal::server("The service was interrupted."), &own_id),
    }
}

fn tell(shared: &Shared, peer: Peer, id: &str, told: Told, answer: &Answer, took: Duration) {
    let Told { action: named, key, region } = told;
    // Names that are no actions would be as many series as somebody likes.
    let known = action(&named).map_or("other", |row| row.name);
    shared.metrics.request(known, answer.error.as_deref(), took);
    let peer = match peer {
        Peer::Root => "root".to_owned(),
        Peer::Local => "local".to_owned(),
        Peer::Network(address) => address.to_string(),
    };
    let ms = (took.as_secs_f64() * 1e6).round() / 1e3;
    let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let (status, error) = (answer.status, answer.error.clone());
    shared.log.tell(Entry { time, id: id.to_owned(), peer, action: named, key, region, status, error, ms, lost: 0 });
}

fn response(answer: Answer, id: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    };
    set("content-type", answer.content_type);
    set("x-amzn-requestid", id);
    if let Some(error) = &answer.error {
        set("x-amzn-errortype", error);
    }
    if answer.status == 408 || answer.status == 413 {
        set("connection", "close"); // the rest of the body is not waited for
    }
    response
}

fn plain(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static(content_type));
    response
}

/// Whether requests can be answered: whether a thread comes free and the store can be read.
async fn health(shared: &Shared) -> Response<Full<Bytes>> {
    let look = shared.reads.run(|engine| engine.check_store().map_err(|error| error.to_string()));
    let found = timeout(Duration::from_secs(5), look).await;
    let (status, text) = match found {
        Ok(Ok(Ok(()))) => (StatusCode::OK, "{\"status\":\"ok\"}\n".to_owned()),
        Ok(Ok(Err(error))) => {
            (StatusCode::SERVICE_UNAVAILABLE, serde_json::json!({ "status": "failed", "reason": error }).to_string())
        }
        Ok(Err(_)) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "{\"status\":\"busy\"}\n".to_owned()),
    };
    plain(status, "application/json", text)
}

/// The figures, for programs on this host.
async fn figures(shared: &Shared, peer: Peer) -> Response<Full<Bytes>> {
    if !peer.is_of_this_host() {
        return plain(StatusCode::FORBIDDEN, "text/plain", "metrics are shown on loopback addresses only\n".to_owned());
    }
    let found = shared.reads.run(|engine| engine.figures()).await;
    match found {
        Ok(Ok(found)) => plain(StatusCode::OK, OPEN_METRICS, shared.metrics.text(&found, shared.places.taken())),
        Ok(Err(error)) => plain(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", format!("{error}\n")),
        Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "busy\n".to_owned()),
    }
}
