//! The credentials of the task's role: fetched by a thread, so that nobody else waits for STS; kept, and renewed long before
//! they end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::pipe;
use crate::aws::{Client, Keys, Secret, Settings, Variables};
use crate::plan::agent::{AwsIdentity, RolePlan, RoleSource};
use crate::plan::{TaskPaths, TaskPlan};
use crate::secrets::role_values;

/// For how long credentials that do not end are handed out, as ECS does with a task's.
const HANDED_OUT: Duration = Duration::from_secs(6 * 3600);
/// SDKs renew theirs fifteen minutes before the end, and take it ill if they get the same again: with less than this left,
/// new ones are fetched.
const EARLY: Duration = Duration::from_secs(20 * 60);
/// A source that has failed is left alone for so long.
const REST: Duration = Duration::from_secs(2);
/// The stack of the thread: TLS and its certificates below AWS's SDK are the deepest. Only what is used takes memory.
const STACK: usize = 1 << 20;

type Fetched = Result<Keys, String>;

/// Whether an answer can be given at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Had {
    Now,
    Later,
}

/// The role of one task.
pub(super) struct Role {
    plan: Option<RolePlan>,
    task: String,
    paths: TaskPaths,
    kept: Option<Keys>,
    failed: Option<(SystemTime, String)>,
    is_asked: bool,
    told: OwnedFd,
    tell: OwnedFd,
    answers: Receiver<Fetched>,
    answer: Sender<Fetched>,
}

impl Role {
    pub(super) fn new(plan: &TaskPlan) -> io::Result<Self> {
        let (told, tell) = pipe()?;
        let (answer, answers) = channel();
        Ok(Self {
            plan: plan.agent.role.clone(),
            task: plan.id.clone(),
            paths: plan.paths.clone(),
            kept: None,
            failed: None,
            is_asked: false,
            told,
            tell,
            answers,
            answer,
        })
    }

    pub(super) fn told(&self) -> BorrowedFd<'_> {
        self.told.as_fd()
    }

    /// Somebody wants credentials: those that are good for long enough, else new ones.
    pub(super) fn ask(&mut self) -> Had {
        let now = SystemTime::now();
        if self.kept.as_ref().is_some_and(|keys| lasts(keys, now, EARLY)) {
            return Had::Now;
        }
        let rests = self.failed.as_ref().is_some_and(|(at, _)| now.duration_since(*at).unwrap_or_default() < REST);
        if !self.is_asked && !rests {
            self.is_asked = true;
            self.fetch();
        }
        // Old ones that still are good need not wait for the new ones.
        let good = self.kept.as_ref().is_some_and(|keys| lasts(keys, now, Duration::ZERO));
        if good || (rests && !self.is_asked) { Had::Now } else { Had::Later }
    }

    fn fetch(&mut self) {
        let Some(plan) = self.plan.clone() else { return };
        let (paths, task, answer) = (self.paths.clone(), self.task.clone(), self.answer.clone());
        let Ok(tell) = self.tell.try_clone() else { return self.note(Err("no descriptor is left".to_owned())) };
        let fetch = move || {
            // If nobody listens any more, nobody waits.
            let _ = answer.send(keys(&plan, &paths, &task));
            let _ = nix::unistd::write(&tell, b".");
        };
        if let Err(error) = std::thread::Builder::new().stack_size(STACK).spawn(fetch) {
            self.note(Err(format!("start a thread: {error}")));
            let _ = nix::unistd::write(&self.tell, b".");
        }
    }

    /// Takes what has come; whether something has.
    pub(super) fn hear(&mut self) -> bool {
        let mut bytes = [0; 16];
        while matches!(nix::unistd::read(&self.told, &mut bytes), Ok(1..)) {}
        while let Ok(fetched) = self.answers.try_recv() {
            self.note(fetched);
        }
        !self.is_asked
    }

    fn note(&mut self, fetched: Fetched) {
        self.is_asked = false;
        match fetched {
            Ok(keys) => (self.kept, self.failed) = (Some(keys), None),
            Err(reason) => self.failed = Some((SystemTime::now(), reason)),
        }
    }

    /// ECS's document, or why there is none.
    pub(super) fn answer(&self) -> Result<Value, &str> {
        let now = SystemTime::now();
        let role = self.plan.as_ref().ok_or("the task has no role")?;
        let Some(keys) = self.kept.as_ref().filter(|keys| lasts(keys, now, Duration::ZERO)) else {
            return Err(self.failed.as_ref().map_or("not yet", |(_, reason)| reason));
        };
        let end = keys.expires.unwrap_or_else(|| {
            Timestamp::try_from(now + HANDED_OUT)
                .unwrap_or(Timestamp::MAX)
                .round(jiff::Unit::Second)
                .unwrap_or(Timestamp::MAX)
        });
        Ok(json!({
            "RoleArn": role.arn,
            "AccessKeyId": keys.key,
            "SecretAccessKey": keys.secret.0,
            "Token": keys.token.as_ref().map_or("", |token| token.0.as_str()),
            "Expiration": end.to_string(),
        }))
    }
}

/// Whether they are good for so much longer.
fn lasts(keys: &Keys, now: SystemTime, longer: Duration) -> bool {
    keys.expires.is_none_or(|end| SystemTime::from(end) > now + longer)
}

fn keys(role: &RolePlan, paths: &TaskPaths, task: &str) -> Fetched {
    match &role.source {
        RoleSource::Keys => fixed(paths),
        RoleSource::Profile(identity) => client(identity)?.own_keys().map_err(|error| chain(&error)),
        RoleSource::Assume { by, role, seconds } => {
            client(by)?.assume_role(role, task, *seconds).map_err(|error| chain(&error))
        }
    }
}

fn fixed(paths: &TaskPaths) -> Fetched {
    let mut all = role_values(paths).map_err(|error| chain(&error))?;
    let mut take = |name: &str| {
        let place = all.iter().position(|(known, _)| known == name)?;
        Some(all.swap_remove(place).1)
    };
    let missing = || "the configuration's keys are not whole".to_owned();
    Ok(Keys {
        key: take("AccessKeyId").ok_or_else(missing)?,
        secret: Secret(take("SecretAccessKey").ok_or_else(missing)?),
        token: take("Token").map(Secret),
        expires: None,
    })
}

fn client(identity: &AwsIdentity) -> Result<Client, String> {
    let AwsIdentity { region, profile, endpoint, variables } = identity;
    let settings =
        Settings { region: region.clone(), profile: profile.clone(), endpoint: endpoint.clone(), endpoints: [].into() };
    Client::new(&settings, Variables::of_pairs(variables.clone())).map_err(|error| chain(&error))
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    super::super::chain(error)
}
