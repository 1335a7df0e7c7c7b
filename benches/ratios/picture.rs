//! The figures as a picture: each against its goal, on one scale.

use std::fmt::Write as _;

use super::figure::Figure;
use super::measure::Spread;

const ROW: f64 = 26.0;
const TOP: f64 = 64.0;
/// Where the scale begins and how wide it is.
const LEFT: f64 = 520.0;
const WIDTH: f64 = 360.0;
/// The ends of the scale, in parts of the goal.
const ENDS: (f64, f64) = (0.0625, 4.0);

/// Draws every figure that has a goal.
pub fn draw(figures: &[Figure], ground: &str) -> String {
    let rows: Vec<_> = figures
        .iter()
        .filter_map(|figure| Some((figure, figure.found.as_ref().ok()?, figure.is_held()?)))
        .collect();
    let height = TOP + ROW * rows.len() as f64 + 40.0;
    let mut out = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="1060" height="{height}" viewBox="0 0 1060 {height}" font-family="sans-serif" font-size="12">
<rect width="1060" height="{height}" fill="#ffffff"/>
<text x="16" y="24" font-size="15" fill="#111111">What observe costs, as a part of its goal: left of the line is held</text>
<text x="16" y="42" fill="#666666" font-size="10">{}</text>
"##,
        clean(ground)
    );
    let bottom = TOP + ROW * rows.len() as f64;
    for mark in [-3, -2, -1, 0, 1] {
        let share = 2_f64.powi(mark);
        let x = place(share);
        let (colour, width) = if mark == 0 {
            ("#111111", 1.5)
        } else {
            ("#dddddd", 1.0)
        };
        // Writing to a string cannot fail.
        let _infallible = writeln!(
            out,
            r##"<line x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{bottom}" stroke="{colour}" stroke-width="{width}"/>
<text x="{x:.1}" y="{}" text-anchor="middle" fill="#666666">{share}</text>"##,
            bottom + 16.0
        );
    }
    for (number, (figure, found, held)) in rows.into_iter().enumerate() {
        row(
            &mut out,
            TOP + ROW * (number as f64 + 0.5),
            (figure, found, held),
        );
    }
    out.push_str("</svg>\n");
    out
}

fn row(out: &mut String, y: f64, (figure, found, held): (&Figure, &Spread, bool)) {
    let share = |number| figure.goal.share(number).map_or(LEFT, place);
    let (least, most) = (share(found.least), share(found.most));
    let colour = if held { "#1a7f37" } else { "#cf222e" };
    let words = format!("{}  {}", figure.name, figure.subject);
    // Writing to a string cannot fail.
    let _infallible = writeln!(
        out,
        r##"<text x="16" y="{:.1}" fill="#111111">{}</text>
<line x1="{:.1}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}" stroke="{colour}" stroke-width="3" stroke-linecap="round"/>
<circle cx="{:.1}" cy="{y:.1}" r="5" fill="{colour}"/>
<text x="{}" y="{:.1}" fill="{colour}">{} ({})</text>"##,
        y + 4.0,
        clean(&shortened(&words)),
        least.min(most),
        least.max(most),
        share(found.median),
        LEFT + WIDTH + 12.0,
        y + 4.0,
        figure.unit.write(found.median),
        figure.goal.write(figure.unit),
    );
}

/// Where a part of a goal stands on the scale.
fn place(share: f64) -> f64 {
    let (from, to) = (ENDS.0.log2(), ENDS.1.log2());
    let share = share.clamp(ENDS.0, ENDS.1).log2();
    LEFT + WIDTH * (share - from) / (to - from)
}

fn shortened(text: &str) -> String {
    const MOST: usize = 82;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let short: String = text.chars().take(MOST - 1).collect();
    format!("{short}…")
}

fn clean(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
