//! The page of a diagnosis of embeddings.

use askama::Template;

use super::chart::{Mark, Plot, Scale};
use super::{figures, text};
use crate::diagnosis::{Diagnosis, Found, Reading};

/// The diagnosis as a page.
pub fn html(diagnosis: &Diagnosis) -> String {
    Page::of(diagnosis)
        .render()
        .expect("a template of our own, written to a string, renders")
}

#[derive(Template)]
#[template(path = "diagnosis.html")]
struct Page<'a> {
    diagnosis: &'a Diagnosis,
    sentence: String,
    evidence: String,
    facts: Vec<(&'static str, String)>,
    rows: Vec<Row>,
    spectra: Vec<Panel>,
    projection: Option<Panel>,
    key: Vec<(String, String)>,
    version: &'static str,
}

struct Row {
    name: &'static str,
    value: String,
    detail: String,
    meaning: &'static str,
}

struct Panel {
    caption: String,
    svg: String,
}

/// Classes with a look of their own: each colour as a disc, then as a ring.
const LOOKS: usize = 2 * figures::COLOURS;

impl<'a> Page<'a> {
    fn of(diagnosis: &'a Diagnosis) -> Self {
        let (sentence, evidence) = verdict(diagnosis);
        let spectra = [
            Some(singular_values(diagnosis)),
            variances(diagnosis),
            explained(diagnosis),
        ];
        let key = diagnosis.classes.iter().enumerate().take(LOOKS);
        let more = diagnosis.classes.len().saturating_sub(LOOKS);
        let others = (more > 0).then(|| (format!("{more} others"), "point unseen".to_owned()));
        Self {
            diagnosis,
            sentence,
            evidence,
            facts: facts(diagnosis),
            rows: diagnosis.readings().into_iter().map(row).collect(),
            spectra: spectra.into_iter().flatten().collect(),
            projection: projection(diagnosis),
            key: key
                .map(|(class, name)| (name.clone(), look(class)))
                .chain(others)
                .collect(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

fn row(reading: Reading) -> Row {
    Row {
        name: reading.name,
        value: reading.value.map_or("—".to_owned(), number),
        detail: reading.detail,
        meaning: reading.meaning,
    }
}

fn facts(diagnosis: &Diagnosis) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Embeddings", diagnosis.name.clone()),
        ("Samples", text::count(diagnosis.samples as u64)),
        ("Features", diagnosis.width.to_string()),
    ];
    if !diagnosis.classes.is_empty() {
        facts.push(("Classes", diagnosis.classes.len().to_string()));
    }
    if diagnosis.zero_samples > 0 {
        facts.push(("Samples that are all 0", diagnosis.zero_samples.to_string()));
    }
    facts
}

fn verdict(diagnosis: &Diagnosis) -> (String, String) {
    let most = diagnosis.samples.min(diagnosis.width);
    let share = 100.0 * diagnosis.rankme / most as f64;
    let largest = diagnosis.variances.iter().sum::<f64>();
    let first = diagnosis
        .variances
        .first()
        .map_or(0.0, |first| 100.0 * first / largest);
    let held = match first.is_finite() {
        true => format!(" The first principal axis holds {first:.1} % of the variance."),
        false => String::new(),
    };
    (
        format!("Uses {} of {most} dimensions", number(diagnosis.rankme)),
        format!(
            "RankMe is {share:.0} % of the most that {} samples of {} features can have.{held}",
            text::count(diagnosis.samples as u64),
            diagnosis.width
        ),
    )
}

/// Four significant digits.
fn number(value: f64) -> String {
    let magnitude = value.abs();
    let text = match magnitude {
        0.0 => "0".to_owned(),
        _ if !(1e-4..1e6).contains(&magnitude) => format!("{value:.3e}"),
        _ if value.fract() == 0.0 => format!("{value}"),
        _ => format!(
            "{value:.*}",
            (3 - magnitude.log10().floor() as i32).clamp(0, 7) as usize
        ),
    };
    text.replace('-', "−")
}

/// Numbers that fall, over their place, both in powers of ten.
struct Falling<'a> {
    id: &'static str,
    title: &'a str,
    y_label: &'a str,
    values: &'a [f64],
    /// A line from place to place, by the logarithm at each end.
    law: Option<[(f64, f64); 2]>,
}

impl Falling<'_> {
    /// The lowest power of ten drawn, relative to the largest.
    const FLOOR: f64 = -12.0;

    fn svg(&self) -> String {
        let largest = self.values[0];
        let points = self.values.iter().enumerate().map(|(index, value)| {
            let y = (value / largest).log10();
            (
                ((index + 1) as f64).log10(),
                if y >= Self::FLOOR { y } else { f64::NAN },
            )
        });
        let points: Vec<(f64, f64)> = points.collect();
        let heights: Vec<f64> = points.iter().map(|point| point.1).collect();
        let mut marks = Vec::new();
        if let Some(ends) = self.law {
            marks.push(Mark::Line {
                class: "line s4 d1".to_owned(),
                points: ends.to_vec(),
            });
        }
        if points.len() > 1 {
            marks.push(Mark::Line {
                class: "line s0".to_owned(),
                points: points.clone(),
            });
        }
        // Few enough to be told apart.
        if points.len() <= 40 {
            marks.extend(
                points
                    .iter()
                    .zip(self.values)
                    .enumerate()
                    .map(|(index, (&at, value))| Mark::Dot {
                        class: "dot s0".to_owned(),
                        at,
                        radius: 3.0,
                        tip: format!("number {}: {}", index + 1, number(*value)),
                    }),
            );
        }
        let lowest = heights
            .iter()
            .copied()
            .filter(|y| y.is_finite())
            .fold(0.0, f64::min);
        Plot {
            id: self.id.to_owned(),
            title: self.title.to_owned(),
            description: format!(
                "From 1 down to 10 to the power {lowest:.1} of the largest over {} numbers.",
                points.len()
            ),
            height: 270.0,
            x_label: "number from the largest, log₁₀".to_owned(),
            x: Scale::around(points.iter().map(|point| point.0), 5),
            y_label: self.y_label.to_owned(),
            y: Scale::around(heights.into_iter().chain([0.0]), 5),
            marks,
        }
        .svg()
    }
}

