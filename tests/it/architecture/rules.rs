//! The bands and their rules, applied to one file at a time.

use super::source::{Token, Use, tokens, uses};

/// The bands, lowest first; within band 1 a module may import those before it, elsewhere none of its own band.
const BANDS: [&[&str]; 6] = [
    &["ecs", "sys"],
    &["logging", "validate", "plan", "lifecycle", "scheduler", "metadata", "session"],
    &["store", "image", "net", "runtime", "logs", "aws", "secrets"],
    &["worker", "supervisor", "lb"],
    &["ops"],
    &["cli", "api", "schedule"],
];

/// What band 1 may not name: files, sockets, processes, the environment, threads, the system, and chance from nowhere.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::thread",
    "std::io",
    "std::os",
    "rand::rng",
    "rand::rngs",
    "rand::random",
    "rand::random_range",
    "rand::random_bool",
    "rand::random_iter",
    "rand::fill",
    "getrandom",
    "tokio",
    "nix",
    "libc",
    "libcontainer",
    "rusqlite",
    "cgroups_rs",
    "netlink_sys",
];

/// What is pure among them: data.
const PURE: &[&str] = &[
    "std::net::IpAddr",
    "std::net::Ipv4Addr",
    "std::net::Ipv6Addr",
    "std::net::SocketAddr",
    "std::net::AddrParseError",
    "nix::sys::signal::Signal",
];

/// Words that are impure by themselves, and macros by their name.
const IMPURE_WORDS: &[&str] = &["async", "await"];
const IMPURE_MACROS: &[&str] = &["print", "println", "eprint", "eprintln"];

const MOST_LINES: usize = 400;

/// The rules that a file breaks, each as `FILE:LINE: RULE`. `file` is its path from the repository's root.
pub(super) fn check(file: &str, source: &str) -> Vec<String> {
    let mut broken: Vec<(usize, String)> = Vec::new();
    if !source.starts_with("//!") {
        broken.push((1, "no `//!` header".to_owned()));
    }
    if source.lines().count() > MOST_LINES {
        broken.push((MOST_LINES + 1, format!("more than {MOST_LINES} lines")));
    }
    let tokens = tokens(source);
    let module = module(file);
    if !file.starts_with("src/sys/") {
        let found = tokens.iter().filter(|token| token.text == "unsafe");
        broken.extend(found.map(|token| (token.line, "unsafe code outside src/sys".to_owned())));
    }
    // the root of the crate and the program stand above all bands
    if let Some(top) = module.first() {
        match band(top) {
            None => broken.push((1, format!("{top} stands in no band"))),
            Some(own) => {
                let uses = uses(&tokens, &module);
                let edges = uses.iter().filter(|path| path.ours);
                broken.extend(edges.filter_map(|path| Some((path.line, forbidden(top, own, path)?))));
                if own == 1 && module.last() != Some(&"tests") {
                    broken.extend(impure(&tokens, &uses));
                }
            }
        }
    }
    broken.sort();
    broken.dedup();
    broken.into_iter().map(|(line, rule)| format!("{file}:{line}: {rule}")).collect()
}

/// `src/net/nft.rs` and `src/net/nft/mod.rs` are `["net", "nft"]`; `src/lib.rs` and `src/main.rs` are the root.
fn module(file: &str) -> Vec<&str> {
    let path = file.strip_prefix("src/").unwrap_or(file);
    let mut parts: Vec<&str> = path.strip_suffix(".rs").unwrap_or(path).split('/').collect();
    if parts.last() == Some(&"mod") || parts == ["lib"] || parts == ["main"] {
        parts.pop();
    }
    parts
}

fn band(module: &str) -> Option<usize> {
    BANDS.iter().position(|band| band.contains(&module))
}

/// The rule that an import breaks, if it breaks one.
fn forbidden(from: &str, own: usize, path: &Use) -> Option<String> {
    let to = path.segments.first()?.as_str();
    if to == from {
        return None;
    }
    let Some(other) = band(to) else { return Some(format!("{to} stands in no band")) };
    let allowed = match (from, to) {
        ("supervisor", "worker") => path.segments.get(1).is_some_and(|next| next == "protocol"),
        ("supervisor", "image" | "net" | "runtime") => false,
        (_, "sys") if own == 1 => false,
        _ if own == 1 && other == 1 => {
            let place = |module| BANDS[1].iter().position(|other| *other == module);
            place(to) < place(from)
        }
        (_, "ops" | "ecs") if own == 5 => true,
        _ if own == 5 => false,
        _ => other < own,
    };
    let exception = if (from, to) == ("supervisor", "worker") { " but for worker::protocol" } else { "" };
    (!allowed).then(|| format!("{from} (band {own}) may not import {to} (band {other}){exception}"))
}

/// What is impure in a file of band 1, outside its unit tests.
fn impure<'a>(tokens: &'a [Token<'a>], uses: &'a [Use]) -> impl Iterator<Item = (usize, String)> + 'a {
    let paths = uses.iter().filter(|path| !path.test && !path.ours).filter_map(|path| {
        let name = path.segments.join("::");
        // by whole segments: `std::net` covers `std::net::TcpStream`, not `std::network`
        let covers = |list: &[&str]| list.iter().any(|entry| format!("{name}::").starts_with(&format!("{entry}::")));
        (is_clock(&path.segments) || (covers(IMPURE) && !covers(PURE))).then_some((path.line, name))
    });
    let words = tokens.iter().zip(tokens.iter().skip(1)).filter(|(token, _)| !token.test).filter_map(|(one, two)| {
        let word = IMPURE_WORDS.contains(&one.text)
            || (IMPURE_MACROS.contains(&one.text) && two.text == "!")
            || (one.text == "." && two.text == "elapsed");
        word.then(|| (two.line, if one.text == "." { two.text.to_owned() } else { one.text.to_owned() }))
    });
    paths.chain(words).map(|(line, what)| (line, format!("band 1 is pure: {what}")))
}

/// `Instant::now`, `jiff::Timestamp::now`: the `now` of a type.
fn is_clock(segments: &[String]) -> bool {
    match segments {
        [.., kind, now] => now == "now" && kind.starts_with(char::is_uppercase),
        _ => false,
    }
}
