//! Mistakes in a file as a compiler shows them: where, what, and the line with a mark below the place.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::plain::{Colour, plain};

/// How bad a mistake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// It can.
    Warning,
}

/// One mistake.
#[derive(Debug, Clone, Copy)]
pub struct Finding<'a> {
    /// How bad it is.
    pub severity: Severity,
    /// The place in the JSON, `containerDefinitions[0].cpu`; empty for the file as a whole.
    pub path: &'a str,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// How many characters it is about.
    pub width: u32,
    /// The sentence.
    pub message: &'a str,
    /// What may have been meant, or would be taken.
    pub help: Option<&'a str>,
}

/// All findings of a file, each with its line of `text`, and how many there are.
pub fn render(file: &str, text: &str, findings: &[Finding<'_>], colour: Colour) -> String {
    let lines: Vec<&str> = text.strip_prefix('\u{feff}').unwrap_or(text).split('\n').collect();
    let renderer = match colour {
        Colour::On => Renderer::styled(),
        Colour::Off => Renderer::plain(),
    };
    let file = plain(file);
    let mut out = String::new();
    for finding in findings {
        let line = (finding.line as usize).checked_sub(1).and_then(|line| lines.get(line));
        out.push_str(&renderer.render(&[picture(&file, line.copied().unwrap_or_default(), finding)]));
        out.push_str("\n\n");
    }
    out.push_str(&summary(findings));
    out
}

/// The sentence, the place with its line marked, and the way out.
fn picture<'a>(file: &'a str, line: &str, finding: &'a Finding<'_>) -> Group<'a> {
    let path = if finding.path.is_empty() { String::new() } else { format!("{}: ", plain(finding.path)) };
    let title = level(finding.severity).primary_title(format!("{path}{}", plain(finding.message)));
    // One character stays one, so that the mark and its column stand right.
    let shown: String = line.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let place = finding.column.saturating_sub(1) as usize;
    let byte = |index: usize| shown.char_indices().nth(index).map_or(shown.len(), |(byte, _)| byte);
    let span = byte(place)..byte(place.saturating_add(finding.width.max(1) as usize));
    let snippet = Snippet::source(shown).line_start(finding.line as usize).path(file);
    let group = title.element(snippet.annotation(AnnotationKind::Primary.span(span)));
    match finding.help {
        Some(help) => group.element(Level::HELP.message(plain(help).into_owned())),
        None => group,
    }
}

/// `2 errors, 1 warning` on a line of its own; nothing where there is none.
fn summary(findings: &[Finding<'_>]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let part = |severity| match (count(severity), word(severity)) {
        (0, _) => None,
        (1, word) => Some(format!("1 {word}")),
        (count, word) => Some(format!("{count} {word}s")),
    };
    let parts: Vec<String> = [Severity::Error, Severity::Warning].into_iter().filter_map(part).collect();
    if parts.is_empty() { String::new() } else { format!("{}\n", parts.join(", ")) }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(line: u32, column: u32) -> Finding<'static> {
        Finding {
            severity: Severity::Error,
            path: "containerDefinitions[0].cpu",
            line,
            column,
            width: 3,
            message: "not a number",
            help: None,
        }
    }

    #[test]
    fn the_caret_stands_below_the_place_and_the_help_below_the_caret() {
        let text = "{\n\t\"cpu\": \"x\"\n}";
        let shown = Finding { help: Some("a number"), ..finding(2, 9) };
        assert_eq!(
            render("web.json", text, &[shown], Colour::Off),
            "error: containerDefinitions[0].cpu: not a number\n\
             \x20--> web.json:2:9\n\
             \x20 |\n\
             2 |  \"cpu\": \"x\"\n\
             \x20 |         ^^^\n\
             \x20 |\n\
             \x20 = help: a number\n\n\
             1 error\n"
        );
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let text = format!("{}!{}", "a".repeat(100_000), "b".repeat(100_000));
        let shown = render("x", &text, &[finding(1, 100_001)], Colour::Off);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines.iter().all(|line| line.len() < 200), "{shown}");
        assert!(lines[1].ends_with("x:1:100001") && lines[3].contains("aaa!bbb"), "{shown}");
        assert_eq!(lines[3].find('!'), lines[4].find('^'));
    }

    #[test]
    fn a_place_beyond_the_text_does_no_harm() {
        for (text, line, column) in [("", 7, 7), ("{", 1, 7), ("{", 0, 0), ("ä\n", 1, 2), ("{", u32::MAX, u32::MAX)] {
            let shown = render("x", text, &[finding(line, column)], Colour::Off);
            assert!(shown.starts_with("error: containerDefinitions[0].cpu: not a number\n"), "{shown}");
            assert!(shown.ends_with("\n1 error\n"), "{shown}");
        }
    }

    #[test]
    fn colours_are_for_terminals() {
        assert!(render("x", "{", &[finding(1, 1)], Colour::On).contains("\u{1b}["));
        assert!(!render("x", "{", &[finding(1, 1)], Colour::Off).contains('\u{1b}'));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(256))]

        #[test]
        fn any_text_and_any_place_can_be_shown(
            text in "(\\PC|[\\n\\t\u{1b}\u{202e}\u{200d}\u{301}\u{9b}{}\",]){0,60}",
            line in 0..4_u32, column in 0..70_u32, width in 0..70_u32,
        ) {
            let shown = render("x", &text, &[Finding { width, ..finding(line, column) }], Colour::Off);
            let harmless = |c: char| !c.is_control() || c == '\n';
            proptest::prop_assert!(shown.chars().all(harmless) && !shown.contains('\u{202e}'), "{}", shown);
        }
    }

    #[test]
    fn errors_and_warnings_are_counted() {
        let warning = Finding { severity: Severity::Warning, ..finding(1, 1) };
        let shown = render("x", "{", &[finding(1, 1), warning, finding(1, 1)], Colour::Off);
        assert!(shown.ends_with("2 errors, 1 warning\n"));
        assert_eq!(render("x", "{", &[], Colour::Off), "");
    }

    #[test]
    fn nothing_in_a_file_or_its_name_reaches_the_terminal() {
        let shown = render("\u{1b}x", "{\u{1b}[2J", &[finding(1, 2)], Colour::Off);
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }
}
