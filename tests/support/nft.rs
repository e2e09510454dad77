//! The nftables tables of the calling thread's network namespace, read from the kernel: the `nft` program may be absent.
//! Numbers are those of include/uapi/linux/netfilter/nfnetlink.h and nf_tables.h.

use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_NETFILTER;

const SUBSYSTEM: u16 = 10 << 8; // NFNL_SUBSYS_NFTABLES
const NEWTABLE: u16 = SUBSYSTEM;
const GETTABLE: u16 = SUBSYSTEM | 1;
const DELTABLE: u16 = SUBSYSTEM | 2;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const TABLE_NAME: u16 = 1; // NFTA_TABLE_NAME
const INET: u8 = 1; // NFPROTO_INET

/// Family and name of every table.
pub(crate) fn tables() -> Vec<(u8, String)> {
    let socket = socket();
    socket.send(&message(GETTABLE, REQUEST | DUMP, 0, 0, &[]), 0).expect("send to nfnetlink");
    let mut found = Vec::new();
    loop {
        let (reply, _) = socket.recv_from_full().expect("receive from nfnetlink");
        let mut rest = &reply[..];
        while rest.len() >= 16 {
            let length = u32::from_ne_bytes(rest[..4].try_into().expect("four bytes")) as usize;
            match u16::from_ne_bytes([rest[4], rest[5]]) {
                NEWTABLE => found.extend(name(&rest[20..length]).map(|name| (rest[16], name))),
                // the end of the dump, or an error: a kernel without nf_tables has no table
                _ => return found,
            }
            rest = &rest[length.next_multiple_of(4).min(rest.len())..];
        }
    }
}

/// Deletes an inet table, if it is there.
pub(crate) fn delete_table(name: &str) {
    change(DELTABLE, name);
}

fn change(kind: u16, name: &str) {
    let mut attribute = Vec::new();
    attribute.extend(u16::try_from(4 + name.len() + 1).expect("a short name").to_ne_bytes());
    attribute.extend(TABLE_NAME.to_ne_bytes());
    attribute.extend(name.as_bytes());
    attribute.push(0);
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    let socket = socket();
    let batch = [
        message(BATCH_BEGIN, REQUEST, 0, 10, &[]),
        message(kind, REQUEST | ACK, INET, 0, &attribute),
        message(BATCH_END, REQUEST, 0, 10, &[]),
    ];
    socket.send(&batch.concat(), 0).expect("send to nfnetlink");
    // one acknowledgement: 0, or that it was not there
    socket.recv_from_full().expect("receive from nfnetlink");
}

fn socket() -> Socket {
    let mut socket = Socket::new(NETLINK_NETFILTER).expect("a netlink socket");
    socket.bind_auto().expect("bind it");
    socket
}

/// A netlink header, a nfgenmsg (family, version 0, resource id in network order), attributes.
fn message(kind: u16, flags: u16, family: u8, resource: u16, attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(20 + attributes.len()).expect("a short message");
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend([0; 8]); // sequence and port
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
    bytes.extend(attributes);
    bytes
}

/// The name among a table's attributes.
fn name(mut attributes: &[u8]) -> Option<String> {
    while attributes.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([attributes[0], attributes[1]]));
        let kind = u16::from_ne_bytes([attributes[2], attributes[3]]);
        if kind == TABLE_NAME {
            let text = attributes.get(4..length.checked_sub(1)?)?;
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        attributes = attributes.get(length.next_multiple_of(4).max(4)..)?;
    }
    None
}

#[test]
fn a_table_is_listed_until_it_is_deleted() {
    std::thread::spawn(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        assert_eq!(tables(), []);
        change(NEWTABLE, "berth-12345678");
        change(NEWTABLE, "other");
        assert_eq!(tables(), [(INET, "berth-12345678".to_owned()), (INET, "other".to_owned())]);
        delete_table("berth-12345678");
        delete_table("missing");
        assert_eq!(tables(), [(INET, "other".to_owned())]);
    })
    .join()
    .unwrap();
}
