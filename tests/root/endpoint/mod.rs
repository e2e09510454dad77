//! `berth serve`: AWS's own clients, unmodified, and whoever means it harm.

mod bounds;
mod clients;
mod doors;
mod every;
mod exec;
mod life;
mod neighbours;
mod rust_sdk;

use crate::support::definition;
use crate::support::root::Root;

/// A root in which ECS's forty seconds are 0.4, with room for many tasks; and one of its subnets.
fn root() -> (Root, String) {
    let root = Root::with_images(&["probe"]);
    root.configure("time-scale = 0.01\n[capacity]\ncpu = 100000\nmemory-mib = 100000\n");
    let task = root.run_detached(&definition(&[("one", &["exit", "0"])]));
    let subnet = task.interface("subnetId");
    root.until(&task, "STOPPED");
    (root, subnet)
}
