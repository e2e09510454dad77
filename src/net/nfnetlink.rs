//! nf_tables messages as bytes (include/uapi/linux/netfilter/nf_tables.h, nfnetlink.h): the few that one table needs.
//!
//! No socket and no decision here: `nft` sends what this makes from the rules. The netlink crates have no `fib` and no
//! `masq`, so the encoding is ours. What a rule consists of is written in `expressions`. Numbers are big-endian.

use libc::{NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES, NFT_MSG_DELSETELEM, NFT_MSG_DELTABLE};
use libc::{NFT_MSG_GETTABLE, NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE, NFT_MSG_NEWSET, NFT_MSG_NEWSETELEM, NFT_MSG_NEWTABLE};
use netlink_packet_core::{NLA_F_NESTED, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};

use super::expressions;
use super::rules::{Chain, Forward, Rule};
use crate::plan::ports::Protocol;

/// `struct nlmsghdr` and `struct nfgenmsg`.
const HEADER: usize = 16 + NFNETLINK_HEADER;
/// `struct nfgenmsg`.
pub(super) const NFNETLINK_HEADER: usize = 4;

const NFTA_TABLE_NAME: u16 = 1;
/// The table's user data, which holds its comment.
pub(super) const NFTA_TABLE_USERDATA: u16 = 6;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
pub(super) const NFTA_LIST_ELEM: u16 = 1;
const NFTA_SET_TABLE: u16 = 1;
const NFTA_SET_NAME: u16 = 2;
const NFTA_SET_FLAGS: u16 = 3;
const NFTA_SET_KEY_TYPE: u16 = 4;
const NFTA_SET_KEY_LEN: u16 = 5;
const NFTA_SET_DATA_TYPE: u16 = 6;
const NFTA_SET_DATA_LEN: u16 = 7;
const NFTA_SET_ID: u16 = 10;
const NFT_SET_MAP: u32 = 0x8;
/// The kinds of data as `nft` numbers them; the kernel keeps them for it. Six bits each in a concatenation.
const TYPE_ADDRESS: u32 = 7;
const TYPE_PORT: u32 = 13;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_DATA: u16 = 2;
pub(super) const NFTA_DATA_VALUE: u16 = 1;

/// Priorities of hooks (include/uapi/linux/netfilter_ipv4.h): `raw` and `srcnat` in nft's words.
const NF_IP_PRI_RAW: i32 = -300;
const NF_IP_PRI_NAT_SRC: i32 = 100;
const NF_IP_PRI_FILTER: i32 = 0;
/// `dstnat`, for what is sent from here too.
const NF_IP_PRI_NAT_DST: i32 = -100;

/// A map's value: an address, and a port in as many bytes.
const TARGET_LENGTH: u32 = 8;

/// Opens a batch: what stands in it is done as a whole or not at all.
pub(super) fn batch_begin() -> Vec<u8> {
    bare_message(NFNL_MSG_BATCH_BEGIN as u16, 0, libc::AF_UNSPEC, NFNL_SUBSYS_NFTABLES as u16, |_| ())
}

/// Closes a batch, which carries it out.
pub(super) fn batch_end() -> Vec<u8> {
    bare_message(NFNL_MSG_BATCH_END as u16, 0, libc::AF_UNSPEC, NFNL_SUBSYS_NFTABLES as u16, |_| ())
}

/// Asks for a table.
pub(super) fn get_table(name: &str) -> Vec<u8> {
    message(NFT_MSG_GETTABLE, 0, |table| table.text(NFTA_TABLE_NAME, name))
}

/// Makes a table that is not there yet.
pub(super) fn new_table(name: &str, user_data: &[u8]) -> Vec<u8> {
    message(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, |table| {
        table.text(NFTA_TABLE_NAME, name);
        table.put(NFTA_TABLE_USERDATA, user_data);
    })
}

/// Deletes a table with all that is in it.
pub(super) fn delete_table(name: &str) -> Vec<u8> {
    message(NFT_MSG_DELTABLE, 0, |table| table.text(NFTA_TABLE_NAME, name))
}

/// Makes a base chain that accepts what no rule decides.
pub(super) fn new_chain(table: &str, chain: Chain) -> Vec<u8> {
    let (kind, hook, priority) = match chain {
        Chain::Ingress => ("filter", libc::NF_INET_PRE_ROUTING, NF_IP_PRI_RAW),
        Chain::Egress => ("nat", libc::NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC),
        Chain::FromElsewhere => ("nat", libc::NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST),
        Chain::FromHere => ("nat", libc::NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST),
        Chain::Sent => ("filter", libc::NF_INET_LOCAL_OUT, NF_IP_PRI_RAW),
        Chain::Coming => ("filter", libc::NF_INET_LOCAL_IN, NF_IP_PRI_FILTER),
        Chain::Going => ("filter", libc::NF_INET_LOCAL_OUT, NF_IP_PRI_FILTER),
        Chain::Leaving => ("filter", libc::NF_INET_POST_ROUTING, NF_IP_PRI_FILTER),
    };
    message(NFT_MSG_NEWCHAIN, NLM_F_CREATE, |attributes| {
        attributes.text(NFTA_CHAIN_TABLE, table);
        attributes.text(NFTA_CHAIN_NAME, chain.name());
        attributes.text(NFTA_CHAIN_TYPE, kind);
        attributes.number(NFTA_CHAIN_POLICY, libc::NF_ACCEPT as u32);
        attributes.nest(NFTA_CHAIN_HOOK, |place| {
            place.number(NFTA_HOOK_HOOKNUM, hook as u32);
            place.number(NFTA_HOOK_PRIORITY, priority.cast_unsigned());
        });
    })
}

