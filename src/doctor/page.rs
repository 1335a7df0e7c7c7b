//! The report as lines for a person: areas, symbols and words, and what to do. Pure.

use super::finding::{Finding, Report, Severity};
use crate::render::door::width;
use crate::render::style::{Role, Style};
use crate::render::words::count;

/// Nothing foreign is longer than this, in columns.
const LONGEST: usize = 2000;
/// Columns before a sentence: two, the symbol, a blank, the longest word, two.
const INDENT: usize = 13;
/// A page narrower than this is not broken into lines.
const NARROWEST: usize = 40;

/// The whole page; lines are broken at `columns` where that is known.
pub fn page(report: &Report, style: Style, columns: Option<usize>) -> String {
    let mut out = String::new();
    let mut area = "";
    for finding in &report.findings {
        if finding.area() != area {
            if !area.is_empty() {
                out.push('\n');
            }
            area = finding.area();
            style.paint(Role::Strong, title(area), &mut out);
            out.push('\n');
        }
        one(finding, style, columns, &mut out);
    }
    out.push('\n');
    sum(report, style, &mut out);
    out
}

fn title(area: &str) -> &str {
    match area {
        "setup" => "Setup",
        "source" => "Source",
        "broker" => "Broker",
        "stream" => "Stream",
        "rights" => "Rights",
        "adapters" => "Adapters",
        "memory" => "State folder",
        other => other,
    }
}

fn symbol(severity: Severity, style: Style) -> &'static str {
    match severity {
        Severity::Ok => style.pick("✓", "+"),
        Severity::Info => style.pick("·", "."),
        Severity::Warning => "!",
        Severity::Error => style.pick("✗", "X"),
    }
}

fn role(severity: Severity) -> Role {
    match severity {
        Severity::Ok => Role::Good,
        Severity::Info => Role::Quiet,
        Severity::Warning => Role::Warning,
        Severity::Error => Role::Bad,
    }
}

fn one(finding: &Finding, style: Style, columns: Option<usize>, out: &mut String) {
    let severity = finding.severity;
    let mark = format!("{} {:<7}", symbol(severity, style), severity.word());
    out.push_str("  ");
    style.paint(role(severity), &mark, out);
    out.push_str("  ");
    let what = style.clean(&finding.what, LONGEST);
    fold(&what, INDENT, columns, |piece| out.push_str(piece));
    out.push('\n');
    if let Some(fix) = &finding.fix {
        let arrow = style.pick("→ ", "-> ");
        out.push_str(&" ".repeat(INDENT));
        out.push_str(arrow);
        let fix = style.clean(fix, LONGEST);
        fold(&fix, INDENT + width(arrow), columns, |piece| {
            out.push_str(piece);
        });
        out.push('\n');
    }
}

/// Breaks a text between words, so that no line is wider than the page where that can be helped.
fn fold(text: &str, indent: usize, columns: Option<usize>, mut put: impl FnMut(&str)) {
    let room = match columns {
        Some(columns) if columns >= NARROWEST => columns - indent,
        _ => usize::MAX,
    };
    let mut used = 0;
    for (number, word) in text.split(' ').enumerate() {
        let wide = width(word);
        if number > 0 && used + 1 + wide > room {
            put("\n");
            put(&" ".repeat(indent));
            used = 0;
        } else if number > 0 {
            put(" ");
            used += 1;
        }
        put(word);
        used += wide;
    }
}

fn sum(report: &Report, style: Style, out: &mut String) {
    let number = |severity| u64::try_from(report.count(severity)).unwrap_or(u64::MAX);
    let (errors, warnings) = (number(Severity::Error), number(Severity::Warning));
    let mut words = Vec::new();
    if errors > 0 {
        words.push(count(errors, "error", "errors"));
    }
    if warnings > 0 {
        words.push(count(warnings, "warning", "warnings"));
    }
    let line = if words.is_empty() {
        "nothing is wrong".to_owned()
    } else {
        words.join(", ")
    };
    style.paint(role(report.worst), &line, out);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::door::Charset;

    fn report() -> Report {
        Report::new(vec![
            Finding::ok("setup.version", "this is observe"),
            Finding::info("source.evidence", "it has no state stream"),
            Finding::warning(
                "broker.clock",
                "the broker's clock is \u{1b}[2J1 min ahead of ours and this sentence is long enough to be broken twice on a page of sixty columns",
                "set it by NTP",
            ),
            Finding::error("stream.exists", "there is none", "create it"),
        ])
    }

    #[test]
    fn a_page_is_grouped_folded_and_harmless() {
        let utf8 = Style {
            colored: false,
            charset: Charset::Utf8,
        };
        let page_of = page(&report(), utf8, Some(60));
        assert!(page_of.lines().all(|line| width(line) <= 60), "{page_of}");
        assert!(!page_of.contains('\u{1b}'), "{page_of}");
        insta::assert_snapshot!(page_of);
    }

    #[test]
    fn a_page_at_eighty_and_two_hundred_columns_and_in_ascii() {
        let utf8 = Style {
            colored: false,
            charset: Charset::Utf8,
        };
        for (name, style, columns) in [
            ("page_80", utf8, Some(80)),
            ("page_200", utf8, Some(200)),
            ("page_pipe", utf8, None),
            ("page_ascii", Style::PLAIN, Some(80)),
        ] {
            insta::assert_snapshot!(name, page(&report(), style, columns));
        }
    }

    #[test]
    fn the_object_has_everything_of_the_page() {
        insta::assert_json_snapshot!("object", report(), { ".version" => "VERSION" });
    }

    #[test]
    fn a_pipe_gets_one_line_per_finding_and_one_per_fix_in_ascii() {
        let text = page(&report(), Style::PLAIN, None);
        assert!(text.is_ascii(), "{text}");
        assert_eq!(
            text.lines().filter(|line| line.starts_with("  ")).count(),
            6
        );
        assert!(text.ends_with("\n1 error, 1 warning\n"), "{text}");
        let well = page(
            &Report::new(vec![Finding::ok("a.b", "c")]),
            Style::PLAIN,
            None,
        );
        assert!(well.ends_with("\nnothing is wrong\n"), "{well}");
    }

    #[test]
    fn without_colour_every_severity_still_has_a_mark_and_a_word_of_its_own() {
        let mut marks: Vec<_> = [
            Severity::Ok,
            Severity::Info,
            Severity::Warning,
            Severity::Error,
        ]
        .map(|severity| (symbol(severity, Style::PLAIN), severity.word()))
        .into();
        marks.dedup();
        assert_eq!(marks.len(), 4);
        let colored = Style {
            colored: true,
            charset: Charset::Utf8,
        };
        assert!(page(&report(), colored, None).contains("\u{1b}["));
    }
}
