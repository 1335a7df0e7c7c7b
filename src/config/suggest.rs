//! What was probably meant.

/// The word most like this one, if one is so much like it that it was probably meant.
pub(super) fn nearest<'a>(word: &str, words: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    let far = words.iter().map(|known| (distance(&word, known), *known));
    let (distance, known) = far.min()?;
    (distance <= 1 + word.chars().count() / 4).then_some(known)
}

/// Words with commas between them.
pub(super) fn known(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        words => words.join(", "),
    }
}

/// How many letters must be added, dropped, changed or exchanged with their neighbour.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, letter) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, wanted) in other.iter().enumerate() {
            let changed = last[column] + usize::from(letter != wanted);
            let mut least = changed.min(last[column + 1] + 1).min(next[column] + 1);
            let swapped = row > 0 && column > 0;
            if swapped && one[row - 1] == *wanted && *letter == other[column - 1] {
                least = least.min(before[column - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut last, next);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        let words = ["address", "socket", "interval", "url"];
        for (slip, meant) in [
            ("adress", Some("address")),
            ("soket", Some("socket")),
            ("itnerval", Some("interval")),
            ("Interval", Some("interval")),
            ("ulr", Some("url")),
            ("retention", None),
            ("", None),
        ] {
            assert_eq!(nearest(slip, &words), meant, "{slip}");
        }
        assert_eq!(nearest("token-file", &["token_file"]), Some("token_file"));
    }
}
