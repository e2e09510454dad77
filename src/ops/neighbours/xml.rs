//! The documents of the query protocol.

use quick_xml::Writer;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};

/// A part of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// An element with a text.
    Text(&'static str, String),
    /// An element with others in it.
    Tree(&'static str, Vec<Node>),
}

pub(super) fn text(name: &'static str, value: impl Into<String>) -> Node {
    Node::Text(name, value.into())
}

pub(super) fn tree(name: &'static str, nodes: Vec<Node>) -> Node {
    Node::Tree(name, nodes)
}

/// A list, each element in an `item`.
pub(super) fn set(name: &'static str, items: impl IntoIterator<Item = Vec<Node>>) -> Node {
    Node::Tree(name, items.into_iter().map(|nodes| Node::Tree("item", nodes)).collect())
}

/// A whole document.
pub(super) fn document(root: &str, namespace: Option<&str>, nodes: &[Node]) -> String {
    let mut out = Writer::new(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_vec());
    let mut start = BytesStart::new(root);
    if let Some(namespace) = namespace {
        start.push_attribute(("xmlns", namespace));
    }
    put(&mut out, Event::Start(start));
    nodes.iter().for_each(|node| write(&mut out, node));
    put(&mut out, Event::End(BytesEnd::new(root)));
    String::from_utf8(out.into_inner()).expect("it is made of strings")
}

fn write(out: &mut Writer<Vec<u8>>, node: &Node) {
    let name = match node {
        Node::Text(name, _) | Node::Tree(name, _) => *name,
    };
    put(out, Event::Start(BytesStart::new(name)));
    match node {
        Node::Text(_, value) => put(out, Event::Text(BytesText::new(&clean(value)))),
        Node::Tree(_, nodes) => nodes.iter().for_each(|node| write(out, node)),
    }
    put(out, Event::End(BytesEnd::new(name)));
}

fn put(out: &mut Writer<Vec<u8>>, event: Event) {
    out.write_event(event).expect("memory takes what is written");
}

/// Without the signs that XML 1.0 has no form for.
fn clean(text: &str) -> String {
    text.chars().filter(|sign| !sign.is_control() || matches!(sign, '\t' | '\n' | '\r')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_caller_sent_cannot_leave_its_element() {
        let nodes = [set("vpcSet", [vec![text("vpcId", "a</vpcId>&\u{0}<b>")]])];
        let document = document("R", Some("urn:x"), &nodes);
        let body = "<R xmlns=\"urn:x\"><vpcSet><item><vpcId>a&lt;/vpcId&gt;&amp;&lt;b&gt;</vpcId></item></vpcSet></R>";
        assert_eq!(document, format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}"));
    }
}
