//! The text of an environment file, as the ECS agent reads it: one `NAME=VALUE` a line, all behind the first equals sign
//! being the value, without quotes, escapes or references; a `#` at the beginning of a line makes it a comment. A line
//! without an equals sign, without a name or without a value is passed over.

/// The variables of a file. Of two with one name the last counts.
pub fn variables(text: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty())
        else {
            continue;
        };
        put(&mut all, name, value);
    }
    all
}

/// The variables of several files. Of two files with one name the first counts.
pub fn merged(files: &[String]) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (name, value) in files.iter().flat_map(|text| variables(text)) {
        if !all.iter().any(|(known, _)| *known == name) {
            all.push((name, value));
        }
    }
    all
}

fn put(all: &mut Vec<(String, String)>, name: &str, value: &str) {
    match all.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => value.clone_into(old),
        None => all.push((name.to_owned(), value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(all: &[(String, String)]) -> Vec<String> {
        all.iter().map(|(name, value)| format!("{name}|{value}")).collect()
    }

    #[test]
    fn a_line_is_a_name_and_all_behind_the_first_equals_sign() {
        let text = "A=1\r\n# B=2\nC=x=y z # w\nD=\"quoted $A\"\n=none\nE=\nonly\n F = 6 \n#\nA=2";
        assert_eq!(shown(&variables(text)), ["A|2", "C|x=y z # w", "D|\"quoted $A\"", " F | 6 "]);
    }

    #[test]
    fn of_two_files_the_first_counts() {
        let files = ["A=1\nB=1\n".to_owned(), "B=2\nC=2\n".to_owned()];
        assert_eq!(shown(&merged(&files)), ["A|1", "B|1", "C|2"]);
    }
}
