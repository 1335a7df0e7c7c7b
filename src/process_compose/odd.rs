//! What could not be read in a look, said when it changes and not at every look.

use std::sync::{Mutex, PoisonError};

use super::wire::Odd;

/// So many are named; what is wrong with a whole table fills no log.
const NAMED: usize = 5;

/// What could not be read in the last look.
#[derive(Debug, Default)]
pub(super) struct Oddities(Mutex<Vec<Odd>>);

impl Oddities {
    /// Takes note of a look and says what is new.
    pub(super) fn note(&self, found: &[Odd]) {
        for odd in self.news(found) {
            tracing::warn!(why = %odd.why, "a process could not be read; the others are told");
        }
    }

    /// What was not found in the last look.
    fn news(&self, found: &[Odd]) -> Vec<Odd> {
        let found = &found[..found.len().min(NAMED)];
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == found {
            return Vec::new();
        }
        let is_new = |odd: &&Odd| !known.contains(odd);
        let news = found.iter().filter(is_new).cloned().collect();
        *known = found.to_vec();
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_news_once() {
        let odd = |name: &str| Odd {
            name: Some(name.to_owned()),
            why: "no pid".to_owned(),
        };
        let oddities = Oddities::default();
        assert_eq!(oddities.news(&[odd("a")]), [odd("a")]);
        assert_eq!(oddities.news(&[odd("a")]), []);
        assert_eq!(oddities.news(&[odd("a"), odd("b")]), [odd("b")]);
        assert_eq!(oddities.news(&[]), []);
        assert_eq!(oddities.news(&[odd("a")]), [odd("a")]);
    }
}
