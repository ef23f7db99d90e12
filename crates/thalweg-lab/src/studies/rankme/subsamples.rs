//! The exact part: RankMe of ever more samples of a Gaussian whose standard deviations fall as 1/k.

use thalweg::diagnostics::{EPSILON, Gram, rankme_of_singular_values};
use thalweg_kernels::random::Stream;

use crate::LabError;
use crate::study::{Advance, Claim, Scale, Table, Verdict, Weight};

pub(super) const STEPS: usize = 1;

const WIDTH: usize = 64;
/// From so many samples a dimension the rank is to have converged, to so much of itself.
const ENOUGH: usize = 20;
const TOLERATED: f64 = 0.02;

pub(super) fn run(scale: &Scale, advance: &Advance) -> Result<(Table, Claim), LabError> {
    let counts: &[usize] = scale.pick(&[320, 640, 1280, 2560, 5120], &[64, 128]);
    let most = counts.iter().copied().max().unwrap_or(0);
    let mut values = vec![0.0_f32; most * WIDTH];
    Stream::new(0, "rankme subsamples", 0).fill_normal(&mut values);
    for (at, value) in values.iter_mut().enumerate() {
        *value /= (at % WIDTH + 1) as f32;
    }
    let of_first = |count: usize| -> Result<f64, LabError> {
        let failed = |error: thalweg::diagnostics::DiagnosticError| LabError::Plan(error.to_string());
        let mut gram = Gram::new(WIDTH);
        gram.push(&values[..count * WIDTH]).map_err(failed)?;
        let moments = gram.finish().map_err(failed)?;
        rankme_of_singular_values(&moments.singular_values(), EPSILON).map_err(failed)
    };
    let ranks = counts
        .iter()
        .map(|&count| of_first(count))
        .collect::<Result<Vec<_>, _>>()?;
    advance(STEPS);
    let changes: Vec<f64> = ranks
        .windows(2)
        .map(|pair| (pair[1] / pair[0] - 1.0).abs())
        .collect();
    let converged = counts[1..]
        .iter()
        .zip(&changes)
        .filter(|(count, _)| **count >= ENOUGH * WIDTH);
    let largest = converged.map(|(_, change)| *change).fold(0.0, f64::max);
    let rows = counts
        .iter()
        .zip(&ranks)
        .enumerate()
        .map(|(index, (count, rank))| {
            let change = match index {
                0 => "—".to_owned(),
                _ => format!("{:.2} %", 100.0 * changes[index - 1]),
            };
            vec![count.to_string(), format!("{rank:.2}"), change]
        });
    let table = Table {
        title: format!(
            "D. RankMe of samples of a Gaussian in {WIDTH} dimensions with standard deviations 1/k"
        ),
        columns: ["samples", "RankMe", "change"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
    };
    let claim = Claim {
        text: "a subsample is enough: RankMe hardly changes when samples are doubled".to_owned(),
        criterion: format!(
            "by less than 2 % from {} samples on, {ENOUGH} a dimension",
            ENOUGH * WIDTH
        ),
        evidence: format!("by at most {:.2} %", 100.0 * largest),
        verdict: Some(if largest < TOLERATED {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        }),
        weight: Weight::Decisive,
    };
    Ok((table, claim))
}
