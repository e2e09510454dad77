//! One netlink socket: requests packed into one send, and each request's answer found again by its sequence number.
//!
//! It knows nothing of links or tables. The kernel works through a packet inside `sendmsg`, so every answer is queued
//! when the send returns: nothing here waits, and an answer that is not there will not come.

use std::io;

use netlink_packet_core::{
    NLA_HEADER_SIZE, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NlasIterator,
};
use netlink_packet_core::{NLM_F_ACK, NLM_F_CAPPED, NLM_F_DUMP_INTR, NLM_F_REQUEST};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;

/// The largest packet that the kernel makes for a dump (`netlink_dump` in net/netlink/af_netlink.c).
const RECEIVE_LIMIT: usize = 32 * 1024;
/// How often a dump is begun anew when the tables changed meanwhile.
const DUMP_TRIES: u32 = 8;
/// The attribute with the kernel's own words in an extended acknowledgement (`NLMSGERR_ATTR_MSG`).
const ERROR_TEXT: u16 = 1;
/// Where the attributes stand in a capped acknowledgement: behind the code and the request's header.
const ERROR_ATTRIBUTES: usize = 4 + 16;
/// Where the sequence number stands in a message header (`struct nlmsghdr`).
const SEQUENCE: std::ops::Range<usize> = 8..12;

/// An answer that is not what was hoped for.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The kernel said no.
    #[error("{}{}", .errno.desc(), .text.as_deref().map(|text| format!(": {text}")).unwrap_or_default())]
    Refused {
        /// Its error number.
        errno: Errno,
        /// Its extended acknowledgement, if it gave one.
        text: Option<String>,
    },
    /// The kernel did not answer a request that asked for an acknowledgement.
    #[error("the kernel gave no answer")]
    Silent,
    /// The kernel's lists changed in the middle of each try to read them.
    #[error("the kernel's list changed at each of {DUMP_TRIES} tries to read it")]
    Unstable,
    /// A packet is longer than the kernel makes them.
    #[error("the kernel's answer has {0} bytes, more than {RECEIVE_LIMIT}")]
    TooLong(usize),
    /// The kernel's answer cannot be read.
    #[error("the kernel's answer cannot be read")]
    Malformed,
    /// The socket itself failed.
    #[error("netlink socket")]
    Socket(#[source] io::Error),
}

impl NetlinkError {
    /// Whether the kernel refused with this error number.
    pub(super) fn is(&self, expected: Errno) -> bool {
        matches!(self, Self::Refused { errno, .. } if *errno == expected)
    }
}

/// The kernel subsystem that a socket talks to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Family {
    /// rtnetlink: links, addresses, routes.
    Route,
    /// nfnetlink: nftables.
    Netfilter,
}

/// What came back for one request.
#[derive(Debug)]
pub(super) struct Answer {
    /// The acknowledgement.
    pub(super) result: Result<(), NetlinkError>,
    /// The messages that came before it, without their headers.
    pub(super) payloads: Vec<Vec<u8>>,
}

