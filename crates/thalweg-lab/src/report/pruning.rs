//! The page of a comparison of ways to prune.

use std::collections::BTreeMap;

use askama::Template;

use super::chart::{Mark, Plot, Scale};
use super::figures::{COLOURS, ordinates};
use super::series::{Series, drawn};
use super::tables::{Column, wanted};
use super::text;
use crate::metrics::{CATALOGUE, Format, Metric};
use crate::pruning::{Judged, Point, Pruning};
use crate::results::Summary;

/// The comparison as a page.
pub fn html(found: &Pruning) -> String {
    Page::of(found)
        .render()
        .expect("a template of our own, written to a string, renders")
}

#[derive(Template)]
#[template(path = "pruning.html")]
struct Page<'a> {
    found: &'a Pruning,
    facts: Vec<(&'static str, String)>,
    baseline: String,
    key: Vec<(String, String)>,
    panels: Vec<Panel>,
    sparsities: Vec<String>,
    accuracy: Vec<Row>,
    prediction: Option<String>,
    losses: Vec<Row>,
    columns: Vec<Column>,
    tables: Vec<Table>,
}

struct Panel {
    caption: String,
    svg: String,
}

struct Table {
    title: String,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    cells: Vec<Cell>,
}

struct Cell {
    value: String,
    lines: Vec<String>,
    is_best: bool,
    /// Look of what may be said of it.
    class: &'static str,
}

impl Cell {
    fn of(format: Format, summary: &Summary) -> Self {
        Self {
            value: format.value(summary.mean),
            lines: vec![text::half_width(format, summary)],
            is_best: false,
            class: "",
        }
    }
}

/// A column of a metric that networks before and after are judged by.
const SHOWN: [&str; 2] = ["accuracy", "nll"];

impl<'a> Page<'a> {
    fn of(found: &'a Pruning) -> Self {
        let reported: Vec<&Metric> = CATALOGUE
            .iter()
            .filter(|metric| found.dense.contains_key(metric.name))
            .collect();
        let looks: Vec<String> = (0..found.ways.len()).map(|way| look(found, way)).collect();
        let points = found.ways[0].points.iter();
        Self {
            found,
            facts: facts(found),
            baseline: found.ways[0].label(),
            key: found.ways.iter().map(Judged::label).zip(looks).collect(),
            panels: SHOWN.iter().map(|metric| panel(found, metric)).collect(),
            sparsities: points
                .clone()
                .map(|point| text::setting(point.sparsity))
                .collect(),
            accuracy: rows(found, |index, point| accuracy(found, index, point)),
            prediction: prediction(found),
            losses: rows(found, |_, point| losses(point)),
            columns: reported.iter().map(|metric| column(metric)).collect(),
            tables: points
                .enumerate()
                .map(|(index, point)| Table {
                    title: format!("sparsity {}", text::setting(point.sparsity)),
                    rows: all_metrics(found, index, &reported),
                })
                .collect(),
        }
    }
}

fn facts(found: &Pruning) -> Vec<(&'static str, String)> {
    let (data, protocol) = (&found.data, &found.protocol);
    let blocks: Vec<String> = found
        .ways
        .iter()
        .filter_map(|way| Some(format!("{} for {}", way.block_size?, way.label())))
        .collect();
    let mut facts = vec![
        ("Data", data.name.clone()),
        (
            "Samples to train and test on",
            format!(
                "{} / {}",
                text::count(data.split[0] as u64),
                text::count(data.split[2] as u64)
            ),
        ),
        ("Network", protocol.model.clone()),
        ("Where it comes from", protocol.origin.clone()),
        ("Weights of matrices", text::count(protocol.weights as u64)),
        ("Seeds", protocol.seeds.to_string()),
        ("Gradients of a step", protocol.gradients.to_string()),
        ("Dampening", text::setting(protocol.dampening)),
        (
            "Weights that stay are moved",
            match protocol.joint {
                true => "for all that go together",
                false => "for each that goes by itself",
            }
            .to_owned(),
        ),
    ];
    if !blocks.is_empty() {
        facts.push(("Weights of a block", blocks.join(", ")));
    }
    if protocol.sparsity_before > 0.0 {
        facts.push(("Sparsity before", text::setting(protocol.sparsity_before)));
    }
    facts
}

