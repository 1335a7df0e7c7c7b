//! Whether a text is plain. Nearly all are, and of those nobody has to look at single characters.
//!
//! Eight bytes are looked at together, without a branch: all bits of an odd byte's mark are nought but the highest.

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGH: u64 = ONES << 7;

/// Whether every byte is a character of ASCII that can be seen, or a blank.
pub fn is_plain(text: &[u8]) -> bool {
    odd(text, unseen) == 0
}

/// Whether text between quotation marks stands for itself in JSON: plain, and nothing in it is escaped.
pub fn is_literal(text: &[u8]) -> bool {
    odd(text, |eight| unseen(eight) | equal(eight, b'\\')) == 0
}

/// Whether a text stands for itself in JSON between quotation marks: it holds none, no backslash and no control character that JSON
/// escapes.
pub(crate) fn needs_no_escape(text: &[u8]) -> bool {
    let escaped = |eight| below_blank(eight) | equal(eight, b'"') | equal(eight, b'\\');
    odd(text, escaped) == 0
}

/// The marks of all bytes; a blank fills what the last eight want.
#[expect(
    clippy::inline_always,
    reason = "what is built for size would call them for each eight bytes"
)]
#[inline(always)]
fn odd(text: &[u8], marks: impl Fn(u64) -> u64) -> u64 {
    let (eights, rest) = text.as_chunks::<8>();
    let mut last = [b' '; 8];
    last[..rest.len()].copy_from_slice(rest);
    let found = eights
        .iter()
        .fold(0, |found, eight| found | marks(u64::from_le_bytes(*eight)));
    found | marks(u64::from_le_bytes(last))
}

/// Marks where a byte is a control character or beyond ASCII. Behind such a byte others may be marked too.
#[expect(clippy::inline_always, reason = "as above")]
#[inline(always)]
fn unseen(eight: u64) -> u64 {
    eight & HIGH | below_blank(eight) | equal(eight, 0x7f)
}

/// Marks where a byte is a control character below the blank. Behind such a byte others may be marked too.
#[expect(clippy::inline_always, reason = "as above")]
#[inline(always)]
fn below_blank(eight: u64) -> u64 {
    eight.wrapping_sub(ONES * u64::from(b' ')) & !eight & HIGH
}

/// Marks where a byte is this one. Behind such a byte others may be marked too.
#[expect(clippy::inline_always, reason = "as above")]
#[inline(always)]
fn equal(eight: u64, byte: u8) -> u64 {
    let differs = eight ^ (ONES * u64::from(byte));
    differs.wrapping_sub(ONES) & !differs & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_is_known() {
        for length in 0..20 {
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    for around in [b' ', b'a', b'~'] {
                        let mut text = vec![around; length];
                        text[place] = byte;
                        let plain = matches!(byte, b' '..=b'~');
                        assert_eq!(is_plain(&text), plain, "{text:?}");
                        assert_eq!(is_literal(&text), plain && byte != b'\\', "{text:?}");
                        let escaped = byte < b' ' || matches!(byte, b'"' | b'\\');
                        assert_eq!(needs_no_escape(&text), !escaped, "{text:?}");
                    }
                }
            }
        }
        assert!(is_plain(b"") && is_literal(b"") && needs_no_escape(b""));
    }

    #[test]
    fn two_odd_bytes_do_not_hide_each_other() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let text = [b'a', first, second, b'a'];
                let plain = text.iter().all(|byte| matches!(byte, b' '..=b'~'));
                assert_eq!(is_plain(&text), plain, "{text:?}");
                assert_eq!(
                    is_literal(&text),
                    plain && !text.contains(&b'\\'),
                    "{text:?}"
                );
                let stands = text
                    .iter()
                    .all(|byte| !matches!(byte, ..b' ' | b'"' | b'\\'));
                assert_eq!(needs_no_escape(&text), stands, "{text:?}");
            }
        }
    }
}
