//! The charts of a report, from the records they show.

use crate::metrics::Format;
use crate::results::{Comparison, Condition, Entry, EpochPoint, Protocol, ReliabilityBin};

use super::chart::{Forest, ForestRow, Mark, Plot, Scale};
use super::series::{Series, drawn};
use super::text;

/// Looks that the style sheet knows; more contenders repeat colours with other dashes.
pub const COLOURS: usize = 7;
const DASHES: usize = 4;

/// Which look each contender has, the same throughout the page.
pub struct Palette<'a> {
    baseline: &'a str,
    others: Vec<&'a str>,
}

impl<'a> Palette<'a> {
    /// Looks for all that is compared in `comparison`.
    pub fn of(comparison: &'a Comparison) -> Self {
        let baseline = comparison.protocol.baseline.as_str();
        let mut others = Vec::new();
        for entry in comparison
            .conditions
            .iter()
            .flat_map(|condition| &condition.entries)
        {
            let name = entry.name.as_str();
            if name != baseline && !others.contains(&name) {
                others.push(name);
            }
        }
        Self { baseline, others }
    }

    /// Classes for the style sheet. The baseline is drawn in ink.
    pub fn class(&self, contender: &str) -> String {
        match self.others.iter().position(|name| *name == contender) {
            Some(index) => format!("s{} d{}", index % COLOURS, index % DASHES),
            None => "sb".to_owned(),
        }
    }

    /// Every contender with its classes, baseline first.
    pub fn key(&self) -> Vec<(String, String)> {
        let names = std::iter::once(&self.baseline).chain(&self.others);
        names.map(|name| ((*name).to_owned(), self.class(name))).collect()
    }
}

/// The ranking metric of each objective with its interval.
pub fn ranking(id: &str, condition: &Condition, protocol: &Protocol, palette: &Palette<'_>) -> String {
    let metric = protocol.metric.as_str();
    let (format, unit) = (text::format(metric), text::unit(metric, ""));
    let rows = condition.entries.iter().filter_map(|entry| {
        let summary = entry.metrics.get(metric)?;
        let interval = text::interval(format, summary.low, summary.high);
        Some(ForestRow {
            name: entry.name.clone(),
            text: format.value(summary.mean),
            tip: format!("{} [{interval}]", format.value(summary.mean)),
            class: palette.class(&entry.name),
            mean: format.scaled(summary.mean),
            low: format.scaled(summary.low),
            high: format.scaled(summary.high),
        })
    });
    let baseline = condition
        .entries
        .iter()
        .find(|entry| entry.name == protocol.baseline);
    let reference = baseline
        .and_then(|entry| entry.metrics.get(metric))
        .map_or(f64::NAN, |summary| summary.mean);
    Forest {
        id: id.to_owned(),
        title: format!("{} of each with its 95% interval", text::title(metric)),
        label: text::labelled(&text::title(metric), unit),
        reference: format.scaled(reference),
        rows: rows.collect(),
    }
    .svg()
}

/// The paired difference of each objective to the baseline; none when there is only the baseline.
pub fn differences(id: &str, condition: &Condition, protocol: &Protocol) -> Option<String> {
    let metric = protocol.metric.as_str();
    let format = text::format(metric);
    let rows: Vec<ForestRow> = condition
        .entries
        .iter()
        .filter_map(|entry| {
            let difference = entry.difference.as_ref()?;
            Some(ForestRow {
                name: entry.name.clone(),
                text: format.difference(difference.mean),
                tip: format!(
                    "{} [{}], {}",
                    format.difference(difference.mean),
                    text::difference_interval(format, difference),
                    text::finding(difference)
                ),
                class: text::finding_class(difference).to_owned(),
                mean: format.scaled(difference.mean),
                low: format.scaled(difference.low),
                high: format.scaled(difference.high),
            })
        })
        .collect();
    let label = format!("{} minus that of {}", text::title(metric), protocol.baseline);
    (!rows.is_empty()).then(|| {
        Forest {
            id: id.to_owned(),
            title: format!(
                "Paired difference in {} to {}",
                text::title(metric),
                protocol.baseline
            ),
            label: text::labelled(&label, format.difference_unit()),
            reference: 0.0,
            rows,
        }
        .svg()
    })
}

