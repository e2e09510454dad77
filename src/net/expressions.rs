//! What a rule consists of, as attributes (include/uapi/linux/netfilter/nf_tables.h): conditions and verdicts, each one or
//! more expressions on the kernel's first register. Numbers are big-endian, but what a rule compares stands as the packet
//! or the kernel has it.

use libc::{NFT_CMP_EQ, NFT_CMP_NEQ, NFT_META_IIFGROUP, NFT_META_L4PROTO, NFT_META_NFPROTO, NFT_META_OIFGROUP};
use libc::{NFT_META_SKGID, NFT_META_SKUID, NFT_PAYLOAD_NETWORK_HEADER, NFT_PAYLOAD_TRANSPORT_HEADER, NFT_REG_1};
use libc::{NFT_REG32_00, c_int};

use super::nfnetlink::{Attributes, NFTA_DATA_VALUE, NFTA_LIST_ELEM};
use super::rules::{Is, Match, Rule, Verdict};
use crate::plan::Cidr;
use crate::plan::ports::Protocol;

const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_META_DREG: u16 = 1;
const NFTA_META_KEY: u16 = 2;
const NFTA_META_SREG: u16 = 3;
/// The class in which a packet is queued (`skb->priority`).
const NFT_META_PRIORITY: u32 = 2;
const NFTA_CMP_SREG: u16 = 1;
const NFTA_CMP_OP: u16 = 2;
const NFTA_CMP_DATA: u16 = 3;
const NFTA_PAYLOAD_DREG: u16 = 1;
const NFTA_PAYLOAD_BASE: u16 = 2;
const NFTA_PAYLOAD_OFFSET: u16 = 3;
const NFTA_PAYLOAD_LEN: u16 = 4;
const NFTA_PAYLOAD_SREG: u16 = 5;
const NFTA_PAYLOAD_CSUM_TYPE: u16 = 6;
const NFTA_PAYLOAD_CSUM_OFFSET: u16 = 7;
const NFT_PAYLOAD_CSUM_INET: u32 = 1;
/// Where TCP has its checksum.
const TCP_CHECKSUM_OFFSET: u32 = 16;
const NFTA_NG_DREG: u16 = 1;
const NFTA_NG_MODULUS: u16 = 2;
const NFTA_NG_TYPE: u16 = 3;
const NFT_NG_RANDOM: u32 = 1;
const NFTA_BYTEORDER_SREG: u16 = 1;
const NFTA_BYTEORDER_DREG: u16 = 2;
const NFTA_BYTEORDER_OP: u16 = 3;
const NFTA_BYTEORDER_LEN: u16 = 4;
const NFTA_BYTEORDER_SIZE: u16 = 5;
const NFT_BYTEORDER_HTON: u32 = 1;
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
const NFT_FIB_RESULT_ADDRTYPE: u32 = 3;
const NFTA_FIB_F_DADDR: u32 = 1 << 1;
const NFTA_CT_DREG: u16 = 1;
const NFTA_CT_KEY: u16 = 2;
const NFT_CT_STATUS: u32 = 2;
/// The destination of the connection was changed (include/uapi/linux/netfilter/nf_conntrack_common.h).
const IPS_DST_NAT: u32 = 1 << 5;
const NFTA_LOOKUP_SET: u16 = 1;
const NFTA_LOOKUP_SREG: u16 = 2;
const NFTA_LOOKUP_DREG: u16 = 3;
const NFTA_NAT_TYPE: u16 = 1;
const NFTA_NAT_FAMILY: u16 = 2;
const NFTA_NAT_REG_ADDR_MIN: u16 = 3;
const NFTA_NAT_REG_PROTO_MIN: u16 = 5;
const NFT_NAT_DNAT: u32 = 1;
const NFTA_REDIR_REG_PROTO_MIN: u16 = 1;
const NFTA_IMMEDIATE_DREG: u16 = 1;
const NFTA_IMMEDIATE_DATA: u16 = 2;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
/// Where the addresses stand in an IPv4 header (RFC 791).
const SOURCE_OFFSET: u32 = 12;
const DESTINATION_OFFSET: u32 = 16;
/// Where the destination port stands in TCP's and UDP's headers.
const PORT_OFFSET: u32 = 2;
/// And the source port.
const FROM_PORT_OFFSET: u32 = 0;

