//! The words of a command, as ECS Exec has them: a line that is split as a shell would, with nothing in it expanded, since no
//! shell need be in the container.

/// The words of a line; `None` if a quotation mark has no end, or a backslash nothing behind it.
pub fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (Some(open), _) if char == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (Some('"'), '\\') => {
                let next = chars.next()?;
                if !matches!(next, '"' | '\\' | '$' | '`') {
                    word.get_or_insert_default().push('\\');
                }
                word.get_or_insert_default().push(next);
            }
            (None, '\\') => word.get_or_insert_default().push(chars.next()?),
            (None, _) if char.is_ascii_whitespace() => words.extend(word.take()),
            (_, _) => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<String> {
        words(line).unwrap()
    }

    #[test]
    fn a_line_is_split_as_a_shell_would() {
        assert_eq!(split("/bin/sh"), ["/bin/sh"]);
        assert_eq!(split("  sh -c 'echo \"$HOME\"; exit 7' "), ["sh", "-c", "echo \"$HOME\"; exit 7"]);
        assert_eq!(split(r#"a"b c"d '' "\"\n" e\ f"#), ["ab cd", "", "\"\\n", "e f"]);
        assert_eq!(split(" \t"), Vec::<String>::new());
    }

    #[test]
    fn one_that_does_not_end_is_none() {
        for line in ["'a", "\"a", "a\\", "\"a\\"] {
            assert_eq!(words(line), None, "{line}");
        }
    }
}
