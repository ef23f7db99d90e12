//! Part 1: a trained network pruned without training it again, by what each way of ranking weights says.

use std::sync::Arc;

use thalweg::compression::Saliency;
use thalweg_data::Dataset;

use crate::LabError;
use crate::metrics::Scores;
use crate::model::{ModelSpec, Network};
use crate::pool::Pool;
use crate::pruning::{PruningSpec, prune};
use crate::statistics::{paired, summary};
use crate::study::{Advance, Claim, Scale, Table, Verdict, Weight, points};
use crate::trial::{DataSpec, Prepared, TrialSpec, scores, train};

const SPARSITIES: [f64; 4] = [0.5, 0.7, 0.8, 0.9];
/// Those that the claim is judged at: at a half, weights are few enough to go for any way to do.
const JUDGED: [f64; 3] = [0.7, 0.8, 0.9];
/// Gradients of single samples, m.
const GRADIENTS: usize = 512;
const RECOMPUTATIONS: usize = 8;

/// A way to prune: what ranks weights, whether those that stay are moved jointly, and in how many parts.
#[derive(Clone, Copy, PartialEq)]
struct Way {
    label: &'static str,
    saliency: Saliency,
    joint: bool,
    parts: usize,
}

const fn way(label: &'static str, saliency: Saliency, joint: bool, parts: usize) -> Way {
    Way {
        label,
        saliency,
        joint,
        parts,
    }
}

const MAGNITUDE: Way = way("magnitude", Saliency::Magnitude, false, 1);
const DIAGONAL: Way = way("diagonal Fisher", Saliency::DiagonalFisher, false, 1);
const DIAGONAL_ANEW: Way = way(
    "diagonal Fisher, 8 times",
    Saliency::DiagonalFisher,
    false,
    RECOMPUTATIONS,
);
const ONCE: Way = way("M-FAC, once", Saliency::MFac, false, 1);
const ANEW: Way = way("M-FAC, 8 times", Saliency::MFac, false, RECOMPUTATIONS);
const JOINTLY: Way = way("M-FAC jointly, 8 times", Saliency::MFac, true, RECOMPUTATIONS);

const WAYS: [Way; 6] = [MAGNITUDE, DIAGONAL, DIAGONAL_ANEW, ONCE, ANEW, JOINTLY];

pub(super) fn steps(scale: &Scale) -> usize {
    scale.seeds()
}

/// Test accuracies of a seed.
struct Accuracies {
    dense: f64,
    /// By way and sparsity.
    pruned: Vec<f64>,
}

impl Accuracies {
    fn of(&self, way: Way, sparsity: f64) -> f64 {
        let row = WAYS
            .iter()
            .position(|&known| known == way)
            .expect("a way of the study");
        let column = SPARSITIES.iter().position(|&known| known == sparsity);
        self.pruned[row * SPARSITIES.len() + column.expect("a sparsity of the study")]
    }
}

pub(super) fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<(Table, Vec<Claim>), LabError> {
    let digits = Arc::new(thalweg_data::digits());
    let seeds = pool.try_map(scale.seeds(), |seed| {
        let found = of_seed(scale, pool, &digits, seed as u64)?;
        advance(1);
        Ok(found)
    })?;
    let of = |way: Way, sparsity: f64| -> Vec<f64> {
        seeds
            .iter()
            .map(|accuracies| accuracies.of(way, sparsity))
            .collect()
    };
    let claim = |better: Way, worse: Way, sparsity: f64, weight: Weight| {
        let difference = paired(&of(better, sparsity), &of(worse, sparsity));
        Claim {
            text: format!("sparsity {sparsity}: {} beats {}", better.label, worse.label),
            criterion: "95% interval of the paired difference of test accuracies above 0".to_owned(),
            evidence: points(&difference),
            verdict: Some(Verdict::above_zero(&difference)),
            weight,
        }
    };
    let pairs = [
        (MAGNITUDE, Weight::Decisive),
        (DIAGONAL, Weight::Decisive),
        (DIAGONAL_ANEW, Weight::Supporting),
    ];
    let claims = pairs
        .into_iter()
        .flat_map(|(worse, weight)| JUDGED.map(|sparsity| claim(ANEW, worse, sparsity, weight)));
    let cell = |values: &[f64]| {
        let found = summary(values);
        format!(
            "{:.1} ± {:.1}",
            100.0 * found.mean,
            50.0 * (found.high - found.low)
        )
    };
    let rows = WAYS.iter().map(|&way| {
        let cells = SPARSITIES.map(|sparsity| cell(&of(way, sparsity)));
        [way.label.to_owned()].into_iter().chain(cells).collect()
    });
    let dense: Vec<f64> = seeds.iter().map(|accuracies| accuracies.dense).collect();
    let head = SPARSITIES.map(|sparsity| format!("sparsity {sparsity}"));
    let table = Table {
        title: format!(
            "1. Test accuracy on digits in %, mean ± 95% interval, of a perceptron 64-40-10 with weights removed and nothing \
             trained after; {} before",
            cell(&dense)
        ),
        columns: ["weights by".to_owned()].into_iter().chain(head).collect(),
        rows: rows.collect(),
    };
    Ok((table, claims.collect()))
}

fn of_seed(
    scale: &Scale,
    pool: &Pool,
    digits: &Arc<Dataset>,
    seed: u64,
) -> Result<Option<Accuracies>, LabError> {
    let mut data = DataSpec::new(digits.fingerprint());
    data.test_fraction = 0.3;
    data.test_seed = seed;
    let mut spec = TrialSpec::new(data, ModelSpec::mlp(vec![40]), "cross_entropy", [].into(), seed);
    spec.learning_rate = 3e-3;
    spec.epochs = scale.pick(60, 5);
    let Some(trained) = train(&spec, digits.into(), pool.interrupted, &mut |_| {})? else {
        return Ok(None);
    };
    let (network, prepared) = (trained.network, trained.prepared);
    let mut pruned = Vec::new();
    for way in WAYS {
        for sparsity in SPARSITIES {
            let way = PruningSpec {
                saliency: way.saliency,
                sparsity,
                recomputations: way.parts,
                gradients: scale.pick(GRADIENTS, 64),
                dampening: 1e-5,
                block_size: None,
                joint: way.joint,
                finetune: 0,
            };
            let Some(found) = prune(&network, &way, &spec, digits, pool.interrupted)? else {
                return Ok(None);
            };
            pruned.push(accuracy(&found.network, &prepared)?);
        }
    }
    Ok(Some(Accuracies {
        dense: accuracy(&network, &prepared)?,
        pruned,
    }))
}

fn accuracy(network: &Network, prepared: &Prepared) -> Result<f64, LabError> {
    let logits = scores(network, prepared, &prepared.test);
    let classes = prepared.dataset().classes.len();
    let scores = Scores::new(&logits, classes, &prepared.test.labels);
    Ok(scores.map_or(f64::NAN, |scores| scores.accuracy()))
}
