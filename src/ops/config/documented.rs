//! The documented configuration that packages install, `dist/config.toml`: every key is in it, every default is the true one,
//! and every example is one that would be taken.

use super::*;

const DOCUMENTED: &str = include_str!("../../../dist/config.toml");

/// The settings of the file without their `#`. With the examples it says what may stand there, without them what holds.
fn uncommented(examples: bool) -> String {
    let mut text = String::new();
    let mut example = false;
    let mut table = false;
    for line in DOCUMENTED.lines() {
        let setting = line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with([' ', '-', '/']));
        match setting {
            None if line == "# example:" => example = true,
            None => {}
            Some(setting) => {
                // a table that is an example is one to its end
                table = if setting.starts_with('[') { example || (table && setting.starts_with("[[")) } else { table };
                if examples || !(example || table) {
                    text.push_str(&format!("{setting}\n"));
                }
                example = false;
            }
        }
    }
    text
}

/// The keys that a table takes, as the parser lists them when it meets one that it does not know.
fn keys(table: &str) -> Vec<String> {
    let text = if table.is_empty() { "no-such-key = 1".to_owned() } else { format!("{table}\nno-such-key = 1") };
    let error = toml::from_str::<Config>(&text).unwrap_err().to_string();
    let (_, list) = error.split_once("expected").unwrap_or_else(|| panic!("{table}: {error}"));
    let mut words = list.split('`');
    let mut keys = Vec::new();
    while let (Some(_), Some(key)) = (words.next(), words.next()) {
        keys.push(key.to_owned());
    }
    keys
}

#[test]
fn as_it_is_installed_it_changes_nothing() {
    assert_eq!(toml::from_str::<Config>(DOCUMENTED).unwrap(), Config::default());
}

#[test]
fn the_defaults_that_it_tells_are_the_true_ones() {
    let told: Config = toml::from_str(&uncommented(false)).unwrap();
    assert_eq!(told, Config::default());
    assert!(uncommented(false).lines().count() > 30, "they were read at all: {}", uncommented(false));
}

#[test]
fn its_examples_would_be_taken() {
    let config: Config = toml::from_str(&uncommented(true)).unwrap();
    assert_eq!(config.contradiction(), None);
    assert!(config.vpc.is_some() && config.capacity.cpu.is_some() && config.efs.len() == 1, "{config:#?}");
}

#[test]
fn every_key_of_every_table_is_in_it() {
    let tables = [
        "",
        "[capacity]",
        "[vpc]",
        "[[vpc.subnets]]",
        "[network]",
        "[image]",
        "[log]",
        "[secrets]",
        "[environment-files]",
        "[roles.app]",
        "[prices]",
        "[exec]",
        "[aws]",
        "[storage]",
        "[volumes]",
        "[efs.\"fs-0123456789abcdef0\"]",
        "[efs.\"fs-0123456789abcdef0\".access-points.\"fsap-0123456789abcdef0\"]",
        "[instance]",
    ];
    let text = uncommented(true);
    for table in tables {
        let path = table.trim_matches(['[', ']']);
        let own = section(&text, table);
        for key in keys(table) {
            let inner = if path.is_empty() { format!("[{key}") } else { format!("[{path}.{key}") };
            let stands = own.lines().any(|line| line.starts_with(&format!("{key} = ")));
            assert!(stands || text.contains(&inner), "{key} of {table:?} is not documented");
        }
    }
}

/// What stands in a table. A role has one source of three, so that no table of one has all keys: they are in some.
fn section<'a>(text: &'a str, table: &str) -> &'a str {
    if table.starts_with("[roles") {
        return text;
    }
    let begin = text.find(table).unwrap_or_else(|| panic!("{table} is missing")) + table.len();
    let end = text[begin..].find("\n[").map_or(text.len(), |end| begin + end);
    &text[begin..end]
}
