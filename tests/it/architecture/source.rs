//! Reads Rust as far as the rules need it: words and punctuation with their lines, without comments and literals, and
//! from these every path (`a::b`, groups written out), with the module and the kind of code that it stands in.

/// A word, `::`, or one character of punctuation.
#[derive(Debug)]
pub(super) struct Token<'a> {
    /// As it is written.
    pub(super) text: &'a str,
    /// The line, from 1.
    pub(super) line: usize,
    /// Whether it stands under `#[cfg(test)]`.
    pub(super) test: bool,
}

/// A path as it is used somewhere: at least two segments, or one of `crate` and `super`.
#[derive(Debug)]
pub(super) struct Use {
    /// From the crate's root if it began with `crate`, or with `super`s that lead there; as written otherwise.
    pub(super) segments: Vec<String>,
    /// Whether the segments count from the crate's root.
    pub(super) ours: bool,
    /// The line of its last segment.
    pub(super) line: usize,
    /// Whether it stands under `#[cfg(test)]`.
    pub(super) test: bool,
}

/// The words and the punctuation of a file.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < source.len() {
        let rest = &source[at..];
        let (length, kept) = next(rest);
        if kept {
            tokens.push(Token { text: &rest[..length], line, test: false });
        }
        line += rest[..length].matches('\n').count();
        at += length;
    }
    mark_tests(&mut tokens);
    tokens
}

/// The length of what stands first, and whether it is a token.
fn next(rest: &str) -> (usize, bool) {
    let first = rest.chars().next().unwrap_or(' ');
    let upto = |end: &str| rest.find(end).map_or(rest.len(), |at| at + end.len());
    if rest.starts_with("//") {
        (upto("\n"), false)
    } else if rest.starts_with("/*") {
        (comment(rest), false)
    } else if let Some(length) = literal(rest) {
        (length, false)
    } else if first == '_' || first.is_alphanumeric() {
        (rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len()), true)
    } else if rest.starts_with("::") {
        (2, true)
    } else {
        (first.len_utf8(), !first.is_whitespace())
    }
}

/// A block comment; they nest.
fn comment(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        let (step, change) = match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (2, 1),
            [b'*', b'/', ..] => (2, -1),
            _ => (1, 0),
        };
        at += step;
        depth += change;
        if depth == 0 {
            break;
        }
    }
    at
}

/// A string, a character, or a lifetime (none of which matters), if one stands first.
fn literal(rest: &str) -> Option<usize> {
    let quoted = rest.trim_start_matches(['b', 'c']);
    let prefix = rest.len() - quoted.len();
    if prefix > 1 {
        return None;
    }
    if let Some(raw) = quoted.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = prefix + 1 + hashes + 1;
            return Some(rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len()));
        }
    }
    match quoted.chars().next()? {
        '"' => Some(prefix + closing(quoted, '"')),
        '\'' => {
            let mut body = quoted[1..].chars();
            let (first, second) = (body.next()?, body.next());
            let character = first == '\\' || second == Some('\'');
            Some(prefix + if character { closing(quoted, '\'') } else { 1 })
        }
        _ => None,
    }
}

/// The length of what stands in quotes at the start, with escapes.
fn closing(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + 1,
            _ => (),
        }
    }
    rest.len()
}

/// Marks what stands under `#[cfg(test)]`: up to the `;` or the closing brace of the item that follows.
fn mark_tests(tokens: &mut [Token<'_>]) {
    const CFG: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut at = 0;
    while at < tokens.len() {
        let here = tokens[at..].iter().map(|token| token.text);
        if !here.take(CFG.len()).eq(CFG) {
            at += 1;
            continue;
        }
        let mut depth = 0;
        for token in &mut tokens[at..] {
            token.test = true;
            at += 1;
            match token.text {
                "{" | "[" | "(" => depth += 1,
                "}" | "]" | ")" => depth -= 1,
                _ => (),
            }
            if depth == 0 && matches!(token.text, ";" | "}") {
                break;
            }
        }
    }
}

/// Every path of a file. `module` is where the file stands: `["net", "nft"]` for `src/net/nft.rs`.
pub(super) fn uses(tokens: &[Token<'_>], module: &[&str]) -> Vec<Use> {
    let mut module: Vec<&str> = module.to_vec();
    let mut scopes = Vec::new();
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].text {
            "{" => {
                let inline = at > 1 && tokens[at - 2].text == "mod";
                if inline {
                    module.push(tokens[at - 1].text);
                }
                scopes.push(inline);
            }
            "}" if scopes.pop() == Some(true) => drop(module.pop()),
            text if is_word(text) => {
                let mut paths = Vec::new();
                at = path(tokens, at, &[], &mut paths);
                found.extend(paths.into_iter().map(|(segments, last)| resolve(&segments, &tokens[last], &module)));
                continue;
            }
            _ => (),
        }
        at += 1;
    }
    found.retain(|path| path.ours || path.segments.len() > 1);
    found
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c == '_' || c.is_alphabetic())
}

/// Reads the path at `at`, and the paths of its group if it ends in one; gives back where it ended. A path comes with
/// the index of its last token.
fn path<'a>(tokens: &[Token<'a>], mut at: usize, prefix: &[&'a str], found: &mut Vec<(Vec<&'a str>, usize)>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let mut segments = prefix.to_vec();
    loop {
        segments.push(text(at));
        at += 1;
        if text(at) != "::" {
            break;
        }
        match text(at + 1) {
            "{" => return group(tokens, at + 2, &segments, found),
            next if next == "*" || is_word(next) => at += 1,
            _ => break,
        }
    }
    found.push((segments, at - 1));
    at
}

fn group<'a>(tokens: &[Token<'a>], mut at: usize, prefix: &[&'a str], found: &mut Vec<(Vec<&'a str>, usize)>) -> usize {
    while let Some(token) = tokens.get(at) {
        match token.text {
            "}" => return at + 1,
            "as" => at += 2,
            text if text == "*" || is_word(text) => at = path(tokens, at, prefix, found),
            _ => at += 1,
        }
    }
    at
}

/// Makes a path absolute if it is one of ours.
fn resolve(segments: &[&str], last: &Token<'_>, module: &[&str]) -> Use {
    let relative = segments.iter().position(|segment| !matches!(*segment, "self" | "super")).unwrap_or(segments.len());
    let supers = segments[..relative].iter().filter(|segment| **segment == "super").count();
    let absolute = |base: &[&str], rest: &[&str]| [base, rest].concat().into_iter().map(str::to_owned).collect();
    let (segments, ours) = match segments.first() {
        Some(&"crate") => (absolute(&[], &segments[1..]), true),
        _ if supers > 0 => (absolute(&module[..module.len().saturating_sub(supers)], &segments[relative..]), true),
        _ => (absolute(&[], segments), false),
    };
    Use { segments, ours, line: last.line, test: last.test }
}
