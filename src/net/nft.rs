//! A root's nftables table in the kernel: made when it is missing, replaced when it holds other rules, deleted.
//!
//! What the rules are stands in `rules`, how they are written in `nfnetlink`. Called by `apply` with a socket of the
//! host's namespace.

use std::fmt;

use nix::errno::Errno;

use super::error::NetError;
use super::netlink::{Netlink, NetlinkError, attributes};
use super::nfnetlink;
use super::rules::{Chain, Rule, table_spec};
use crate::plan::NetworkPlan;

/// How often the table is looked at anew when others make or delete it at the same moment.
const TRIES: u32 = 8;
/// The kind of user data that `nft` shows as a table's comment (`NFTNL_UDATA_TABLE_COMMENT` of libnftnl).
const COMMENT: u8 = 0;

/// Makes sure that the root's table holds the rules that this program means. The usual case is one small question.
pub(super) fn ensure(netlink: &mut Netlink, plan: &NetworkPlan) -> Result<(), NetError> {
    let rules = table_spec(plan);
    let content: Vec<Step<'_>> = content(&plan.table, &rules);
    let mark = mark(&content);
    let mut outcome = (Part::Look, NetlinkError::Unstable);
    for _ in 0..TRIES {
        let mut steps = vec![Step { part: Part::Make, request: nfnetlink::new_table(&plan.table, &mark) }];
        match find(netlink, &plan.table).map_err(|source| failure(plan, Part::Look, source))? {
            Some(found) if found == mark => return Ok(()),
            Some(_) => steps.insert(0, Step { part: Part::Delete, request: nfnetlink::delete_table(&plan.table) }),
            None => {}
        }
        match commit(netlink, steps.iter().chain(&content)) {
            Ok(()) => return Ok(()),
            // Another task of this root has just made the table, or the last one has just deleted it: look again.
            Err((Part::Make, source)) if source.is(Errno::EEXIST) => outcome = (Part::Make, source),
            Err((Part::Delete, source)) if source.is(Errno::ENOENT) => outcome = (Part::Delete, source),
            Err((part, source)) => return Err(failure(plan, part, source)),
        }
    }
    let (part, source) = outcome;
    Err(failure(plan, part, source))
}

/// Deletes the root's table; that it is not there is as good. A batch that fails costs the kernel a grace period,
/// some 10 ms, so a missing table is looked for and not run into.
pub(super) fn remove(netlink: &mut Netlink, plan: &NetworkPlan) -> Result<(), NetError> {
    if find(netlink, &plan.table).map_err(|source| failure(plan, Part::Look, source))?.is_none() {
        return Ok(());
    }
    let step = Step { part: Part::Delete, request: nfnetlink::delete_table(&plan.table) };
    match commit(netlink, [&step]) {
        Err((Part::Delete, source)) if source.is(Errno::ENOENT) => Ok(()),
        outcome => outcome.map_err(|(part, source)| failure(plan, part, source)),
    }
}

/// One message of a batch.
struct Step<'a> {
    part: Part<'a>,
    request: Vec<u8>,
}

/// What a message of a batch is about, for the error.
#[derive(Clone, Copy)]
enum Part<'a> {
    Look,
    Batch,
    Delete,
    Make,
    Chain(Chain),
    Rule(&'a Rule),
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Look => f.write_str("look-up"),
            Self::Batch => f.write_str("transaction"),
            Self::Delete => f.write_str("deletion"),
            Self::Make => f.write_str("creation"),
            Self::Chain(chain) => write!(f, "chain {}", chain.name()),
            Self::Rule(rule) => write!(f, "rule `{rule}`"),
        }
    }
}

fn failure(plan: &NetworkPlan, part: Part<'_>, source: NetlinkError) -> NetError {
    NetError::Table { table: plan.table.clone(), part: part.to_string(), source }
}

fn content<'a>(table: &str, rules: &'a [Rule]) -> Vec<Step<'a>> {
    let chains = Chain::ALL.map(|chain| Step { part: Part::Chain(chain), request: nfnetlink::new_chain(table, chain) });
    let rules = rules.iter().map(|rule| Step { part: Part::Rule(rule), request: nfnetlink::new_rule(table, rule) });
    chains.into_iter().chain(rules).collect()
}

/// A comment that tells tables with different content apart: a digest (FNV-1a, 64 bits) of the messages that make it.
fn mark(content: &[Step<'_>]) -> Vec<u8> {
    let bytes = content.iter().flat_map(|step| &step.request);
    let digest = bytes
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let comment = format!("berth {digest:016x}\0");
    [&[COMMENT, comment.len() as u8], comment.as_bytes()].concat()
}

/// The user data of a table, if the table is there.
fn find(netlink: &mut Netlink, table: &str) -> Result<Option<Vec<u8>>, NetlinkError> {
    let [answer] = netlink.ask([nfnetlink::get_table(table)])?;
    match answer.result {
        Ok(()) => {}
        Err(error) if error.is(Errno::ENOENT) => return Ok(None),
        Err(error) => return Err(error),
    }
    let found = answer.payloads.first().and_then(|payload| {
        attributes(payload, nfnetlink::NFNETLINK_HEADER).find(|(kind, _)| *kind == nfnetlink::NFTA_TABLE_USERDATA)
    });
    Ok(Some(found.map(|(_, value)| value.to_vec()).unwrap_or_default()))
}

/// Carries out all steps or none, and tells the first that was refused.
fn commit<'a, 'b: 'a>(
    netlink: &mut Netlink,
    steps: impl IntoIterator<Item = &'a Step<'b>>,
) -> Result<(), (Part<'b>, NetlinkError)> {
    let (begin, end) = (nfnetlink::batch_begin(), nfnetlink::batch_end());
    let (parts, requests): (Vec<Part<'b>>, Vec<&Vec<u8>>) =
        steps.into_iter().map(|step| (step.part, &step.request)).unzip();
    let batch = [&begin].into_iter().chain(requests).chain([&end]);
    let parts = [Part::Batch].into_iter().chain(parts).chain([Part::Batch]);
    let answers = netlink.exchange(batch).map_err(|source| (Part::Batch, source))?;
    for (part, answer) in parts.zip(answers) {
        match (part, answer.result) {
            (_, Ok(())) | (Part::Batch, Err(NetlinkError::Silent)) => {} // the frame is answered only if it fails
            (part, Err(source)) => return Err((part, source)),
        }
    }
    Ok(())
}
