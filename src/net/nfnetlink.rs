//! nf_tables messages as bytes (include/uapi/linux/netfilter/nf_tables.h, nfnetlink.h): the few that one table needs.
//!
//! No socket and no decision here: `nft` sends what this makes from the rules. The netlink crates have no `fib` and no
//! `masq`, so the encoding is ours. Numbers are big-endian, but what a rule compares stands as the packet has it.

use libc::{NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES, NFT_CMP_EQ, NFT_CMP_NEQ};
use libc::{NFT_META_IIFGROUP, NFT_META_NFPROTO, NFT_META_OIFGROUP, NFT_MSG_DELTABLE, NFT_MSG_GETTABLE};
use libc::{NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE, NFT_MSG_NEWTABLE, NFT_PAYLOAD_NETWORK_HEADER, NFT_REG_1};
use netlink_packet_core::{NLA_F_NESTED, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};

use super::rules::{Chain, Is, Match, Rule, Verdict};
use crate::plan::Cidr;

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
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_META_DREG: u16 = 1;
const NFTA_META_KEY: u16 = 2;
const NFTA_CMP_SREG: u16 = 1;
const NFTA_CMP_OP: u16 = 2;
const NFTA_CMP_DATA: u16 = 3;
const NFTA_PAYLOAD_DREG: u16 = 1;
const NFTA_PAYLOAD_BASE: u16 = 2;
const NFTA_PAYLOAD_OFFSET: u16 = 3;
const NFTA_PAYLOAD_LEN: u16 = 4;
const NFTA_BITWISE_SREG: u16 = 1;
const NFTA_BITWISE_DREG: u16 = 2;
const NFTA_BITWISE_LEN: u16 = 3;
const NFTA_BITWISE_MASK: u16 = 4;
const NFTA_BITWISE_XOR: u16 = 5;
const NFTA_FIB_DREG: u16 = 1;
const NFTA_FIB_RESULT: u16 = 2;
const NFTA_FIB_FLAGS: u16 = 3;
const NFT_FIB_RESULT_OIF: u32 = 1;
const NFTA_FIB_F_SADDR: u32 = 1;
const NFTA_FIB_F_IIF: u32 = 1 << 3;
const NFTA_FIB_F_PRESENT: u32 = 1 << 5;
const NFTA_IMMEDIATE_DREG: u16 = 1;
const NFTA_IMMEDIATE_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;

/// Priorities of hooks (include/uapi/linux/netfilter_ipv4.h): `raw` and `srcnat` in nft's words.
const NF_IP_PRI_RAW: i32 = -300;
const NF_IP_PRI_NAT_SRC: i32 = 100;

/// Where the addresses stand in an IPv4 header (RFC 791).
const SOURCE_OFFSET: u32 = 12;
const DESTINATION_OFFSET: u32 = 16;

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

/// Appends a rule to its chain.
pub(super) fn new_rule(table: &str, rule: &Rule) -> Vec<u8> {
    message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, |attributes| {
        attributes.text(NFTA_RULE_TABLE, table);
        attributes.text(NFTA_RULE_CHAIN, rule.chain.name());
        attributes.nest(NFTA_RULE_EXPRESSIONS, |expressions| rule_expressions(expressions, rule));
    })
}

