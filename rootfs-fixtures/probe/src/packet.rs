//! Verbs that speak and hear Ethernet at `eth0`, as every container may that has CAP_NET_RAW.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::{Outcome, Usage};

/// What stands before a word that a sniffer prints; a line feed ends it.
const MARK: &[u8] = b"attack:";

/// `frame HEX...`: sends each as it is.
pub fn frame(args: &[String]) -> Outcome {
    let (socket, mut to) = open()?;
    for text in args {
        let frame = bytes(text).ok_or(Usage)?;
        to.sll_halen = 6;
        to.sll_addr[..6].copy_from_slice(frame.get(..6).ok_or(Usage)?);
        let length = libc::socklen_t::try_from(size_of_val(&to))?;
        // SAFETY: both pointers are to values that live through the call, with their own lengths.
        let sent = unsafe {
            let place = (&raw const to).cast();
            libc::sendto(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0, place, length)
        };
        if sent == -1 {
            return Err(format!("send: {}", io::Error::last_os_error()).into());
        }
    }
    println!("sent={}", args.len());
    Ok(0)
}

/// `sniff`: says `ready`, then each marked word that comes by, whoever it is meant for, once.
pub fn sniff(_args: &[String]) -> Outcome {
    let (socket, here) = open()?;
    let all = libc::packet_mreq {
        mr_ifindex: here.sll_ifindex,
        mr_type: u16::try_from(libc::PACKET_MR_PROMISC)?,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    let length = libc::socklen_t::try_from(size_of_val(&all))?;
    // SAFETY: the option lives through the call.
    let joined = unsafe {
        let option = (&raw const all).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, option, length)
    };
    if joined == -1 {
        return Err(format!("listen to everybody: {}", io::Error::last_os_error()).into());
    }
    println!("ready");
    let (mut seen, mut buffer) = (BTreeSet::new(), [0_u8; 2048]);
    loop {
        // SAFETY: the buffer lives through the call, with its own length.
        let read = unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        let Ok(read) = usize::try_from(read) else { return Err(io::Error::last_os_error().into()) };
        if let Some(word) = marked(&buffer[..read])
            && seen.insert(word.clone())
        {
            println!("{word}");
        }
    }
}

fn marked(frame: &[u8]) -> Option<String> {
    let begin = frame.windows(MARK.len()).position(|part| part == MARK)?;
    let word = frame[begin..].split(|byte| *byte == b'\n').next()?;
    Some(String::from_utf8_lossy(word).into_owned())
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// A packet socket at `eth0`, and its address.
fn open() -> Result<(OwnedFd, libc::sockaddr_ll), Box<dyn std::error::Error>> {
    let every = u16::try_from(libc::ETH_P_ALL)?.to_be();
    // SAFETY: the name is a C string.
    let index = i32::try_from(unsafe { libc::if_nametoindex(c"eth0".as_ptr()) })?;
    let here = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET)?,
        sll_protocol: every,
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = libc::socklen_t::try_from(size_of_val(&here))?;
    // SAFETY: no pointer is passed; the descriptor is new and nobody else's.
    let socket = unsafe {
        match libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, every.into()) {
            -1 => return Err(format!("packet socket: {}", io::Error::last_os_error()).into()),
            socket => OwnedFd::from_raw_fd(socket),
        }
    };
    // SAFETY: the address lives through the call.
    match unsafe { libc::bind(socket.as_raw_fd(), (&raw const here).cast(), length) } {
        -1 => Err(format!("eth0: {}", io::Error::last_os_error()).into()),
        _ => Ok((socket, here)),
    }
}
