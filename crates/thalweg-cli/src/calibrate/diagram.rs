//! A reliability diagram in text: accuracy of each bin as a bar, its mean confidence as a mark.

use std::io::{self, Write};

use thalweg::calibration::ReliabilityBin;
use thalweg_lab::calibration::Calibration;

use crate::layout::{FAINT, TITLE, padded, styled, width};

const LABEL: usize = 9;
const COUNT: usize = 6;

/// The uncalibrated probabilities beside those of the best method, or of the first.
pub fn comparison(out: &mut dyn Write, found: &Calibration) -> io::Result<()> {
    let best = found
        .methods
        .iter()
        .find(|judged| Some(judged.method) == found.best);
    let Some(judged) = best.or(found.methods.first()) else {
        return Ok(());
    };
    let room = (width() - 2 - LABEL) / 2 - COUNT - 2;
    writeln!(out)?;
    writeln!(
        out,
        "{}  {}",
        styled(TITLE, "Reliability"),
        styled(
            FAINT,
            "█ accuracy and │ mean confidence, from 0 to 100 %; samples"
        )
    )?;
    let title = padded("uncalibrated", room + COUNT + 2) + judged.method.name();
    writeln!(out, "  {}{title}", padded("", LABEL))?;
    let (before, after) = (&found.before.reliability, &judged.after.reliability);
    for (index, pair) in before.iter().zip(after).enumerate() {
        if pair.0.count + pair.1.count == 0 {
            continue;
        }
        let edge = |index: usize| (100.0 * index as f64 / before.len() as f64).round();
        let label = format!("{:>2}–{} %", edge(index), edge(index + 1));
        let line = format!(
            "  {}{}  {}",
            padded(&label, LABEL),
            cell(pair.0, room),
            cell(pair.1, room)
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn cell(bin: &ReliabilityBin, room: usize) -> String {
    if bin.count == 0 {
        return " ".repeat(room + COUNT);
    }
    let place = |share: f64| (share * room as f64).round() as usize;
    let (filled, mark) = (place(bin.accuracy), place(bin.confidence).min(room - 1));
    let bar: String = (0..room)
        .map(|column| match column {
            column if column == mark => '│',
            column if column < filled => '█',
            _ => ' ',
        })
        .collect();
    format!("{bar}{:>COUNT$}", bin.count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bin(confidence: f64, accuracy: f64, count: u64) -> ReliabilityBin {
        ReliabilityBin {
            confidence,
            accuracy,
            count,
        }
    }

    #[test]
    fn a_bar_and_a_mark() {
        assert_eq!(cell(&bin(0.8, 0.4, 12), 10), "████    │     12");
        assert_eq!(cell(&bin(0.2, 0.5, 7), 10), "██│██          7");
        assert_eq!(cell(&bin(1.0, 1.0, 7), 10), "█████████│     7");
        assert_eq!(cell(&bin(0.0, 0.0, 0), 10), " ".repeat(16));
    }
}
