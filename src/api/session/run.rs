//! One session from its client's first message to its end: the handshake, then bytes between the client and a terminal in the
//! container. The client may lose its connection and come back; whatever it does not read or acknowledge, the terminal is not
//! read either, so that its process waits and nothing piles up here.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{self, Bytes};

use super::ends::{Client, Process, read, read_now, write};
use super::{Keep, Socket, Word};
use crate::ops::session::{
    Channel, Flag, Message, MessageKind, PayloadType, Room, Size, Stamp, channel_closed, handshake_complete,
    handshake_request,
};
use crate::ops::{BegunSession, SessionLog, SessionOrder, tty};

/// How long a client may take for the handshake.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// For how long nothing of the last output of a process may be acknowledged, the connection back included.
const LAST: Duration = Duration::from_secs(10);
/// What was typed and the process has not read; more is not acknowledged.
const TYPED_MAX: usize = 128 << 10;

/// Where a session stands.
#[derive(Debug)]
enum Phase {
    /// The client is to answer.
    Handshake { since: Instant },
    /// The process runs.
    Running(Box<Process>),
    /// It has ended, and the client has not acknowledged all of its output: any of it last at `since`.
    Ended { since: Instant, output: String },
}

struct Session<'a> {
    id: &'a str,
    channel: Channel,
    client: Option<Client>,
    wants_exit_code: bool,
    typed: VecDeque<u8>,
    size: Option<Size>,
    /// How long nothing may be typed and nothing shown.
    idle: Duration,
    active: Instant,
    phase: Phase,
    log: Option<SessionLog>,
}

/// What has happened.
enum Event {
    Word(Option<Word>),
    Received(Option<Result<tungstenite::Message, tungstenite::Error>>),
    Shown(io::Result<Vec<u8>>),
    Written(io::Result<usize>),
    Exited,
    Stop,
    Time,
}

/// Runs a session to its end.
pub(super) async fn run(
    id: &str,
    order: SessionOrder,
    mut words: mpsc::Receiver<Word>,
    mut keep: Keep,
    idle: Duration,
) {
    let now = Instant::now();
    let mut session = Session {
        id,
        channel: Channel::default(),
        client: None,
        wants_exit_code: false,
        typed: VecDeque::new(),
        size: None,
        idle,
        active: now,
        phase: Phase::Handshake { since: now },
        log: None,
    };
    session.send(PayloadType::HandshakeRequest, handshake_request());
    let output = loop {
        let event = session.next(&mut words, &mut keep).await;
        match event {
            Event::Stop => break "The endpoint is ending.".to_owned(),
            Event::Word(Some(Word::Terminate) | None) => break String::new(),
            Event::Word(Some(Word::Client { socket, exit_code })) => session.welcome(*socket, exit_code),
            Event::Received(received) => {
                if let Some(end) = session.received(received, &order, &keep).await {
                    break end;
                }
            }
            Event::Shown(shown) => session.shown(shown),
            Event::Written(written) => session.written(&written),
            Event::Exited => session.exited(),
            Event::Time => {}
        }
        if let Some(end) = session.is_over() {
            break end;
        }
    };
    session.close(&output).await;
}

fn stamp() -> Stamp {
    let created = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    Stamp { now: Instant::now(), created: u64::try_from(created).unwrap_or(u64::MAX), id: rand::random() }
}

