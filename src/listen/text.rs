//! The text that Prometheus reads, format 0.0.4. Pure.

use std::fmt::Write as _;

use crate::render::door::{is_unseen, spell};

/// Its media type.
pub(super) const MEDIA: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a metric is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Type {
    Counter,
    Gauge,
    Histogram,
}

/// A name and its value.
pub(super) type Label<'a> = (&'a str, &'a str);

/// The text as it grows: a family, then its samples.
#[derive(Debug, Default)]
pub(super) struct Text {
    out: String,
    name: &'static str,
}

impl Text {
    /// Begins a family; the samples that follow are its own. `help` is one line without a backslash.
    pub(super) fn family(&mut self, name: &'static str, is: Type, help: &'static str) {
        let word = match is {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Histogram => "histogram",
        };
        self.name = name;
        // Writing to a string cannot fail.
        let _infallible = write!(self.out, "# HELP {name} {help}\n# TYPE {name} {word}\n");
    }

    /// A count.
    pub(super) fn count(&mut self, labels: &[Label<'_>], value: u64) {
        self.begin("", labels);
        let _infallible = writeln!(self.out, " {value}");
    }

    /// A measure; one that is no number is left out by whoever has none.
    pub(super) fn measure(&mut self, labels: &[Label<'_>], value: f64) {
        self.begin("", labels);
        let _infallible = writeln!(self.out, " {value}");
    }

    /// A histogram: the upper bounds in seconds with the number of those up to each and not up to the one before, all of
    /// them last.
    pub(super) fn histogram(
        &mut self,
        labels: &[Label<'_>],
        buckets: impl Iterator<Item = (Option<f64>, u64)>,
        sum: f64,
    ) {
        let mut all = 0;
        for (bound, number) in buckets {
            all += number;
            let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.to_string());
            let labels: Vec<Label<'_>> = labels.iter().copied().chain([("le", &*bound)]).collect();
            self.begin("_bucket", &labels);
            let _infallible = writeln!(self.out, " {all}");
        }
        self.begin("_sum", labels);
        let _infallible = writeln!(self.out, " {sum}");
        self.begin("_count", labels);
        let _infallible = writeln!(self.out, " {all}");
    }

    fn begin(&mut self, ending: &str, labels: &[Label<'_>]) {
        self.out.push_str(self.name);
        self.out.push_str(ending);
        for (at, (name, value)) in labels.iter().enumerate() {
            self.out.push(if at == 0 { '{' } else { ',' });
            self.out.push_str(name);
            self.out.push_str("=\"");
            escape(value, &mut self.out);
            self.out.push('"');
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out.into_bytes()
    }
}

/// The one door for foreign text: no value ends its line or its quotes, what cannot be seen is spelled out, and two values
/// stay two. The format knows no way to write what cannot be seen, so the value itself is another one; a backslash is
/// doubled in it where it could be taken for the beginning of such a spelling.
fn escape(value: &str, out: &mut String) {
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' if rest.clone().next().is_some_and(is_doubtful) => out.push_str(r"\\\\"),
            '\\' => out.push_str(r"\\"),
            '"' => out.push_str(r#"\""#),
            '\n' => out.push_str(r"\n"),
            c if is_unseen(c) => out.push_str(&spell(c).replace('\\', r"\\")),
            c => out.push(c),
        }
    }
}

/// Whether what a backslash stands before could be taken for the rest of a spelling.
fn is_doubtful(next: char) -> bool {
    matches!(next, '\\' | 'r' | 't' | 'u' | 'x') || is_unseen(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_written_as_the_format_wants_it() {
        let mut text = Text::default();
        text.family("a_total", Type::Counter, "How many.");
        text.count(&[], 3);
        text.count(&[("x", "1"), ("y", "2")], 4);
        text.family("b_seconds", Type::Gauge, "How long.");
        text.measure(&[("x", "1")], 0.25);
        text.family("c_seconds", Type::Histogram, "How long each.");
        text.histogram(
            &[("x", "1")],
            [(Some(0.5), 2), (Some(1.0), 0), (None, 1)].into_iter(),
            7.5,
        );
        let wanted = "\
# HELP a_total How many.
# TYPE a_total counter
a_total 3
a_total{x=\"1\",y=\"2\"} 4
# HELP b_seconds How long.
# TYPE b_seconds gauge
b_seconds{x=\"1\"} 0.25
# HELP c_seconds How long each.
# TYPE c_seconds histogram
c_seconds_bucket{x=\"1\",le=\"0.5\"} 2
c_seconds_bucket{x=\"1\",le=\"1\"} 2
c_seconds_bucket{x=\"1\",le=\"+Inf\"} 3
c_seconds_sum{x=\"1\"} 7.5
c_seconds_count{x=\"1\"} 3
";
        assert_eq!(String::from_utf8(text.into_bytes()).unwrap(), wanted);
    }

    #[test]
    fn no_name_forges_a_line() {
        let mut text = Text::default();
        text.family("a", Type::Gauge, "One.");
        text.count(&[("x", "1\"} 9\na 8\\")], 1);
        let text = String::from_utf8(text.into_bytes()).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.ends_with("a{x=\"1\\\"} 9\\na 8\\\\\"} 1\n"), "{text}");
    }

    #[test]
    fn what_cannot_be_seen_is_spelled_out_and_two_names_stay_two() {
        let written = |name: &str| {
            let mut out = String::new();
            escape(name, &mut out);
            out
        };
        for (name, wanted) in [
            ("\u{1b}[31m", r"\\x1b[31m"),
            ("a\rb\0", r"a\\rb\\x00"),
            ("\u{9b}\u{202e}", r"\\u{9b}\\u{202e}"),
            ("größe 進程", "größe 進程"),
        ] {
            assert_eq!(written(name), wanted, "{name:?}");
        }
        let parts = [
            "\u{1b}", "\\", "\\x1b", "x1b", "\n", "n", "\\u{9b}", "\u{9b}",
        ];
        let mut names: Vec<String> = parts.map(str::to_owned).into();
        for _ in 0..2 {
            let longer = names
                .iter()
                .flat_map(|name| parts.map(|part| format!("{name}{part}")));
            names = names.iter().cloned().chain(longer).collect();
        }
        names.sort();
        names.dedup();
        let all: std::collections::BTreeSet<String> =
            names.iter().map(|name| written(name)).collect();
        assert_eq!(all.len(), names.len());
        assert!(!all.iter().any(|name| name.chars().any(char::is_control)));
    }
}