/// The ranking metric against the noise level; none for a single level.
pub fn noise(id: &str, comparison: &Comparison, palette: &Palette<'_>) -> Option<String> {
    if comparison.conditions.len() < 2 {
        return None;
    }
    let metric = comparison.protocol.metric.as_str();
    let format = text::format(metric);
    let lines = palette.key().into_iter().map(|(name, class)| Series {
        points: comparison
            .conditions
            .iter()
            .filter_map(|condition| {
                let entry = condition.entries.iter().find(|entry| entry.name == name)?;
                Some((100.0 * condition.noise, entry.metrics.get(metric)?))
            })
            .collect(),
        name,
        class,
    });
    let lines: Vec<Series> = lines.collect();
    let (marks, description) = drawn(&lines, format, |noise| format!("{}% noise", text::setting(noise)));
    let plot = Plot {
        id: id.to_owned(),
        title: format!("{} against label noise", text::title(metric)),
        description,
        height: 270.0,
        x_label: "training labels replaced (%)".to_owned(),
        x: Scale::at(
            comparison
                .conditions
                .iter()
                .map(|condition| 100.0 * condition.noise)
                .collect(),
        ),
        y_label: text::labelled(&text::title(metric), text::unit(metric, "")),
        y: Scale::around(ordinates(&marks), 5),
        marks,
    };
    Some(plot.svg())
}

/// Validation accuracy of every objective after each epoch.
pub fn validation(id: &str, condition: &Condition, palette: &Palette<'_>) -> Option<String> {
    validation_from(1, id, condition, palette)
}

/// The second half of [`validation`], where the differences are; none for a few epochs.
pub fn late_validation(id: &str, condition: &Condition, palette: &Palette<'_>) -> Option<String> {
    let epochs = condition
        .entries
        .iter()
        .filter_map(|entry| entry.curve.last())
        .map(|last| last.epoch)
        .max()?;
    (epochs >= 6).then(|| validation_from(epochs / 2 + 1, id, condition, palette))?
}

fn validation_from(first: usize, id: &str, condition: &Condition, palette: &Palette<'_>) -> Option<String> {
    let mut told = Vec::new();
    let mut marks = Vec::new();
    let mut epochs = 0;
    // The best are drawn last, on top.
    for entry in condition.entries.iter().rev() {
        let known = |point: &&EpochPoint| point.validation_accuracy.is_finite();
        let Some(last) = entry.curve.last().filter(known) else {
            continue;
        };
        epochs = epochs.max(last.epoch);
        told.push(format!(
            "{} {}",
            entry.name,
            Format::Percent.value(last.validation_accuracy)
        ));
        marks.extend(curve(entry, first, &palette.class(&entry.name), |point| {
            100.0 * point.validation_accuracy
        }));
    }
    let plot = Plot {
        id: id.to_owned(),
        title: format!("Validation accuracy of each, epochs {first} to {epochs}"),
        description: format!(
            "Validation accuracy after the last epoch, per cent: {}.",
            told.join("; ")
        ),
        height: 270.0,
        x_label: "epoch".to_owned(),
        x: Scale::counting(first, epochs, 6),
        y_label: "validation accuracy (%)".to_owned(),
        y: Scale::around(ordinates(&marks), 5),
        marks,
    };
    (epochs > 0).then(|| plot.svg())
}

/// Training loss of one contender over each epoch, on its own scale.
pub fn training(id: &str, entry: &Entry, palette: &Palette<'_>) -> Option<String> {
    let labels = ["Training loss", "training loss (its own unit)"];
    by_epoch(id, entry, palette, labels, |point| point.train_loss)
}

