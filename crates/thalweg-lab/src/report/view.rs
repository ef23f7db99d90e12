//! What the template is filled with.

use askama::Template;

use crate::metrics::{self, Format};
use crate::results::{Comparison, Condition, DataSummary, Entry, Protocol, Recommendation};

use super::confusion::Confusion;
use super::figures::{self, Palette};
use super::tables::{self, Column, MetricCell, MetricRow, RankRow};
use super::text;

/// The page.
#[derive(Template)]
#[template(path = "report.html")]
pub struct Page<'a> {
    data: &'a DataSummary,
    recommendation: &'a Recommendation,
    facts: Vec<(&'static str, String)>,
    class_counts: Vec<(&'a str, String)>,
    protocol: &'a Protocol,
    metric: String,
    wanted: &'static str,
    /// Name and look of each contender.
    key: Vec<(String, String)>,
    noise: Option<NoiseView>,
    conditions: Vec<ConditionView>,
    command: &'a str,
    versions: &'a [(String, String)],
    started: &'a str,
}

/// The ranking metric at every noise level.
struct NoiseView {
    chart: String,
    levels: Vec<String>,
    rows: Vec<MetricRow>,
}

/// The results at one noise level.
pub struct ConditionView {
    id: String,
    heading: String,
    value_heading: String,
    difference_heading: String,
    ranking: Vec<RankRow>,
    ranking_chart: String,
    difference_chart: Option<String>,
    validation: Vec<Panel>,
    training: Vec<Panel>,
    constraint: Vec<Panel>,
    reliability: Vec<Panel>,
    confusion: Vec<Confusion>,
    roc: Option<String>,
    margins: Vec<Panel>,
    metric_columns: Vec<Column>,
    metric_rows: Vec<MetricRow>,
}

/// A captioned chart.
struct Panel {
    caption: String,
    svg: String,
}

impl<'a> Page<'a> {
    /// Of a comparison.
    pub fn of(comparison: &'a Comparison) -> Self {
        let (data, protocol) = (&comparison.data, &comparison.protocol);
        let palette = Palette::of(comparison);
        let names = data.classes.iter().map(String::as_str);
        let conditions = comparison.conditions.iter().enumerate();
        Self {
            data,
            recommendation: &comparison.recommendation,
            facts: facts(comparison),
            class_counts: names
                .zip(data.class_counts.iter().map(|&n| text::count(n as u64)))
                .collect(),
            protocol,
            metric: text::title(&protocol.metric),
            wanted: tables::wanted(metrics::find(&protocol.metric).map(|metric| metric.direction)),
            key: palette.key(),
            noise: NoiseView::of(comparison, &palette),
            conditions: conditions
                .map(|(index, condition)| ConditionView::of(index, condition, comparison, &palette))
                .collect(),
            command: &comparison.command,
            versions: &comparison.versions,
            started: &comparison.started,
        }
    }
}

impl NoiseView {
    fn of(comparison: &Comparison, palette: &Palette<'_>) -> Option<Self> {
        let chart = figures::noise("noise-chart", comparison, palette)?;
        let metric = comparison.protocol.metric.as_str();
        let conditions = &comparison.conditions;
        let best: Vec<f64> = conditions
            .iter()
            .map(|condition| tables::best_of(condition, metric))
            .collect();
        let row = |hardest: &Entry| MetricRow {
            name: hardest.name.clone(),
            cells: conditions
                .iter()
                .zip(&best)
                .map(|(condition, &best)| {
                    let same = condition.entries.iter().find(|entry| entry.name == hardest.name);
                    MetricCell::of(same, metric, best)
                })
                .collect(),
        };
        Some(Self {
            chart,
            levels: conditions
                .iter()
                .map(|condition| format!("{}\u{a0}%", text::setting(100.0 * condition.noise)))
                .collect(),
            rows: conditions.last()?.entries.iter().map(row).collect(),
        })
    }
}

impl ConditionView {
    fn of(index: usize, condition: &Condition, comparison: &Comparison, palette: &Palette<'_>) -> Self {
        let protocol = &comparison.protocol;
        let metric = protocol.metric.as_str();
        let format = text::format(metric);
        let id = |part: &str| format!("c{index}-{part}");
        let entries = || condition.entries.iter().enumerate();
        let panels = |part: &str, chart: fn(&str, &Entry, &Palette<'_>) -> Option<String>| -> Vec<Panel> {
            entries()
                .filter_map(|(i, entry)| {
                    Some(Panel {
                        caption: entry.name.clone(),
                        svg: chart(&id(&format!("{part}{i}")), entry, palette)?,
                    })
                })
                .collect()
        };
        let compared = compared(condition, protocol);
        let reliability = compared.iter().enumerate().filter_map(|(i, entry)| {
            let error = entry.metrics.get("ece_equal_width");
            let error = error.map(|summary| format!(", ECE {}", text::plus_minus(Format::Number, summary)));
            Some(Panel {
                caption: format!("{}{}", entry.name, error.unwrap_or_default()),
                svg: figures::reliability(&id(&format!("reliability{i}")), entry, palette)?,
            })
        });
        let (metric_columns, metric_rows) = tables::all_metrics(condition);
        Self {
            id: id("results"),
            heading: heading(condition.noise, &comparison.data, protocol),
            value_heading: text::labelled(&text::title(metric), text::unit(metric, "")),
            difference_heading: text::labelled("difference", format.difference_unit()),
            ranking: condition
                .entries
                .iter()
                .enumerate()
                .map(|(index, entry)| RankRow::of(index + 1, entry, metric))
                .collect(),
            ranking_chart: figures::ranking(&id("ranking"), condition, protocol, palette),
            difference_chart: figures::differences(&id("differences"), condition, protocol),
            validation: [
                (
                    "All epochs",
                    figures::validation(&id("validation"), condition, palette),
                ),
                (
                    "The second half, closer",
                    figures::late_validation(&id("late-validation"), condition, palette),
                ),
            ]
            .into_iter()
            .filter_map(|(caption, svg)| {
                Some(Panel {
                    caption: caption.to_owned(),
                    svg: svg?,
                })
            })
            .collect(),
            training: panels("training", figures::training),
            constraint: panels("constraint", figures::constraint),
            reliability: reliability.collect(),
            confusion: compared
                .iter()
                .filter_map(|entry| Confusion::of(entry, &comparison.data.classes))
                .collect(),
            roc: figures::roc(&id("roc"), condition, palette),
            margins: panels("margin", figures::margin),
            metric_columns,
            metric_rows,
        }
    }
}

/// The best objective and the baseline; the runner-up where the baseline is the best.
fn compared<'a>(condition: &'a Condition, protocol: &Protocol) -> Vec<&'a Entry> {
    let best = condition.entries.first();
    let is_baseline = |entry: &&Entry| entry.name == protocol.baseline;
    let other = match best {
        Some(best) if is_baseline(&best) => condition.entries.get(1),
        _ => condition.entries.iter().find(is_baseline),
    };
    best.into_iter().chain(other).collect()
}

