//! Names to IPv4 addresses: `/etc/hosts`, then the servers of `/etc/resolv.conf` (RFC 1035 over UDP). The C library's
//! resolver loads libraries at run time, which a static program has not.

use std::error::Error;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::Duration;

use crate::{Outcome, required};

/// `resolve NAME`: its addresses, one a line; exit code 1 if there is none.
pub fn verb(args: &[String]) -> Outcome {
    let name: String = required(args, 0)?;
    let found = addresses(&name)?;
    for address in &found {
        println!("{address}");
    }
    Ok(u8::from(found.is_empty()))
}

/// The addresses of a name, or of an address written out.
pub fn addresses(name: &str) -> Result<Vec<Ipv4Addr>, Box<dyn Error>> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    let known = hosts(name, &fs::read_to_string("/etc/hosts").unwrap_or_default());
    if !known.is_empty() {
        return Ok(known);
    }
    let config = fs::read_to_string("/etc/resolv.conf").map_err(|error| format!("/etc/resolv.conf: {error}"))?;
    let mut last = format!("{name} is not in /etc/hosts, and /etc/resolv.conf names no server").into();
    for server in config.lines().filter_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok()) {
        match ask(server, name) {
            Ok(found) => return Ok(found),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn hosts(name: &str, file: &str) -> Vec<Ipv4Addr> {
    let lines = file.lines().map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
    let found = lines.filter_map(|mut words| {
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    });
    found.collect()
}

fn ask(server: IpAddr, name: &str) -> Result<Vec<Ipv4Addr>, Box<dyn Error>> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.connect((server, 53))?;
    socket.send(&question(name)?)?;
    let mut reply = [0; 1232];
    let length = socket.recv(&mut reply).map_err(|error| format!("{server}: {error}"))?;
    answers(&reply[..length]).ok_or_else(|| format!("{server}: unreadable answer for {name}").into())
}

/// A query for the name's A records, recursion desired.
fn question(name: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut query = vec![0x62, 0x65, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.trim_end_matches('.').split('.') {
        query.push(u8::try_from(label.len())?);
        query.extend(label.bytes());
    }
    query.extend([0, 0, 1, 0, 1]); // root label, type A, class IN
    Ok(query)
}

/// The A records of a reply.
fn answers(reply: &[u8]) -> Option<Vec<Ipv4Addr>> {
    let number = |at: usize| Some(u16::from_be_bytes([*reply.get(at)?, *reply.get(at + 1)?]));
    let mut at = 12;
    for _ in 0..number(4)? {
        at = after_name(reply, at)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..number(6)? {
        at = after_name(reply, at)?;
        let (kind, length) = (number(at)?, usize::from(number(at + 8)?));
        let data = reply.get(at + 10..at + 10 + length)?;
        if let (1, Ok(octets)) = (kind, <[u8; 4]>::try_from(data)) {
            found.push(Ipv4Addr::from(octets));
        }
        at += 10 + length;
    }
    Some(found)
}

/// Where a name ends: at its root label, or behind a pointer.
fn after_name(reply: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *reply.get(at)? {
            0 => return Some(at + 1),
            length if length >= 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}
