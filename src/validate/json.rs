//! JSON with positions: a strict reader (RFC 8259) that says where every value stands in the text, so that a problem
//! found later can be shown with its line and column. It reads on after a trailing comma or a repeated member, and stops
//! at anything else that is not JSON. Bounded in depth and size; it never panics. Called by `parse` only.

use std::collections::HashSet;

/// How deep values may be nested. The deepest member of a task definition stands at 7.
const MAX_DEPTH: usize = 32;

/// A value and where it begins, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub at: usize,
    pub value: Value,
}

/// A JSON value; a number is kept as it is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(String),
    String(String),
    Array(Vec<Node>),
    Object(Vec<Member>),
}

/// A member of an object, and where its name begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub at: usize,
    pub name: String,
    pub node: Node,
}

/// Something that is not JSON, and where.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fault {
    pub at: usize,
    pub message: String,
}

impl Value {
    /// What it is, for a sentence.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl Node {
    /// The first member of that name, if this is an object that has one.
    pub(super) fn member(&self, name: &str) -> Option<&Node> {
        match &self.value {
            Value::Object(members) => members.iter().find(|member| member.name == name).map(|member| &member.node),
            _ => None,
        }
    }

    /// The element of that index, if this is a list that has one.
    pub(super) fn element(&self, index: usize) -> Option<&Node> {
        match &self.value {
            Value::Array(elements) => elements.get(index),
            _ => None,
        }
    }
}

/// The document, if it can be read to its end, and everything that is wrong with it.
pub(super) fn read(text: &str) -> (Option<Node>, Vec<Fault>) {
    let mut reader = Reader { text, at: 0, depth: 0, faults: Vec::new() };
    if text.starts_with('\u{feff}') {
        reader.at = '\u{feff}'.len_utf8();
    }
    let document = reader.document();
    let mut faults = reader.faults;
    let root = document.map_err(|fault| faults.push(fault)).ok();
    (root, faults)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<Node, Fault> {
        self.skip_space();
        if self.peek().is_none() {
            return Err(self.fault("there is nothing here: expected a JSON object"));
        }
        let root = self.value()?;
        self.skip_space();
        match self.peek() {
            None => Ok(root),
            Some(_) => Err(self.unexpected("the end of the document")),
        }
    }

    fn value(&mut self) -> Result<Node, Fault> {
        self.skip_space();
        let at = self.at;
        let value = match self.peek() {
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::array)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b'a'..=b'z') => self.word()?,
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Node { at, value })
    }

    fn nested(&mut self, read: fn(&mut Self, usize) -> Result<Value, Fault>) -> Result<Value, Fault> {
        if self.depth == MAX_DEPTH {
            return Err(self.fault(&format!("values are nested more than {MAX_DEPTH} deep")));
        }
        let opening = self.at;
        self.at += 1;
        self.depth += 1;
        let value = read(self, opening)?;
        self.depth -= 1;
        Ok(value)
    }

    fn object(&mut self, opening: usize) -> Result<Value, Fault> {
        let mut members: Vec<Member> = Vec::new();
        let mut names = HashSet::new();
        let mut comma = None;
        loop {
            self.skip_space();
            let at = self.at;
            if self.close(b'}', comma) {
                return Ok(Value::Object(members));
            }
            if self.peek() != Some(b'"') {
                return Err(self.expected(opening, "a member name in double quotes", "object"));
            }
            let name = self.string()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.expected(opening, "':'", "object"));
            }
            self.at += 1;
            let node = self.value()?;
            if !names.insert(name.clone()) {
                self.faults.push(Fault { at, message: format!("{name:?} stands twice in one object") });
            }
            members.push(Member { at, name, node });
            comma = self.separator(b'}', opening, "object")?;
        }
    }

    fn array(&mut self, opening: usize) -> Result<Value, Fault> {
        let mut elements = Vec::new();
        let mut comma = None;
        loop {
            self.skip_space();
            if self.close(b']', comma) {
                return Ok(Value::Array(elements));
            }
            if self.peek().is_none() {
                return Err(self.expected(opening, "a value", "list"));
            }
            elements.push(self.value()?);
            comma = self.separator(b']', opening, "list")?;
        }
    }

    /// Takes the closing bracket, and minds a comma before it.
    fn close(&mut self, bracket: u8, comma: Option<usize>) -> bool {
        let closes = self.peek() == Some(bracket);
        if closes {
            self.at += 1;
            if let Some(at) = comma {
                let message = format!("a comma before '{}': JSON has no trailing commas", char::from(bracket));
                self.faults.push(Fault { at, message });
            }
        }
        closes
    }

    /// Takes the comma after an element and says where it stood; leaves a closing bracket.
    fn separator(&mut self, bracket: u8, opening: usize, what: &str) -> Result<Option<usize>, Fault> {
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(Some(self.at - 1))
            }
            Some(byte) if byte == bracket => Ok(None),
            _ => Err(self.expected(opening, &format!("',' or '{}'", char::from(bracket)), what)),
        }
    }

    fn string(&mut self) -> Result<String, Fault> {
        let start = self.at;
        self.at += 1;
        let mut escapes = false;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escapes = true;
                    self.at += 2;
                }
                Some(byte) if byte < 0x20 => return Err(self.fault(&control(byte))),
                Some(_) => self.at += 1,
                None => return Err(Fault { at: start, message: "this string has no closing quote".to_owned() }),
            }
        }
        self.at += 1;
        let literal = self.text.get(start..self.at).unwrap_or_default();
        if !escapes {
            return Ok(literal.trim_matches('"').to_owned());
        }
        serde_json::from_str(literal)
            .map_err(|_| Fault { at: start, message: "this string has an escape that JSON does not know".to_owned() })
    }

    fn number(&mut self) -> Result<Value, Fault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'_')) {
            self.at += 1;
        }
        let literal = &self.text[start..self.at];
        match serde_json::from_str::<serde_json::Number>(literal) {
            Ok(_) => Ok(Value::Number(literal.to_owned())),
            Err(_) => {
                let message = format!("{} is not a number that JSON knows, or too large", excerpt(literal));
                Err(Fault { at: start, message })
            }
        }
    }

    fn word(&mut self) -> Result<Value, Fault> {
        let words = [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))];
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        match words.into_iter().find(|(word, _)| *word == &rest[..length]) {
            Some((_, value)) => {
                self.at += length;
                Ok(value)
            }
            None => Err(self.unexpected("a value")),
        }
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn fault(&self, message: &str) -> Fault {
        Fault { at: self.at.min(self.text.len()), message: message.to_owned() }
    }

    /// Something else stands where `wanted` must; at the end of the text the unclosed bracket is the culprit.
    fn expected(&self, opening: usize, wanted: &str, what: &str) -> Fault {
        match self.peek() {
            None => Fault { at: opening, message: format!("this {what} is not closed") },
            Some(_) => self.unexpected(wanted),
        }
    }

    fn unexpected(&self, wanted: &str) -> Fault {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let hint = match rest.chars().next() {
            None => return self.fault(&format!("expected {wanted}, found the end of the document")),
            Some('/' | '#') => ": JSON has no comments",
            Some('\'' | '‘' | '’' | '“' | '”') => ": JSON has straight double quotes",
            Some(_) => "",
        };
        let word: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
        let found = if word.is_empty() { rest.chars().take(1).collect() } else { word };
        self.fault(&format!("expected {wanted}, found {}{hint}", excerpt(&found)))
    }
}

