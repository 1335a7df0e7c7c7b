//! Laying out a table: columns as wide as what stands in them, and the names give way where the terminal is narrow.

use super::door::{shorten, width};
use super::style::{Role, Style};

/// The least columns a name keeps before other columns are left out.
const NAME: usize = 12;

/// One cell: what it says, and what that means.
pub(super) type Cell = (Role, String);

/// Titles and rows; the column at `elastic` gives way.
#[derive(Debug, Default)]
pub(super) struct Outlay {
    pub(super) titles: Vec<&'static str>,
    pub(super) elastic: usize,
    /// Columns that stand to the right, because they hold numbers.
    pub(super) numbers: Vec<&'static str>,
}

/// How wide each column is; those that are left out are missing at the end.
#[derive(Debug)]
pub(super) struct Widths(Vec<usize>);

impl Outlay {
    /// Widths that hold all rows within a terminal. Whatever does not fit is left out from the right.
    pub(super) fn widths<'r>(
        &self,
        rows: impl Iterator<Item = &'r Vec<Cell>>,
        titled: bool,
        terminal: Option<usize>,
    ) -> Widths {
        let mut widths: Vec<usize> = self
            .titles
            .iter()
            .map(|title| if titled { title.len() } else { 0 })
            .collect();
        for row in rows {
            for (widest, (_, text)) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(text));
            }
        }
        let Some(terminal) = terminal else {
            return Widths(widths);
        };
        loop {
            let blanks: usize = (0..widths.len() - 1).map(|at| self.gap(at)).sum();
            let all = widths.iter().sum::<usize>() + blanks;
            let over = all.saturating_sub(terminal);
            let name = widths[self.elastic];
            let least = name.min(NAME);
            if over <= name - least || widths.len() <= self.elastic + 2 {
                widths[self.elastic] = name.saturating_sub(over).max(least);
                return Widths(widths);
            }
            widths.pop();
        }
    }

    /// The blanks behind a column; a symbol stands close to what it marks.
    fn gap(&self, at: usize) -> usize {
        let is_symbol = self.titles.get(at).is_some_and(|title| title.is_empty());
        if is_symbol { 1 } else { 2 }
    }

    /// The line of titles, with its line break.
    pub(super) fn head(&self, widths: &Widths, style: Style) -> String {
        let cells: Vec<Cell> = self
            .titles
            .iter()
            .map(|title| (Role::Quiet, (*title).to_owned()))
            .collect();
        self.line(&cells, widths, style)
    }

    /// One row, with its line break.
    pub(super) fn line(&self, cells: &[Cell], widths: &Widths, style: Style) -> String {
        let mut out = String::new();
        let mut blanks = 0;
        for ((at, (role, text)), most) in cells.iter().enumerate().zip(&widths.0) {
            let text = shorten(style.charset, text, *most);
            let missing = most - width(&text);
            let is_number = self
                .titles
                .get(at)
                .is_some_and(|t| self.numbers.contains(t));
            if is_number {
                blanks += missing;
            }
            out.extend(std::iter::repeat_n(' ', blanks));
            style.paint(*role, &text, &mut out);
            blanks = if is_number { 0 } else { missing } + self.gap(at);
        }
        out.push('\n');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(terminal: Option<usize>) -> Vec<String> {
        let outlay = Outlay {
            titles: vec!["NAME", "STATUS", "EXIT", "MEM"],
            elastic: 0,
            numbers: vec!["EXIT"],
        };
        let cell = |text: &str| (Role::Plain, text.to_owned());
        let rows = [
            ["a-process-with-a-long-name", "Running", "7", "20.2 MB"]
                .map(cell)
                .to_vec(),
            ["api", "Completed", "137", "-"].map(cell).to_vec(),
        ];
        let widths = outlay.widths(rows.iter(), true, terminal);
        let mut lines = vec![outlay.head(&widths, Style::PLAIN)];
        lines.extend(
            rows.iter()
                .map(|row| outlay.line(row, &widths, Style::PLAIN)),
        );
        lines
    }

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        assert_eq!(
            drawn(None),
            [
                "NAME                        STATUS     EXIT  MEM\n",
                "a-process-with-a-long-name  Running       7  20.2 MB\n",
                "api                         Completed   137  -\n",
            ]
        );
    }

    #[test]
    fn a_name_gives_way_first_and_then_the_last_columns() {
        assert_eq!(
            drawn(Some(45))[1],
            "a-process-with-a...  Running       7  20.2 MB\n"
        );
        assert_eq!(drawn(Some(35))[1], "a-process-with-...  Running       7\n");
        assert_eq!(drawn(Some(20))[1], "a-process...  Running\n");
        for most in 24..60 {
            assert!(
                drawn(Some(most)).iter().all(|line| line.len() <= most + 1),
                "{most}"
            );
        }
    }
}
