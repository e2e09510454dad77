//! Every action of the ECS API by its name: one row for each of the model's, and [`call`], which takes JSON and answers JSON.
//! The endpoint and `berth ecs` are its callers; `berth actions` prints the table. What an action does stands in the other
//! files of `ops`; the rows here only read, hand over and write.

mod access;
mod clusters;
mod definitions;
mod instances;
mod providers;
mod read;
mod services;
mod settings;
mod task_sets;
mod tasks;
mod young;

pub use access::{Access, Caller};

use super::{Engine, OpsError};
use crate::ecs::error::{EcsError, Exception};

/// How much of an action berth does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// All that it can mean on one host.
    Done,
    /// Something is refused by its name; the remark says what.
    Partly,
    /// It is refused as a whole, by its name.
    Refused,
}

impl State {
    /// The word in the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Partly => "partly",
            Self::Refused => "refused",
        }
    }
}

/// Whether an action changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// It does not: a read-only caller may.
    Read,
    /// It does.
    Write,
}

impl Kind {
    /// The word in the table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// What an action is about, for callers who may only see some clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The cluster of its member `cluster`, the default one where that is absent.
    Cluster,
    /// Whatever its other members name: `clusters`, `clusterName`, ARNs.
    Named,
    /// Task definitions, which belong to no cluster and which every caller needs.
    Definitions,
    /// The whole account.
    Account,
}

/// An answer, or the exception that stands for it.
type Outcome = Result<Vec<u8>, EcsError>;

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Action {
    /// ECS's name.
    pub name: &'static str,
    /// How much of it is done.
    pub state: State,
    /// Whether it changes anything.
    pub kind: Kind,
    /// What it is about.
    pub scope: Scope,
    /// What is different here, or refused; empty where nothing is.
    pub remark: &'static str,
    run: fn(&mut Engine, &Caller, &[u8]) -> Outcome,
}

impl Action {
    /// A row; what it says besides is added by the methods below.
    const fn new(
        name: &'static str,
        kind: Kind,
        scope: Scope,
        run: fn(&mut Engine, &Caller, &[u8]) -> Outcome,
    ) -> Self {
        Self { name, state: State::Done, kind, scope, remark: "", run }
    }

    /// The row of an action of which something is refused.
    const fn partly(self, remark: &'static str) -> Self {
        Self { state: State::Partly, remark, ..self }
    }

    /// The row of an action that is done, and has something to be said.
    const fn but(self, remark: &'static str) -> Self {
        Self { remark, ..self }
    }

    /// The row of an action that is refused as a whole.
    const fn refused(self, remark: &'static str) -> Self {
        Self { state: State::Refused, remark, ..self }
    }
}

/// All rows, family by family.
const FAMILIES: [&[Action]; 9] = [
    tasks::ROWS,
    definitions::ROWS,
    services::ROWS,
    clusters::ROWS,
    settings::ROWS,
    instances::ROWS,
    providers::ROWS,
    task_sets::ROWS,
    young::ROWS,
];

/// The table, family by family.
pub fn actions() -> impl Iterator<Item = &'static Action> {
    FAMILIES.iter().flat_map(|rows| rows.iter())
}

/// The row of a name.
pub fn action(name: &str) -> Option<&'static Action> {
    actions().find(|action| action.name == name)
}

/// Does what a request asks for, on behalf of a caller: `body` and the answer are the JSON of the wire. The engine works in
/// the caller's region as long as this takes.
pub fn call(engine: &mut Engine, caller: &Caller, name: &str, body: &[u8]) -> Outcome {
    let unknown = || EcsError::new(Exception::UnknownOperationException, "");
    let action = action(name).ok_or_else(unknown)?;
    access::check(engine, caller, action, body)?;
    match &caller.region {
        Some(region) => engine.in_region(region, |engine| (action.run)(engine, caller, body)),
        None => (action.run)(engine, caller, body),
    }
}

/// Writes an answer.
fn answer<T: serde::Serialize>(result: Result<T, OpsError>) -> Outcome {
    let value = result.map_err(|error| error.exception())?;
    serde_json::to_vec(&value)
        .map_err(|error| EcsError::new(Exception::ServerException, format!("write the answer: {error}")))
}

/// The function of a row: reads the request, which is of a type that serde knows, and writes what the operation answers.
macro_rules! run {
    (|$engine:ident, $request:ident: $type:ty| $operation:expr) => {
        |$engine: &mut $crate::ops::Engine, _: &$crate::ops::actions::Caller, body: &[u8]| {
            let $request: $type = $crate::ops::actions::read::request(body)?;
            $crate::ops::actions::answer($operation)
        }
    };
    (|$engine:ident, $caller:ident, $request:ident: $type:ty| $operation:expr) => {
        |$engine: &mut $crate::ops::Engine, $caller: &$crate::ops::actions::Caller, body: &[u8]| {
            let $request: $type = $crate::ops::actions::read::request(body)?;
            $crate::ops::actions::answer($operation)
        }
    };
}
use run;

/// The function of a row that is refused as a whole.
macro_rules! refuse {
    ($name:literal) => {
        |_: &mut $crate::ops::Engine, _: &$crate::ops::actions::Caller, _: &[u8]| {
            Err($crate::ecs::error::EcsError::new(
                $crate::ecs::error::Exception::UnsupportedFeatureException,
                concat!($name, " is not supported by this version of berth."),
            ))
        }
    };
}
use refuse;

/// A request, or an answer, that says nothing.
#[derive(Debug, Default, serde::Deserialize, serde::Serialize)]
struct Nothing {}
