//! The one door for foreign text: what cannot be seen is spelled out, what is too long is cut in the middle.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

/// What the other side can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// Everything.
    Utf8,
    /// Printable ASCII only; the rest is spelled out, because its bytes could be control characters there.
    Ascii,
}

impl Charset {
    /// Decides from the values of `LC_ALL`, `LC_CTYPE` and `LANG`; the first that is not empty decides, as POSIX says.
    pub fn decide(lc_all: Option<&str>, lc_ctype: Option<&str>, lang: Option<&str>) -> Self {
        let locale = [lc_all, lc_ctype, lang]
            .into_iter()
            .flatten()
            .find(|value| !value.is_empty())
            .unwrap_or_default()
            .to_ascii_lowercase();
        if locale.contains("utf-8") || locale.contains("utf8") {
            Self::Utf8
        } else {
            Self::Ascii
        }
    }

    /// What stands where something was left out.
    pub fn ellipsis(self) -> &'static str {
        match self {
            Self::Utf8 => "…",
            Self::Ascii => "...",
        }
    }
}

/// Makes foreign text safe to show where everything can be shown; `max_width` counts terminal columns.
pub fn clean(text: &str, max_width: usize) -> Cow<'_, str> {
    clean_for(Charset::Utf8, text, max_width)
}

/// Makes foreign text safe to show: control characters, direction marks and everything invisible are spelled out
/// (`\n`, `\x1b`, `\u{202e}`), and text wider than `max_width` columns keeps its begin and its end.
///
/// The work is bounded by `max_width`, not by the length of the text.
pub fn clean_for(charset: Charset, text: &str, max_width: usize) -> Cow<'_, str> {
    let mut glyphs = Glyphs::new(charset);
    let (mut width, mut plain) = (0, true);
    for c in text.chars() {
        let glyph = glyphs.look(c);
        width += glyph.width(c);
        plain &= glyph != Glyph::Spelled;
        if width > max_width {
            return Cow::Owned(cut(charset, text, max_width));
        }
    }
    if plain {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(width);
    push_all(charset, text, &mut out);
    Cow::Owned(out)
}

/// The number of terminal columns of a text that passed the door.
///
/// Counted character by character, as terminals do; where a terminal joins several characters into one picture, it
/// may be less.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// Cuts a text that passed the door at its end, so that it fits into `max_width` columns.
pub fn shorten(charset: Charset, text: &str, max_width: usize) -> String {
    if width(text) <= max_width {
        return text.to_owned();
    }
    let ellipsis = charset.ellipsis();
    let room = max_width.saturating_sub(ellipsis.chars().count());
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > room {
            break;
        }
        out.push(c);
    }
    out.extend(ellipsis.chars().take(max_width));
    out
}

fn cut(charset: Charset, text: &str, max_width: usize) -> String {
    let ellipsis = charset.ellipsis();
    let dots = ellipsis.chars().count();
    let Some(room) = max_width.checked_sub(dots) else {
        return ellipsis.chars().take(max_width).collect();
    };
    let tail_room = room / 2;
    let mut out = String::new();
    let mut glyphs = Glyphs::new(charset);
    let mut used = 0;
    let mut head_end = 0;
    for (at, c) in text.char_indices() {
        let glyph = glyphs.look(c);
        used += glyph.width(c);
        if used > room - tail_room {
            break;
        }
        glyph.push(c, &mut out);
        head_end = at + c.len_utf8();
    }
    out.push_str(ellipsis);
    let tail = tail_start(charset, &text[head_end..], tail_room);
    push_all(charset, &text[head_end + tail..], &mut out);
    out
}

fn tail_start(charset: Charset, text: &str, room: usize) -> usize {
    let mut start = text.len();
    let mut used = 0;
    for (at, c) in text.char_indices().rev() {
        // A mark may turn out to be shown as it is, but no wider than this.
        used += Glyphs::new(charset).look(c).width(c);
        if used > room {
            break;
        }
        start = at;
    }
    start
}

