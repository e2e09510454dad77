//! Checks of other people's firewalls: whoever drops what the host forwards drops what tasks send and get. Only asks;
//! our own rules are `net`'s.

use std::fs;
use std::io;
use std::process::{Command, Stdio};

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};

use super::{Caller, Check, not_seen};

const NAME: &str = "firewalls";

/// `struct nlmsghdr` and `struct nfgenmsg`, and the numbers that a dump of chains needs (include/uapi/linux/netlink.h,
/// netfilter/nf_tables.h, netfilter.h).
const HEADER: usize = 16;
const FAMILY_HEADER: usize = 4;
const DONE: u16 = 3;
const ERROR: u16 = 2;
const GET_CHAIN: u16 = 10 << 8 | 4;
const NEW_CHAIN: u16 = 10 << 8 | 3;
const REQUEST_DUMP: u16 = 0x1 | 0x300;
const TABLE: u16 = 1;
const CHAIN: u16 = 3;
const HOOK: u16 = 4;
const HOOK_NUMBER: u16 = 1;
const POLICY: u16 = 5;
const FORWARD: u32 = 2;
const DROP: u32 = 0;
/// Families that see what is forwarded: inet, ip.
const FAMILIES: [(u8, &str); 2] = [(1, "inet"), (2, "ip")];

pub(super) fn checks(caller: Caller) -> Vec<Check> {
    vec![match caller {
        Caller::Root => firewalls(),
        Caller::Other => not_seen(NAME),
    }]
}

fn firewalls() -> Check {
    let mut dropping = match dropping_chains() {
        Ok(chains) => chains,
        Err(error) => {
            return Check::warn(NAME, format!("the host's nftables chains are not known: {error}"))
                .remedy("nft list ruleset");
        }
    };
    dropping.extend(legacy().then(|| "iptables-legacy filter FORWARD".to_owned()));
    if dropping.is_empty() {
        return Check::ok(NAME, "none that drops what the host forwards by default");
    }
    let docker = fs::exists("/var/run/docker.sock").unwrap_or(false);
    let chain = if docker { "DOCKER-USER" } else { "FORWARD" };
    Check::warn(NAME, format!("what the host forwards is dropped by default in {}", dropping.join(", "))).remedy(format!(
        "let tasks pass, unless your rules do: iptables -I {chain} -i ve+ -j ACCEPT; iptables -I {chain} -o ve+ -j ACCEPT"
    ))
}

/// The base chains of nftables (and so of today's iptables) at the forward hook whose policy is to drop.
fn dropping_chains() -> io::Result<Vec<String>> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let length = (HEADER + FAMILY_HEADER) as u32;
    let mut request = length.to_ne_bytes().to_vec();
    request.extend(GET_CHAIN.to_ne_bytes());
    request.extend(REQUEST_DUMP.to_ne_bytes());
    request.extend([0; 8 + FAMILY_HEADER]);
    socket.send(&request, 0)?;
    let mut dropping = Vec::new();
    loop {
        let (answer, _) = socket.recv_from_full()?;
        if !read_answer(&answer, &mut dropping)? {
            return Ok(dropping);
        }
    }
}

/// Adds the names of the chains in one datagram, and says whether more are to come.
fn read_answer(mut answer: &[u8], dropping: &mut Vec<String>) -> io::Result<bool> {
    while let Some((length, kind)) = header(answer) {
        let message = answer.get(HEADER..length).ok_or(io::ErrorKind::InvalidData)?;
        match kind {
            DONE => return Ok(false),
            ERROR => {
                let code = message.first_chunk().map_or(libc::EPROTO, |code| -i32::from_ne_bytes(*code));
                return Err(io::Error::from_raw_os_error(code));
            }
            NEW_CHAIN => dropping.extend(dropping_chain(message)),
            _ => {}
        }
        answer = answer.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(true)
}

/// The length of a message, its header too, and its type.
fn header(bytes: &[u8]) -> Option<(usize, u16)> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    (length >= HEADER).then_some((length, kind))
}

/// `inet filter forward`, if that is a chain that drops.
fn dropping_chain(message: &[u8]) -> Option<String> {
    let (_, family) = FAMILIES.into_iter().find(|(number, _)| message.first() == Some(number))?;
    let attributes = message.get(FAMILY_HEADER..)?;
    let hook = number(attribute(attribute(attributes, HOOK)?, HOOK_NUMBER)?)?;
    let policy = number(attribute(attributes, POLICY)?)?;
    let name = |kind| Some(String::from_utf8_lossy(attribute(attributes, kind)?).trim_end_matches('\0').to_owned());
    (hook == FORWARD && policy == DROP).then(|| Some(format!("{family} {} {}", name(TABLE)?, name(CHAIN)?)))?
}

/// The value of the first attribute of a kind. The two highest bits of a kind are flags.
fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?) & 0x3fff;
        let value = bytes.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

/// netfilter's numbers are in network order.
fn number(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Whether the older iptables, which nftables does not show, drops too. Its policy is asked of its own program, and only
/// if it has a filter table: asking would make one.
fn legacy() -> bool {
    let tables = fs::read_to_string("/proc/net/ip_tables_names").unwrap_or_default();
    if !tables.lines().any(|table| table == "filter") {
        return false;
    }
    let asked = Command::new("iptables-legacy").args(["-w", "-S", "FORWARD"]).stdin(Stdio::null()).output();
    asked.is_ok_and(|asked| asked.stdout.starts_with(b"-P FORWARD DROP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn chain(hook: u32, policy: u32) -> Vec<u8> {
        let hook = [put(HOOK_NUMBER, &hook.to_be_bytes()), put(2, &[0; 4])].concat();
        let attributes = [
            put(TABLE, b"filter\0"),
            put(CHAIN, b"FORWARD\0"),
            put(HOOK | 0x8000, &hook),
            put(POLICY, &policy.to_be_bytes()),
        ];
        [vec![2, 0, 0, 0], attributes.concat()].concat()
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn only_a_chain_that_drops_what_is_forwarded_is_named() {
        assert_eq!(dropping_chain(&chain(FORWARD, DROP)).as_deref(), Some("ip filter FORWARD"));
        assert_eq!(dropping_chain(&chain(FORWARD, 1)), None);
        assert_eq!(dropping_chain(&chain(3, DROP)), None);
    }

    #[test]
    fn an_answer_may_have_several_messages_and_an_end() {
        let answer = [message(NEW_CHAIN, &chain(FORWARD, DROP)), message(NEW_CHAIN, &chain(FORWARD, 1))].concat();
        let mut found = Vec::new();
        assert!(read_answer(&answer, &mut found).unwrap());
        assert_eq!(found.len(), 1);
        assert!(!read_answer(&message(DONE, &[0; 4]), &mut found).unwrap());
        let refused = read_answer(&message(ERROR, &(-libc::EPERM).to_ne_bytes()), &mut found).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn a_damaged_answer_does_no_harm() {
        let whole = message(NEW_CHAIN, &chain(FORWARD, DROP));
        for length in 0..whole.len() {
            let _ = read_answer(&whole[..length], &mut Vec::new());
            let _ = dropping_chain(&whole[..length]);
        }
    }
}
