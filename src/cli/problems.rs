//! Mistakes in a file as a compiler shows them: where, what, and the line with a mark below the place.

use std::fmt::Write;

use super::plain::{Colour, Tone, plain};

/// How much of a long line is shown on either side of the place, in characters: task definitions may be one line.
const CONTEXT: usize = 50;

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
    /// The sentence.
    pub message: &'a str,
}

/// All findings of a file, each with its line of `text`, and how many there are.
pub fn render(file: &str, text: &str, findings: &[Finding<'_>], colour: Colour) -> String {
    let lines: Vec<&str> = text.strip_prefix('\u{feff}').unwrap_or(text).lines().collect();
    let mut out = String::new();
    for finding in findings {
        heading(&mut out, file, finding, colour);
        if let Some(line) = (finding.line as usize).checked_sub(1).and_then(|line| lines.get(line)) {
            source(&mut out, line, finding, colour);
        }
    }
    out.push_str(&summary(findings));
    out
}

fn heading(out: &mut String, file: &str, finding: &Finding<'_>, colour: Colour) {
    let Finding { line, column, path, message, .. } = finding;
    let (tone, word) = tone(finding.severity);
    let place = format!("{}:{line}:{column}:", plain(file));
    let path = if path.is_empty() { String::new() } else { format!("{}: ", plain(path)) };
    let (place, word) = (colour.paint(Tone::Strong, place), colour.paint(tone, word));
    writeln!(out, "{place} {word}: {path}{}", plain(message)).expect("a string takes all");
}

/// The line with its number, and a caret below the column.
fn source(out: &mut String, line: &str, finding: &Finding<'_>, colour: Colour) {
    let characters: Vec<char> = line.chars().collect();
    let place = (finding.column.max(1) as usize - 1).min(characters.len());
    let (start, end) = (place.saturating_sub(CONTEXT), (place + CONTEXT).min(characters.len()));
    let before = if start > 0 { "..." } else { "" };
    let after = if end < characters.len() { "..." } else { "" };
    // One character stays one, so that the caret stands right.
    let shown: String = characters[start..end].iter().map(|c| if c.is_control() { ' ' } else { *c }).collect();
    let number = finding.line.to_string();
    let (tone, _) = tone(finding.severity);
    let bar = colour.paint(Tone::Faint, "|");
    let caret = colour.paint(tone, "^");
    let indent = " ".repeat(before.len() + place - start);
    writeln!(out, "  {} {bar} {before}{shown}{after}", colour.paint(Tone::Faint, &number)).expect("a string takes all");
    writeln!(out, "  {:width$} {bar} {indent}{caret}", "", width = number.len()).expect("a string takes all");
}

/// `2 errors, 1 warning` on a line of its own; nothing where there is none.
fn summary(findings: &[Finding<'_>]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let part = |severity| match (count(severity), tone(severity).1) {
        (0, _) => None,
        (1, word) => Some(format!("1 {word}")),
        (count, word) => Some(format!("{count} {word}s")),
    };
    let parts: Vec<String> = [Severity::Error, Severity::Warning].into_iter().filter_map(part).collect();
    if parts.is_empty() { String::new() } else { format!("{}\n", parts.join(", ")) }
}

fn tone(severity: Severity) -> (Tone, &'static str) {
    match severity {
        Severity::Error => (Tone::Error, "error"),
        Severity::Warning => (Tone::Warning, "warning"),
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
            message: "not a number",
        }
    }

    #[test]
    fn the_caret_stands_below_the_place() {
        let text = "{\n\t\"cpu\": \"x\"\n}";
        assert_eq!(
            render("web.json", text, &[finding(2, 9)], Colour::Off),
            "web.json:2:9: error: containerDefinitions[0].cpu: not a number\n\
             \x20 2 |  \"cpu\": \"x\"\n\
             \x20   |         ^\n\
             1 error\n"
        );
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let text = format!("{}!{}", "a".repeat(1000), "b".repeat(1000));
        let shown = render("x", &text, &[finding(1, 1001)], Colour::Off);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[1].len() < 120 && lines[1].ends_with("b..."));
        assert_eq!(lines[1].find('!'), lines[2].find('^'));
    }

    #[test]
    fn a_place_beyond_the_text_does_no_harm() {
        assert!(render("x", "", &[finding(7, 7)], Colour::Off).ends_with("not a number\n1 error\n"));
        assert!(render("x", "{", &[finding(1, 7)], Colour::Off).contains("1 | {\n    |  ^\n"));
        assert!(render("x", "{", &[finding(0, 0)], Colour::Off).contains("x:0:0"));
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
