//! Text that has no power over a terminal, and colours where a terminal is there to show them.

use std::borrow::Cow;
use std::fmt;
use std::io::IsTerminal;

/// Makes control characters visible: names and reasons may come from files and containers.
pub fn plain(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        let shown = |character: char| match character.is_control() {
            true => character.escape_default().collect::<String>(),
            false => character.to_string(),
        };
        return text.chars().map(shown).collect::<String>().into();
    }
    text.into()
}

/// Whether an output shows colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// It does.
    On,
    /// It is no terminal, or its user wants none.
    Off,
}

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Something is wrong.
    Error,
    /// Something may be.
    Warning,
    /// All is well.
    Good,
    /// Of less interest than what is around it.
    Faint,
    /// Of more.
    Strong,
}

impl Colour {
    /// Of an output. <https://no-color.org> is respected, and a terminal that says it is dumb.
    pub fn of(output: &impl IsTerminal) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if output.is_terminal() && !unwanted && !dumb { Self::On } else { Self::Off }
    }

    /// The text in a tone.
    pub fn paint<T: fmt::Display>(self, tone: Tone, text: T) -> Painted<T> {
        Painted { colour: self, tone, text }
    }
}

/// A text in a tone, to be written.
#[derive(Debug, Clone, Copy)]
pub struct Painted<T> {
    colour: Colour,
    tone: Tone,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = match (self.colour, self.tone) {
            (Colour::Off, _) => return self.text.fmt(f),
            (Colour::On, Tone::Error) => "1;31",
            (Colour::On, Tone::Warning) => "1;33",
            (Colour::On, Tone::Good) => "32",
            (Colour::On, Tone::Faint) => "2",
            (Colour::On, Tone::Strong) => "1",
        };
        write!(f, "\x1b[{code}m")?;
        self.text.fmt(f)?;
        f.write_str("\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_made_visible() {
        assert_eq!(plain("a\u{1b}[2J\n\u{9b}"), "a\\u{1b}[2J\\n\\u{9b}");
        assert!(matches!(plain("gr\u{fc}n"), Cow::Borrowed(_)));
    }

    #[test]
    fn colour_is_for_those_who_see_it() {
        assert_eq!(Colour::Off.paint(Tone::Error, "x").to_string(), "x");
        assert_eq!(Colour::On.paint(Tone::Good, "x").to_string(), "\x1b[32mx\x1b[0m");
        assert_eq!(format!("{:5}|", Colour::Off.paint(Tone::Good, "x")), "x    |");
    }
}