/// Makes the map from ports to targets.
pub(super) fn new_map(table: &str, protocol: Protocol) -> Vec<u8> {
    message(NFT_MSG_NEWSET, NLM_F_CREATE, |set| {
        set.text(NFTA_SET_TABLE, table);
        set.text(NFTA_SET_NAME, &protocol.to_string());
        set.number(NFTA_SET_FLAGS, NFT_SET_MAP);
        set.number(NFTA_SET_KEY_TYPE, TYPE_PORT);
        set.number(NFTA_SET_KEY_LEN, 2);
        set.number(NFTA_SET_DATA_TYPE, TYPE_ADDRESS << 6 | TYPE_PORT);
        set.number(NFTA_SET_DATA_LEN, TARGET_LENGTH);
        set.number(NFTA_SET_ID, 1 + protocol as u32); // tells sets of one batch apart, where they have no name
    })
}

/// Puts an element into its map.
pub(super) fn new_element(table: &str, forward: &Forward) -> Vec<u8> {
    message(NFT_MSG_NEWSETELEM, NLM_F_CREATE, |list| element(list, table, forward, Value::Written))
}

/// Takes an element out of its map, whatever its value is.
pub(super) fn delete_element(table: &str, forward: &Forward) -> Vec<u8> {
    message(NFT_MSG_DELSETELEM, 0, |list| element(list, table, forward, Value::LeftOut))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    Written,
    LeftOut,
}

fn element(list: &mut Attributes, table: &str, forward: &Forward, value: Value) {
    list.text(NFTA_SET_ELEM_LIST_TABLE, table);
    list.text(NFTA_SET_ELEM_LIST_SET, &forward.from.protocol.to_string());
    list.nest(NFTA_SET_ELEM_LIST_ELEMENTS, |elements| {
        elements.nest(NFTA_LIST_ELEM, |element| {
            element.nest(NFTA_SET_ELEM_KEY, |key| key.put(NFTA_DATA_VALUE, &forward.from.port.to_be_bytes()));
            if value == Value::Written {
                let [high, low] = forward.port.to_be_bytes();
                let target = [&forward.address.octets()[..], &[high, low, 0, 0]].concat();
                element.nest(NFTA_SET_ELEM_DATA, |data| data.put(NFTA_DATA_VALUE, &target));
            }
        });
    });
}

/// Appends a rule to its chain.
pub(super) fn new_rule(table: &str, rule: &Rule) -> Vec<u8> {
    message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, |attributes| {
        attributes.text(NFTA_RULE_TABLE, table);
        attributes.text(NFTA_RULE_CHAIN, rule.chain.name());
        attributes.nest(NFTA_RULE_EXPRESSIONS, |list| expressions::of_rule(list, rule));
    })
}

/// A request about tables, for the family `inet`, that asks for an acknowledgement.
fn message(kind: libc::c_int, flags: u16, fill: impl FnOnce(&mut Attributes)) -> Vec<u8> {
    let kind = (NFNL_SUBSYS_NFTABLES as u16) << 8 | kind as u16;
    bare_message(kind, NLM_F_ACK | flags, libc::NFPROTO_INET, 0, fill)
}

fn bare_message(
    kind: u16,
    flags: u16,
    family: libc::c_int,
    resource: u16,
    fill: impl FnOnce(&mut Attributes),
) -> Vec<u8> {
    let mut attributes = Attributes(vec![0; HEADER]);
    fill(&mut attributes);
    let mut bytes = attributes.0;
    let length = bytes.len() as u32;
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
    bytes[6..8].copy_from_slice(&(NLM_F_REQUEST | flags).to_ne_bytes());
    bytes[16] = family as u8;
    bytes[17] = libc::NFNETLINK_V0 as u8;
    bytes[18..20].copy_from_slice(&resource.to_be_bytes());
    bytes
}

/// A message that is being written: a list of attributes, each padded to four bytes.
pub(super) struct Attributes(Vec<u8>);

impl Attributes {
    pub(super) fn put(&mut self, kind: u16, value: &[u8]) {
        self.with(kind, |list| list.0.extend_from_slice(value));
    }

    pub(super) fn text(&mut self, kind: u16, value: &str) {
        self.with(kind, |list| {
            list.0.extend_from_slice(value.as_bytes());
            list.0.push(0);
        });
    }

    pub(super) fn number(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    pub(super) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        self.with(kind | NLA_F_NESTED, fill);
    }

    /// One attribute: its length is known when its value is written.
    fn with(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 2]);
        self.0.extend_from_slice(&kind.to_ne_bytes());
        fill(self);
        let length = (self.0.len() - start) as u16;
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}
