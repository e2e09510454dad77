//! nftables tables in the kernel: made when they are missing, replaced when they hold other rules, deleted; and the elements
//! of their maps.
//!
//! What the rules are stands in `rules`, how they are written in `nfnetlink`. Called by `apply` with a socket of the
//! host's namespace.

use std::fmt;

use nix::errno::Errno;

use super::error::NetError;
use super::netlink::{Netlink, NetlinkError, attributes};
use super::nfnetlink;
use super::rules::{Chain, Forward, Rule, Table};
use crate::plan::ports::{HostPort, Protocol};

/// How often the table is looked at anew when others make or delete it at the same moment.
const TRIES: u32 = 8;
/// The kind of user data that `nft` shows as a table's comment (`NFTNL_UDATA_TABLE_COMMENT` of libnftnl).
const COMMENT: u8 = 0;

/// What becomes of a table that is there with other rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Old {
    /// It is made anew: all that it holds is known.
    Replaced,
    /// It stays, for the elements that tasks have put into its maps.
    Kept,
}

/// Makes sure that a table holds the rules that this program means. The usual case is one small question.
pub(super) fn ensure(netlink: &mut Netlink, table: &Table, old: Old) -> Result<(), NetError> {
    let content: Vec<Step<'_>> = content(table);
    let mark = mark(&content);
    let fail = |part: Part<'_>, source| failure(&table.name, part, source);
    let mut outcome = (Part::Look, NetlinkError::Unstable);
    for _ in 0..TRIES {
        let mut steps = vec![Step { part: Part::Make, request: nfnetlink::new_table(&table.name, &mark) }];
        match find(netlink, &table.name).map_err(|source| fail(Part::Look, source))? {
            Some(found) if found == mark || old == Old::Kept => return Ok(()),
            Some(_) => steps.insert(0, Step { part: Part::Delete, request: nfnetlink::delete_table(&table.name) }),
            None => {}
        }
        match commit(netlink, steps.iter().chain(&content)) {
            Ok(()) => return Ok(()),
            // Another task of this root has just made the table, or the last one has just deleted it: look again.
            Err((Part::Make, source)) if source.is(Errno::EEXIST) => outcome = (Part::Make, source),
            Err((Part::Delete, source)) if source.is(Errno::ENOENT) => outcome = (Part::Delete, source),
            Err((part, source)) => return Err(fail(part, source)),
        }
    }
    let (part, source) = outcome;
    Err(fail(part, source))
}

/// Deletes tables; those that are not there are as good. A batch that fails costs the kernel a grace period, some 10 ms, so
/// a missing table is looked for and not run into.
pub(super) fn remove(netlink: &mut Netlink, tables: [&str; 3]) -> Result<(), NetError> {
    let answers = netlink.ask(tables.map(nfnetlink::get_table));
    let answers = answers.map_err(|source| failure(tables[0], Part::Look, source))?;
    for (table, answer) in tables.into_iter().zip(answers) {
        match answer.result {
            Ok(()) => {}
            Err(error) if error.is(Errno::ENOENT) => continue,
            Err(source) => return Err(failure(table, Part::Look, source)),
        }
        let step = Step { part: Part::Delete, request: nfnetlink::delete_table(table) };
        match commit(netlink, [&step]) {
            Err((Part::Delete, source)) if source.is(Errno::ENOENT) => {}
            outcome => outcome.map_err(|(part, source)| failure(table, part, source))?,
        }
    }
    Ok(())
}

/// Whether a table is there.
pub(super) fn is_there(netlink: &mut Netlink, table: &str) -> Result<bool, NetError> {
    find(netlink, table).map(|found| found.is_some()).map_err(|source| failure(table, Part::Look, source))
}

/// Deletes one table, which is there.
pub(super) fn remove_one(netlink: &mut Netlink, table: &str) -> Result<(), NetError> {
    let step = Step { part: Part::Delete, request: nfnetlink::delete_table(table) };
    match commit(netlink, [&step]) {
        Err((Part::Delete, source)) if source.is(Errno::ENOENT) => Ok(()),
        outcome => outcome.map_err(|(part, source)| failure(table, part, source)),
    }
}

/// Leads ports of the host to a container; those that already lead there stay, what else is left of an earlier owner goes.
pub(super) fn forward(netlink: &mut Netlink, table: &str, all: &[Forward]) -> Result<(), NetError> {
    let steps: Vec<Step<'_>> = all.iter().map(|one| step(table, one, nfnetlink::new_element)).collect();
    match commit(netlink, &steps) {
        // It leads elsewhere: kernels say it in two ways.
        Err((_, source)) if source.is(Errno::EBUSY) || source.is(Errno::EEXIST) => unforward(netlink, table, all)?,
        outcome => return outcome.map_err(|(part, source)| failure(table, part, source)),
    }
    commit(netlink, &steps).map_err(|(part, source)| failure(table, part, source))
}

/// Leads ports of the host nowhere; that they lead nowhere already is as good.
pub(super) fn unforward(netlink: &mut Netlink, table: &str, all: &[Forward]) -> Result<(), NetError> {
    let steps: Vec<Step<'_>> = all.iter().map(|one| step(table, one, nfnetlink::delete_element)).collect();
    match commit(netlink, &steps) {
        // One of them, or the table: each by itself.
        Err((_, source)) if source.is(Errno::ENOENT) => {}
        outcome => return outcome.map_err(|(part, source)| failure(table, part, source)),
    }
    for step in &steps {
        match commit(netlink, [step]) {
            Err((_, source)) if source.is(Errno::ENOENT) => {}
            outcome => outcome.map_err(|(part, source)| failure(table, part, source))?,
        }
    }
    Ok(())
}

fn step<'a>(table: &str, one: &Forward, request: fn(&str, &Forward) -> Vec<u8>) -> Step<'a> {
    Step { part: Part::Element(one.from), request: request(table, one) }
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
    Map(Protocol),
    Chain(Chain),
    Rule(&'a Rule),
    Element(HostPort),
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Look => f.write_str("look-up"),
            Self::Batch => f.write_str("transaction"),
            Self::Delete => f.write_str("deletion"),
            Self::Make => f.write_str("creation"),
            Self::Map(protocol) => write!(f, "map {protocol}"),
            Self::Chain(chain) => write!(f, "chain {}", chain.name()),
            Self::Rule(rule) => write!(f, "rule `{rule}`"),
            Self::Element(port) => write!(f, "port {port}"),
        }
    }
}

fn failure(table: &str, part: Part<'_>, source: NetlinkError) -> NetError {
    NetError::Table { table: table.to_owned(), part: part.to_string(), source }
}

fn content(table: &Table) -> Vec<Step<'_>> {
    let map =
        |protocol: &Protocol| Step { part: Part::Map(*protocol), request: nfnetlink::new_map(&table.name, *protocol) };
    let chain = |chain: &Chain| Step { part: Part::Chain(*chain), request: nfnetlink::new_chain(&table.name, *chain) };
    let rules =
        table.rules.iter().map(|rule| Step { part: Part::Rule(rule), request: nfnetlink::new_rule(&table.name, rule) });
    table.maps.iter().map(map).chain(table.chains.iter().map(chain)).chain(rules).collect()
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
