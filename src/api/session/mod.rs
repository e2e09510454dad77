//! Sessions of ECS Exec: the table of them, and the three ways to them. ExecuteCommand opens one, ResumeSession lets its client
//! come back, TerminateSession ends it; the client itself comes by WebSocket (`socket`), and what then goes on between it and a
//! terminal in a container is `run`'s. A task knows nothing of its sessions: they end with the endpoint.

mod control;
mod ends;
mod run;
mod socket;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use subtle::ConstantTimeEq;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_tungstenite::WebSocketStream;

pub(super) use self::control::answer;
pub(super) use self::socket::accept;
use super::pool::Pool;
use crate::ecs::error::EcsError;
use crate::ops::config::ExecConfig;
use crate::ops::{SessionOrder, SessionTicket};

/// How long a token lets a client in.
const TOKEN: Duration = Duration::from_secs(120);
/// Connections that have not shown a token yet.
const STRANGERS: usize = 64;
/// What stands before a session's id in the path of its stream.
pub(super) const PATH: &str = "/v1/data-channel/";

/// A client's connection.
type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// What a session is told from outside.
#[derive(Debug)]
enum Word {
    /// Its client is here, or here again.
    Client {
        /// Its connection.
        socket: Box<Socket>,
        /// Whether it wants the exit code in a message.
        exit_code: bool,
    },
    /// It is to end.
    Terminate,
}

/// A session that somebody may come to.
#[derive(Debug)]
struct Entry {
    owner: String,
    token: Option<(String, Instant)>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Nobody has come yet.
    Open(Box<SessionOrder>),
    /// It runs.
    Running(mpsc::Sender<Word>),
}

/// All sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    all: Mutex<HashMap<String, Entry>>,
    strangers: Semaphore,
    /// How many there may be.
    most: u32,
    /// How long nothing may be typed and nothing shown.
    idle: Duration,
}

/// A token or an id: hexadecimal digits that nobody guesses.
fn secret() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// The path of a session's stream.
fn path(id: &str) -> String {
    format!("{PATH}{id}?role=publish_subscribe")
}

impl Sessions {
    pub(super) fn new(config: &ExecConfig) -> Arc<Self> {
        Arc::new(Self {
            all: Mutex::default(),
            strangers: Semaphore::new(STRANGERS),
            most: config.sessions.get(),
            idle: Duration::from_secs(config.idle_seconds.get().into()),
        })
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session for which the client may come.
    pub(super) fn open(&self, order: SessionOrder) -> Result<SessionTicket, EcsError> {
        let mut all = self.all();
        let now = Instant::now();
        // Those to whom nobody has come in time, and nobody can any more.
        all.retain(|_, entry| match (&entry.stage, &entry.token) {
            (Stage::Open(_), Some((_, until))) => *until > now,
            (Stage::Open(_), None) => false,
            (Stage::Running(words), _) => !words.is_closed(),
        });
        let most = self.most;
        if all.len() >= most as usize {
            let message = format!(
                "Unable to start new execute sessions because the maximum session limit of {most} has been reached."
            );
            return Err(EcsError::client(message));
        }
        let id = format!("ecs-execute-command-{}", &secret()[..17]);
        let token = secret();
        let (owner, until) = (order.caller.clone(), now + TOKEN);
        all.insert(
            id.clone(),
            Entry { owner, token: Some((token.clone(), until)), stage: Stage::Open(Box::new(order)) },
        );
        Ok(SessionTicket { path: path(&id), id, token })
    }

    /// A new token, which is the only one from now on; `None` if the caller has no such session.
    pub(super) fn resume(&self, id: &str, caller: &str) -> Option<String> {
        let mut all = self.all();
        let entry = all.get_mut(id).filter(|entry| entry.owner == caller)?;
        let token = secret();
        entry.token = Some((token.clone(), Instant::now() + TOKEN));
        Some(token)
    }

    /// Ends a session, if the caller has it.
    pub(super) fn terminate(&self, id: &str, caller: &str) {
        let mut all = self.all();
        if all.get(id).is_some_and(|entry| entry.owner == caller)
            && let Some(Entry { stage: Stage::Running(words), .. }) = all.remove(id)
        {
            // One whose queue is full learns of it when it finds that nobody can speak to it any more.
            let _ = words.try_send(Word::Terminate);
        }
    }

    fn exists(&self, id: &str) -> bool {
        self.all().contains_key(id)
    }

    /// Lets a client in that has a session's token, which is used up by that.
    fn enter(self: &Arc<Self>, id: &str, token: &str, client: Word, keep: &Keep) {
        let mut all = self.all();
        let Some(entry) = all.get_mut(id) else { return };
        let fits = |(own, until): &(String, Instant)| {
            bool::from(own.as_bytes().ct_eq(token.as_bytes())) && *until > Instant::now()
        };
        if !entry.token.as_ref().is_some_and(fits) {
            return;
        }
        entry.token = None;
        let words = match &entry.stage {
            Stage::Running(words) => words.clone(),
            Stage::Open(order) => {
                let (words, told) = mpsc::channel(4);
                let (sessions, order, keep, own) = (Arc::clone(self), order.clone(), keep.clone(), id.to_owned());
                tokio::spawn(async move {
                    run::run(&own, *order, told, keep, sessions.idle).await;
                    sessions.all().remove(&own);
                });
                entry.stage = Stage::Running(words.clone());
                words
            }
        };
        // Four clients at once are none: the connection is closed.
        let _ = words.try_send(client);
    }
}

/// What a session needs of the endpoint.
#[derive(Debug, Clone)]
pub(super) struct Keep {
    /// The threads that start its process.
    pub(super) pool: Pool,
    /// Says true when the endpoint ends; it waits until all of these are gone.
    pub(super) stop: watch::Receiver<bool>,
}
