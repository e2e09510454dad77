//! Frames made by hand: Ethernet, ARP, IPv4, IPv6, UDP, neighbour discovery. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) type Mac = [u8; 6];

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

fn ethernet(to: Mac, from: Mac, kind: u16, body: &[u8]) -> Vec<u8> {
    [&to[..], &from, &kind.to_be_bytes(), body].concat()
}

/// The sum of RFC 1071.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let sum = u16::try_from(sum).expect("it has been folded");
    (!sum).to_be_bytes()
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).expect("a short payload");
    let fields: Vec<u8> = [port, port, length, 0].iter().flat_map(|field| field.to_be_bytes()).collect();
    [&fields, payload].concat()
}

/// A UDP datagram over IPv4; its own checksum is absent, as it may be.
pub(super) fn datagram(macs: [Mac; 2], from: Ipv4Addr, to: Ipv4Addr, port: u16, payload: &[u8]) -> Vec<u8> {
    let body = udp(port, payload);
    let length = u16::try_from(20 + body.len()).expect("a short payload").to_be_bytes();
    let mut header = [&[0x45, 0], &length[..], &[0, 1, 0, 0, 64, UDP, 0, 0], &from.octets(), &to.octets()].concat();
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum);
    ethernet(macs[0], macs[1], IPV4, &[header, body].concat())
}

/// An IPv6 packet whose body has its checksum at this place.
fn packet6(macs: [Mac; 2], ends: [Ipv6Addr; 2], kind: u8, mut body: Vec<u8>, place: usize) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("a short body").to_be_bytes();
    let ends = [ends[0].octets(), ends[1].octets()].concat();
    let pseudo = [&ends, &[0, 0][..], &length, &[0, 0, 0, kind], &body].concat();
    body[place..place + 2].copy_from_slice(&checksum(&pseudo));
    let header = [&[0x60, 0, 0, 0], &length[..], &[kind, 255], &ends].concat();
    ethernet(macs[0], macs[1], IPV6, &[header, body].concat())
}

/// A UDP datagram over IPv6.
pub(super) fn datagram6(macs: [Mac; 2], ends: [Ipv6Addr; 2], port: u16, payload: &[u8]) -> Vec<u8> {
    packet6(macs, ends, UDP, udp(port, payload), 6)
}

/// A neighbour solicitation (RFC 4861, 4.3): who asks is to be believed to have this MAC address.
pub(super) fn solicitation(macs: [Mac; 2], ends: [Ipv6Addr; 2]) -> Vec<u8> {
    let body = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &ends[1].octets(), &[1, 1], &macs[1]].concat();
    packet6(macs, ends, ICMPV6, body, 2)
}

/// A router advertisement (RFC 4861, 4.2): the sender is the router of everybody for half an hour.
pub(super) fn advertisement(macs: [Mac; 2], ends: [Ipv6Addr; 2]) -> Vec<u8> {
    let body = [&[134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1][..], &macs[1]].concat();
    packet6(macs, ends, ICMPV6, body, 2)
}

/// An ARP message (RFC 826): 1 asks, 2 answers; the sender is to be believed to have this address.
pub(super) fn arp(macs: [Mac; 2], what: u8, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4, 0, what];
    let body = [&head[..], &macs[1], &sender.octets(), &macs[0], &target.octets()].concat();
    ethernet(macs[0], macs[1], ARP, &body)
}
