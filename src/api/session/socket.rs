//! From a GET request to a client of a session: the upgrade to a WebSocket (RFC 6455), and the first message, which must come
//! soon and have the session's token in it. Before that a connection is a stranger's, of which there may be a few only.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HeaderMap, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::{Keep, PATH, Sessions, Word};
use crate::ops::session::Open;

/// How long the first message may take.
const FIRST: Duration = Duration::from_secs(10);
/// The largest message.
const MESSAGE_MAX: usize = 16 << 10;

/// Answers a request for a session's stream.
pub(in crate::api) fn accept(
    sessions: &Arc<Sessions>,
    keep: Keep,
    mut request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let id = request.uri().path().strip_prefix(PATH).unwrap_or_default().to_owned();
    if !sessions.exists(&id) {
        return refuse(StatusCode::NOT_FOUND, "there is no such session\n");
    }
    let Some(key) = key(request.headers()) else {
        return refuse(StatusCode::BAD_REQUEST, "this is the address of a WebSocket, version 13\n");
    };
    let upgrade = hyper::upgrade::on(&mut request);
    let sessions = Arc::clone(sessions);
    tokio::spawn(async move {
        let Ok(_permit) = sessions.strangers.try_acquire() else { return };
        let opening = async {
            let io = TokioIo::new(upgrade.await.ok()?);
            let config = WebSocketConfig::default()
                .max_message_size(Some(MESSAGE_MAX))
                .max_frame_size(Some(MESSAGE_MAX))
                .read_buffer_size(16 << 10)
                .write_buffer_size(0)
                .max_write_buffer_size(256 << 10);
            let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
            let text = loop {
                match socket.next().await?.ok()? {
                    Message::Text(text) => break text,
                    Message::Ping(_) | Message::Pong(_) => {}
                    Message::Binary(_) | Message::Close(_) | Message::Frame(_) => return None,
                }
            };
            Some((socket, serde_json::from_str::<Open>(text.as_str()).ok()?))
        };
        // Whoever has no token hears nothing but the end of the connection.
        let Ok(Some((socket, open))) = timeout(FIRST, opening).await else { return };
        let client = Word::Client { socket: Box::new(socket), exit_code: open.exit_code };
        sessions.enter(&id, &open.token_value, client, &keep);
    });
    switched(&key)
}

/// The key of a request that asks for a WebSocket.
fn key(headers: &HeaderMap) -> Option<String> {
    let has = |name, word: &str| {
        let all = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        all.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    let asks = has(UPGRADE, "websocket") && has(CONNECTION, "upgrade") && has(SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(SEC_WEBSOCKET_KEY)?.to_str().ok()?;
    asks.then(|| key.to_owned())
}

fn switched(key: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, "websocket".parse().expect("it is a header's value"));
    headers.insert(CONNECTION, "Upgrade".parse().expect("it is a header's value"));
    if let Ok(accept) = derive_accept_key(key.as_bytes()).parse() {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

fn refuse(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
