//! Calibration measures before and after, as a table.

use std::io::{self, Write};

use thalweg::calibration::Calibrator;
use thalweg_lab::calibration::{Calibration, MEASURES, Measure, Measures};

use crate::layout::{FAINT, NAME, heading, padded, styled, width, wrapped};

/// Of the longest method.
const NAMES: usize = 26;
/// Of a number with its gap.
const CELL: usize = 6;

/// Not in the terminal's table, which is to fit 80 columns.
fn shown() -> impl Iterator<Item = &'static Measure> {
    MEASURES.iter().filter(|measure| measure.title != "MCE")
}

pub fn comparison(out: &mut dyn Write, found: &Calibration) -> io::Result<()> {
    let views = match found.views {
        0 => String::new(),
        1 => ", 1 view".to_owned(),
        views => format!(", {views} views"),
    };
    let size = format!("{} samples, {} classes{views}", found.samples, found.classes);
    heading(out, &format!("Calibration of {}", found.name), &size)?;
    let protocol = format!(
        "Out of fold: each sample is calibrated by what was fitted to the other {} of {} folds (seed {}).",
        found.folds - 1,
        found.folds,
        found.seed
    );
    for line in wrapped(&protocol, width()) {
        writeln!(out, "{}", styled(FAINT, &line))?;
    }
    writeln!(out)?;
    head(out)?;
    row(out, "uncalibrated", &found.before)?;
    for judged in &found.methods {
        row(out, judged.method.name(), &judged.after)?;
    }
    legend(out)
}

/// A calibrator judged on other samples than it was fitted to.
pub fn applied(
    out: &mut dyn Write,
    calibrator: &Calibrator,
    samples: usize,
    before: &Measures,
    after: &Measures,
) -> io::Result<()> {
    let title = format!("{} ({})", calibrator.method(), calibrator.summary());
    let sizes = format!("fitted to {}, applied to {samples}", calibrator.samples());
    heading(out, &title, &sizes)?;
    head(out)?;
    row(out, "uncalibrated", before)?;
    row(out, calibrator.method().name(), after)?;
    legend(out)
}

/// What is to be known beside the numbers, and which method to take.
pub fn notes(out: &mut dyn Write, found: &Calibration, left_out: &[String]) -> io::Result<()> {
    let mut notes = Vec::new();
    let changed = found
        .methods
        .iter()
        .filter(|judged| judged.changed_predictions > 0);
    let changed: Vec<_> = changed
        .map(|judged| {
            let share = 100.0 * judged.changed_predictions as f64 / found.samples as f64;
            format!("{} {share:.1} %", judged.method)
        })
        .collect();
    if !changed.is_empty() {
        notes.push(format!("Predicted classes that changed: {}.", changed.join(", ")));
    }
    let infinite = found
        .methods
        .iter()
        .filter(|judged| judged.after.nll.is_infinite());
    let infinite: Vec<_> = infinite.map(|judged| judged.method.name()).collect();
    if !infinite.is_empty() {
        notes.push(format!(
            "NLL is infinite where a true class was given probability 0: {}.",
            infinite.join(", ")
        ));
    }
    notes.extend(left_out.iter().map(|reason| format!("{reason}.")));
    writeln!(out)?;
    for note in &notes {
        for line in wrapped(note, width()) {
            writeln!(out, "{}", styled(FAINT, &line))?;
        }
    }
    let best = found
        .best
        .and_then(|best| found.methods.iter().find(|judged| judged.method == best));
    let verdict = match best {
        Some(judged) => format!(
            "Lowest NLL out of fold: {} ({}), {:.4} against {:.4} uncalibrated.",
            judged.method, judged.learnt, judged.after.nll, found.before.nll
        ),
        None => "No method has a lower NLL out of fold than the uncalibrated probabilities.".to_owned(),
    };
    for line in wrapped(&verdict, width()) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn head(out: &mut dyn Write) -> io::Result<()> {
    let titles: String = shown()
        .map(|measure| format!("{:>CELL$}", measure.title))
        .collect();
    writeln!(out, "  {}", styled(FAINT, &(padded("method", NAMES) + &titles)))
}

fn row(out: &mut dyn Write, name: &str, measures: &Measures) -> io::Result<()> {
    let cells: String = shown()
        .map(|measure| format!("{:>CELL$}", cell((measure.of)(measures))))
        .collect();
    writeln!(out, "  {}{cells}", styled(NAME, &padded(name, NAMES)))
}

/// Five columns for any number.
fn cell(value: f64) -> String {
    match value {
        value if value.is_nan() => "—".to_owned(),
        value if value.is_infinite() => "inf".to_owned(),
        value if value < 9.9995 => format!("{value:.3}"),
        value if value < 99.995 => format!("{value:.2}"),
        value => format!("{value:.0}"),
    }
}

fn legend(out: &mut dyn Write) -> io::Result<()> {
    let lines = "ECE: gap between confidence and accuracy over 15 and 25 bins of equal width and 15 of equal mass (m); KS: \
                 the largest cumulated gap; Brier: of the predicted class; AUROC: of confidence against correctness; acc: \
                 accuracy. Lower is better but for AUROC and acc.";
    for line in wrapped(lines, width()) {
        writeln!(out, "{}", styled(FAINT, &line))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_their_columns() {
        for (value, text) in [
            (0.0283, "0.028"),
            (9.9996, "10.00"),
            (12.345, "12.35"),
            (4321.7, "4322"),
            (f64::INFINITY, "inf"),
            (f64::NAN, "—"),
        ] {
            assert_eq!(cell(value), text);
        }
    }
}
