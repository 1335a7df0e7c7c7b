//! What is new on a page of kept lines that is read again and again: for logs that no socket follows. Pure.

/// How many lines such a page is asked for; more than most servers keep.
pub const PAGE: usize = 2000;

/// The page that was read last. Lines have no identity: the longest overlap of two pages is believed.
#[derive(Debug, Clone, Default)]
pub struct Pages(Vec<String>);

/// What a page brought.
#[derive(Debug, PartialEq, Eq)]
pub struct News {
    /// The lines that were not on the page before.
    pub lines: Vec<String>,
    /// Whether lines between the two pages may have been on none.
    pub hole: bool,
}

impl Pages {
    /// Begins with what was read already.
    pub fn begin(page: Vec<String>) -> Self {
        Self(page)
    }

    /// What the page that was just read adds to the one before.
    pub fn turn(&mut self, page: Vec<String>) -> News {
        let before = std::mem::replace(&mut self.0, page);
        let page = &self.0;
        // A ring drops a line for each that comes; only a log that was begun anew is suddenly much shorter.
        if page.len() < before.len() / 2 {
            return News {
                lines: page.clone(),
                hole: false,
            };
        }
        let most = before.len().min(page.len());
        let overlap = (1..=most)
            .rev()
            .find(|count| before[before.len() - count..] == page[..*count])
            .unwrap_or(0);
        News {
            lines: page[overlap..].to_vec(),
            hole: overlap == 0 && !before.is_empty() && page.len() >= before.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_page_brings_what_was_not_on_the_one_before() {
        for (before, page, news, hole) in [
            ("", "a b", "a b", false),
            ("a b", "a b", "", false),
            ("a b", "a b c", "c", false),
            ("a b c d", "c d e f", "e f", false),
            ("a b c d", "w x y z", "w x y z", true),
            ("a b c d", "a", "a", false),
            ("s s", "s s s", "s", false),
        ] {
            let mut pages = Pages::begin(lines(before));
            let found = pages.turn(lines(page));
            let wanted = News {
                lines: lines(news),
                hole,
            };
            assert_eq!(found, wanted, "{before} | {page}");
            assert_eq!(pages.turn(lines(page)).lines, lines(""), "shown once");
        }
    }
}