fn rule_expressions(expressions: &mut Attributes, rule: &Rule) {
    let ip = |condition: &Match| matches!(condition, Match::Source(..) | Match::Destination(..));
    let mut ipv4_known = false;
    for condition in &rule.matches {
        if ip(condition) && !ipv4_known {
            // The table sees IPv6 too: an address is looked for in IPv4 headers only.
            expressions.load_meta(NFT_META_NFPROTO);
            expressions.compare(Is::Equal, &[libc::NFPROTO_IPV4 as u8]);
            ipv4_known = true;
        }
        expressions.condition(condition);
    }
    match rule.verdict {
        Verdict::Accept => expressions.verdict(libc::NF_ACCEPT),
        Verdict::Drop => expressions.verdict(libc::NF_DROP),
        Verdict::Masquerade => expressions.expression("masq", |_| ()),
    }
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
struct Attributes(Vec<u8>);

impl Attributes {
    fn put(&mut self, kind: u16, value: &[u8]) {
        self.with(kind, |list| list.0.extend_from_slice(value));
    }

    fn text(&mut self, kind: u16, value: &str) {
        self.with(kind, |list| {
            list.0.extend_from_slice(value.as_bytes());
            list.0.push(0);
        });
    }

    fn number(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
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

    fn expression(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.nest(NFTA_LIST_ELEM, |expression| {
            expression.text(NFTA_EXPR_NAME, name);
            expression.nest(NFTA_EXPR_DATA, fill);
        });
    }

    fn condition(&mut self, condition: &Match) {
        match condition {
            Match::FromGroup(is, group) => {
                self.load_meta(NFT_META_IIFGROUP);
                self.compare(*is, &group.to_ne_bytes());
            }
            Match::ToGroup(is, group) => {
                self.load_meta(NFT_META_OIFGROUP);
                self.compare(*is, &group.to_ne_bytes());
            }
            Match::NotIpv4 => {
                self.load_meta(NFT_META_NFPROTO);
                self.compare(Is::Not, &[libc::NFPROTO_IPV4 as u8]);
            }
            Match::Source(is, block) => self.address(*is, SOURCE_OFFSET, *block),
            Match::Destination(is, block) => self.address(*is, DESTINATION_OFFSET, *block),
            Match::NoWayBack => {
                self.expression("fib", |fib| {
                    fib.number(NFTA_FIB_DREG, NFT_REG_1 as u32);
                    fib.number(NFTA_FIB_RESULT, NFT_FIB_RESULT_OIF);
                    fib.number(NFTA_FIB_FLAGS, NFTA_FIB_F_SADDR | NFTA_FIB_F_IIF | NFTA_FIB_F_PRESENT);
                });
                self.compare(Is::Equal, &0u32.to_ne_bytes());
            }
        }
    }

    fn load_meta(&mut self, key: libc::c_int) {
        self.expression("meta", |meta| {
            meta.number(NFTA_META_KEY, key as u32);
            meta.number(NFTA_META_DREG, NFT_REG_1 as u32);
        });
    }

    fn compare(&mut self, is: Is, value: &[u8]) {
        let operator = match is {
            Is::Equal => NFT_CMP_EQ,
            Is::Not => NFT_CMP_NEQ,
        };
        self.expression("cmp", |cmp| {
            cmp.number(NFTA_CMP_SREG, NFT_REG_1 as u32);
            cmp.number(NFTA_CMP_OP, operator as u32);
            cmp.nest(NFTA_CMP_DATA, |data| data.put(NFTA_DATA_VALUE, value));
        });
    }

    fn address(&mut self, is: Is, offset: u32, block: Cidr) {
        self.expression("payload", |payload| {
            payload.number(NFTA_PAYLOAD_DREG, NFT_REG_1 as u32);
            payload.number(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER as u32);
            payload.number(NFTA_PAYLOAD_OFFSET, offset);
            payload.number(NFTA_PAYLOAD_LEN, 4);
        });
        if block.prefix < 32 {
            self.expression("bitwise", |bitwise| {
                bitwise.number(NFTA_BITWISE_SREG, NFT_REG_1 as u32);
                bitwise.number(NFTA_BITWISE_DREG, NFT_REG_1 as u32);
                bitwise.number(NFTA_BITWISE_LEN, 4);
                bitwise.nest(NFTA_BITWISE_MASK, |mask| mask.number(NFTA_DATA_VALUE, block.mask()));
                bitwise.nest(NFTA_BITWISE_XOR, |xor| xor.number(NFTA_DATA_VALUE, 0));
            });
        }
        self.compare(is, &block.network().octets());
    }

    fn verdict(&mut self, code: libc::c_int) {
        self.expression("immediate", |immediate| {
            immediate.number(NFTA_IMMEDIATE_DREG, libc::NFT_REG_VERDICT as u32);
            immediate.nest(NFTA_IMMEDIATE_DATA, |data| {
                data.nest(NFTA_DATA_VERDICT, |verdict| verdict.number(NFTA_VERDICT_CODE, code as u32));
            });
        });
    }
}
