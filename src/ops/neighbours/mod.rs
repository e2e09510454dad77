//! The neighbours of ECS that scripts call in the same breath: STS's GetCallerIdentity, and EC2's lists of the VPC, subnets,
//! security groups and network interfaces that berth itself has, since the addresses of tasks are looked up there. Nothing can be
//! changed here. Called by the endpoint with the parameters of the query protocol; answers are XML, errors too.

mod ec2;
mod found;
mod groups;
mod interfaces;
mod params;
mod sts;
mod view;
mod xml;

use super::actions::Caller;
use super::{Engine, OpsError};
use crate::ecs::error::Exception;
use params::Params;

/// Which neighbour a request is for: the service in its credential scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Neighbour {
    /// `sts`.
    Sts,
    /// `ec2`.
    Ec2,
}

impl Neighbour {
    /// The neighbour of a credential scope's service name.
    pub fn of_scope(service: &str) -> Option<Self> {
        match service {
            "sts" => Some(Self::Sts),
            "ec2" => Some(Self::Ec2),
            _ => None,
        }
    }
}

/// An answer: the status of HTTP, and a body of `text/xml;charset=UTF-8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XmlAnswer {
    /// 200, 400 or 500.
    pub status: u16,
    /// The document.
    pub body: String,
}

/// What is wrong with a request, in the neighbour's words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    status: u16,
    code: String,
    message: String,
}

impl Fault {
    fn new(code: &str, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.to_owned(), message: message.into() }
    }

    fn of(error: &OpsError) -> Self {
        let error = error.exception();
        match error.code {
            Exception::ServerException => {
                Self { status: 500, code: "InternalError".to_owned(), message: error.message }
            }
            _ => Self::new("InvalidParameterValue", error.message),
        }
    }
}

/// Answers a request of the query protocol: `params` is the form of its body, or the query of its URL. The engine works in the
/// caller's region as long as this takes.
pub fn neighbour(engine: &mut Engine, caller: &Caller, which: Neighbour, params: &[u8], id: &str) -> XmlAnswer {
    let params = Params::parse(params);
    let own = caller.region.as_ref().map(|region| std::mem::replace(&mut engine.config.region, region.clone()));
    let answer = match which {
        Neighbour::Sts => sts::answer(engine, caller, &params, id),
        Neighbour::Ec2 => ec2::answer(engine, caller, &params, id),
    };
    if let Some(own) = own {
        engine.config.region = own;
    }
    answer
}

#[cfg(test)]
mod tests;
