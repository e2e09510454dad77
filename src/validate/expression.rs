//! The cluster query language of `memberOf` constraints and of filters: `attribute:ecs.instance-type =~ t2.* and
//! attribute:disk exists`, `runningTasksCount > 1`. Patterns know literals, `.`, `*`, `^` and `$`; what is not known is refused by
//! name. Read here; `scheduler` asks instances.

mod compare;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use compare::Comparison;

/// What can be asked of an instance besides its attributes.
const FACTS: [&str; 6] =
    ["agentConnected", "agentVersion", "ec2InstanceId", "registeredAt", "runningTasksCount", "task:group"];

/// A condition on instances, kept as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expression {
    text: String,
    root: Node,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Any(Vec<Node>),
    All(Vec<Node>),
    Not(Box<Node>),
    Test { subject: String, test: Test },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Exists,
    Equals(String),
    In(Vec<String>),
    Matches(String),
    Compares(Comparison, String),
}

/// Why an expression is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the placement expression {text:?} cannot be read: {what}")]
pub struct ExpressionError {
    text: String,
    what: String,
}

impl Expression {
    /// Whether it asks of the tasks that an instance has.
    pub fn asks_of_tasks(&self) -> bool {
        ["task:group", "runningTasksCount"].iter().any(|subject| self.text.contains(subject))
    }

    /// Whether something is such. `any` says of a property, by its name, whether one of its values is as it is asked to be: of
    /// some subjects an instance has several.
    pub fn holds(&self, any: &AnyValue<'_>) -> bool {
        self.root.holds(any)
    }
}

/// Whether one of the values of a property is such.
pub type AnyValue<'a> = dyn Fn(&str, &dyn Fn(&str) -> bool) -> bool + 'a;

/// What stands before the name of something that is so of an instance, and is none of its attributes.
pub const FACT: &str = "fact:";

/// The name of such a thing among attributes: `agentConnected`, `task:group`.
pub fn fact(name: &str) -> String {
    format!("{FACT}{name}")
}

impl Node {
    fn holds(&self, any: &AnyValue<'_>) -> bool {
        match self {
            Self::Any(nodes) => nodes.iter().any(|node| node.holds(any)),
            Self::All(nodes) => nodes.iter().all(|node| node.holds(any)),
            Self::Not(node) => !node.holds(any),
            Self::Test { subject, test } => any(subject, &|value| match test {
                Test::Exists => true,
                Test::Equals(other) => value == other,
                Test::In(others) => others.iter().any(|other| other == value),
                Test::Matches(pattern) => matches(pattern, value),
                Test::Compares(comparison, other) => comparison.holds(value, other),
            }),
        }
    }
}

/// Whether a pattern occurs in a text.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    match pattern.split_first() {
        Some(('^', rest)) => here(rest, &text),
        _ => (0..=text.len()).any(|start| here(&pattern, &text[start..])),
    }
}

fn here(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => true,
        ['$'] => text.is_empty(),
        [one, '*', rest @ ..] => {
            let run = text.iter().take_while(|other| *one == '.' || *other == one).count();
            (0..=run).any(|skip| here(rest, &text[skip..]))
        }
        [one, rest @ ..] => text.first().is_some_and(|other| *one == '.' || other == one) && here(rest, &text[1..]),
    }
}

impl FromStr for Expression {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        let fail = |what: String| ExpressionError { text: text.to_owned(), what };
        let mut tokens = tokens(text);
        tokens.reverse();
        let root = any(&mut tokens).map_err(fail)?;
        match tokens.pop() {
            None => Ok(Self { text: text.to_owned(), root }),
            Some(more) => Err(fail(format!("{more:?} is one word too many"))),
        }
    }
}

impl TryFrom<String> for Expression {
    type Error = ExpressionError;

    fn try_from(text: String) -> Result<Self, ExpressionError> {
        text.parse()
    }
}