/// A colour for each method, ink for the first; pruning at once is drawn in dots.
fn look(found: &Pruning, way: usize) -> String {
    let mut methods: Vec<&str> = found.ways.iter().map(|way| way.method.as_str()).collect();
    methods.dedup();
    let judged = &found.ways[way];
    let colour = methods.iter().position(|method| *method == judged.method);
    let colour = match colour {
        None | Some(0) => "sb".to_owned(),
        Some(index) => format!("s{}", (index - 1) % COLOURS),
    };
    let is_gradual = found
        .ways
        .iter()
        .any(|other| other.method == judged.method && other.recomputations > judged.recomputations);
    if is_gradual {
        format!("{colour} d2")
    } else {
        colour
    }
}

fn lines<'a>(found: &'a Pruning, of: impl Fn(&'a Point) -> Option<(f64, &'a Summary)>) -> Vec<Series<'a>> {
    let lines = found.ways.iter().enumerate().map(|(index, way)| Series {
        name: way.label(),
        class: look(found, index),
        points: way.points.iter().filter_map(&of).collect(),
    });
    lines.collect()
}

/// A metric against the sparsity.
fn panel(found: &Pruning, metric: &str) -> Panel {
    let format = text::format(metric);
    let lines = lines(found, |point| Some((point.sparsity, point.metrics.get(metric)?)));
    let (mut marks, description) = drawn(&lines, format, |sparsity| {
        format!("sparsity {}", text::setting(sparsity))
    });
    let sparsities: Vec<f64> = found.ways[0].points.iter().map(|point| point.sparsity).collect();
    if let (Some(dense), [first, .., last]) = (found.dense.get(metric), &sparsities[..]) {
        let level = format.scaled(dense.mean);
        marks.insert(
            0,
            Mark::Line {
                class: "reference".to_owned(),
                points: vec![(*first, level), (*last, level)],
            },
        );
    }
    let title = format!("{} against sparsity", text::title(metric));
    let plot = Plot {
        id: format!("against-{metric}"),
        title: title.clone(),
        description,
        height: 270.0,
        x_label: "share of the weights that are 0".to_owned(),
        x: Scale::at(sparsities),
        y_label: text::labelled(&text::title(metric), text::unit(metric, "")),
        y: Scale::around(ordinates(&marks), 5),
        marks,
    };
    Panel {
        caption: title,
        svg: plot.svg(),
    }
}

/// Measured over predicted increases of the loss, both in powers of ten; none where nothing was predicted.
fn prediction(found: &Pruning) -> Option<String> {
    let mut marks = Vec::new();
    let mut told = Vec::new();
    let mut places = Vec::new();
    for (index, way) in found.ways.iter().enumerate() {
        let class = look(found, index);
        let known = way.points.iter().filter_map(|point| {
            let (predicted, measured) = (point.predicted().mean, point.measured().mean);
            let place = (predicted.log10(), measured.log10());
            (place.0.is_finite() && place.1.is_finite()).then_some((point, place))
        });
        let known: Vec<_> = known.collect();
        marks.push(Mark::Line {
            class: format!("line {class}"),
            points: known.iter().map(|(_, place)| *place).collect(),
        });
        for (point, at) in known {
            let tip = format!(
                "{} at sparsity {}: predicted {}, measured {}",
                way.label(),
                text::setting(point.sparsity),
                text::setting(point.predicted().mean),
                text::setting(point.measured().mean)
            );
            told.push(tip.clone());
            places.extend([at.0, at.1]);
            marks.push(Mark::Dot {
                class: format!("dot {class}"),
                at,
                radius: 3.5,
                tip,
            });
        }
    }
    let (low, high) = places
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &at| {
            (low.min(at), high.max(at))
        });
    let diagonal = Mark::Line {
        class: "reference".to_owned(),
        points: vec![(low, low), (high, high)],
    };
    marks.insert(0, diagonal);
    let scale = Scale::around(places.iter().copied(), 5);
    let plot = Plot {
        id: "prediction".to_owned(),
        title: "Measured against predicted increase of the loss".to_owned(),
        description: format!("{}.", told.join("; ")),
        height: 330.0,
        x_label: "predicted increase, log₁₀ nats".to_owned(),
        x: scale.clone(),
        y_label: "measured increase, log₁₀ nats".to_owned(),
        y: scale,
        marks,
    };
    (!places.is_empty()).then(|| plot.svg())
}