/// All expressions of a rule.
pub(super) fn of_rule(expressions: &mut Attributes, rule: &Rule) {
    let ip = |condition: &Match| matches!(condition, Match::Source(..) | Match::Destination(..) | Match::ToHere);
    let mut ipv4_known = false;
    for condition in &rule.matches {
        if ip(condition) && !ipv4_known {
            // The table sees IPv6 too: an address is looked for in IPv4 headers only, and looked up as such.
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
        Verdict::Redirect(port) => expressions.redirect(port),
        Verdict::Forward(protocol) => expressions.forward(protocol),
        Verdict::SetPort(port) => expressions.set_port(PORT_OFFSET, port),
        Verdict::SetFromPort(port) => expressions.set_port(FROM_PORT_OFFSET, port),
        Verdict::Class(class) => expressions.set_class(class),
    }
}

/// The number of a protocol in an IP header.
fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => libc::IPPROTO_TCP as u8,
        Protocol::Udp => libc::IPPROTO_UDP as u8,
    }
}

impl Attributes {
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
            Match::ToHere => {
                self.expression("fib", |fib| {
                    fib.number(NFTA_FIB_DREG, NFT_REG_1 as u32);
                    fib.number(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
                    fib.number(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
                });
                self.compare(Is::Equal, &u32::from(libc::RTN_LOCAL).to_ne_bytes());
            }
            Match::Carries(protocol) => self.carries(*protocol),
            Match::Port(protocol, port) => {
                self.carries(*protocol);
                self.load(NFT_PAYLOAD_TRANSPORT_HEADER, PORT_OFFSET, 2);
                self.compare(Is::Equal, &port.to_be_bytes());
            }
            Match::FromPort(protocol, port) => {
                self.carries(*protocol);
                self.load(NFT_PAYLOAD_TRANSPORT_HEADER, FROM_PORT_OFFSET, 2);
                self.compare(Is::Equal, &port.to_be_bytes());
            }
            Match::Chance(percent) => self.chance(*percent),
            Match::User(id) => {
                self.load_meta(NFT_META_SKUID);
                self.compare(Is::Equal, &id.to_ne_bytes());
            }
            Match::Group(id) => {
                self.load_meta(NFT_META_SKGID);
                self.compare(Is::Equal, &id.to_ne_bytes());
            }
            Match::LedElsewhere => {
                self.expression("ct", |ct| {
                    ct.number(NFTA_CT_DREG, NFT_REG_1 as u32);
                    ct.number(NFTA_CT_KEY, NFT_CT_STATUS);
                });
                self.mask(&IPS_DST_NAT.to_ne_bytes());
                self.compare(Is::Not, &0u32.to_ne_bytes());
            }
        }
    }

    /// The port is a register's, as nft has it; the target is this namespace.
    fn redirect(&mut self, port: u16) {
        self.value(&port.to_be_bytes());
        self.expression("redir", |redir| redir.number(NFTA_REDIR_REG_PROTO_MIN, NFT_REG_1 as u32));
    }

    /// A map's value fills register 1 from its start: four bytes of address, which is its first quarter, and the port in the
    /// second.
    fn forward(&mut self, protocol: Protocol) {
        self.carries(protocol);
        self.load(NFT_PAYLOAD_TRANSPORT_HEADER, PORT_OFFSET, 2);
        self.expression("lookup", |lookup| {
            lookup.text(NFTA_LOOKUP_SET, &protocol.to_string());
            lookup.number(NFTA_LOOKUP_SREG, NFT_REG_1 as u32);
            lookup.number(NFTA_LOOKUP_DREG, NFT_REG_1 as u32);
        });
        self.expression("nat", |nat| {
            nat.number(NFTA_NAT_TYPE, NFT_NAT_DNAT);
            nat.number(NFTA_NAT_FAMILY, libc::NFPROTO_IPV4 as u32);
            nat.number(NFTA_NAT_REG_ADDR_MIN, NFT_REG_1 as u32);
            nat.number(NFTA_NAT_REG_PROTO_MIN, NFT_REG32_00 as u32 + 1);
        });
    }