impl From<Expression> for String {
    fn from(expression: Expression) -> Self {
        expression.text
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Words, and the signs that stand for themselves.
fn tokens(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut word = String::new();
    for sign in text.chars() {
        if sign.is_whitespace() || "()[],".contains(sign) {
            all.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
            all.extend((!sign.is_whitespace()).then(|| sign.to_string()));
        } else {
            word.push(sign);
        }
    }
    all.extend(Some(word).filter(|word| !word.is_empty()));
    all
}

/// How deep parentheses and negations may stand in each other.
const DEEPEST: usize = 32;

fn any(tokens: &mut Vec<String>) -> Result<Node, String> {
    deep_any(tokens, 0)
}

fn deep_any(tokens: &mut Vec<String>, depth: usize) -> Result<Node, String> {
    if depth > DEEPEST {
        return Err("it is nested too deeply".to_owned());
    }
    let mut nodes = vec![all(tokens, depth)?];
    while tokens.last().is_some_and(|word| word == "or" || word == "||") {
        tokens.pop();
        nodes.push(all(tokens, depth)?);
    }
    Ok(Node::Any(nodes))
}

fn all(tokens: &mut Vec<String>, depth: usize) -> Result<Node, String> {
    let mut nodes = vec![one(tokens, depth)?];
    while tokens.last().is_some_and(|word| word == "and" || word == "&&") {
        tokens.pop();
        nodes.push(one(tokens, depth)?);
    }
    Ok(Node::All(nodes))
}

fn one(tokens: &mut Vec<String>, depth: usize) -> Result<Node, String> {
    let word = tokens.pop().ok_or("it ends too early")?;
    if depth > DEEPEST {
        return Err("it is nested too deeply".to_owned());
    }
    match word.as_str() {
        "not" | "!" => Ok(Node::Not(Box::new(one(tokens, depth + 1)?))),
        "(" => {
            let inner = deep_any(tokens, depth + 1)?;
            match tokens.pop().as_deref() {
                Some(")") => Ok(inner),
                _ => Err("a parenthesis is not closed".to_owned()),
            }
        }
        _ => test(&word, tokens),
    }
}

fn test(subject: &str, tokens: &mut Vec<String>) -> Result<Node, String> {
    let subject = match (subject.strip_prefix("attribute:"), FACTS.contains(&subject)) {
        (Some(name), _) => name.to_owned(),
        (None, true) => fact(subject),
        (None, false) => {
            return Err(format!("{subject} is no subject that is known: attribute:NAME, {}", FACTS.join(", ")));
        }
    };
    let operator = tokens.pop().ok_or("an operator is missing")?;
    let (operator, negated) = match operator.as_str() {
        "!=" | "not_equals" => ("==", true),
        "!~" | "not_matches" => ("=~", true),
        "!in" | "not_in" => ("in", true),
        "!exists" | "not_exists" => ("exists", true),
        other => (other, false),
    };
    let mut argument = || tokens.pop().ok_or_else(|| format!("{operator} needs a value"));
    let test = match operator {
        "exists" => Test::Exists,
        "==" | "equals" => Test::Equals(argument()?),
        "=~" | "matches" => Test::Matches(pattern(argument()?)?),
        "in" => Test::In(list(tokens)?),
        other => match Comparison::named(other) {
            Some(comparison) => Test::Compares(comparison, argument()?),
            None => return Err(format!("{other} is no operator that is known")),
        },
    };
    let node = Node::Test { subject, test };
    Ok(if negated { Node::Not(Box::new(node)) } else { node })
}

fn pattern(text: String) -> Result<String, String> {
    match text.chars().find(|sign| "+?{}|\\".contains(*sign)) {
        Some(sign) => Err(format!("patterns know no {sign}")),
        None => Ok(text),
    }
}

fn list(tokens: &mut Vec<String>) -> Result<Vec<String>, String> {
    if tokens.pop().as_deref() != Some("[") {
        return Err("in needs a list in brackets".to_owned());
    }
    let mut all = Vec::new();
    loop {
        match tokens.pop().ok_or("a bracket is not closed")?.as_str() {
            "]" => return Ok(all),
            "," => {}
            word => all.push(word.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str) -> bool {
        let all = [
            ("ecs.availability-zone".to_owned(), "us-east-1a"),
            ("ecs.instance-type".to_owned(), "t2.micro"),
            ("stack".to_owned(), "prod"),
            (fact("runningTasksCount"), "10"),
            (fact("registeredAt"), "2026-02-18T22:28:28Z"),
            (fact("task:group"), "service:web"),
            (fact("task:group"), "family:db"),
        ];
        let any =
            |name: &str, test: &dyn Fn(&str) -> bool| all.iter().any(|(known, value)| known == name && test(value));
        text.parse::<Expression>().unwrap_or_else(|error| panic!("{error}")).holds(&any)
    }

    #[test]
    fn the_examples_of_the_guide_are_understood() {
        assert!(holds("attribute:ecs.instance-type == t2.micro"));
        assert!(holds("attribute:ecs.instance-type =~ t2.*"));
        assert!(!holds("attribute:ecs.instance-type =~ g2.* and attribute:stack exists"));
        assert!(holds("attribute:ecs.availability-zone in [us-east-1a, us-east-1b]"));
        assert!(holds("(attribute:stack == test or attribute:stack == prod) and not attribute:gpu exists"));
        assert!(holds("attribute:stack !in [test] and attribute:ecs.instance-type !~ ^t3.*$"));
    }

    #[test]
    fn instances_are_found_by_what_they_do_as_well() {
        assert!(holds("runningTasksCount > 9 and runningTasksCount <= 10"));
        assert!(!holds("runningTasksCount < 9"));
        assert!(holds("registeredAt >= 2026-02-18T22:00:00+00:00") && !holds("registeredAt > 2027-01-01T00:00:00Z"));
        assert!(holds("task:group == service:web") && holds("task:group == family:db"));
        assert!(holds("not(task:group == service:api)") && !holds("task:group != family:db"));
        assert!(holds("!(agentConnected exists)"));
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (text, word) in [
            ("task:family == web", "task:family"),
            ("attribute:a ~~ b", "~~"),
            ("attribute:a =~ t2|t3", "|"),
            ("(attribute:a exists", "not closed"),
            ("attribute:a exists b", "one word too many"),
            ("", "too early"),
        ] {
            let error = text.parse::<Expression>().unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
        assert!("( ".repeat(10_000).parse::<Expression>().is_err());
        assert!("not ".repeat(10_000).parse::<Expression>().is_err());
    }
}
