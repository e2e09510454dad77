//! The network of a task as data: names and addresses, from which `net` makes and unmakes it.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IPv4 block, `172.31.0.0/20`. Host bits may be set: then it is an address with its subnet's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    /// The address before the slash.
    pub address: Ipv4Addr,
    /// The prefix length, 0 to 32.
    pub prefix: u8,
}

impl Cidr {
    /// The netmask as a number.
    pub fn mask(&self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0)
    }

    /// The first address of the block.
    pub fn network(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() & self.mask())
    }

    /// Whether an address lies in the block.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask() == self.network().to_bits()
    }

    /// Whether two blocks share an address.
    pub fn overlaps(&self, other: &Cidr) -> bool {
        self.contains(other.network()) || other.contains(self.network())
    }

    /// How many addresses the block has.
    pub fn size(&self) -> u64 {
        1 << (32 - u32::from(self.prefix))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The text is not an IPv4 block.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an IPv4 block such as 172.31.0.0/16")]
pub struct ParseCidrError(String);

impl FromStr for Cidr {
    type Err = ParseCidrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let prefix: u8 = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
            Some(Self { address: address.parse().ok()?, prefix })
        };
        parse().ok_or_else(|| ParseCidrError(text.to_owned()))
    }
}

impl TryFrom<String> for Cidr {
    type Error = ParseCidrError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

/// Everything about a task's ENI-like link. Names derive from the task id, the address from its lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPlan {
    /// The host's end of the veth pair, at most 15 bytes: `ve` and 13 digits of the task id. The other is `eth0`.
    pub veth: String,
    /// The interface group (IFLA_GROUP) of all host ends of this root: what the root's nftables rules match.
    pub group: u32,
    /// The root's nftables table (family inet): `berth-` and the root's tag.
    pub table: String,
    /// The VPC: between its addresses nothing is translated.
    pub vpc: Cidr,
    /// The task's own address with its subnet's prefix, `172.31.0.10/20`.
    pub address: Cidr,
    /// The subnet's gateway (its first address), which the host answers for on every host end.
    pub gateway: Ipv4Addr,
    /// The MAC address of `eth0`.
    pub mac: [u8; 6],
}

impl NetworkPlan {
    /// The MAC address as ECS writes it.
    pub fn mac_text(&self) -> String {
        self.mac.map(|byte| format!("{byte:02x}")).join(":")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_knows_its_addresses() {
        let block: Cidr = "172.31.16.9/20".parse().unwrap();
        assert_eq!(block.network(), Ipv4Addr::new(172, 31, 16, 0));
        assert!(block.contains(Ipv4Addr::new(172, 31, 31, 255)) && !block.contains(Ipv4Addr::new(172, 31, 32, 0)));
        assert!("0.0.0.0/0".parse::<Cidr>().unwrap().contains(Ipv4Addr::BROADCAST));
        assert!(block.overlaps(&"172.31.0.0/16".parse().unwrap()));
        assert!("172.31.0.0/33".parse::<Cidr>().is_err() && "172.31.0.0".parse::<Cidr>().is_err());
    }
}