fn heading(noise: f64, data: &DataSummary, protocol: &Protocol) -> String {
    if let Some(unseen) = protocol.unseen() {
        format!("In training: {unseen}")
    } else if data.bags.is_some() {
        "Learnt from bags".to_owned()
    } else if noise == 0.0 {
        "No label noise".to_owned()
    } else {
        format!("{} % label noise", text::setting(100.0 * noise))
    }
}

fn facts(comparison: &Comparison) -> Vec<(&'static str, String)> {
    let (data, protocol) = (&comparison.data, &comparison.protocol);
    let count = |number: usize| text::count(number as u64);
    let [training, validation, test] = data.split;
    let noise: Vec<String> = comparison
        .conditions
        .iter()
        .map(|condition| text::setting(100.0 * condition.noise))
        .collect();
    let mut facts = vec![
        ("Data", data.name.clone()),
        ("Samples", count(data.samples)),
        ("Features", count(data.features)),
        match data.classes.len() {
            0 => ("Targets", "numbers".to_owned()),
            classes => ("Classes", count(classes)),
        },
        (
            "Split",
            format!(
                "{} training, {} validation, {} test",
                count(training),
                count(validation),
                count(test)
            ),
        ),
        ("Model", protocol.model.clone()),
        ("Optimiser", protocol.optimizer.clone()),
        ("Seeds", count(protocol.seeds)),
        ("Epochs", count(protocol.epochs)),
        ("Batch", format!("{} samples", count(protocol.batch_size))),
        (
            "Tuning",
            format!(
                "{} trials for each {}",
                count(protocol.tuning_trials),
                protocol.compared()
            ),
        ),
        ("Ranked by", text::title(&protocol.metric)),
        ("Baseline", protocol.baseline.clone()),
    ];
    if let Some(imbalance) = data.imbalance {
        let fact = format!(
            "{} to 1, largest to smallest class in training",
            text::setting(imbalance)
        );
        facts.push(("Imbalance", fact));
    }
    if let Some(objective) = &protocol.objective {
        facts.push(("Objective", objective.clone()));
    }
    facts.push(match (&data.bags, protocol.unseen()) {
        (Some(bags), _) => ("Bags", bags.words()),
        (None, Some(unseen)) => ("In training", unseen.to_owned()),
        (None, None) => (
            "Label noise",
            format!("{} % of the training labels", noise.join(", ")),
        ),
    });
    if let Some(attack) = &protocol.attack {
        facts.push(("Attack", attack.clone()));
    }
    if let Some(untrained) = protocol.untrained.get(&protocol.metric) {
        let format = text::format(&protocol.metric);
        let fact = format!("{}, with its first weights", text::plus_minus(format, untrained));
        facts.push(("Untrained encoder", fact));
    }
    if let Some(teacher) = &protocol.teacher {
        let fact = format!(
            "{}, {:.1} % right on the test split",
            teacher.description,
            100.0 * teacher.accuracy
        );
        facts.push(("Teacher", fact));
    }
    facts
}
