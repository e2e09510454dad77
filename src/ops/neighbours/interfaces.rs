//! The interfaces of tasks, as DescribeNetworkInterfaces shows them.

use super::ec2::one;
use super::found::Found;
use super::view::{Interface, View};
use super::xml::{Node, set, text, tree};

pub(super) fn interfaces(view: &View) -> Vec<Found> {
    view.interfaces
        .iter()
        .map(|interface| Found {
            id: interface.id.clone(),
            nodes: interface_nodes(view, interface),
            facts: interface_facts(view, interface),
        })
        .collect()
}

/// A task that was to have a public address shows its only one there too: it can be reached at it from this host, and scripts
/// look nowhere else.
fn association(view: &View, interface: &Interface) -> Option<Node> {
    let nodes = vec![
        text("publicIp", interface.address.clone()),
        text("publicDnsName", interface.name.clone()),
        text("ipOwnerId", view.account.clone()),
    ];
    interface.is_public.then(|| tree("association", nodes))
}

fn interface_nodes(view: &View, interface: &Interface) -> Vec<Node> {
    let name = |id: &String| if Some(id) == view.groups.first() { "default".to_owned() } else { id.clone() };
    let groups = interface.groups.iter().map(|id| vec![text("groupId", id.clone()), text("groupName", name(id))]);
    let (attachment, arn) = &interface.attachment;
    let attached_at = jiff::Timestamp::from_millisecond(interface.attached_at).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let hex: String = attachment.chars().filter(char::is_ascii_hexdigit).take(17).collect();
    let attachment = vec![
        text("attachmentId", format!("ela-attach-{hex}")),
        text("instanceOwnerId", view.account.clone()),
        text("deviceIndex", "1"),
        text("status", "attached"),
        text("attachTime", attached_at.to_string()),
        text("deleteOnTermination", "false"),
    ];
    let mut address = vec![
        text("privateIpAddress", interface.address.clone()),
        text("privateDnsName", interface.name.clone()),
        text("primary", "true"),
    ];
    address.extend(association(view, interface));
    let mut nodes = vec![
        text("networkInterfaceId", interface.id.clone()),
        text("subnetId", interface.subnet.clone()),
        text("vpcId", view.id.clone()),
        text("availabilityZone", interface.zone.clone()),
        text("description", arn.clone()),
        text("ownerId", view.account.clone()),
        text("requesterManaged", "true"),
        text("status", "in-use"),
        text("macAddress", interface.mac.clone()),
        text("privateIpAddress", interface.address.clone()),
        text("privateDnsName", interface.name.clone()),
        text("sourceDestCheck", "true"),
        set("groupSet", groups),
        tree("attachment", attachment),
    ];
    nodes.extend(association(view, interface));
    nodes.extend([
        set("tagSet", []),
        set("privateIpAddressesSet", [address]),
        set("ipv6AddressesSet", []),
        text("interfaceType", "interface"),
    ]);
    nodes
}

fn interface_facts(view: &View, interface: &Interface) -> Vec<(&'static str, Vec<String>)> {
    let public = if interface.is_public { one(&interface.address) } else { Vec::new() };
    vec![
        ("network-interface-id", one(&interface.id)),
        ("subnet-id", one(&interface.subnet)),
        ("vpc-id", one(&view.id)),
        ("availability-zone", one(&interface.zone)),
        ("description", one(&interface.attachment.1)),
        ("owner-id", one(&view.account)),
        ("requester-managed", one("true")),
        ("status", one("in-use")),
        ("mac-address", one(&interface.mac)),
        ("private-ip-address", one(&interface.address)),
        ("addresses.private-ip-address", one(&interface.address)),
        ("addresses.primary", one("true")),
        ("association.public-ip", public),
        ("private-dns-name", one(&interface.name)),
        ("group-id", interface.groups.clone()),
        ("interface-type", one("interface")),
        ("attachment.status", one("attached")),
    ]
}
