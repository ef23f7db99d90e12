//! Curves in Braille dots: two panels over one axis, each with a scale of its own.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

use super::objective::Point;
use crate::layout::{FAINT, short, styled};

/// Columns of a panel; odd, so that there is a middle one.
const COLUMNS: usize = 61;
/// Dots of a panel from left to right.
pub const DOTS: usize = 2 * COLUMNS;
/// Columns of the labels at the left.
const LABELS: usize = 8;

const LOSS: Style = AnsiColor::Cyan.on_default().bold();
const SLOPE: Style = AnsiColor::Magenta.on_default().bold();

/// Draws loss and slope of points at evenly spaced margins.
///
/// # Errors
/// When writing fails.
pub fn draw(out: &mut dyn Write, curve: &[Point]) -> io::Result<()> {
    let column = |of: fn(&Point) -> f64| curve.iter().map(of).collect::<Vec<_>>();
    panel(out, "loss ℓ", &column(|point| point.1), 7, LOSS)?;
    panel(out, "slope dℓ/dm", &column(|point| point.2), 5, SLOPE)?;
    axis(out, curve)
}

/// Round numbers just outside the values.
fn scale(values: &[f64]) -> (f64, f64) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let spread = if high > low { high - low } else { 1.0 };
    let rough = spread / 8.0;
    let power = 10_f64.powf(rough.log10().floor());
    let step = power
        * [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .find(|factor| factor * power >= rough)
            .unwrap_or(10.0);
    // A hair's breadth beyond a round number does not open another step.
    let slack = spread * 1e-3;
    let (low, high) = (
        ((low + slack) / step).floor() * step,
        ((high - slack) / step).ceil() * step,
    );
    (low, if high > low { high } else { low + step })
}

fn panel(out: &mut dyn Write, title: &str, values: &[f64], rows: usize, style: Style) -> io::Result<()> {
    let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let (low, high) = scale(if finite.is_empty() { &[0.0] } else { &finite });
    let dots = 4 * rows;
    let level = |value: f64| {
        let share = (high - value.clamp(low, high)) / (high - low);
        (share * (dots - 1) as f64).round() as usize
    };
    let mut canvas = vec![vec![0_u8; COLUMNS]; rows];
    let mut before: Option<usize> = None;
    for (x, &value) in values.iter().enumerate() {
        if value.is_nan() {
            before = None;
            continue;
        }
        let y = level(value);
        // Steep parts are joined by a stroke from the level before.
        let (from, to) = match before {
            Some(before) if before < y => (before + 1, y),
            Some(before) if before > y => (y, before - 1),
            _ => (y, y),
        };
        for y in from..=to {
            canvas[y / 4][x / 2] |= dot(x % 2, y % 4);
        }
        before = Some(y);
    }
    writeln!(out, "{}{}", " ".repeat(LABELS + 2), styled(style, title))?;
    for (row, cells) in canvas.iter().enumerate() {
        let label = match row {
            0 => tick_label(high),
            row if row == rows - 1 => tick_label(low),
            row if row == rows / 2 => tick_label(f64::midpoint(low, high)),
            _ => String::new(),
        };
        let tick = if label.is_empty() { '│' } else { '┤' };
        let label = format!(
            "{}{label} {tick}",
            " ".repeat(LABELS.saturating_sub(label.width()))
        );
        write!(out, "{}", styled(FAINT, &label))?;
        writeln!(out, "{}", cells_in(cells, style))?;
    }
    Ok(())
}

fn tick_label(number: f64) -> String {
    short(number).replace('-', "−")
}

/// The bit of a Braille character that is the dot at `x` of 2, `y` of 4.
fn dot(x: usize, y: usize) -> u8 {
    const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
    BITS[x][y]
}

/// A row of cells; where there is nothing else, the middle column marks the margin 0.
fn cells_in(cells: &[u8], style: Style) -> String {
    let text = |cells: &[u8]| -> String {
        let braille = |&bits: &u8| {
            char::from_u32(0x2800 + u32::from(bits))
                .filter(|_| bits != 0)
                .unwrap_or(' ')
        };
        cells.iter().map(braille).collect()
    };
    let middle = COLUMNS / 2;
    if cells[middle] != 0 {
        return styled(style, text(cells).trim_end());
    }
    let right = text(&cells[middle + 1..]);
    format!(
        "{}{}{}",
        styled(style, &text(&cells[..middle])),
        styled(FAINT, "┊"),
        styled(style, right.trim_end())
    )
}

fn axis(out: &mut dyn Write, curve: &[Point]) -> io::Result<()> {
    let (Some(first), Some(last)) = (curve.first(), curve.last()) else {
        return Ok(());
    };
    const STEPS: usize = 6;
    let mut line = vec!['─'; COLUMNS];
    let mut labels = vec![' '; COLUMNS + 2];
    for step in 0..=STEPS {
        let at = step * (COLUMNS - 1) / STEPS;
        line[at] = '┴';
        let margin = first.0 + (last.0 - first.0) * step as f64 / STEPS as f64;
        let text = tick_label(margin);
        let start = (at + 1).saturating_sub(text.chars().count().div_ceil(2));
        for (offset, character) in text.chars().enumerate() {
            labels[start + offset] = character;
        }
    }
    let pad = " ".repeat(LABELS + 1);
    let line: String = line.into_iter().collect();
    let labels: String = labels.into_iter().collect();
    writeln!(out, "{pad}{}", styled(FAINT, &format!("└{line}")))?;
    writeln!(
        out,
        "{pad} {}",
        styled(FAINT, &format!("{}  margin", labels.trim_end()))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(loss: fn(f64) -> f64) -> Vec<String> {
        let points: Vec<_> = (0..DOTS)
            .map(|dot| {
                let margin = 12.0 * dot as f64 / (DOTS - 1) as f64 - 6.0;
                (margin, loss(margin), 1.0)
            })
            .collect();
        let mut out = Vec::new();
        draw(&mut out, &points).unwrap();
        anstream::adapter::strip_str(std::str::from_utf8(&out).unwrap())
            .to_string()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn a_straight_line_runs_from_corner_to_corner() {
        let lines = drawn(|margin| margin);
        let panel: Vec<String> = lines[1..8]
            .iter()
            .map(|line| line.split(['┤', '│']).nth(1).unwrap().replace('┊', " "))
            .collect();
        assert!(panel[0].ends_with(|c| c > '\u{2800}') && panel[0].starts_with(' '));
        assert!(panel[6].starts_with(|c| c > '\u{2800}') && panel[6].trim_end().width() < 20);
        assert!(
            lines[1].starts_with("       6 ┤") && lines[7].starts_with("      −6 ┤"),
            "{lines:?}"
        );
    }

    #[test]
    fn infinite_and_undefined_values_are_survived() {
        let lines = drawn(|margin| if margin < 0.0 { f64::INFINITY } else { f64::NAN });
        assert!(lines.iter().all(|line| line.width() <= 80));
    }

    #[test]
    fn scales_are_round() {
        assert_eq!(scale(&[0.02, 8.2]), (0.0, 10.0));
        assert_eq!(scale(&[-0.99955, -0.02]), (-1.0, 0.0));
        assert_eq!(scale(&[2.0, 2.0]), (2.0, 2.2));
        assert_eq!(scale(&[0.02, 3631.0]), (0.0, 4000.0));
    }
}
