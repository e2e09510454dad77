//! The host's ports of a task: those that its port mappings name, and the choice of those that are left open. Pure; the ports
//! are leased in the store like addresses.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

pub use crate::validate::ports::{HostPort, Protocol, Wish, wishes};

/// Where a port is taken from that the definition leaves open (RegisterTaskDefinition: `hostPort`).
pub const EPHEMERAL: RangeInclusive<u16> = 49_153..=65_535;

/// Ports of a container, one behind the other, and those of the host that lead to them in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortBinding {
    /// The container's first port.
    pub container: u16,
    /// The host's first port.
    pub host: u16,
    /// How many there are: one, but for a range.
    pub count: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

impl PortBinding {
    /// The container's ports beside the host's.
    pub fn pairs(&self) -> impl Iterator<Item = (u16, HostPort)> {
        let Self { container, host, protocol, .. } = *self;
        (0..self.count).map(move |step| (container + step, HostPort { protocol, port: host + step }))
    }
}

/// No ports of the host can be had for a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPort {
    /// The port that the definition names is another task's.
    Taken(HostPort),
    /// So many in a row are not free.
    Full(u16, Protocol),
}

/// The ports for all wishes, in their order. `taken` are those of other tasks; `is_free` is asked about the host's own use of
/// those that are chosen here.
pub fn choose(
    wishes: &[Wish],
    taken: &HashSet<HostPort>,
    is_free: impl Fn(HostPort) -> bool,
    rng: &mut impl Rng,
) -> Result<Vec<PortBinding>, NoPort> {
    let fixed = wishes.iter().filter_map(|wish| Some(HostPort { protocol: wish.protocol, port: wish.host? }));
    let mut used: HashSet<HostPort> = taken.iter().copied().chain(fixed).collect();
    let mut bindings = Vec::with_capacity(wishes.len());
    for wish in wishes {
        let Wish { container, count, protocol, .. } = *wish;
        let host = match wish.host {
            Some(port) if taken.contains(&HostPort { protocol, port }) => {
                return Err(NoPort::Taken(HostPort { protocol, port }));
            }
            Some(port) => port,
            None => free_run(*wish, &used, &is_free, rng).ok_or(NoPort::Full(count, protocol))?,
        };
        let binding = PortBinding { container, host, count, protocol };
        used.extend(binding.pairs().map(|(_, port)| port));
        bindings.push(binding);
    }
    Ok(bindings)
}

/// The first of so many free ports, from a random place on, so that one that has just been given back rests.
fn free_run(
    wish: Wish,
    used: &HashSet<HostPort>,
    is_free: &impl Fn(HostPort) -> bool,
    rng: &mut impl Rng,
) -> Option<u16> {
    let (lowest, highest) = (*EPHEMERAL.start(), *EPHEMERAL.end());
    let starts = (highest - lowest + 1).checked_sub(wish.count - 1).filter(|starts| *starts > 0)?;
    let begin = rng.random_range(0..starts);
    let mut candidates = (0..starts).map(|step| {
        let place = (u32::from(begin) + u32::from(step)) % u32::from(starts);
        lowest + u16::try_from(place).expect("a place is below a number of 16 bits")
    });
    candidates.find(|first| {
        let mut run = (0..wish.count).map(|step| HostPort { protocol: wish.protocol, port: first + step });
        run.all(|port| !used.contains(&port) && is_free(port))
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    fn open(count: u16) -> Wish {
        Wish { container: 80, count, protocol: Protocol::Tcp, host: None }
    }

    fn tcp(port: u16) -> HostPort {
        HostPort { protocol: Protocol::Tcp, port }
    }

    #[test]
    fn every_open_port_is_found_and_none_twice() {
        let mut rng = SmallRng::seed_from_u64(1);
        let last_five: HashSet<HostPort> = (49_153..=65_530).map(tcp).collect();
        let found = choose(&[open(3), open(1), open(1)], &last_five, |_| true, &mut rng).unwrap();
        let mut ports: Vec<u16> = found.iter().flat_map(PortBinding::pairs).map(|(_, port)| port.port).collect();
        ports.sort_unstable();
        assert_eq!(ports, [65_531, 65_532, 65_533, 65_534, 65_535]);
    }

    #[test]
    fn a_port_that_the_host_uses_itself_is_not_chosen() {
        let mut rng = SmallRng::seed_from_u64(2);
        let only = |port: HostPort| port.port == 50_000;
        let found = choose(&[open(1)], &HashSet::new(), only, &mut rng).unwrap();
        assert_eq!((found[0].host, found[0].container), (50_000, 80));
        assert_eq!(choose(&[open(2)], &HashSet::new(), only, &mut rng), Err(NoPort::Full(2, Protocol::Tcp)));
        assert_eq!(
            choose(&[open(20_000)], &HashSet::new(), |_| true, &mut rng),
            Err(NoPort::Full(20_000, Protocol::Tcp))
        );
    }

    #[test]
    fn a_fixed_port_of_another_task_is_named_and_the_other_protocol_is_another_port() {
        let mut rng = SmallRng::seed_from_u64(3);
        let taken = HashSet::from([tcp(8080)]);
        let fixed = |protocol| Wish { host: Some(8080), protocol, ..open(1) };
        let refused = choose(&[fixed(Protocol::Tcp)], &taken, |_| true, &mut rng);
        assert_eq!(refused, Err(NoPort::Taken(tcp(8080))));
        assert!(choose(&[fixed(Protocol::Udp)], &taken, |_| true, &mut rng).is_ok());
    }

    #[test]
    fn a_fixed_port_is_not_chosen_for_an_open_one_before_it() {
        let mut rng = SmallRng::seed_from_u64(4);
        let nearly_all: HashSet<HostPort> = (49_153..=65_533).map(tcp).collect();
        let fixed = Wish { host: Some(65_534), ..open(1) };
        let found = choose(&[open(1), fixed], &nearly_all, |_| true, &mut rng).unwrap();
        assert_eq!((found[0].host, found[1].host), (65_535, 65_534));
    }
}
