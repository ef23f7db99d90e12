//! The page of a comparison of calibration methods.

use askama::Template;

use super::figures;
use crate::calibration::{Calibration, Judged, MEASURES, Measure, Measures};
use crate::metrics::Direction;

/// The comparison as a page.
pub fn html(calibration: &Calibration) -> String {
    Page::of(calibration)
        .render()
        .expect("a template of our own, written to a string, renders")
}

#[derive(Template)]
#[template(path = "calibration.html")]
struct Page<'a> {
    calibration: &'a Calibration,
    sentence: String,
    evidence: String,
    facts: Vec<(&'static str, String)>,
    columns: Vec<ColumnView>,
    rows: Vec<RowView>,
    panels: Vec<Panel>,
    version: &'static str,
}

struct ColumnView {
    title: &'static str,
    meaning: &'static str,
    wanted: &'static str,
}

struct RowView {
    name: &'static str,
    learnt: String,
    cells: Vec<Cell>,
    /// Share of predictions that changed.
    changed: String,
}

struct Cell {
    value: String,
    is_best: bool,
}

struct Panel {
    caption: String,
    svg: String,
}

const UNCALIBRATED: &str = "uncalibrated";

impl<'a> Page<'a> {
    fn of(calibration: &'a Calibration) -> Self {
        let (sentence, evidence) = verdict(calibration);
        let rows = std::iter::once(row(calibration, UNCALIBRATED, &calibration.before, None));
        let judged = calibration.methods.iter();
        let rows = rows
            .chain(judged.map(|judged| row(calibration, judged.method.name(), &judged.after, Some(judged))));
        let named = std::iter::once((UNCALIBRATED, &calibration.before));
        let named = named.chain(calibration.methods.iter().map(|m| (m.method.name(), &m.after)));
        let panels = named.enumerate().filter_map(|(index, (name, measures))| {
            let class = match index {
                0 => "sb".to_owned(),
                _ => format!("s{}", (index - 1) % figures::COLOURS),
            };
            let id = format!("reliability{index}");
            Some(Panel {
                caption: format!("{name}: ECE15 {}", number(measures.ece_15)),
                svg: figures::reliability_of(&id, name, &class, &measures.reliability)?,
            })
        });
        Self {
            calibration,
            sentence,
            evidence,
            facts: facts(calibration),
            columns: MEASURES.iter().map(column).collect(),
            rows: rows.collect(),
            panels: panels.collect(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

fn facts(calibration: &Calibration) -> Vec<(&'static str, String)> {
    let views = match calibration.views {
        0 => "none".to_owned(),
        views => views.to_string(),
    };
    vec![
        ("Logits", calibration.name.clone()),
        ("Samples", calibration.samples.to_string()),
        ("Classes", calibration.classes.to_string()),
        ("Transformed views", views),
        ("Folds", calibration.folds.to_string()),
        ("Seed", calibration.seed.to_string()),
        (
            "Accuracy",
            format!("{:.1} %", 100.0 * calibration.before.accuracy),
        ),
    ]
}

fn verdict(calibration: &Calibration) -> (String, String) {
    let before = &calibration.before;
    let best = calibration
        .best
        .and_then(|best| calibration.methods.iter().find(|judged| judged.method == best));
    match best {
        Some(judged) => (
            format!("Calibrate with {}", judged.method),
            format!(
                "Lowest out-of-fold negative log-likelihood: {} nats, {} uncalibrated. Expected calibration error over 15 \
                 bins: {}, {} uncalibrated.",
                number(judged.after.nll),
                number(before.nll),
                number(judged.after.ece_15),
                number(before.ece_15)
            ),
        ),
        None => (
            "Leave the probabilities as they are".to_owned(),
            format!(
                "No method has a lower out-of-fold negative log-likelihood than the uncalibrated {} nats. Expected \
                 calibration error over 15 bins: {}.",
                number(before.nll),
                number(before.ece_15)
            ),
        ),
    }
}

fn column(measure: &Measure) -> ColumnView {
    ColumnView {
        title: measure.title,
        meaning: measure.meaning,
        wanted: match measure.direction {
            Direction::HigherIsBetter => "higher is better",
            Direction::LowerIsBetter => "lower is better",
        },
    }
}

fn row(
    calibration: &Calibration,
    name: &'static str,
    measures: &Measures,
    judged: Option<&Judged>,
) -> RowView {
    let cells = MEASURES.iter().map(|measure| {
        let value = (measure.of)(measures);
        let all = calibration
            .methods
            .iter()
            .map(|judged| (measure.of)(&judged.after));
        let others = all.chain([(measure.of)(&calibration.before)]);
        let is_best = others
            .into_iter()
            .all(|other| measure.direction.gain(other - value) <= 0.0 || other.is_nan());
        Cell {
            value: number(value),
            is_best: is_best && !value.is_nan(),
        }
    });
    let share = judged.map_or(0.0, |judged| {
        judged.changed_predictions as f64 / calibration.samples as f64
    });
    RowView {
        name,
        learnt: judged.map_or_else(String::new, |judged| judged.learnt.clone()),
        cells: cells.collect(),
        changed: format!("{:.1} %", 100.0 * share),
    }
}

/// To four decimals; what is not finite in a sign.
fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "—".to_owned(),
        value if value.is_infinite() => "∞".to_owned(),
        value => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use thalweg::calibration::{CalibratorConfig, Logits, Method};
    use thalweg_kernels::random::Stream;

    use super::*;
    use crate::calibration::{Plan, compare};

    fn page(methods: &[Method]) -> String {
        let mut stream = Stream::new(0, "page", 0);
        let values = (0..600).map(|_| 5.0 * stream.uniform()).collect();
        let labels: Vec<usize> = (0..200).map(|_| stream.below(3)).collect();
        let plan = Plan {
            name: super::super::fixture::HOSTILE.to_owned(),
            command: "test".to_owned(),
            methods: methods.to_vec(),
            folds: 3,
            seed: 0,
            settings: CalibratorConfig::new(Method::Temperature),
        };
        let logits = Logits::new(values, 3).unwrap();
        let found = compare(&plan, &logits, &labels, &|| ()).unwrap();
        html(&found)
    }

    #[test]
    fn every_method_has_a_row_and_a_diagram() {
        let methods = [Method::Temperature, Method::Isotonic, Method::Histogram];
        let page = page(&methods);
        assert_eq!(page.matches("<svg viewBox").count(), 4);
        for method in methods {
            assert!(page.contains(&format!("<th scope=\"row\">{method}")), "{method}");
        }
        assert!(page.contains("Calibrate with") || page.contains("Leave the probabilities"));
    }

    #[test]
    fn pages_are_well_formed_and_names_are_escaped() {
        let page = page(&[Method::Temperature]);
        super::super::tests::assert_well_formed(&page);
        assert!(!page.contains(super::super::fixture::HOSTILE));
    }
}
