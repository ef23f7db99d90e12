//! Identities to train on, to tune by and to test on: no identity is in two parts.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thalweg_data::Dataset;
use thalweg_data::noise;
use thalweg_data::standardize::Standardizer;
use thalweg_kernels::random::Stream;

use super::{TestFeatures, Verification};
use crate::LabError;
use crate::self_supervised::Samples;
use crate::trial::{NoiseSpec, Scaling};

/// Fewest identities of a part: two make a pair.
const FEWEST: usize = 2;

/// Shares of the identities, and who draws them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdentityShares {
    /// Of those that are not for the test, to tune by; 0 for none.
    pub validation: f64,
    /// For the test. A published test part whose identities are its own is kept instead.
    pub test: f64,
    /// Seed of the test identities: one for all trials of a comparison, so that tuning never sees one of them. Those to tune by
    /// are drawn under the trial's own.
    pub test_seed: u64,
}

impl Default for IdentityShares {
    fn default() -> Self {
        Self {
            validation: 0.2,
            test: 0.3,
            test_seed: 0,
        }
    }
}

/// The samples of a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Identities {
    /// To train on, labels from 0 to `classes`, some of them wrong where there is noise.
    pub train: Samples,
    /// Their labels without noise.
    pub true_labels: Vec<u32>,
    /// To tune by; labels with noise, as those of training.
    pub validation: Samples,
    /// To judge on.
    pub test: Samples,
    /// Identities that are trained on.
    pub classes: usize,
    /// The shape of a sample.
    pub shape: Vec<usize>,
}

impl Identities {
    /// Of a labelled data set, scaled by what is known of the training samples.
    ///
    /// # Errors
    /// When targets are numbers, there are too few identities, a test part has no two samples of one, or mirrored samples are asked
    /// for of what is no image.
    pub fn of(dataset: &Dataset, trial: &Verification) -> Result<Self, LabError> {
        let refuse = |why: String| Err(LabError::Plan(why));
        if dataset.numbers.is_some() {
            return refuse(format!(
                "the targets of {} are numbers; verification needs identities",
                dataset.name
            ));
        }
        let is_image = dataset.feature_shape.len() == 3;
        if trial.features == TestFeatures::WithMirrored && !is_image {
            let shape = &dataset.feature_shape;
            return refuse(format!(
                "only images can be mirrored, not samples of shape {shape:?}"
            ));
        }
        let [train, validation, test] = parts(dataset, trial)?.map(|part| rows_of(dataset, &part));
        let scaler =
            (trial.scaling == Scaling::Standardized && !is_image).then(|| Standardizer::fit(dataset, &train));
        let samples = |rows: &[usize]| {
            let mut samples = Samples::of(dataset, rows);
            if let Some(scaler) = &scaler {
                scaler.apply(&mut samples.values);
            }
            samples
        };
        let (mut train, mut validation, test) = (samples(&train), samples(&validation), samples(&test));
        let classes = renumber(&mut train.labels);
        let tuned = renumber(&mut validation.labels);
        for (part, labels) in [("test", &test.labels), ("validation", &validation.labels)] {
            if !labels.is_empty() && distinct(labels).len() == labels.len() {
                return refuse(format!(
                    "no two {part} samples are of one identity; verification needs such pairs"
                ));
            }
        }
        let true_labels = train.labels.clone();
        if let Some(NoiseSpec { rate, kind }) = trial.noise {
            train.labels = noise::apply(&train.labels, classes, rate, kind.into(), trial.seed);
            if tuned > 0 {
                validation.labels = noise::apply(&validation.labels, tuned, rate, kind.into(), trial.seed);
            }
        }
        trial.check(train.len())?;
        Ok(Self {
            train,
            true_labels,
            validation,
            test,
            classes,
            shape: dataset.feature_shape.clone(),
        })
    }
}

fn distinct(labels: &[u32]) -> BTreeSet<u32> {
    labels.iter().copied().collect()
}

/// Identities to train on, to tune by, to test on.
fn parts(dataset: &Dataset, trial: &Verification) -> Result<[BTreeSet<u32>; 3], LabError> {
    let IdentityShares {
        validation,
        test,
        test_seed,
    } = trial.identities;
    let valid = (0.0..1.0).contains(&validation) && test > 0.0 && test < 1.0;
    if !valid {
        return Err(LabError::Plan(format!(
            "shares of identities are from 0 to 1, not {validation} to tune by and {test} to test on"
        )));
    }
    let all = distinct(&dataset.labels);
    let published = dataset.published_test.map(|first| {
        let (before, after) = dataset.labels.split_at(first);
        (distinct(before), distinct(after))
    });
    let few = |found: usize, needed: usize| {
        LabError::Plan(format!(
            "{} has {found} identities (classes); verification needs {needed} or more, two in each part",
            dataset.name
        ))
    };
    let needed = FEWEST * if validation > 0.0 { 3 } else { 2 };
    if all.len() < needed {
        return Err(few(all.len(), needed));
    }
    let (rest, test) = match published {
        Some((before, after)) if before.is_disjoint(&after) => (before, after),
        _ => drawn(
            all,
            test,
            needed - FEWEST,
            Stream::new(test_seed, "test identities", 0),
        ),
    };
    let (train, validation) = if validation > 0.0 {
        let random = Stream::new(trial.seed, "validation identities", 0);
        if rest.len() < 2 * FEWEST {
            return Err(few(rest.len() + test.len(), needed));
        }
        drawn(rest, validation, FEWEST, random)
    } else {
        (rest, BTreeSet::new())
    };
    let smallest = train.len().min(test.len());
    if smallest < FEWEST {
        return Err(few(smallest, FEWEST));
    }
    Ok([train, validation, test])
}

/// What remains, and a share that is drawn: two at least, and as many remain as are to.
fn drawn(
    identities: BTreeSet<u32>,
    share: f64,
    remaining: usize,
    mut random: Stream,
) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let mut order: Vec<u32> = identities.into_iter().collect();
    random.shuffle(&mut order);
    let count = (share * order.len() as f64).round() as usize;
    let (taken, rest) = order.split_at(count.clamp(FEWEST, order.len() - remaining));
    (rest.iter().copied().collect(), taken.iter().copied().collect())
}

fn rows_of(dataset: &Dataset, identities: &BTreeSet<u32>) -> Vec<usize> {
    let rows = dataset.labels.iter().enumerate();
    rows.filter(|(_, label)| identities.contains(label))
        .map(|(row, _)| row)
        .collect()
}

/// Gives labels numbers from 0, in their order; returns how many there are.
fn renumber(labels: &mut [u32]) -> usize {
    let known: Vec<u32> = distinct(labels).into_iter().collect();
    for label in labels {
        *label = known.partition_point(|other| other < label) as u32;
    }
    known.len()
}
