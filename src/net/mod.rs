//! The network of a task: netlink and nftables, applied from a NetworkPlan.
