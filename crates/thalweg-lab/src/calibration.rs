//! Post-hoc calibration methods compared on the logits of a trained model, so that what is said of "after" is honest:
//! every sample is judged by a calibrator that was fitted without it.

mod measures;

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;
use thalweg::calibration::{CalibrationError, Calibrator, CalibratorConfig, Logits, Method};
use thalweg_kernels::random::Stream;

use crate::LabError;
pub use measures::{MEASURES, Measure, Measures};

/// Matrix scaling is left out of the default methods above so many classes: its parameters are their square.
pub const MOST_MATRIX_CLASSES: usize = 100;

/// What to compare, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What the logits are called.
    pub name: String,
    /// The exact command that asked for it.
    pub command: String,
    /// The methods.
    pub methods: Vec<Method>,
    /// Parts of the samples; each is calibrated by what was fitted to the others.
    pub folds: usize,
    /// Seed of the parts, and of what methods draw.
    pub seed: u64,
    /// Settings of the methods; its own method and seed are of no account.
    pub settings: CalibratorConfig,
}

/// What a comparison of calibration methods found.
#[derive(Clone, Debug, Serialize)]
pub struct Calibration {
    /// The exact command that made it.
    pub command: String,
    /// What the logits are called.
    pub name: String,
    /// Number of samples.
    pub samples: usize,
    /// Number of classes.
    pub classes: usize,
    /// Number of transformed views of each sample.
    pub views: usize,
    /// Parts of the samples; each was calibrated by what was fitted to the others.
    pub folds: usize,
    /// Seed of the parts.
    pub seed: u64,
    /// The probabilities as they came.
    pub before: Measures,
    /// Each method.
    pub methods: Vec<Judged>,
    /// The method of the lowest out-of-fold negative log-likelihood; none where nothing is below the uncalibrated one.
    pub best: Option<Method>,
}

/// A method, judged out of fold.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// The method.
    pub method: Method,
    /// Its out-of-fold probabilities, judged.
    pub after: Measures,
    /// Samples whose predicted class changed.
    pub changed_predictions: u64,
    /// What it learns from all samples, in words.
    pub learnt: String,
    /// Fitted to all samples.
    #[serde(skip)]
    pub calibrator: Calibrator,
}

/// The methods that the logits allow, and why others are left out.
pub fn default_methods(logits: &Logits) -> (Vec<Method>, Vec<String>) {
    let mut left_out = BTreeMap::new();
    let methods = Method::ALL.into_iter().filter(|method| {
        let reason = if method.needs_views() && logits.n_views() == 0 {
            "they need the logits of transformed views of each sample, `--views`"
        } else if *method == Method::Matrix && logits.classes() > MOST_MATRIX_CLASSES {
            "it would have the square of the number of classes as parameters; name it to fit it all the same"
        } else {
            return true;
        };
        left_out
            .entry(reason)
            .or_insert_with(Vec::new)
            .push(method.name());
        false
    });
    let methods = methods.collect();
    let reasons = left_out.into_iter();
    let reasons = reasons.map(|(reason, methods)| format!("{} left out: {reason}", methods.join(", ")));
    (methods, reasons.collect())
}

/// Compares the methods of `plan`; `on_done` is told of every fit, `methods · (folds + 1)` of them.
///
/// # Errors
/// When labels and samples do not go together, there are fewer than two folds or fewer samples than folds, or a method
/// cannot be fitted.
pub fn compare(
    plan: &Plan,
    logits: &Logits,
    labels: &[usize],
    on_done: &(dyn Fn() + Sync),
) -> Result<Calibration, LabError> {
    logits.check_labels(labels)?;
    let samples = logits.samples();
    if plan.folds < 2 {
        return Err(LabError::Plan("there are at least two folds".to_owned()));
    }
    if samples < plan.folds {
        return Err(LabError::Plan(format!(
            "{samples} samples cannot be split into {} folds",
            plan.folds
        )));
    }
    let parts = folds(labels, plan.folds, plan.seed);
    let before = Measures::of(&logits.probabilities(), logits.classes(), labels)?;
    // One after another: the probabilities of every method at once may be more than memory holds.
    let methods = plan
        .methods
        .iter()
        .map(|&method| judge(method, plan, logits, labels, &parts, on_done))
        .collect::<Result<Vec<_>, _>>()?;
    let lowest = methods.iter().min_by(|a, b| a.after.nll.total_cmp(&b.after.nll));
    let best = lowest.filter(|lowest| lowest.after.nll < before.nll);
    Ok(Calibration {
        command: plan.command.clone(),
        name: plan.name.clone(),
        samples,
        classes: logits.classes(),
        views: logits.n_views(),
        folds: plan.folds,
        seed: plan.seed,
        best: best.map(|best| best.method),
        before,
        methods,
    })
}

/// Fits a method to all samples, and to all but each part; judges it on the parts.
fn judge(
    method: Method,
    plan: &Plan,
    logits: &Logits,
    labels: &[usize],
    parts: &[Vec<usize>],
    on_done: &(dyn Fn() + Sync),
) -> Result<Judged, LabError> {
    let config = CalibratorConfig {
        method,
        seed: plan.seed,
        ..plan.settings.clone()
    };
    let without = |held_out: &Vec<usize>| -> Result<Vec<f64>, CalibrationError> {
        let mut is_kept = vec![true; labels.len()];
        held_out.iter().for_each(|&sample| is_kept[sample] = false);
        let kept: Vec<usize> = (0..labels.len()).filter(|&sample| is_kept[sample]).collect();
        let kept_labels: Vec<usize> = kept.iter().map(|&sample| labels[sample]).collect();
        let calibrator = config.fit(&logits.select(&kept), &kept_labels)?;
        on_done();
        calibrator.probabilities(&logits.select(held_out))
    };
    let with_all = || {
        let calibrator = config.fit(logits, labels);
        on_done();
        calibrator
    };
    let (calibrator, parts_done) = rayon::join(with_all, || {
        parts.par_iter().map(without).collect::<Result<Vec<_>, _>>()
    });
    let (calibrator, classes) = (calibrator?, logits.classes());
    let mut probabilities = vec![0.0; logits.values().len()];
    for (part, done) in parts.iter().zip(parts_done?) {
        for (row, &sample) in done.chunks_exact(classes).zip(part) {
            probabilities[sample * classes..][..classes].copy_from_slice(row);
        }
    }
    let after = Measures::of(&probabilities, classes, labels)?;
    let predicted = Logits::new(probabilities, classes)?.predicted();
    let changed = predicted
        .iter()
        .zip(logits.predicted())
        .filter(|(after, before)| *after != before);
    Ok(Judged {
        method,
        after,
        changed_predictions: changed.count() as u64,
        learnt: calibrator.summary(),
        calibrator,
    })
}

/// The samples in `count` parts, every class spread over all of them as evenly as it goes.
fn folds(labels: &[usize], count: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    Stream::new(seed, "calibration folds", 0).shuffle(&mut order);
    order.sort_by_key(|&sample| labels[sample]);
    let mut parts = vec![Vec::new(); count];
    for (position, sample) in order.into_iter().enumerate() {
        parts[position % count].push(sample);
    }
    parts.iter_mut().for_each(|part| part.sort_unstable());
    parts
}

#[cfg(test)]
mod tests;