    /// A random number below 100; as the kernel compares bytes, it has to be big-endian.
    fn chance(&mut self, percent: u8) {
        self.expression("numgen", |numgen| {
            numgen.number(NFTA_NG_DREG, NFT_REG_1 as u32);
            numgen.number(NFTA_NG_MODULUS, 100);
            numgen.number(NFTA_NG_TYPE, NFT_NG_RANDOM);
        });
        self.expression("byteorder", |byteorder| {
            byteorder.number(NFTA_BYTEORDER_SREG, NFT_REG_1 as u32);
            byteorder.number(NFTA_BYTEORDER_DREG, NFT_REG_1 as u32);
            byteorder.number(NFTA_BYTEORDER_OP, NFT_BYTEORDER_HTON);
            byteorder.number(NFTA_BYTEORDER_LEN, 4);
            byteorder.number(NFTA_BYTEORDER_SIZE, 4);
        });
        self.expression("cmp", |cmp| {
            cmp.number(NFTA_CMP_SREG, NFT_REG_1 as u32);
            cmp.number(NFTA_CMP_OP, libc::NFT_CMP_LT as u32);
            cmp.nest(NFTA_CMP_DATA, |data| data.put(NFTA_DATA_VALUE, &u32::from(percent).to_be_bytes()));
        });
    }

    /// Writes a port into TCP's header, and what it changes into the checksum.
    fn set_port(&mut self, offset: u32, port: u16) {
        self.value(&port.to_be_bytes());
        self.expression("payload", |payload| {
            payload.number(NFTA_PAYLOAD_SREG, NFT_REG_1 as u32);
            payload.number(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER as u32);
            payload.number(NFTA_PAYLOAD_OFFSET, offset);
            payload.number(NFTA_PAYLOAD_LEN, 2);
            payload.number(NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
            payload.number(NFTA_PAYLOAD_CSUM_OFFSET, TCP_CHECKSUM_OFFSET);
        });
    }

    fn set_class(&mut self, class: u32) {
        self.value(&class.to_ne_bytes());
        self.expression("meta", |meta| {
            meta.number(NFTA_META_KEY, NFT_META_PRIORITY);
            meta.number(NFTA_META_SREG, NFT_REG_1 as u32);
        });
    }

    /// Puts a value into register 1.
    fn value(&mut self, value: &[u8]) {
        self.expression("immediate", |immediate| {
            immediate.number(NFTA_IMMEDIATE_DREG, NFT_REG_1 as u32);
            immediate.nest(NFTA_IMMEDIATE_DATA, |data| data.put(NFTA_DATA_VALUE, value));
        });
    }

    fn carries(&mut self, protocol: Protocol) {
        self.load_meta(NFT_META_L4PROTO);
        self.compare(Is::Equal, &[protocol_number(protocol)]);
    }

    fn load_meta(&mut self, key: c_int) {
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
        self.load(NFT_PAYLOAD_NETWORK_HEADER, offset, 4);
        if block.prefix < 32 {
            self.mask(&block.mask().to_be_bytes());
        }
        self.compare(is, &block.network().octets());
    }

    /// Loads a part of the packet into register 1.
    fn load(&mut self, base: c_int, offset: u32, length: u32) {
        self.expression("payload", |payload| {
            payload.number(NFTA_PAYLOAD_DREG, NFT_REG_1 as u32);
            payload.number(NFTA_PAYLOAD_BASE, base as u32);
            payload.number(NFTA_PAYLOAD_OFFSET, offset);
            payload.number(NFTA_PAYLOAD_LEN, length);
        });
    }

    /// Clears the bits of register 1 that are not set here.
    fn mask(&mut self, mask: &[u8; 4]) {
        self.expression("bitwise", |bitwise| {
            bitwise.number(NFTA_BITWISE_SREG, NFT_REG_1 as u32);
            bitwise.number(NFTA_BITWISE_DREG, NFT_REG_1 as u32);
            bitwise.number(NFTA_BITWISE_LEN, 4);
            bitwise.nest(NFTA_BITWISE_MASK, |value| value.put(NFTA_DATA_VALUE, mask));
            bitwise.nest(NFTA_BITWISE_XOR, |xor| xor.number(NFTA_DATA_VALUE, 0));
        });
    }

    fn verdict(&mut self, code: c_int) {
        self.expression("immediate", |immediate| {
            immediate.number(NFTA_IMMEDIATE_DREG, libc::NFT_REG_VERDICT as u32);
            immediate.nest(NFTA_IMMEDIATE_DATA, |data| {
                data.nest(NFTA_DATA_VERDICT, |verdict| verdict.number(NFTA_VERDICT_CODE, code as u32));
            });
        });
    }
}