fn push_all(charset: Charset, text: &str, out: &mut String) {
    let mut glyphs = Glyphs::new(charset);
    for c in text.chars() {
        glyphs.look(c).push(c, out);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Glyph {
    Shown,
    Spelled,
}

impl Glyph {
    fn width(self, c: char) -> usize {
        match self {
            Self::Shown => c.width().unwrap_or(0),
            Self::Spelled => spell(c).len(),
        }
    }

    fn push(self, c: char, out: &mut String) {
        match self {
            Self::Shown => out.push(c),
            Self::Spelled => out.push_str(&spell(c)),
        }
    }
}

/// Judges characters one after the other, because a heap of combining marks reaches into the lines above and below.
struct Glyphs {
    charset: Charset,
    marks: u8,
}

const MOST_MARKS: u8 = 2;

impl Glyphs {
    fn new(charset: Charset) -> Self {
        Self {
            charset,
            marks: MOST_MARKS,
        }
    }

    fn look(&mut self, c: char) -> Glyph {
        if self.charset == Charset::Ascii && !c.is_ascii() || is_unseen(c) {
            self.marks = MOST_MARKS;
            return Glyph::Spelled;
        }
        if c.width().unwrap_or(0) > 0 {
            self.marks = 0;
            return Glyph::Shown;
        }
        if self.marks == MOST_MARKS {
            return Glyph::Spelled;
        }
        self.marks += 1;
        Glyph::Shown
    }
}

/// A character in characters that can be seen.
pub(crate) fn spell(c: char) -> String {
    match c {
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        _ if c.is_ascii() => format!("\\x{:02x}", u32::from(c)),
        _ => format!("\\u{{{:x}}}", u32::from(c)),
    }
}

/// Whether a character is a control, changes directions, is invisible, or looks like a plain space without being one.
pub(crate) fn is_unseen(c: char) -> bool {
    c.is_control()
        || u32::from(c) & 0xfffe == 0xfffe
        || matches!(c,
            '\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{1680}'
            | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}' | '\u{2800}' | '\u{3000}' | '\u{3164}'
            | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{13430}'..='\u{1345f}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_cannot_be_seen_is_spelled_out() {
        for (from, to) in [
            ("api", "api"),
            ("a b", "a b"),
            ("\x1b[2J", "\\x1b[2J"),
            ("a\nb\r\tc\0\x7f", "a\\nb\\r\\tc\\x00\\x7f"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{202e}b\u{2066}", "a\\u{202e}b\\u{2066}"),
            ("z\u{200b}w\u{feff}", "z\\u{200b}w\\u{feff}"),
            ("x\u{2028}y\u{e0041}", "x\\u{2028}y\\u{e0041}"),
            ("\u{fffe}\u{1ffff}", "\\u{fffe}\\u{1ffff}"),
            ("größe 進程 🚀", "größe 進程 🚀"),
        ] {
            assert_eq!(clean(from, 200), to);
        }
    }

    #[test]
    fn a_heap_of_marks_does_not_reach_into_other_lines() {
        assert_eq!(clean("e\u{301}", 20), "e\u{301}");
        assert_eq!(clean("\u{301}", 20), "\\u{301}");
        assert_eq!(
            clean("e\u{301}\u{302}\u{303}\u{304}", 40),
            "e\u{301}\u{302}\\u{303}\\u{304}"
        );
    }

    #[test]
    fn long_text_keeps_its_begin_and_its_end() {
        assert_eq!(clean("worker-for-orders-17", 20), "worker-for-orders-17");
        assert_eq!(clean("worker-for-orders-170", 20), "worker-for…rders-170");
        assert_eq!(clean("進程進程進程", 8), "進程…程");
        assert_eq!(clean("abc", 2), "a…");
        assert_eq!(clean("abc", 1), "…");
        assert_eq!(clean("abc", 0), "");
        assert_eq!(clean_for(Charset::Ascii, "abcdefgh", 7), "ab...gh");
        assert_eq!(clean_for(Charset::Ascii, "abcdefgh", 2), "..");
        assert_eq!(clean(&"x\n".repeat(5000), 10), "x\\nx…x\\n");
        assert_eq!(shorten(Charset::Utf8, "abcdef", 4), "abc…");
        assert_eq!(shorten(Charset::Ascii, "abcdef", 5), "ab...");
    }

    #[test]
    fn the_locale_decides_as_posix_says() {
        use Charset::{Ascii, Utf8};
        for (all, ctype, lang, wanted) in [
            (None, None, None, Ascii),
            (None, None, Some("de_DE.UTF-8"), Utf8),
            (None, Some("C"), Some("de_DE.UTF-8"), Ascii),
            (Some(""), Some("C.utf8"), Some("C"), Utf8),
            (Some("POSIX"), Some("C.utf8"), Some("C.utf8"), Ascii),
            (None, None, Some("de_DE.ISO-8859-1"), Ascii),
        ] {
            assert_eq!(Charset::decide(all, ctype, lang), wanted);
        }
    }

    proptest! {
        #[test]
        fn nothing_unseen_passes_and_the_width_is_kept(
            text in any::<String>(), max in 0_usize..60, ascii: bool,
        ) {
            let charset = if ascii { Charset::Ascii } else { Charset::Utf8 };
            let out = clean_for(charset, &text, max);
            prop_assert!(width(&out) <= max, "{out:?} is wider than {max}");
            prop_assert!(!out.chars().any(is_unseen), "{out:?}");
            prop_assert!(!ascii || out.is_ascii());
        }
    }
}
