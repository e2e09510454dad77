//! ExecuteCommand: what it refuses, in ECS's words, and the session that it answers with. The session is held by whoever has
//! asked for this engine to open some, which is the endpoint: without one there is nobody to speak with a client.

use std::fmt;
use std::sync::Arc;

use super::actions::Caller;
use super::config::ExecUser;
use super::exec::{init, is_alive};
use super::session_log::{SessionGroup, SessionLog};
use super::{Engine, ExecOptions, ExecTerminal, OpsError, TaskRecord};
use crate::ecs::arn::Owner;
use crate::ecs::error::{EcsError, Exception};
use crate::ecs::request::{ExecuteCommandRequest, ExecuteCommandResponse, Session};
use crate::lifecycle::LastStatus;
use crate::session::words;

const NOT_ENABLED: &str = "The execute command failed because execute command was not enabled when the task was run or the \
     execute command agent isn\u{2019}t running. Wait and try again or run a new task with execute command enabled and try again.";
const NOT_CONNECTED: &str = "The execute command failed due to an internal error. Try again later.";
const NOT_INTERACTIVE: &str = "Interactive is the only mode supported currently.";

/// What a session is to run.
#[derive(Debug, Clone)]
pub struct SessionOrder {
    record: TaskRecord,
    place: usize,
    command: Vec<String>,
    /// Where it is written down, if it is.
    group: Option<SessionGroup>,
    /// Who has asked for it, by name.
    pub caller: String,
}

/// A session whose command runs.
#[derive(Debug)]
pub struct BegunSession {
    /// The command and its terminal.
    pub exec: ExecTerminal,
    /// What is shown is written down there.
    pub log: Option<SessionLog>,
}

/// How a client gets into a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionTicket {
    /// The session's id.
    pub id: String,
    /// The path, and query, of its stream.
    pub path: String,
    /// What lets one client in.
    pub token: String,
}

type Open = dyn Fn(SessionOrder) -> Result<SessionTicket, EcsError> + Send + Sync;

/// Whoever holds sessions.
#[derive(Clone)]
pub struct SessionOpener(Arc<Open>);

impl SessionOpener {
    /// One that opens sessions like this.
    pub fn new(open: impl Fn(SessionOrder) -> Result<SessionTicket, EcsError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }
}

impl fmt::Debug for SessionOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionOpener")
    }
}

impl Engine {
    /// ExecuteCommand.
    pub fn execute_command(
        &mut self,
        caller: &Caller,
        request: &ExecuteCommandRequest,
    ) -> Result<ExecuteCommandResponse, OpsError> {
        if !request.interactive {
            return Err(EcsError::invalid_parameter(NOT_INTERACTIVE).into());
        }
        let command = words(&request.command).filter(|words| !words.is_empty());
        let command =
            command.ok_or_else(|| EcsError::invalid_parameter("command must be a command line that is not empty."))?;
        let cluster = self.cluster_of(request.cluster.as_deref())?;
        let found = self.task_of(&cluster, &request.task)?;
        let record = found.ok_or_else(|| EcsError::invalid_parameter("The referenced task was not found."))?;
        if record.state.last_status == LastStatus::Running && !record.plan.asked.enable_execute_command {
            return Err(EcsError::invalid_parameter(NOT_ENABLED).into());
        }
        let place = record.container(request.container.as_deref())?;
        if !init(&record, place).is_ok_and(|init| is_alive(&init)) {
            return Err(EcsError::new(Exception::TargetNotConnectedException, NOT_CONNECTED).into());
        }
        let (Some(opener), Some(origin)) = (&self.sessions, &caller.streams) else {
            let why = "ExecuteCommand answers with a stream of the endpoint's: call `berth serve` over TCP, or use `berth exec`.";
            return Err(EcsError::client(why).into());
        };
        let group = self.session_group(&record, place)?;
        let order = SessionOrder { record: record.clone(), place, command, group, caller: caller.name.clone() };
        let ticket = (opener.0)(order)?;
        let session = Session {
            session_id: ticket.id,
            stream_url: format!("{origin}{}", ticket.path),
            token_value: ticket.token,
        };
        Ok(answer(&record, place, session))
    }

    /// Starts what the session with this id is to run.
    pub fn begin_session(&self, order: &SessionOrder, id: &str) -> Result<BegunSession, OpsError> {
        let user = match self.config.exec.user {
            ExecUser::Root => Some("0:0".to_owned()),
            ExecUser::Container => None,
        };
        let options = ExecOptions { command: order.command.clone(), user, terminal: true, ..ExecOptions::default() };
        let begin = |group| self.session_log(&order.record, order.place, group, id);
        let log = order.group.as_ref().map(begin).transpose()?;
        Ok(BegunSession { exec: self.exec_in_terminal(&order.record, order.place, &options)?, log })
    }
}

fn answer(record: &TaskRecord, place: usize, session: Session) -> ExecuteCommandResponse {
    let (plan, container) = (&record.plan, &record.plan.containers[place]);
    let owner = Owner { region: plan.region.clone(), account: plan.account.clone() };
    ExecuteCommandResponse {
        cluster_arn: owner.cluster(&plan.cluster),
        container_arn: owner.container(&plan.cluster, &plan.id, &container.arn_id),
        container_name: container.name.clone(),
        interactive: true,
        session,
        task_arn: plan.arn(),
    }
}
