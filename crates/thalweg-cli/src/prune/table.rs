//! A comparison of ways to prune on a terminal of 80 columns.

use std::io::{self, Write};
use std::path::Path;

use anstyle::{AnsiColor, Style};
use thalweg_lab::metrics::Format;
use thalweg_lab::output::Written;
use thalweg_lab::pruning::{Judged, Point, Pruning};
use thalweg_lab::results::{Difference, Finding, Summary};

use crate::compare::table::recommendation;
use crate::layout::{FAINT, NAME, TITLE, heading, padded, short, styled, width, wrapped};

const BETTER: Style = AnsiColor::Green.on_default();
const WORSE: Style = AnsiColor::Red.on_default();

/// Columns for the name of a way.
const NAMES: usize = 28;
/// Columns for what is said of a way at a sparsity.
const CELL: usize = 13;

/// # Errors
/// When writing fails.
pub fn write(
    out: &mut dyn Write,
    found: &Pruning,
    written: &Written,
    saved: Option<&Path>,
) -> io::Result<()> {
    about(out, found)?;
    writeln!(out)?;
    let before = format!("{} before", mean(&found.dense["accuracy"]));
    heading(out, "Accuracy (%) at a sparsity of", &before)?;
    table(out, &found.ways, &|point| (mean(point.accuracy()), Style::new()))?;
    if found.ways.len() > 1 {
        writeln!(out)?;
        let title = format!("The same minus {} (pp)", found.ways[0].label());
        heading(out, &title, "* seen after Holm’s correction")?;
        table(out, &found.ways[1..], &|point| {
            point
                .difference
                .as_ref()
                .map_or((String::new(), FAINT), difference)
        })?;
    }
    writeln!(out)?;
    heading(
        out,
        "Increase of the training loss, predicted/measured (nats)",
        "",
    )?;
    table(out, &found.ways, &|point| (losses(point), Style::new()))?;
    cost(out, found)?;
    writeln!(out)?;
    recommendation(out, &found.recommendation)?;
    writeln!(out)?;
    let mut files = vec![("report ", written.report.as_path()), ("numbers", &written.csv)];
    files.extend(saved.map(|path| ("network", path)));
    for (name, path) in files {
        writeln!(out, "{}  {}", styled(FAINT, name), path.display())?;
    }
    Ok(())
}

fn about(out: &mut dyn Write, found: &Pruning) -> io::Result<()> {
    let (data, protocol) = (&found.data, &found.protocol);
    let [train, _, test] = data.split;
    writeln!(
        out,
        "{}  {} samples, {} features, {} classes",
        styled(TITLE, &data.name),
        data.samples,
        data.features,
        data.classes.len()
    )?;
    let finetuned = match protocol.finetune {
        0 => "nothing is trained after pruning".to_owned(),
        1 => "1 epoch of fine-tuning in all".to_owned(),
        epochs => format!("{epochs} epochs of fine-tuning in all"),
    };
    let lines = [
        format!("{train} to train on, {test} to test on"),
        format!("{}, {}", protocol.model, protocol.origin),
        format!(
            "{} weights of matrices; gradients of {} samples, dampening {}; {finetuned}",
            protocol.weights,
            protocol.gradients,
            short(protocol.dampening)
        ),
        format!(
            "{} {}; ± and [ ] are 95% intervals",
            protocol.seeds,
            if protocol.seeds == 1 { "seed" } else { "seeds" }
        ),
    ];
    for line in lines.iter().flat_map(|line| wrapped(line, width())) {
        writeln!(out, "{}", styled(FAINT, &line))?;
    }
    Ok(())
}

/// A row for each way, a cell for each sparsity; as many tables as it takes to stay within the width.
fn table(out: &mut dyn Write, ways: &[Judged], cell: &dyn Fn(&Point) -> (String, Style)) -> io::Result<()> {
    let across = ((width() - NAMES) / CELL).max(1);
    let sparsities: Vec<f64> = ways[0].points.iter().map(|point| point.sparsity).collect();
    for (chunk, shown) in sparsities.chunks(across).enumerate() {
        let heads: Vec<String> = shown
            .iter()
            .map(|sparsity| padded(&short(*sparsity), CELL))
            .collect();
        let head = padded("", NAMES) + &heads.concat();
        writeln!(out, "{}", styled(FAINT, head.trim_end()))?;
        for way in ways {
            let points = way.points.iter().skip(chunk * across).take(shown.len());
            let last = shown.len() - 1;
            let cells: Vec<String> = points
                .enumerate()
                .map(|(at, point)| {
                    let (text, style) = cell(point);
                    let text = if at < last { padded(&text, CELL) } else { text };
                    styled(style, &text)
                })
                .collect();
            let name = styled(NAME, &padded(&way.label(), NAMES));
            writeln!(out, "{name}{}", cells.concat())?;
        }
    }
    Ok(())
}

/// A share with half the width of its interval, in hundredths.
fn mean(summary: &Summary) -> String {
    let format = Format::Percent;
    let half = 0.5 * (summary.high - summary.low);
    let value = format.value(summary.mean);
    if half.is_finite() {
        format!("{value} ±{}", format.value(half))
    } else {
        value
    }
}

fn difference(difference: &Difference) -> (String, Style) {
    let format = Format::Percent;
    let half = 0.5 * (difference.high - difference.low);
    let mut text = format.difference(difference.mean);
    if half.is_finite() {
        text += &format!(" ±{}", format.value(half));
    }
    match difference.finding {
        Finding::Better => (text + "*", BETTER),
        Finding::Worse => (text + "*", WORSE),
        Finding::NoDifferenceSeen => (text, FAINT),
    }
}

fn losses(point: &Point) -> String {
    format!(
        "{}/{}",
        brief(point.predicted().mean),
        brief(point.measured().mean)
    )
}

/// At most five columns for what losses are.
fn brief(value: f64) -> String {
    let text = match value.abs() {
        size if !size.is_finite() => return "—".to_owned(),
        size if size >= 9999.5 => format!("{value:.0e}"),
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.9995 => format!("{value:.2}"),
        size if size > 0.0 && size < 0.0005 => format!("{value:.0e}"),
        _ => format!("{value:.3}"),
    };
    text.replace('-', "−")
}

/// The slowest and the fastest way, and the most memory.
fn cost(out: &mut dyn Write, found: &Pruning) -> io::Result<()> {
    let seconds = |way: &Judged| {
        way.points
            .iter()
            .map(|point| point.seconds().mean)
            .fold(0.0, f64::max)
    };
    let slowest = found
        .ways
        .iter()
        .max_by(|a, b| seconds(a).total_cmp(&seconds(b)))
        .expect("there is a way");
    let bytes = found.ways.iter().map(|way| way.peak_bytes).max().unwrap_or(0);
    let cost = format!(
        "The dearest, {}, took {:.2} s to prune a network; a trial held at most {:.0} MiB beside the data.",
        slowest.label(),
        seconds(slowest),
        bytes as f64 / f64::from(1 << 20)
    );
    for line in wrapped(&cost, width()) {
        writeln!(out, "{}", styled(FAINT, &line))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_brief() {
        for (value, text) in [
            (0.0, "0.000"),
            (0.99951, "1.00"),
            (12.34, "12.3"),
            (-0.5, "−0.500"),
            (4.2e-5, "4e−5"),
            (4321.6, "4322"),
            (123_456.0, "1e5"),
            (f64::NAN, "—"),
        ] {
            assert_eq!(brief(value), text);
        }
    }
}