/// How far the weights of one optimiser are from the set that its decay confines them to, over each epoch.
pub fn constraint(id: &str, entry: &Entry, palette: &Palette<'_>) -> Option<String> {
    entry.curve.first()?.constraint_distance?;
    let labels = ["Distance to the constraint", "distance of λθ"];
    by_epoch(id, entry, palette, labels, |point| {
        point.constraint_distance.unwrap_or(f64::NAN)
    })
}

fn by_epoch(
    id: &str,
    entry: &Entry,
    palette: &Palette<'_>,
    [title, y_label]: [&str; 2],
    value: fn(&EpochPoint) -> f64,
) -> Option<String> {
    let (first, last) = (entry.curve.first()?, entry.curve.last()?);
    let marks = curve(entry, 1, &palette.class(&entry.name), value);
    let plot = Plot {
        id: id.to_owned(),
        title: format!("{title} of {} over each epoch", entry.name),
        description: format!(
            "From {} in epoch {} to {} in epoch {}.",
            Format::Number.value(value(first)),
            first.epoch,
            Format::Number.value(value(last)),
            last.epoch
        ),
        height: 180.0,
        x_label: "epoch".to_owned(),
        x: Scale::counting(1, last.epoch, 6),
        y_label: y_label.to_owned(),
        y: Scale::around(ordinates(&marks), 3),
        marks,
    };
    Some(plot.svg())
}

/// Accuracy against confidence; each bin is a disc, its area the share of samples, hung from the diagonal by its gap.
pub fn reliability(id: &str, entry: &Entry, palette: &Palette<'_>) -> Option<String> {
    let class = palette.class(&entry.name);
    reliability_of(id, &entry.name, &class, &entry.reliability)
}

/// A reliability diagram of what is called `name`, in the look `class`; none without samples.
pub fn reliability_of(id: &str, name: &str, class: &str, bins: &[ReliabilityBin]) -> Option<String> {
    let bins: Vec<_> = bins.iter().filter(|bin| bin.count > 0).collect();
    let total: u64 = bins.iter().map(|bin| bin.count).sum();
    let mut marks = vec![Mark::Line {
        class: "reference".to_owned(),
        points: vec![(0.0, 0.0), (100.0, 100.0)],
    }];
    let mut gap = 0.0;
    for bin in &bins {
        let (confidence, accuracy) = (100.0 * bin.confidence, 100.0 * bin.accuracy);
        let share = bin.count as f64 / total as f64;
        gap += share * (confidence - accuracy);
        marks.push(Mark::Line {
            class: format!("gap {class}"),
            points: vec![(confidence, confidence), (confidence, accuracy)],
        });
        marks.push(Mark::Dot {
            class: format!("bubble {class}"),
            at: (confidence, accuracy),
            radius: (20.0 * share.sqrt()).max(2.5),
            tip: format!(
                "{} samples with mean confidence {confidence:.1} %, of which {accuracy:.1} % correct",
                text::count(bin.count)
            ),
        });
    }
    let plot = Plot {
        id: id.to_owned(),
        title: format!("Reliability of {name}"),
        description: format!(
            "Mean confidence is {:.1} percentage points {} accuracy.",
            gap.abs(),
            if gap > 0.0 { "above" } else { "below" }
        ),
        height: 340.0,
        x_label: "confidence (%)".to_owned(),
        x: Scale::between(0.0, 100.0, 5),
        y_label: "accuracy (%)".to_owned(),
        y: Scale::between(0.0, 100.0, 5),
        marks,
    };
    (total > 0).then(|| plot.svg())
}

