//! Post-hoc calibration methods compared on the logits of a trained model, so that what is said of "after" is honest:
//! every sample is judged by a calibrator that was fitted without it.

mod measures;

use std::collections::BTreeMap;
use std::sync::Mutex;

use rayon::prelude::*;
use serde::Serialize;
use thalweg::calibration::{Calibrator, CalibratorConfig, Logits, Method};
use thalweg_kernels::random::Stream;

use crate::LabError;
pub use measures::{MEASURES, Measure, Measures};

/// Matrix scaling is left out of the default methods above so many classes: its parameters are their square.
pub const MOST_MATRIX_CLASSES: usize = 100;

/// What to compare, and how.
#[derive(Clone, Debug)]
pub struct Plan {
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
    let fit = |method: Method, logits: &Logits, labels: &[usize]| {
        let config = CalibratorConfig {
            method,
            seed: plan.seed,
            ..plan.settings.clone()
        };
        let fitted = config.fit(logits, labels);
        on_done();
        fitted
    };
    let jobs: Vec<_> = (0..plan.methods.len())
        .flat_map(|method| (0..=plan.folds).map(move |fold| (method, fold)))
        .collect();
    let classes = logits.classes();
    let pooled: Vec<Mutex<Vec<f64>>> = plan
        .methods
        .iter()
        .map(|_| Mutex::new(vec![0.0; samples * classes]))
        .collect();
    let fitted: Vec<Option<Calibrator>> = jobs
        .into_par_iter()
        .map(|(index, fold)| -> Result<_, LabError> {
            let method = plan.methods[index];
            let Some(held_out) = parts.get(fold) else {
                return Ok(Some(fit(method, logits, labels)?));
            };
            let mut kept: Vec<usize> = parts
                .iter()
                .filter(|part| *part != held_out)
                .flatten()
                .copied()
                .collect();
            kept.sort_unstable();
            let kept_labels: Vec<usize> = kept.iter().map(|&i| labels[i]).collect();
            let calibrator = fit(method, &logits.select(&kept), &kept_labels)?;
            let probabilities = calibrator.probabilities(&logits.select(held_out))?;
            let mut pooled = pooled[index].lock().expect("no panic holds it");
            for (row, &sample) in probabilities.chunks_exact(classes).zip(held_out) {
                pooled[sample * classes..][..classes].copy_from_slice(row);
            }
            Ok(None)
        })
        .collect::<Result<_, _>>()?;
    let predicted = logits.predicted();
    let before = Measures::of(&logits.probabilities(), classes, labels)?;
    let each = plan.methods.iter().zip(fitted.into_iter().flatten()).zip(pooled);
    let methods = each
        .map(|((&method, calibrator), pooled)| {
            let probabilities = pooled.into_inner().expect("no panic held it");
            let after = Logits::new(probabilities.clone(), classes)?.predicted();
            let changed = after
                .iter()
                .zip(&predicted)
                .filter(|(after, before)| after != before);
            Ok(Judged {
                method,
                after: Measures::of(&probabilities, classes, labels)?,
                changed_predictions: changed.count() as u64,
                learnt: calibrator.summary(),
                calibrator,
            })
        })
        .collect::<Result<Vec<_>, LabError>>()?;
    let lowest = methods.iter().min_by(|a, b| a.after.nll.total_cmp(&b.after.nll));
    let best = lowest
        .filter(|lowest| lowest.after.nll < before.nll)
        .map(|lowest| lowest.method);
    Ok(Calibration {
        command: String::new(),
        name: String::new(),
        samples,
        classes,
        views: logits.n_views(),
        folds: plan.folds,
        seed: plan.seed,
        before,
        best,
        methods,
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