/// A netlink socket of the namespace in which it was opened.
#[derive(Debug)]
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// Opens a socket in the calling thread's network namespace, where it stays whatever the thread does later.
    pub(super) fn open(family: Family) -> io::Result<Self> {
        let socket = Socket::new(match family {
            Family::Route => NETLINK_ROUTE,
            Family::Netfilter => NETLINK_NETFILTER,
        })?;
        socket.set_cap_ack(true)?; // an error does not repeat the request
        socket.set_ext_ack(true)?; // and says in words what was wrong
        Ok(Self { socket, sequence: 0, buffer: Vec::with_capacity(RECEIVE_LIMIT) })
    }

    /// Sends all requests at once and returns one answer for each. A request that asked for no acknowledgement, and
    /// got no error, is answered with `Silent`.
    pub(super) fn exchange<'a>(
        &mut self,
        requests: impl IntoIterator<Item = &'a Vec<u8>>,
    ) -> Result<Vec<Answer>, NetlinkError> {
        let first = self.sequence;
        let mut packet = Vec::new();
        let mut answers = Vec::new();
        for request in requests {
            let start = packet.len();
            packet.extend_from_slice(request);
            packet[start..][SEQUENCE].copy_from_slice(&self.sequence.to_ne_bytes());
            self.sequence = self.sequence.wrapping_add(1);
            answers.push(Answer { result: Err(NetlinkError::Silent), payloads: Vec::new() });
        }
        self.send(&packet)?;
        while answers.iter().any(|answer| matches!(answer.result, Err(NetlinkError::Silent))) {
            match self.receive(libc::MSG_DONTWAIT) {
                Ok(()) => collect(&self.buffer, first, &mut answers)?,
                Err(NetlinkError::Socket(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(answers)
    }

    /// Sends all requests at once and returns their answers in the same order.
    pub(super) fn ask<const N: usize>(&mut self, requests: [Vec<u8>; N]) -> Result<[Answer; N], NetlinkError> {
        let mut answers = self.exchange(&requests)?.into_iter();
        Ok(requests.map(|_| answers.next().expect("exchange gives one answer for each request")))
    }

    /// Asks for a whole list (a request with `NLM_F_DUMP`) and returns its messages without their headers.
    pub(super) fn dump(&mut self, request: &[u8]) -> Result<Vec<Vec<u8>>, NetlinkError> {
        for _ in 0..DUMP_TRIES {
            let mut packet = request.to_vec();
            packet[SEQUENCE].copy_from_slice(&self.sequence.to_ne_bytes());
            let mut dump = Dump { sequence: self.sequence, payloads: Vec::new(), torn: false };
            self.sequence = self.sequence.wrapping_add(1);
            self.send(&packet)?;
            loop {
                self.receive(0)?; // the kernel makes the next part while this one is read: it never waits for long
                if dump.is_complete_with(&self.buffer)? {
                    break;
                }
            }
            if !dump.torn {
                return Ok(dump.payloads);
            }
        }
        Err(NetlinkError::Unstable)
    }

    fn send(&self, packet: &[u8]) -> Result<(), NetlinkError> {
        self.socket.send_to(packet, &SocketAddr::new(0, 0), 0).map_err(NetlinkError::Socket)?;
        Ok(())
    }

    /// Reads the next packet of the kernel; what others may have sent to this port is left out.
    fn receive(&mut self, flags: libc::c_int) -> Result<(), NetlinkError> {
        loop {
            self.buffer.clear();
            let (length, sender) =
                self.socket.recv_from(&mut self.buffer, flags | libc::MSG_TRUNC).map_err(NetlinkError::Socket)?;
            if sender.port_number() != 0 {
                continue;
            }
            return if length > self.buffer.len() { Err(NetlinkError::TooLong(length)) } else { Ok(()) };
        }
    }
}

/// Encodes an rtnetlink request. `flags` are added to the request and acknowledge flags.
pub(super) fn route_request(message: RouteNetlinkMessage, flags: u16) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    let mut message = NetlinkMessage::new(header, message.into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// A list on its way.
struct Dump {
    sequence: u32,
    payloads: Vec<Vec<u8>>,
    torn: bool,
}

impl Dump {
    fn is_complete_with(&mut self, packet: &[u8]) -> Result<bool, NetlinkError> {
        for message in messages(packet) {
            let message = message?;
            if message.sequence_number() != self.sequence {
                continue;
            }
            self.torn |= message.flags() & NLM_F_DUMP_INTR != 0;
            match message.message_type() {
                NLMSG_ERROR => return acknowledgement(&message).map(|()| true),
                NLMSG_DONE => return Ok(true),
                _ => self.payloads.push(message.payload().to_vec()),
            }
        }
        Ok(false)
    }
}

/// Gives each message of a packet to the answer that it belongs to.
fn collect(packet: &[u8], first: u32, answers: &mut [Answer]) -> Result<(), NetlinkError> {
    for message in messages(packet) {
        let message = message?;
        let Some(answer) = answers.get_mut(message.sequence_number().wrapping_sub(first) as usize) else { continue };
        match message.message_type() {
            NLMSG_ERROR => answer.result = acknowledgement(&message),
            _ => answer.payloads.push(message.payload().to_vec()),
        }
    }
    Ok(())
}

/// The messages of a packet, each with its header.
fn messages(packet: &[u8]) -> impl Iterator<Item = Result<NetlinkBuffer<&[u8]>, NetlinkError>> {
    let mut rest = packet;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        Some(match NetlinkBuffer::new_checked(rest) {
            Ok(message) => {
                let length = (message.length() as usize).next_multiple_of(4).min(rest.len());
                rest = &rest[length..];
                Ok(message)
            }
            Err(_) => {
                rest = &[];
                Err(NetlinkError::Malformed)
            }
        })
    })
}

/// Reads an NLMSG_ERROR: code 0 is the acknowledgement.
fn acknowledgement(message: &NetlinkBuffer<&[u8]>) -> Result<(), NetlinkError> {
    let payload = message.payload();
    let code = payload.first_chunk().map_or(-libc::EPROTO, |bytes| i32::from_ne_bytes(*bytes));
    if code == 0 {
        return Ok(());
    }
    let text = match message.flags() & NLM_F_CAPPED {
        0 => None,
        _ => attributes(payload, ERROR_ATTRIBUTES).find(|(kind, _)| *kind == ERROR_TEXT),
    };
    let text = text.map(|(_, text)| String::from_utf8_lossy(text).trim_end_matches('\0').to_owned());
    Err(NetlinkError::Refused { errno: Errno::from_raw(code.saturating_neg()), text })
}

/// The attributes behind a header of so many bytes: kind and value.
pub(super) fn attributes(payload: &[u8], header: usize) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(payload.get(header..).unwrap_or_default()).map_while(Result::ok).map(|attribute| {
        let (kind, end) = (attribute.kind(), NLA_HEADER_SIZE + attribute.value_length());
        (kind, &attribute.into_inner()[NLA_HEADER_SIZE..end])
    })
}

/// A number in the host's byte order.
pub(super) fn u32_at(bytes: &[u8], start: usize) -> Option<u32> {
    bytes.get(start..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let length = 16 + payload.len() as u32;
        let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &flags.to_ne_bytes()].concat();
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn unanswered(count: usize) -> Vec<Answer> {
        (0..count).map(|_| Answer { result: Err(NetlinkError::Silent), payloads: Vec::new() }).collect()
    }

    #[test]
    fn answers_are_told_apart_by_their_sequence_numbers() {
        let refusal = message(NLMSG_ERROR, 0, 8, &(-libc::EEXIST).to_ne_bytes());
        let data = message(16, 0, 9, b"link");
        let accepted = message(NLMSG_ERROR, 0, 9, &0i32.to_ne_bytes());
        let foreign = message(NLMSG_ERROR, 0, 6, &0i32.to_ne_bytes());
        let mut answers = unanswered(3);
        collect(&[refusal, data, accepted, foreign].concat(), 7, &mut answers).unwrap();
        assert!(matches!(answers[0].result, Err(NetlinkError::Silent)));
        assert!(answers[1].result.as_ref().is_err_and(|error| error.is(Errno::EEXIST)));
        assert!(answers[2].result.is_ok() && answers[2].payloads == [b"link"]);
    }

    #[test]
    fn a_refusal_carries_the_kernels_own_words() {
        let words = b"Gateway unreachable\0";
        let mut payload = (-libc::EINVAL).to_ne_bytes().to_vec();
        payload.extend_from_slice(&[0; 16]);
        payload.extend_from_slice(&(4 + words.len() as u16).to_ne_bytes());
        payload.extend_from_slice(&ERROR_TEXT.to_ne_bytes());
        payload.extend_from_slice(words);
        let mut answers = unanswered(1);
        collect(&message(NLMSG_ERROR, NLM_F_CAPPED, 0, &payload), 0, &mut answers).unwrap();
        let error = answers.remove(0).result.unwrap_err();
        assert_eq!(error.to_string(), "Invalid argument: Gateway unreachable");
    }

    #[test]
    fn no_mutated_answer_of_the_kernel_does_harm() {
        let text = [&(-libc::EEXIST).to_ne_bytes()[..], &[0; 16], &[9, 0, 1, 0], b"text\0\0\0\0"].concat();
        let refused = message(NLMSG_ERROR, NLM_F_CAPPED, 2, &text);
        let link = message(16, 0, 1, &[&[0; 16][..], &[8, 0, 3, 0], b"eth0", &[8, 0, 4, 0, 1, 2, 3, 4]].concat());
        let done = message(NLMSG_DONE, 0, 1, &[0; 4]);
        let good = [link.clone(), refused.clone(), [link.clone(), link, done, refused].concat()];
        crate::sys::mutate::fuzz(&good, |packet| {
            let mut answers = unanswered(2);
            let mut dump = Dump { sequence: 1, payloads: Vec::new(), torn: false };
            let read = collect(packet, 1, &mut answers).is_ok();
            let listed = dump.is_complete_with(packet).is_ok();
            let payloads = dump.payloads.iter().chain(answers.iter().flat_map(|answer| &answer.payloads));
            let found =
                payloads.flat_map(|payload| attributes(payload, 16)).filter(|(_, value)| u32_at(value, 0).is_some());
            read && listed && found.count() < packet.len().max(1)
        });
    }

    #[test]
    fn a_message_that_is_cut_off_is_an_error() {
        let whole = message(NLMSG_ERROR, 0, 0, &0i32.to_ne_bytes());
        for length in 1..whole.len() {
            assert!(collect(&whole[..length], 0, &mut unanswered(1)).is_err(), "{length} bytes");
        }
    }
}
