//! The root's blocks of addresses, the VPC and the bridge's: configured, or chosen once so that they conflict with nothing on
//! the host and with no other root.

use std::fs;
use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::{Engine, OpsError};
use crate::plan::Cidr;
use crate::plan::vpc::{Subnet, Vpc};
use crate::store::records::{BRIDGE, VPC};
use crate::store::{Commit, Txn};

/// Which root has which block, host-wide: roots know nothing else of each other.
const CLAIMS: &str = "/run/berth-vpc.json";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    cidr: Cidr,
    root: PathBuf,
    #[serde(default)]
    purpose: Purpose,
}

/// What a block is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Purpose {
    #[default]
    Vpc,
    Bridge,
}

impl Engine {
    /// The VPC in which tasks are placed.
    pub(super) fn vpc(&mut self) -> Result<Vpc, OpsError> {
        if let Some(configured) = &self.config.vpc {
            let mut vpc = Vpc::default_in(configured.cidr, &self.config.region);
            if !configured.subnets.is_empty() {
                let subnet = |subnet: &super::config::SubnetConfig| Subnet {
                    id: subnet.id.clone(),
                    zone: subnet.zone.clone(),
                    cidr: subnet.cidr,
                };
                vpc.subnets = configured.subnets.iter().map(subnet).collect();
            }
            return Ok(vpc);
        }
        if let Some(chosen) = self.store.get::<Vpc>(VPC)? {
            return Ok(chosen.value);
        }
        let vpc = Vpc::default_in(self.claim_block(Purpose::Vpc)?, &self.config.region);
        match self.store.commit_durably(&Txn::default().require_absent(VPC).put(VPC, &vpc))? {
            Commit::Done => Ok(vpc),
            Commit::Conflict => self.store.get::<Vpc>(VPC)?.map(|chosen| chosen.value).ok_or(OpsError::Contention),
        }
    }

    /// The addresses of containers in bridge mode.
    pub(super) fn bridge_block(&mut self) -> Result<Cidr, OpsError> {
        if let Some(configured) = self.config.network.bridge_cidr {
            return Ok(configured);
        }
        if let Some(chosen) = self.store.get::<Cidr>(BRIDGE)? {
            return Ok(chosen.value);
        }
        let block = self.claim_block(Purpose::Bridge)?;
        match self.store.commit_durably(&Txn::default().require_absent(BRIDGE).put(BRIDGE, &block))? {
            Commit::Done => Ok(block),
            Commit::Conflict => self.store.get::<Cidr>(BRIDGE)?.map(|chosen| chosen.value).ok_or(OpsError::Contention),
        }
    }

    /// Chooses a block under a lock, so that two roots that begin at once get two.
    fn claim_block(&self, purpose: Purpose) -> Result<Cidr, OpsError> {
        let path = Path::new(CLAIMS);
        let fail = |verb| move |source| OpsError::File { verb, path: path.to_owned(), source };
        let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = file.map_err(fail("open"))?;
        let mut file = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| fail("lock")(errno.into()))?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(fail("read"))?;
        // A damaged file only loses claims of roots that have no routes at the moment.
        let mut claims: Vec<Claim> = serde_json::from_str(&text).unwrap_or_default();
        claims.retain(|claim| claim.root.exists() && (claim.root != self.layout.state || claim.purpose != purpose));
        let here = fs::File::open("/proc/self/ns/net").map_err(fail("open the network namespace for"))?;
        let routes = crate::net::host_routes(here.as_fd()).map_err(OpsError::Routes)?;
        let is_free = |block: &Cidr| {
            let routed = routes.iter().any(|route| route.destination.overlaps(block));
            !routed && !claims.iter().any(|claim| claim.cidr.overlaps(block))
        };
        let (candidates, purpose_text, key) = match purpose {
            Purpose::Vpc => (Vpc::candidates(), "a VPC", "[vpc] cidr"),
            Purpose::Bridge => (Vpc::bridge_candidates(), "bridge mode", "[network] bridge-cidr"),
        };
        let block = candidates.into_iter().find(is_free);
        let block =
            block.ok_or_else(|| OpsError::NoBlock { purpose: purpose_text, key, config: self.config_file.clone() })?;
        claims.push(Claim { cidr: block, root: self.layout.state.clone(), purpose });
        let text = serde_json::to_string_pretty(&claims).expect("claims are plain data");
        file.rewind().and_then(|()| file.set_len(0)).map_err(fail("empty"))?;
        file.write_all(text.as_bytes()).map_err(fail("write"))?;
        Ok(block)
    }
}
