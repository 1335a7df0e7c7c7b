//! How things look: colours, symbols, and the decision whether there are any.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::str::FromStr;

use anstyle::{AnsiColor, Effects};

use super::door::{Charset, clean_for};
use super::format::UnknownWord;
use crate::event::envelope::Envelope;
use crate::event::payload::{Kind, Origin, Severity};

/// What was asked for by `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorChoice {
    /// As the surroundings say.
    #[default]
    Auto,
    /// Whatever the surroundings say.
    Always,
    /// None.
    Never,
}

impl FromStr for ColorChoice {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "auto" => Ok(Self::Auto),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err(UnknownWord::new("color", word, "auto, always, never")),
        }
    }
}

/// What the surroundings say about colour: the values of the variables, and whether a person is looking.
#[derive(Debug, Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// The value of `NO_COLOR`.
    pub no_color: Option<&'a str>,
    /// The value of `CLICOLOR`.
    pub clicolor: Option<&'a str>,
    /// The value of `CLICOLOR_FORCE`.
    pub clicolor_force: Option<&'a str>,
    /// The value of `TERM`.
    pub term: Option<&'a str>,
    /// Whether the stream that is written to is a terminal.
    pub is_terminal: bool,
}

impl ColorChoice {
    /// Decides: the choice beats everything, then `NO_COLOR`, then `CLICOLOR_FORCE`, then `CLICOLOR=0`, then whether it
    /// is a terminal that can. An empty value counts as none.
    pub fn decide(self, around: &Surroundings<'_>) -> bool {
        let set = |value: Option<&str>| value.is_some_and(|value| !value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if set(around.no_color) => false,
            Self::Auto if set(around.clicolor_force) && around.clicolor_force != Some("0") => true,
            Self::Auto if around.clicolor == Some("0") => false,
            Self::Auto => {
                around.is_terminal
                    && around
                        .term
                        .is_some_and(|term| !term.is_empty() && term != "dumb")
            }
        }
    }
}

/// What a piece of a line means; the meaning decides the colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Read as it stands.
    Plain,
    /// Read when looked for.
    Quiet,
    /// Something is well again.
    Good,
    /// Worth a look.
    Warning,
    /// Something broke.
    Bad,
    /// Something keeps breaking.
    Worst,
    /// The name of what broke.
    Strong,
}

impl Role {
    fn ansi(self) -> anstyle::Style {
        let style = anstyle::Style::new();
        let color = |color: AnsiColor| style.fg_color(Some(color.into()));
        match self {
            Self::Plain => style,
            Self::Quiet => style.dimmed(),
            Self::Good => color(AnsiColor::Green),
            Self::Warning => color(AnsiColor::Yellow),
            Self::Bad => color(AnsiColor::Red).bold(),
            Self::Worst => color(AnsiColor::Red).effects(Effects::BOLD | Effects::INVERT),
            Self::Strong => style.bold(),
        }
    }

    /// The role of an event's symbol and word.
    pub fn of(event: &Envelope) -> Self {
        if event.process.is_none() {
            return match event.kind {
                Kind::Disconnected | Kind::Gap => Self::Warning,
                _ => Self::Quiet,
            };
        }
        match (&event.kind, event.severity) {
            (_, Severity::Critical) => Self::Worst,
            (_, Severity::Error) => Self::Bad,
            (Kind::Crashed, _) => Self::Warning,
            // A description, not news.
            _ if event.origin == Origin::Initial => Self::Quiet,
            (Kind::Restarted, _) | (_, Severity::Warning) => Self::Warning,
            (Kind::Started | Kind::Healthy, _) => Self::Good,
            _ => Self::Quiet,
        }
    }
}

/// How one stream is written to: whether in colour, and which characters it can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether colours are written.
    pub colored: bool,
    /// What can be shown.
    pub charset: Charset,
}

impl Style {
    /// No colour, printable ASCII: what can go anywhere.
    pub const PLAIN: Self = Self {
        colored: false,
        charset: Charset::Ascii,
    };

    /// Lets foreign text through the door; see [`clean_for`].
    pub fn clean(self, text: &str, max_width: usize) -> Cow<'_, str> {
        clean_for(self.charset, text, max_width)
    }

    /// One of two spellings of our own.
    pub fn pick(self, utf8: &'static str, ascii: &'static str) -> &'static str {
        match self.charset {
            Charset::Utf8 => utf8,
            Charset::Ascii => ascii,
        }
    }

    /// The symbol of a type; one column wide in every charset.
    pub fn symbol(self, kind: &Kind) -> &'static str {
        match kind {
            Kind::Started => self.pick("●", ">"),
            Kind::Stopped => self.pick("■", "-"),
            Kind::Crashed => self.pick("✗", "X"),
            Kind::Restarted => self.pick("↻", "@"),
            Kind::Healthy => self.pick("✓", "+"),
            Kind::Unhealthy => "!",
            Kind::StatusChanged => self.pick("·", "."),
            Kind::Connected => self.pick("◆", "="),
            Kind::Disconnected => self.pick("◇", "?"),
            Kind::Gap => self.pick("┄", "~"),
            Kind::Other(_) => "*",
        }
    }

    /// Appends a piece in the colour of its role.
    pub fn paint(self, role: Role, text: &str, out: &mut String) {
        let ansi = role.ansi();
        if self.colored && !ansi.is_plain() && !text.is_empty() {
            // Writing to a string cannot fail.
            let _infallible = write!(out, "{ansi}{text}{ansi:#}");
        } else {
            out.push_str(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_beats_the_surroundings_and_they_have_an_order() {
        use ColorChoice::{Always, Auto, Never};
        let terminal = Surroundings {
            term: Some("xterm"),
            is_terminal: true,
            ..Surroundings::default()
        };
        let pipe = Surroundings::default();
        let with = |no_color, clicolor_force, base: Surroundings<'static>| Surroundings {
            no_color,
            clicolor_force,
            ..base
        };
        for (choice, around, wanted) in [
            (Auto, terminal, true),
            (Auto, pipe, false),
            (Always, pipe, true),
            (Never, terminal, false),
            (Auto, with(Some("1"), None, terminal), false),
            (Auto, with(Some(""), None, terminal), true),
            (Always, with(Some("1"), None, terminal), true),
            (Auto, with(None, Some("1"), pipe), true),
            (Auto, with(None, Some("0"), pipe), false),
            (Auto, with(Some("1"), Some("1"), pipe), false),
            (
                Auto,
                Surroundings {
                    clicolor: Some("0"),
                    ..terminal
                },
                false,
            ),
            (
                Auto,
                Surroundings {
                    term: Some("dumb"),
                    ..terminal
                },
                false,
            ),
            (
                Auto,
                Surroundings {
                    term: None,
                    ..terminal
                },
                false,
            ),
        ] {
            assert_eq!(choice.decide(&around), wanted, "{choice:?} {around:?}");
        }
    }

    #[test]
    fn symbols_are_one_column_wide_and_tell_the_types_apart() {
        for charset in [Charset::Utf8, Charset::Ascii] {
            let style = Style {
                colored: false,
                charset,
            };
            let mut seen: Vec<_> = Kind::PROCESS
                .iter()
                .chain(&Kind::SOURCE)
                .map(|kind| style.symbol(kind))
                .collect();
            assert!(
                seen.iter()
                    .all(|symbol| super::super::door::width(symbol) == 1)
            );
            seen.sort_unstable();
            seen.dedup();
            // `restarted` is both a process's and a source's.
            assert_eq!(seen.len(), 10);
        }
    }
}