fn control(byte: u8) -> String {
    match byte {
        b'\n' | b'\r' => "a line ends within a string: its closing quote is missing".to_owned(),
        b'\t' => "a tab within a string: write \\t".to_owned(),
        _ => format!("a control character within a string: write \\u{byte:04x}"),
    }
}

/// A piece of the source for a message: quoted, its control characters escaped, at most 40 characters.
pub(super) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(40) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<(usize, String)> {
        read(text).1.into_iter().map(|fault| (fault.at, fault.message)).collect()
    }

    #[test]
    fn values_know_where_they_stand() {
        let (root, faults) = read(" {\"a\": [1, {\"b\": \"x\\ny\"}]}\n");
        let root = root.unwrap();
        assert!(faults.is_empty());
        let b = root.member("a").and_then(|a| a.element(1)).and_then(|element| element.member("b")).unwrap();
        assert_eq!((b.at, &b.value), (17, &Value::String("x\ny".to_owned())));
    }

    #[test]
    fn it_reads_on_after_trailing_commas_and_repeated_members() {
        let (root, faults) = read(r#"{"a": [1,], "a": 2,}"#);
        assert!(root.is_some());
        let at: Vec<_> = faults.iter().map(|fault| fault.at).collect();
        assert_eq!(at, [8, 12, 18]);
    }

    #[test]
    fn what_is_not_json_is_named_with_its_place() {
        let table = [
            ("", 0, "there is nothing here"),
            ("{", 0, "this object is not closed"),
            ("[1, [2]", 0, "this list is not closed"),
            ("{\"a\" 1}", 5, "expected ':', found \"1\""),
            ("{\"a\": 1 \"b\": 2}", 8, "expected ',' or '}'"),
            ("{a: 1}", 1, "expected a member name in double quotes, found \"a\""),
            ("{'a': 1}", 1, "straight double quotes"),
            ("// x\n{}", 0, "JSON has no comments"),
            ("[True]", 1, "expected a value, found \"True\""),
            ("[nul]", 1, "expected a value, found \"nul\""),
            ("[01]", 1, "\"01\" is not a number"),
            ("[1.]", 1, "is not a number"),
            ("[0x10]", 1, "is not a number"),
            ("[1e999]", 1, "too large"),
            ("\"a\nb\"", 2, "its closing quote is missing"),
            ("\"a", 0, "no closing quote"),
            ("\"a\\", 0, "no closing quote"),
            ("\"\\q\"", 0, "an escape that JSON does not know"),
            ("\"\\ud800\"", 0, "an escape that JSON does not know"),
            ("{} {}", 3, "expected the end of the document"),
            ("[,]", 1, "expected a value"),
        ];
        for (text, at, message) in table {
            let found = faults(text);
            assert!(found.len() == 1 && found[0].0 == at && found[0].1.contains(message), "{text:?}: {found:?}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = "[".repeat(100_000);
        assert!(faults(&deep)[0].1.contains("nested more than 32 deep"));
        let allowed = format!("{}{}", "[".repeat(32), "]".repeat(32));
        assert!(read(&allowed).0.is_some());
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        assert_eq!(read("\u{feff}{}").0.unwrap().value, Value::Object(Vec::new()));
    }
}
