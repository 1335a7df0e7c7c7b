//! Searching in what an event says: a regular expression over its words.

use std::fmt;

use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use super::envelope::Envelope;

/// A regular expression; without an upper-case letter it fits both cases. Beyond ASCII `\w` and the like know no letters.
#[derive(Debug, Clone)]
pub struct Grep {
    text: String,
    regex: Regex,
}

/// A regular expression that does not parse; trying again does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is no regular expression: {why}; put \\ before a character that is meant as it is"
)]
pub struct GrepError {
    /// What was written.
    pub text: String,
    /// What the parser says.
    pub why: String,
}

impl Grep {
    /// Reads a regular expression.
    ///
    /// # Errors
    ///
    /// [`GrepError`].
    pub fn parse(text: &str) -> Result<Self, GrepError> {
        let lower = !has_upper_case(text);
        let syntax = syntax::Config::new()
            .case_insensitive(lower)
            .unicode(false)
            .utf8(false);
        let regex = Regex::builder().syntax(syntax).build(text);
        let regex = regex.map_err(|error| {
            let why = error
                .syntax_error()
                .map_or_else(|| error.to_string(), ToString::to_string);
            // The parser draws a picture of several lines; its last one has the words.
            let last = why.lines().rfind(|line| !line.is_empty());
            let last = last.unwrap_or_default().trim();
            GrepError {
                text: text.to_owned(),
                why: last.strip_prefix("error: ").unwrap_or(last).to_owned(),
            }
        })?;
        Ok(Self {
            text: text.to_owned(),
            regex,
        })
    }

    /// Whether it fits somewhere in the words of an event: type, process, group, namespaces, source, severity, reason,
    /// certainty, origin, status and `exit CODE`, with a blank between them.
    pub fn fits(&self, event: &Envelope) -> bool {
        self.regex.is_match(words(event).as_bytes())
    }

    /// What was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Grep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a letter is meant as an upper-case one: that of `\S` and the like is none.
fn has_upper_case(text: &str) -> bool {
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => drop(letters.next()),
            letter if letter.is_uppercase() => return true,
            _ => {}
        }
    }
    false
}

fn words(event: &Envelope) -> String {
    let mut words = vec![event.kind.as_str()];
    words.extend(event.process.as_deref());
    words.extend(event.group());
    words.extend(event.namespaces());
    words.extend([&*event.source, event.severity.as_str()]);
    words.extend([&*event.reason, &*event.certainty, event.origin.as_str()]);
    words.extend(event.state.as_ref().map(|state| &*state.status));
    let code = event.exit.as_ref().and_then(|exit| exit.code);
    let exit = code.map(|code| format!("exit {code}"));
    words.extend(exit.as_deref());
    words.join(" ")
}
