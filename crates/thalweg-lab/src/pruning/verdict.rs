//! What follows from a comparison: which way to prune, the numbers it rests on, and the Rust that does it.

use super::record::{Judged, Pruning};
use crate::metrics::Format;
use crate::results::{Finding, Recommendation};

/// Accuracy that may be lost unnoticed.
const TOLERATED: f64 = 0.01;

/// Recommends the most accurate way at the highest sparsity, where it is seen to be better than the first; else the first.
pub fn recommend(found: &Pruning) -> Recommendation {
    let best = &found.ways[found.best()];
    let difference = best.last().difference.as_ref();
    let is_better = difference.is_some_and(|difference| difference.finding == Finding::Better);
    let chosen = if is_better { best } else { &found.ways[0] };
    Recommendation {
        sentence: format!("Prune by {}.", chosen.label()),
        evidence: evidence(found, best, chosen),
        code: code(found, chosen),
    }
}

fn evidence(found: &Pruning, best: &Judged, chosen: &Judged) -> String {
    let percent = |share: f64| format!("{}%", Format::Percent.value(share));
    let at = best.last();
    let mut text = format!(
        "At sparsity {} the most accurate way is {}: {} of the test split, {} before pruning",
        at.sparsity,
        best.label(),
        percent(at.accuracy().mean),
        percent(found.dense["accuracy"].mean),
    );
    if let Some(difference) = &at.difference {
        let points = |value: f64| Format::Percent.difference(value);
        text += &format!(
            "; {} pp [{}, {}] to {}",
            points(difference.mean),
            points(difference.low),
            points(difference.high),
            found.ways[0].label()
        );
        text += match difference.finding {
            _ if difference.p_holm.is_nan() => ", too few seeds to tell",
            Finding::NoDifferenceSeen => ", no difference seen",
            Finding::Better | Finding::Worse => "",
        };
    }
    text += ". ";
    text + &match bearable(found, chosen) {
        Some(sparsity) => format!(
            "{} loses at most a point up to sparsity {sparsity}.",
            chosen.label()
        ),
        None => format!(
            "{} loses more than a point at every sparsity tried.",
            chosen.label()
        ),
    }
}

/// The highest sparsity up to which the mean accuracy is nearly that before pruning.
fn bearable(found: &Pruning, way: &Judged) -> Option<f64> {
    let least = found.dense["accuracy"].mean - TOLERATED;
    let held = way
        .points
        .iter()
        .take_while(|point| point.accuracy().mean >= least);
    held.last().map(|point| point.sparsity)
}

fn code(found: &Pruning, way: &Judged) -> String {
    let saliency = match way.method.as_str() {
        "magnitude" => "Magnitude",
        "diagonal_fisher" => "DiagonalFisher",
        "woodfisher" => "WoodFisher",
        _ => "MFac",
    };
    let mut config = format!("PruningConfig::new().with_saliency(Saliency::{saliency})");
    if saliency != "Magnitude" {
        config += &format!(".with_dampening({:e})", found.protocol.dampening);
    }
    if let Some(size) = way.block_size {
        config += &format!(".with_block_size(Some({size}))");
    }
    if found.protocol.joint {
        config += ".with_joint(true)";
    }
    format!(
        "use thalweg::compression::{{PruningConfig, Saliency, sparsity_schedule}};\n\
         let pruner = {config}.init()?;\n\
         let steps = sparsity_schedule({:?}, {:?}, {})?;\n\
         let pruned = pruner.prune(&mut weights, &mut alive, &gradients, count)?;",
        found.protocol.sparsity_before,
        way.last().sparsity,
        way.recomputations
    )
}