impl Session<'_> {
    /// Waits for whatever comes first.
    async fn next(&mut self, words: &mut mpsc::Receiver<Word>, keep: &mut Keep) -> Event {
        let timer = self.timer();
        let has_room = self.channel.room() > 0 && self.client.is_some();
        let from = async {
            match &mut self.client {
                Some(client) => client.from.next().await,
                None => std::future::pending().await,
            }
        };
        let (terminal, worker) = match &self.phase {
            Phase::Running(process) => (process.terminal.as_ref(), Some(&process.worker)),
            Phase::Handshake { .. } | Phase::Ended { .. } => (None, None),
        };
        let worker = worker.filter(|_| has_room);
        let shown = async {
            match terminal.filter(|_| has_room) {
                Some(terminal) => read(terminal).await,
                None => std::future::pending().await,
            }
        };
        let typed: &[u8] = self.typed.make_contiguous();
        let written = async {
            match terminal.filter(|_| !typed.is_empty()) {
                Some(terminal) => write(terminal, typed).await,
                None => std::future::pending().await,
            }
        };
        let exited = async {
            match worker {
                // An error here is as good as an end: nobody can wait for it.
                Some(worker) => drop(worker.readable().await.map(|mut ready| ready.retain_ready())),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = keep.stop.wait_for(|stop| *stop) => Event::Stop,
            word = words.recv() => Event::Word(word),
            received = from => Event::Received(received),
            written = written => Event::Written(written),
            shown = shown => Event::Shown(shown),
            () = exited => Event::Exited,
            () = tokio::time::sleep_until(timer.into()) => Event::Time,
        }
    }

    /// When something is to be done though nothing happens.
    fn timer(&self) -> Instant {
        let end = match &self.phase {
            Phase::Handshake { since } => *since + HANDSHAKE,
            Phase::Running(_) => self.active + self.idle,
            Phase::Ended { since, .. } => *since + LAST,
        };
        let resend = self.channel.due().filter(|_| self.client.is_some());
        resend.map_or(end, |resend| resend.min(end))
    }

    /// What time brings: something to be sent again, or the end, with what is said of it.
    fn is_over(&mut self) -> Option<String> {
        let now = Instant::now();
        if let Some(client) = &self.client
            && let Some(bytes) = self.channel.resend(now)
        {
            client.send(bytes);
        }
        match &self.phase {
            Phase::Handshake { since } if *since + HANDSHAKE <= now => Some("The client did not answer.".to_owned()),
            Phase::Running(_) if self.active + self.idle <= now => {
                Some("Your session timed out due to inactivity.".to_owned())
            }
            Phase::Ended { since, output } if self.channel.is_settled() || *since + LAST <= now => Some(output.clone()),
            Phase::Handshake { .. } | Phase::Running(_) | Phase::Ended { .. } => None,
        }
    }

    fn send(&mut self, payload_type: PayloadType, payload: Vec<u8>) {
        let bytes = self.channel.send(payload_type, payload, stamp());
        if let Some(client) = &self.client {
            client.send(bytes);
        }
    }

    /// What the terminal shows goes to the client and into the log.
    fn show(&mut self, bytes: Vec<u8>) {
        if let Some(log) = &mut self.log {
            log.write(&bytes);
        }
        self.send(PayloadType::Output, bytes);
    }

    fn welcome(&mut self, socket: Socket, exit_code: bool) {
        let client = Client::new(socket);
        for bytes in self.channel.resend_all(Instant::now()) {
            client.send(bytes);
        }
        if let Some(old) = self.client.replace(client) {
            old.writer.abort();
        }
        (self.wants_exit_code, self.active) = (exit_code, Instant::now());
    }

    /// Takes what the client has sent; the end, if that is what it wants.
    async fn received(
        &mut self,
        received: Option<Result<tungstenite::Message, tungstenite::Error>>,
        order: &SessionOrder,
        keep: &Keep,
    ) -> Option<String> {
        let bytes = match received {
            Some(Ok(tungstenite::Message::Binary(bytes))) => bytes,
            Some(Ok(tungstenite::Message::Close(_)) | Err(_)) | None => {
                self.client = None; // it may come back
                return None;
            }
            Some(Ok(_)) => return None,
        };
        // What is no message is not acknowledged: if it was one, it comes again.
        let Ok(message) = Message::decode(&bytes) else { return None };
        let room = if self.typed.len() < TYPED_MAX { Room::Some } else { Room::None };
        let waiting = self.channel.waiting();
        let received = self.channel.receive(message, stamp(), room);
        if let Phase::Ended { since, .. } = &mut self.phase
            && self.channel.waiting() < waiting
        {
            *since = Instant::now();
        }
        if let (Some(client), Some(bytes)) = (&self.client, received.acknowledgement) {
            client.send(bytes);
        }
        for (payload_type, payload) in received.taken {
            self.active = Instant::now();
            match payload_type {
                PayloadType::Output => self.typed.extend(payload),
                PayloadType::Size => self.resize(Size::read(&payload)),
                PayloadType::HandshakeResponse => self.begin(order, keep).await,
                PayloadType::Flag if Flag::read(&payload) == Some(Flag::TerminateSession) => return Some(String::new()),
                _ => {}
            }
        }
        None
    }

    /// Starts the process; its terminal is the client's from now on.
    async fn begin(&mut self, order: &SessionOrder, keep: &Keep) {
        let Phase::Handshake { since } = self.phase else { return };
        let (order, id) = (order.clone(), self.id.to_owned());
        let begun = keep.pool.run(move |engine| engine.begin_session(&order, &id)).await;
        self.send(PayloadType::HandshakeComplete, handshake_complete(since.elapsed()));
        let begun = match begun {
            Ok(Ok(BegunSession { exec, log })) if exec.terminal.is_some() => {
                self.log = log;
                Process::new(exec).map_err(|error| error.to_string())
            }
            Ok(Ok(BegunSession { exec, .. })) => Err(exec.complaints()),
            Ok(Err(error)) => Err(error.exception().message),
            Err(_) => Err("the endpoint is busy".to_owned()),
        };
        match begun {
            Ok(process) => self.phase = Phase::Running(Box::new(process)),
            Err(why) => {
                let output = format!("Unable to start command: {why}");
                self.phase = Phase::Ended { since: Instant::now(), output };
            }
        }
        self.active = Instant::now();
        self.resize(self.size);
    }

    /// Clients may say a size before there is a terminal.
    fn resize(&mut self, size: Option<Size>) {
        self.size = size.or(self.size);
        if let (Phase::Running(process), Some(size)) = (&self.phase, size) {
            let of = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
            if let Some(terminal) = &process.terminal {
                // One that has ended has no size.
                let size = tty::WindowSize { rows: of(size.rows), columns: of(size.cols) };
                let _ = tty::set_window_size(terminal.get_ref(), size);
            }
        }
    }

    fn shown(&mut self, shown: io::Result<Vec<u8>>) {
        match shown {
            Ok(bytes) if !bytes.is_empty() => {
                self.active = Instant::now();
                self.show(bytes);
            }
            // Nobody has the other end any more: the end of the process is waited for.
            Ok(_) | Err(_) => {
                if let Phase::Running(process) = &mut self.phase {
                    process.terminal = None;
                }
            }
        }
    }

    fn written(&mut self, written: &io::Result<usize>) {
        match written {
            Ok(count) => drop(self.typed.drain(..*count)),
            Err(_) => self.typed.clear(), // nobody reads it
        }
    }

    /// The process has ended. What it has written last is taken as far as there is room; the rest when there is.
    fn exited(&mut self) {
        let Phase::Running(process) = &mut self.phase else { return };
        let mut last = Vec::new();
        let room = self.channel.room().min(process.last_pieces);
        while let Some(terminal) = process.terminal.as_ref().filter(|_| last.len() < room) {
            match read_now(terminal.get_ref()) {
                Ok(bytes) if !bytes.is_empty() => last.push(bytes),
                Ok(_) | Err(_) => process.terminal = None,
            }
        }
        process.last_pieces -= last.len();
        let is_drained = process.terminal.is_none() || process.last_pieces == 0;
        let code = if is_drained { process.exec.exit_code() } else { None };
        for bytes in last {
            self.show(bytes);
        }
        if is_drained {
            self.end(code);
        }
    }

    fn end(&mut self, code: Option<i32>) {
        let code = code.unwrap_or(-1); // somebody else has reaped it
        if self.wants_exit_code {
            self.send(PayloadType::ExitCode, code.to_string().into_bytes());
        }
        let output = if code == 0 { String::new() } else { format!("The command ended with exit code {code}.") };
        self.phase = Phase::Ended { since: Instant::now(), output };
    }

    /// Tells the client that it is over.
    async fn close(mut self, output: &str) {
        let stamp = stamp();
        let payload = channel_closed(self.id, stamp.id, stamp.created, output);
        let message = Message {
            kind: MessageKind::ChannelClosed,
            created: stamp.created,
            sequence: 0,
            flags: 2,
            id: stamp.id,
            payload_type: PayloadType::Other(0),
            payload,
        };
        // The process, if it runs, and its worker go with this.
        self.phase = Phase::Ended { since: stamp.now, output: String::new() };
        let Some(Client { from, to, writer }) = self.client.take() else { return };
        let last = tungstenite::Message::Binary(Bytes::from(message.encode()));
        let _ = tokio::time::timeout(LAST, to.send(last)).await;
        drop(to);
        let gone = from.for_each(|_| std::future::ready(()));
        let _ = tokio::time::timeout(LAST, gone).await;
        writer.abort();
    }
}