fn singular_values(diagnosis: &Diagnosis) -> Panel {
    Panel {
        caption: "Singular values".to_owned(),
        svg: Falling {
            id: "singular-values",
            title: "Singular values of the embeddings",
            y_label: "singular value / largest, log₁₀",
            values: &diagnosis.singular_values,
            law: None,
        }
        .svg(),
    }
}

/// None where nothing varies.
fn variances(diagnosis: &Diagnosis) -> Option<Panel> {
    let largest = *diagnosis.variances.first().filter(|&&largest| largest > 0.0)?;
    let law = match &diagnosis.alpha_req {
        Found::Value(law) => {
            let at = |k: usize| {
                let logarithm = law.intercept - law.least_squares * (k as f64).ln() - largest.ln();
                ((k as f64).log10(), logarithm / std::f64::consts::LN_10)
            };
            Some([at(law.start), at(law.end)])
        }
        Found::Undefined { .. } => None,
    };
    let caption = match &diagnosis.alpha_req {
        Found::Value(law) => format!("Variances, and a law of α = {}", number(law.least_squares)),
        Found::Undefined { .. } => "Variances".to_owned(),
    };
    let svg = Falling {
        id: "variances",
        title: "Variances along the principal axes",
        y_label: "variance / largest, log₁₀",
        values: &diagnosis.variances,
        law,
    }
    .svg();
    Some(Panel { caption, svg })
}

/// What the first axes hold of the variance.
fn explained(diagnosis: &Diagnosis) -> Option<Panel> {
    let total: f64 = diagnosis.variances.iter().sum();
    let mut held = 0.0;
    let shares = diagnosis.variances.iter().map(|variance| {
        held += 100.0 * variance / total;
        held
    });
    let shares: Vec<f64> = shares.collect();
    if shares.len() < 2 || total <= 0.0 {
        return None;
    }
    let needed = |share: f64| {
        1 + shares
            .iter()
            .take_while(|held| **held < share)
            .count()
            .min(shares.len() - 1)
    };
    let places = (1..=shares.len()).map(|axes| (axes as f64).log10());
    let points = places.clone().zip(shares.iter().copied());
    let svg = Plot {
        id: "explained".to_owned(),
        title: "Variance held by the first principal axes".to_owned(),
        description: format!("90 % by {} axes, 99 % by {}.", needed(90.0), needed(99.0)),
        height: 270.0,
        x_label: "axes, log₁₀".to_owned(),
        x: Scale::around(places, 5),
        y_label: "of the variance (%)".to_owned(),
        y: Scale::between(0.0, 100.0, 5),
        marks: vec![Mark::Line {
            class: "line s0".to_owned(),
            points: points.collect(),
        }],
    }
    .svg();
    Some(Panel {
        caption: format!(
            "90 % of the variance in {} axes, 99 % in {}",
            needed(90.0),
            needed(99.0)
        ),
        svg,
    })
}

fn look(class: usize) -> String {
    let colour = class % figures::COLOURS;
    match class / figures::COLOURS {
        0 => format!("point s{colour}"),
        1 => format!("ring s{colour}"),
        _ => "point unseen".to_owned(),
    }
}

/// None where nothing varies.
fn projection(diagnosis: &Diagnosis) -> Option<Panel> {
    diagnosis.variances.first().filter(|&&largest| largest > 0.0)?;
    let points = &diagnosis.projection;
    let total: f64 = diagnosis.variances.iter().sum();
    let share = |axis: usize| 100.0 * diagnosis.variances.get(axis).unwrap_or(&0.0) / total;
    let marks = points.iter().map(|point| Mark::Dot {
        class: point
            .class
            .map_or_else(|| "point s0".to_owned(), |class| look(class as usize)),
        at: (point.x, point.y),
        radius: 2.2,
        tip: point
            .class
            .map_or_else(String::new, |class| diagnosis.classes[class as usize].clone()),
    });
    let svg = Plot {
        id: "projection".to_owned(),
        title: "Samples on the first two principal axes".to_owned(),
        description: format!(
            "{} samples; the axes hold {:.1} % of the variance.",
            points.len(),
            share(0) + share(1)
        ),
        height: 360.0,
        x_label: format!("first principal axis ({:.1} %)", share(0)),
        x: Scale::around(points.iter().map(|point| point.x), 5),
        y_label: format!("second principal axis ({:.1} %)", share(1)),
        y: Scale::around(points.iter().map(|point| point.y), 5),
        marks: marks.collect(),
    }
    .svg();
    let which = if points.len() < diagnosis.samples {
        "A random choice of "
    } else {
        ""
    };
    Some(Panel {
        caption: format!("{which}{} samples", points.len()),
        svg,
    })
}

#[cfg(test)]
mod tests;