/// How often pairs of one class are accepted where pairs of two are, at rates in steps of ten; none where no pairs are judged.
pub fn roc(id: &str, condition: &Condition, palette: &Palette<'_>) -> Option<String> {
    let judged = || condition.entries.iter().filter(|entry| !entry.roc.is_empty());
    let least = judged()
        .map(|entry| entry.roc[0].far)
        .fold(f64::INFINITY, f64::min);
    let told: Vec<String> = judged()
        .map(|entry| {
            let first = entry.roc[0];
            let [far, tar] = [first.far, first.tar].map(|share| text::setting(100.0 * share));
            format!("{} accepts {tar} % at {far} %", entry.name)
        })
        .collect();
    // The best are drawn last, on top.
    let mut entries: Vec<&Entry> = judged().collect();
    entries.reverse();
    let marks = entries.into_iter().map(|entry| Mark::Line {
        class: format!("line {}", palette.class(&entry.name)),
        points: entry
            .roc
            .iter()
            .map(|point| (point.far.log10(), 100.0 * point.tar))
            .collect(),
    });
    let decades = least.log10().floor();
    let plot = Plot {
        id: id.to_owned(),
        title: "Pairs of one class accepted against pairs of two accepted".to_owned(),
        description: format!("Mean over the seeds: {}.", told.join("; ")),
        height: 270.0,
        x_label: "pairs of two classes accepted (power of ten)".to_owned(),
        x: Scale::between(decades, 0.0, decades.abs() as usize),
        y_label: "pairs of one class accepted (%)".to_owned(),
        y: Scale::between(0.0, 100.0, 5),
        marks: marks.collect(),
    };
    (!told.is_empty() && least > 0.0).then(|| plot.svg())
}

/// Loss and slope of an objective against the margin; none where it is not a function of the scores.
pub fn margin(id: &str, entry: &Entry, palette: &Palette<'_>) -> Option<String> {
    let (first, last) = (entry.margin_curve.first()?, entry.margin_curve.last()?);
    let class = palette.class(&entry.name);
    // Drawn without dashes: here they tell the slope from the loss.
    let colour = class.split(' ').next().unwrap_or_default();
    let loss = entry.margin_curve.iter().map(|point| (point.margin, point.loss));
    let slope = entry.margin_curve.iter().map(|point| (point.margin, point.slope));
    let marks = vec![
        Mark::Line {
            class: format!("slope {colour}"),
            points: slope.collect(),
        },
        Mark::Line {
            class: format!("line {colour}"),
            points: loss.collect(),
        },
    ];
    let plot = Plot {
        id: id.to_owned(),
        title: format!("Loss and slope of {} against the margin", entry.name),
        description: format!(
            "The loss goes from {} at margin {} to {} at margin {}; its slope from {} to {}.",
            Format::Number.value(first.loss),
            text::setting(first.margin),
            Format::Number.value(last.loss),
            text::setting(last.margin),
            Format::Number.value(first.slope),
            Format::Number.value(last.slope)
        ),
        height: 200.0,
        x_label: "margin (score units)".to_owned(),
        x: Scale::between(first.margin, last.margin, 6),
        y_label: "loss, and slope (loss per score unit)".to_owned(),
        y: Scale::around(ordinates(&marks).chain([0.0]), 4),
        marks,
    };
    Some(plot.svg())
}

/// A line over the epochs from `first`; a dot where there is one epoch only.
fn curve(entry: &Entry, first: usize, class: &str, value: impl Fn(&EpochPoint) -> f64) -> Vec<Mark> {
    let shown = entry.curve.iter().filter(|point| point.epoch >= first);
    let points: Vec<_> = shown.map(|point| (point.epoch as f64, value(point))).collect();
    match points[..] {
        [at] => vec![Mark::Dot {
            class: format!("dot {class}"),
            at,
            radius: 4.0,
            tip: entry.name.clone(),
        }],
        _ => vec![Mark::Line {
            class: format!("line {class}"),
            points,
        }],
    }
}

pub fn ordinates(marks: &[Mark]) -> impl Iterator<Item = f64> {
    marks.iter().flat_map(|mark| match mark {
        Mark::Line { points, .. } => points.iter().map(|point| point.1).collect(),
        Mark::Dot { at, .. } => vec![at.1],
    })
}
