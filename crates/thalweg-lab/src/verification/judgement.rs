//! How well the cosine of embeddings tells identities apart that training has not seen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thalweg::diagnostics::to_unit_rows;
use thalweg::verification::Roc;

use super::scoring::AllPairs;
use super::{Embedder, TestFeatures, Verification};
use crate::LabError;
use crate::self_supervised::Samples;
use crate::undefined;

/// False accept rates that are judged at, by the name of their metric.
const RATES: [(&str, f64); 3] = [
    ("tar_at_far_0.001", 1e-3),
    ("tar_at_far_0.01", 1e-2),
    ("tar_at_far_0.1", 0.1),
];

/// Points of a curve for each factor of ten in FAR.
const PER_DECADE: f64 = 32.0;

/// What was found of a set of samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Those that [`metrics::CATALOGUE`](crate::metrics::CATALOGUE) has for verification, by name.
    #[serde(deserialize_with = "undefined::named")]
    pub metrics: BTreeMap<String, f64>,
    /// `1/#pairs of two identities`: a false accept rate below cannot be told from 0.
    pub resolution: f64,
    /// Metrics at a rate below that: they say no more than how many pairs lie above all of two identities.
    pub resolution_limited: Vec<String>,
    /// The receiver operating characteristic, by even steps of the logarithm of FAR from the resolution on.
    pub curve: Vec<CurvePoint>,
}

/// A point of a receiver operating characteristic.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// False accept rate.
    pub far: f64,
    /// The largest true accept rate there.
    pub tar: f64,
}

/// Judges what an embedder makes of samples of a shape.
///
/// # Errors
/// When there is no pair of one identity or of two.
pub fn judge(
    trial: &Verification,
    shape: &[usize],
    embedder: &Embedder,
    samples: &Samples,
) -> Result<Judgement, LabError> {
    let plain = embedder.embeddings(samples);
    let width = trial.embedder.embedding;
    match trial.features {
        TestFeatures::Plain => Judgement::of_embeddings(&plain, width, &samples.labels),
        TestFeatures::WithMirrored => {
            let mirrored = embedder.embeddings(&mirrored(samples, shape));
            let beside = plain.chunks_exact(width).zip(mirrored.chunks_exact(width));
            let both: Vec<f32> = beside.flat_map(|(a, b)| [a, b].concat()).collect();
            Judgement::of_embeddings(&both, 2 * width, &samples.labels)
        }
    }
}

/// Rows over their norms; all alike where one is no number.
fn unit_rows(embeddings: &[f32], width: usize) -> Vec<f32> {
    let mut rows: Vec<f64> = embeddings.iter().map(|&value| f64::from(value)).collect();
    if rows.iter().any(|value| !value.is_finite()) {
        rows.fill(1.0);
    }
    to_unit_rows(&mut rows, width);
    rows.into_iter().map(|value| value as f32).collect()
}

/// Images `[channels, height, width]` with left and right changed over.
fn mirrored(samples: &Samples, shape: &[usize]) -> Samples {
    let mut turned = samples.clone();
    let line = shape.last().copied().unwrap_or(1);
    turned.values.chunks_exact_mut(line).for_each(<[f32]>::reverse);
    turned
}

impl Judgement {
    /// Of the cosines of all pairs of embeddings `[identities, width]`. Where one is no number all are as alike as any.
    ///
    /// # Errors
    /// When there is no pair of one identity or of two.
    pub fn of_embeddings(embeddings: &[f32], width: usize, identities: &[u32]) -> Result<Self, LabError> {
        let pairs = AllPairs::of(&unit_rows(embeddings, width), width, identities)?;
        Ok(Self::of(&pairs))
    }

    fn of(pairs: &AllPairs) -> Self {
        let roc = &pairs.roc;
        let mut metrics = BTreeMap::from([
            ("auc", roc.auc()),
            ("verification_accuracy", roc.best_threshold().accuracy),
            ("rank_1", pairs.rank_1),
            ("violation_rate", roc.violation_rate()),
        ]);
        metrics.extend(RATES.map(|(name, far)| (name, roc.tar(far))));
        let limited = RATES.iter().filter(|(_, far)| *far < roc.resolution());
        Self {
            metrics: metrics
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            resolution: roc.resolution(),
            resolution_limited: limited.map(|(name, _)| (*name).to_owned()).collect(),
            curve: curve(roc),
        }
    }
}

fn curve(roc: &Roc) -> Vec<CurvePoint> {
    let steps = (-roc.resolution().log10() * PER_DECADE).ceil() as i32;
    let mut targets = (0..=steps)
        .rev()
        .map(|step| 10_f64.powf(-f64::from(step) / PER_DECADE))
        .peekable();
    let mut curve = Vec::new();
    let mut last = 0.0;
    for point in roc.points() {
        while let Some(far) = targets.next_if(|&far| far < point.far) {
            curve.push(CurvePoint { far, tar: last });
        }
        last = point.tar;
    }
    curve.extend(targets.map(|far| CurvePoint { far, tar: last }));
    curve
}

#[cfg(test)]
mod tests {
    use thalweg::objective::Task;

    use super::*;
    use crate::metrics::CATALOGUE;

    #[test]
    fn rates_below_the_resolution_are_named() {
        // Eight samples of four identities: 24 pairs of two.
        let units: Vec<f32> = (0..8)
            .flat_map(|i| {
                let angle = 0.3 * (i as f32 + 0.1 * (i % 2) as f32);
                [angle.cos(), angle.sin()]
            })
            .collect();
        let found = Judgement::of(&AllPairs::of(&units, 2, &[0, 0, 1, 1, 2, 2, 3, 3]).unwrap());
        assert_eq!(found.resolution, 1.0 / 24.0);
        assert_eq!(found.resolution_limited, ["tar_at_far_0.001", "tar_at_far_0.01"]);
        let known = CATALOGUE
            .iter()
            .filter(|metric| metric.task == Task::Verification);
        let mut known: Vec<&str> = known.map(|metric| metric.name).collect();
        known.sort_unstable();
        assert_eq!(found.metrics.keys().collect::<Vec<_>>(), known);
        assert!(found.curve.is_sorted_by(|a, b| a.far < b.far && a.tar <= b.tar));
        assert_eq!(found.curve.last(), Some(&CurvePoint { far: 1.0, tar: 1.0 }));
    }

    #[test]
    fn embeddings_that_are_no_numbers_are_all_alike() {
        let embeddings = [f32::NAN, 1.0, 2.0, 0.5, 0.1, 0.2, 3.0, 1.0];
        let found = Judgement::of_embeddings(&embeddings, 2, &[0, 0, 1, 1]).unwrap();
        assert_eq!((found.metrics["auc"], found.metrics["rank_1"]), (0.5, 0.0));
        assert_eq!(
            (found.metrics["tar_at_far_0.1"], found.metrics["violation_rate"]),
            (0.0, 1.0)
        );
    }

    #[test]
    fn images_are_mirrored_line_by_line() {
        let samples = Samples {
            width: 4,
            values: vec![1.0, 2.0, 3.0, 4.0],
            labels: vec![0],
        };
        assert_eq!(mirrored(&samples, &[1, 2, 2]).values, [2.0, 1.0, 4.0, 3.0]);
    }
}
