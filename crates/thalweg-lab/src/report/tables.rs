//! The tables of a report, cell by cell.

use crate::metrics::{self, CATALOGUE, Direction, Format};
use crate::results::{Condition, Entry, Summary};

use super::text;

/// A contender's row of the ranking.
pub struct RankRow {
    pub rank: usize,
    pub name: String,
    pub settings: String,
    pub value: String,
    pub interval: String,
    pub difference: String,
    pub difference_interval: String,
    pub p: String,
    pub finding: &'static str,
    pub finding_class: &'static str,
}

impl RankRow {
    /// Of the entry that came in at `rank`.
    pub fn of(rank: usize, entry: &Entry, metric: &str) -> Self {
        let format = text::format(metric);
        let summary = entry.metrics.get(metric);
        let dash = || "—".to_owned();
        let parameters = entry
            .parameters
            .iter()
            .map(|(name, &value)| format!("{name} {}", text::setting(value)));
        let learning_rate = format!("learning rate {}", text::setting(entry.learning_rate));
        let difference = entry.difference.as_ref();
        Self {
            rank,
            name: entry.name.clone(),
            settings: parameters.chain([learning_rate]).collect::<Vec<_>>().join(", "),
            value: summary.map_or_else(dash, |summary| format.value(summary.mean)),
            interval: summary.map_or_else(dash, |summary| text::interval(format, summary.low, summary.high)),
            difference: difference.map_or_else(dash, |difference| format.difference(difference.mean)),
            difference_interval: difference.map_or_else(String::new, |difference| {
                text::difference_interval(format, difference)
            }),
            p: difference.map_or_else(dash, |difference| text::p_value(difference.p_holm)),
            finding: difference.map_or("baseline", text::finding),
            finding_class: difference.map_or("baseline", text::finding_class),
        }
    }
}

/// A column of the table of all metrics.
pub struct Column {
    pub title: String,
    pub unit: String,
    pub meaning: &'static str,
    pub wanted: &'static str,
}

/// A row of the table of all metrics.
pub struct MetricRow {
    pub name: String,
    pub cells: Vec<MetricCell>,
}

/// A mean and half the width of its interval.
pub struct MetricCell {
    pub value: String,
    pub half_width: String,
    pub is_best: bool,
}

impl MetricCell {
    /// Of the entry's `metric`, the best mean of which is `best`.
    pub fn of(entry: Option<&Entry>, metric: &str, best: f64) -> Self {
        match entry.and_then(|entry| entry.metrics.get(metric)) {
            Some(summary) => Self {
                is_best: summary.mean == best,
                ..Self::plain(text::format(metric), summary)
            },
            None => Self {
                value: "—".to_owned(),
                half_width: String::new(),
                is_best: false,
            },
        }
    }

    fn plain(format: Format, summary: &Summary) -> Self {
        Self {
            value: format.value(summary.mean),
            half_width: text::half_width(format, summary),
            is_best: false,
        }
    }
}

/// The best mean of `metric` at a noise level; NaN when there is none.
pub fn best_of(condition: &Condition, metric: &str) -> f64 {
    let direction = metrics::find(metric).map_or(Direction::HigherIsBetter, |metric| metric.direction);
    let means = condition
        .entries
        .iter()
        .filter_map(|entry| Some(entry.metrics.get(metric)?.mean));
    let better = |best: f64, mean: f64| {
        if direction.gain(mean - best) <= 0.0 {
            best
        } else {
            mean
        }
    };
    means
        .filter(|mean| !mean.is_nan())
        .reduce(better)
        .unwrap_or(f64::NAN)
}

/// Which way a metric is better, in words.
pub fn wanted(direction: Option<Direction>) -> &'static str {
    match direction {
        Some(Direction::HigherIsBetter) => "higher is better",
        Some(Direction::LowerIsBetter) => "lower is better",
        None => "",
    }
}

/// Every metric of every contender at a noise level.
pub fn all_metrics(condition: &Condition) -> (Vec<Column>, Vec<MetricRow>) {
    let is_reported = |name: &str| {
        condition
            .entries
            .iter()
            .any(|entry| entry.metrics.contains_key(name))
    };
    let reported: Vec<_> = CATALOGUE
        .iter()
        .filter(|metric| is_reported(metric.name))
        .collect();
    let mut columns: Vec<Column> = reported
        .iter()
        .map(|metric| Column {
            title: metric.title.to_owned(),
            unit: metric.unit.to_owned(),
            meaning: metric.meaning,
            wanted: wanted(Some(metric.direction)),
        })
        .collect();
    columns.extend([
        Column {
            title: "time".to_owned(),
            unit: "s per epoch".to_owned(),
            meaning: "wall-clock seconds for one pass over the training split",
            wanted: "lower is better",
        },
        Column {
            title: "peak memory".to_owned(),
            unit: "MiB".to_owned(),
            meaning: "largest memory a trial held",
            wanted: "lower is better",
        },
    ]);
    let best: Vec<f64> = reported
        .iter()
        .map(|metric| best_of(condition, metric.name))
        .collect();
    let row = |entry: &Entry| {
        let measured = reported.iter().zip(&best);
        let mut cells: Vec<MetricCell> = measured
            .map(|(metric, &best)| MetricCell::of(Some(entry), metric.name, best))
            .collect();
        cells.push(MetricCell::plain(Format::Number, &entry.seconds_per_epoch));
        cells.push(MetricCell {
            value: text::mebibytes(entry.peak_bytes),
            half_width: String::new(),
            is_best: false,
        });
        MetricRow {
            name: entry.name.clone(),
            cells,
        }
    };
    let rows = condition.entries.iter().map(row).collect();
    (columns, rows)
}