/// A row for each way, a cell for each sparsity.
fn rows(found: &Pruning, cell: impl Fn(usize, &Point) -> Cell) -> Vec<Row> {
    let rows = found.ways.iter().map(|way| Row {
        name: way.label(),
        cells: way
            .points
            .iter()
            .enumerate()
            .map(|(index, point)| cell(index, point))
            .collect(),
    });
    rows.collect()
}

fn accuracy(found: &Pruning, index: usize, point: &Point) -> Cell {
    let format = Format::Percent;
    let means = found.ways.iter().map(|way| way.points[index].accuracy().mean);
    let best = means.fold(f64::NEG_INFINITY, f64::max);
    let mut cell = Cell::of(format, point.accuracy());
    cell.is_best = point.accuracy().mean == best;
    match &point.difference {
        Some(difference) => {
            cell.class = text::finding_class(difference);
            cell.lines.extend([
                format.difference(difference.mean),
                text::difference_interval(format, difference),
                format!(
                    "{}, p {}",
                    text::finding(difference),
                    text::p_value(difference.p_holm)
                ),
            ]);
        }
        None => cell.lines.push("baseline".to_owned()),
    }
    cell
}

fn losses(point: &Point) -> Cell {
    let number = |summary: &Summary| match summary.mean {
        mean if mean.is_finite() => text::setting(mean),
        _ => "—".to_owned(),
    };
    Cell {
        value: number(point.predicted()),
        lines: vec![format!("measured {}", number(point.measured()))],
        is_best: false,
        class: "",
    }
}

fn column(metric: &Metric) -> Column {
    Column {
        title: metric.title.to_owned(),
        unit: metric.unit.to_owned(),
        meaning: metric.meaning,
        wanted: wanted(Some(metric.direction)),
    }
}

/// Every way at one sparsity, and the networks before.
fn all_metrics(found: &Pruning, index: usize, reported: &[&Metric]) -> Vec<Row> {
    let row = |name: String, metrics: &BTreeMap<String, Summary>| {
        let cells = reported.iter().map(|metric| match metrics.get(metric.name) {
            Some(summary) => Cell::of(metric.format, summary),
            None => Cell {
                value: "—".to_owned(),
                lines: Vec::new(),
                is_best: false,
                class: "",
            },
        });
        let seconds = metrics.get("seconds");
        let seconds = seconds.map(|summary| Cell::of(Format::Number, summary));
        Row {
            name,
            cells: cells.chain(seconds).collect(),
        }
    };
    let before = std::iter::once(row("before pruning".to_owned(), &found.dense));
    let ways = found
        .ways
        .iter()
        .map(|way| row(way.label(), &way.points[index].metrics));
    before.chain(ways).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{HOSTILE, pruning};
    use super::super::tests::assert_well_formed;
    use super::*;

    #[test]
    fn pages_are_well_formed_and_escape_what_is_the_users() {
        let mut found = pruning(5);
        found.data.name = HOSTILE.to_owned();
        found.command = HOSTILE.to_owned();
        found.protocol.origin = HOSTILE.to_owned();
        let page = html(&found);
        assert_well_formed(&page);
        assert!(!page.contains("<script"));
        assert_well_formed(&html(&pruning(1)));
    }

    #[test]
    fn every_way_has_its_line_and_its_differences() {
        let found = pruning(5);
        let page = html(&found).replace("<wbr>", "");
        for way in &found.ways {
            assert!(page.contains(&way.label()), "{}", way.label());
        }
        assert_eq!(page.matches("<svg viewBox=\"0 0 360").count(), 3);
        // In the legend and three charts; magnitudes predict nothing.
        assert_eq!(page.matches("class=\"line ").count(), 4 * found.ways.len() - 1);
        assert!(page.contains("baseline") && page.contains("pp"));
    }

    #[test]
    fn where_nothing_is_predicted_there_is_no_chart_of_it() {
        let mut found = pruning(2);
        found.ways.truncate(1);
        let page = html(&found);
        assert_eq!(page.matches("<svg viewBox=\"0 0 360").count(), 2);
        assert_well_formed(&page);
    }
}
