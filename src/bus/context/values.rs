//! Values that stand for others: files, variables, data of their own, and paths with a tilde or variables in them.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;

use super::super::settings::Secret;
use super::error::ContextError;

/// What a context may refer to outside of itself.
pub struct Around<'a> {
    /// The value of a variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The text of a file.
    pub file: &'a dyn Fn(&Path) -> io::Result<String>,
}

impl std::fmt::Debug for Around<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Around").finish_non_exhaustive()
    }
}

/// What stands behind a scheme, whose letters may have any case.
pub(super) fn after<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let head = text.get(..scheme.len())?;
    head.eq_ignore_ascii_case(scheme)
        .then(|| &text[scheme.len()..])
}

/// What a value refers to.
pub(super) enum Refers<'a> {
    /// It is the value itself.
    Plain(&'a str),
    File(&'a str),
    Variable(&'a str),
    Data(&'a str),
}

pub(super) fn refers(text: &str) -> Refers<'_> {
    if let Some(path) = after(text, "file://") {
        Refers::File(path)
    } else if let Some(name) = after(text, "env://") {
        Refers::Variable(name)
    } else if let Some(data) = after(text, "data:") {
        Refers::Data(data)
    } else {
        Refers::Plain(text)
    }
}

/// The value itself, wherever it lies.
pub(super) fn resolved(
    key: &'static str,
    secret: Option<&Secret>,
    around: &Around<'_>,
) -> Result<Option<Secret>, ContextError> {
    let Some(secret) = secret else {
        return Ok(None);
    };
    let text = match refers(secret.reveal()) {
        Refers::Plain(text) => return Ok(Some(Secret::new(text))),
        Refers::File(path) => (around.file)(&path_of(path, around))
            .map_err(|source| ContextError::File { key, source })?,
        Refers::Variable(name) => (around.variable)(name)
            .filter(|value| !value.is_empty())
            .ok_or(ContextError::Unset { key })?,
        Refers::Data(data) => decoded(data).ok_or(ContextError::Wrong {
            key,
            wanted: "data:;base64, and behind it a text in base64",
        })?,
    };
    Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']))))
}

fn decoded(data: &str) -> Option<String> {
    let (header, payload) = data.split_once(',')?;
    let is_base64 = header.split(';').any(|part| part.trim() == "base64");
    let payload = payload.replace(['\r', '\n'], "");
    let engine = base64::engine::general_purpose::STANDARD;
    let bytes = is_base64.then(|| engine.decode(payload).ok()).flatten()?;
    String::from_utf8(bytes).ok()
}

/// The path that a text means: variables are replaced, then a tilde at its beginning.
pub(super) fn path_of(text: &str, around: &Around<'_>) -> PathBuf {
    let text = expanded(after(text, "file://").unwrap_or(text), around.variable);
    let home = || (around.variable)("HOME").filter(|home| !home.is_empty());
    match text.strip_prefix('~') {
        Some(rest) => home().map_or_else(|| text.clone().into(), |home| (home + rest).into()),
        None => text.into(),
    }
}

/// Replaces `$NAME` and `${NAME}`; one that is not set is empty. A dollar that begins no name stays; `${}` and a `${` that
/// nothing closes go.
fn expanded(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once('$') {
        out.push_str(before);
        let (name, length) = name_at(behind);
        match name {
            Some(name) => out.push_str(&variable(name).unwrap_or_default()),
            None if length == 0 => out.push('$'),
            None => {}
        }
        rest = &behind[length..];
    }
    out.push_str(rest);
    out
}

/// The name that stands behind a dollar, and how many bytes belong to it.
fn name_at(text: &str) -> (Option<&str>, usize) {
    if let Some(inside) = text.strip_prefix('{') {
        return match inside.find('}') {
            None => (None, 1),
            Some(0) => (None, 2),
            Some(end) => (Some(&inside[..end]), end + 2),
        };
    }
    let is_special = |c: char| c.is_ascii_digit() || "*#$@!?-".contains(c);
    if text.starts_with(is_special) {
        return (Some(&text[..1]), 1);
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let length = text.find(|c| !is_part(c)).unwrap_or(text.len());
    ((length > 0).then(|| &text[..length]), length)
}

/// Whether this is what a file of keys holds, and no path of one.
pub(super) fn is_key_itself(text: &str) -> bool {
    let is_base32 = |c: char| c.is_ascii_uppercase() || ('2'..='7').contains(&c);
    let is_seed = text.len() == 58 && text.starts_with('S') && text.chars().all(is_base32);
    is_seed || text.contains("-----BEGIN") || text.starts_with("eyJ") || text.contains('\n')
}
