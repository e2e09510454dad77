//! The address space of a root: one VPC with its subnets, and the choice of an address in them. Pure.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::Cidr;

/// A subnet of the VPC, in one availability zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// `subnet-` and 17 hexadecimal digits.
    pub id: String,
    /// The availability zone, `us-east-1a`.
    pub zone: String,
    /// Its addresses.
    pub cidr: Cidr,
}

/// The VPC of a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vpc {
    /// All its addresses.
    pub cidr: Cidr,
    /// Its subnets.
    pub subnets: Vec<Subnet>,
}

/// AWS keeps the first four addresses and the last one of each subnet (VPC guide, "Subnet CIDR blocks").
const RESERVED_FIRST: u32 = 4;

impl Vpc {
    /// A default VPC as AWS makes one: /20 subnets, here in two zones.
    pub fn default_in(cidr: Cidr, region: &str) -> Self {
        let subnet = |number: u32, letter: char| {
            let address = Ipv4Addr::from_bits(cidr.network().to_bits() + number * (1 << 12));
            let id = format!("subnet-{:017x}", u64::from(address.to_bits()));
            Subnet { id, zone: format!("{region}{letter}"), cidr: Cidr { address, prefix: 20 } }
        };
        Self { cidr, subnets: vec![subnet(0, 'a'), subnet(1, 'b')] }
    }

    /// The blocks to choose from, best first: AWS's own default, then private ones that few hosts use.
    pub fn candidates() -> Vec<Cidr> {
        let block = |a, b| Cidr { address: Ipv4Addr::new(a, b, 0, 0), prefix: 16 };
        let others = (16..31).rev().map(|b| block(172, b));
        std::iter::once(block(172, 31)).chain(others).chain((64..=254).map(|b| block(10, b))).collect()
    }

    /// The blocks for containers in bridge mode: Docker's own default first.
    pub fn bridge_candidates() -> Vec<Cidr> {
        let mut all: Vec<Cidr> = (17..31).map(|b| Cidr { address: Ipv4Addr::new(172, b, 0, 0), prefix: 16 }).collect();
        all.extend((64..=254).rev().map(|b| Cidr { address: Ipv4Addr::new(10, b, 0, 0), prefix: 16 }));
        all
    }

    /// The subnet and the address for a new task: the emptier subnet first, within it any free address, so that an
    /// address that has just been given back rests. `None` when all are taken.
    pub fn free_address(&self, taken: &HashSet<Ipv4Addr>, rng: &mut impl Rng) -> Option<(&Subnet, Ipv4Addr)> {
        let load = |subnet: &&Subnet| taken.iter().filter(|address| subnet.cidr.contains(**address)).count();
        let mut subnets: Vec<&Subnet> = self.subnets.iter().collect();
        subnets.sort_by_cached_key(load);
        subnets.into_iter().find_map(|subnet| {
            let first = subnet.cidr.network().to_bits() + RESERVED_FIRST;
            let count =
                u32::try_from(subnet.cidr.size()).ok()?.checked_sub(RESERVED_FIRST + 1).filter(|count| *count > 0)?;
            let start = rng.random_range(0..count);
            let mut all = (0..count).map(|step| Ipv4Addr::from_bits(first + (start + step) % count));
            all.find(|address| !taken.contains(address)).map(|address| (subnet, address))
        })
    }
}

/// The gateway of a subnet: its second address, the first after the network's own.
pub fn gateway(subnet: &Cidr) -> Ipv4Addr {
    Ipv4Addr::from_bits(subnet.network().to_bits() + 1)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    fn vpc(prefix: u8) -> Vpc {
        let cidr: Cidr = format!("172.31.0.0/{prefix}").parse().unwrap();
        let subnet =
            |id: &str, text: &str| Subnet { id: id.to_owned(), zone: "z".to_owned(), cidr: text.parse().unwrap() };
        Vpc { cidr, subnets: vec![subnet("a", "172.31.0.0/28"), subnet("b", "172.31.0.16/28")] }
    }

    #[test]
    fn every_free_address_is_found_and_no_reserved_one() {
        let mut rng = SmallRng::seed_from_u64(1);
        let (vpc, mut taken) = (vpc(16), HashSet::new());
        while let Some((subnet, address)) = vpc.free_address(&taken, &mut rng) {
            assert!(subnet.cidr.contains(address) && taken.insert(address));
            assert!((4..15).contains(&(address.octets()[3] % 16)), "{address}");
        }
        assert_eq!(taken.len(), 22);
    }

    #[test]
    fn tasks_spread_over_the_zones() {
        let mut rng = SmallRng::seed_from_u64(2);
        let (vpc, mut taken) = (vpc(16), HashSet::new());
        for _ in 0..10 {
            let (_, address) = vpc.free_address(&taken, &mut rng).unwrap();
            taken.insert(address);
        }
        assert_eq!(taken.iter().filter(|address| vpc.subnets[0].cidr.contains(**address)).count(), 5);
    }

    #[test]
    fn the_default_is_the_one_of_aws() {
        let vpc = Vpc::default_in(Vpc::candidates()[0], "us-east-1");
        let subnets: Vec<String> =
            vpc.subnets.iter().map(|subnet| format!("{} {}", subnet.zone, subnet.cidr)).collect();
        assert_eq!(subnets, ["us-east-1a 172.31.0.0/20", "us-east-1b 172.31.16.0/20"]);
        assert_eq!(gateway(&vpc.subnets[1].cidr), Ipv4Addr::new(172, 31, 16, 1));
    }
}
