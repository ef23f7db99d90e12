//! What there is to say of an embedding, its rows streamed by once: how many dimensions it uses, how its spectrum decays,
//! how it covers the sphere, and with labels how close its classes are.

mod measures;
mod stream;

use std::path::PathBuf;

use serde::Serialize;
use thalweg::diagnostics::{
    DiagnosticError, EPSILON, PowerLawFit, SpectrumFit, alpha_req, effective_rank, rankme_of_singular_values,
    uniformity,
};
use thalweg_data::ClassLabels;

use crate::LabError;
pub use measures::Reading;
use stream::Streamed;

/// t of uniformity.
pub const T: f64 = 2.0;
/// Exponent of alignment.
pub const ALPHA: f64 = 2.0;
/// Samples drawn in the projection, at most.
const POINTS: usize = 1500;
/// Part of the largest variance below which one is rounding.
const ROUNDING: f64 = 1e-12;
/// Where a spectrum long enough is fitted from, and how long that is.
const FIRST_OF_MANY: (usize, usize) = (11, 50);
/// Where a shorter one is fitted from.
const FIRST_OF_FEW: usize = 2;

/// What to look at, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Embeddings `[samples, width]` in an NPY file.
    pub embeddings: PathBuf,
    /// A label for each, in an NPY file.
    pub labels: Option<PathBuf>,
    /// Embeddings of another view of the same samples.
    pub views: Option<PathBuf>,
    /// The exact command that asked for it.
    pub command: String,
    /// Samples between which all distances are measured; a random choice where there are more.
    pub pair_samples: usize,
    /// Seed of that choice.
    pub seed: u64,
    /// First and last variance, from 1, that a power law is fitted to; chosen by their number where none is given.
    pub alpha_range: Option<(usize, usize)>,
    /// The most bytes that labels, or a matrix stored column by column, may take.
    pub memory_limit: u64,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// The exact command that made it.
    pub command: String,
    /// What the embeddings are called.
    pub name: String,
    /// Number of samples.
    pub samples: usize,
    /// Number of features.
    pub width: usize,
    /// Samples that are 0 in every feature: they have no direction, and the measures on the sphere leave them out.
    pub zero_samples: usize,
    /// Names of the classes, where there are labels.
    pub classes: Vec<String>,
    /// ε of RankMe.
    pub epsilon: f64,
    /// RankMe.
    pub rankme: f64,
    /// Effective rank.
    pub effective_rank: f64,
    /// Singular values above the least one that counts.
    pub numerical_rank: usize,
    /// That one, relative to the largest: `max(samples, width)` times the machine epsilon of the file's numbers, and no
    /// less than sums of products in f64 resolve.
    pub rank_tolerance: f64,
    /// The power law of the variances, or why there is none.
    pub alpha_req: Found<AlphaReq>,
    /// Uniformity of the unit rows, or why there is none.
    pub uniformity: Found<Uniformity>,
    /// Mean of `‖x − y‖^α` over the unit rows of both views.
    pub alignment: Option<Alignment>,
    /// What labels allow to say.
    pub labelled: Option<Labelled>,
    /// Singular values of the embeddings, neither centred nor normalised, descending.
    pub singular_values: Vec<f64>,
    /// Eigenvalues of the covariance, descending; none of a single sample.
    pub variances: Vec<f64>,
    /// Some samples on the first two principal axes.
    pub projection: Vec<Point>,
}

/// Something that is not always defined.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Found<T> {
    /// It is.
    Value(T),
    /// It is not.
    Undefined {
        /// Why not.
        undefined: String,
    },
}

impl<T> From<Result<T, String>> for Found<T> {
    fn from(result: Result<T, String>) -> Self {
        match result {
            Ok(value) => Self::Value(value),
            Err(undefined) => Self::Undefined { undefined },
        }
    }
}

/// A fitted power law.
#[derive(Clone, Debug, Serialize)]
pub struct AlphaReq {
    /// First variance that is fitted, from 1.
    pub start: usize,
    /// Last one.
    pub end: usize,
    /// α by least squares.
    pub least_squares: f64,
    /// Logarithm of the law at k = 1.
    pub intercept: f64,
    /// α with weights 1/k.
    pub stringer: f64,
    /// Median α of windows, where there are enough variances.
    pub robust_median: Option<f64>,
}

/// How evenly the sphere is covered.
#[derive(Clone, Debug, Serialize)]
pub struct Uniformity {
    /// `log mean exp(−t ‖x − y‖²)`.
    pub value: f64,
    /// Samples of which all pairs were measured.
    pub samples: usize,
}

/// How close the views are.
#[derive(Clone, Debug, Serialize)]
pub struct Alignment {
    /// What the other view is called.
    pub view: String,
    /// Mean over samples that have a direction in both views.
    pub value: f64,
}

/// What labels allow to say.
#[derive(Clone, Debug, Serialize)]
pub struct Labelled {
    /// Mean inner product of unit rows of the same class; none where no two are of the same.
    pub tolerance: Option<f64>,
    /// The same over all pairs, 0 where classes differ.
    pub joint: Option<f64>,
    /// The measures of neural collapse, or why there are none.
    pub collapse: Found<Collapse>,
}

/// Neural collapse without a head.
#[derive(Clone, Debug, Serialize)]
pub struct Collapse {
    /// NC1.
    pub variability: f64,
    /// NC2, lengths.
    pub equinorm: f64,
    /// NC2, angles.
    pub equiangular: f64,
}

/// A sample on the first two principal axes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// Along the first.
    pub x: f64,
    /// Along the second, 0 where there is none.
    pub y: f64,
    /// Its class, where there are labels.
    pub class: Option<u32>,
}

/// Looks at the embeddings that `plan` names.
///
/// # Errors
/// When a file cannot be read, they do not go together, or the embeddings are not finite or all 0.
pub fn diagnose(plan: &Plan) -> Result<Diagnosis, LabError> {
    let labels = plan.labels.as_ref();
    let labels = labels
        .map(|path| ClassLabels::read(path, plan.memory_limit))
        .transpose()?;
    let streamed = Streamed::read(plan, labels.as_ref())?;
    judge(plan, labels.as_ref(), &streamed).map_err(|problem| LabError::Embeddings {
        file: plan.embeddings.clone(),
        problem,
    })
}

fn judge(
    plan: &Plan,
    labels: Option<&ClassLabels>,
    streamed: &Streamed,
) -> Result<Diagnosis, DiagnosticError> {
    let moments = &streamed.moments;
    let singular_values = moments.singular_values();
    let rankme = rankme_of_singular_values(&singular_values, EPSILON)?;
    let components = moments.principal_components(2).ok();
    let (variances, axes) = components.map_or_else(Default::default, |found| (found.variances, found.axes));
    let resolved = (singular_values.len() as f64 * f64::EPSILON).sqrt();
    let rank_tolerance = (moments.samples().max(moments.width()) as f64 * streamed.epsilon).max(resolved);
    let least = rank_tolerance * singular_values[0];
    let unit = &streamed.unit_sample;
    let pairs = unit.len() / moments.width();
    Ok(Diagnosis {
        command: plan.command.clone(),
        name: name(&plan.embeddings),
        samples: moments.samples(),
        width: moments.width(),
        zero_samples: streamed.zero_samples,
        classes: labels.map_or_else(Vec::new, |labels| labels.classes.clone()),
        epsilon: EPSILON,
        rankme,
        effective_rank: effective_rank(&singular_values)?,
        numerical_rank: singular_values.iter().filter(|&&value| value > least).count(),
        rank_tolerance,
        alpha_req: power_law(&variances, plan.alpha_range).into(),
        uniformity: uniformity(unit, moments.width(), T)
            .map(|value| Uniformity {
                value,
                samples: pairs,
            })
            .map_err(|_| "fewer than two samples with a direction were compared".to_owned())
            .into(),
        alignment: plan
            .views
            .as_ref()
            .zip(streamed.alignment)
            .map(|(view, value)| Alignment {
                view: name(view),
                value,
            }),
        labelled: streamed.labelled(),
        singular_values,
        variances,
        projection: projection(streamed, &axes, labels),
    })
}

/// The file's name without extensions.
fn name(path: &std::path::Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    name.split('.')
        .find(|part| !part.is_empty())
        .unwrap_or(&name)
        .to_owned()
}

fn power_law(variances: &[f64], range: Option<(usize, usize)>) -> Result<AlphaReq, String> {
    let largest = variances.first().copied().unwrap_or(0.0);
    let varying = variances
        .iter()
        .filter(|&&variance| variance > ROUNDING * largest)
        .count();
    let first = if varying >= FIRST_OF_MANY.1 {
        FIRST_OF_MANY.0
    } else {
        FIRST_OF_FEW
    };
    let (start, end) = range.unwrap_or((first, varying));
    if range.is_none() && varying < FIRST_OF_FEW + 1 {
        return Err(format!(
            "a line needs more than the {varying} variances above rounding"
        ));
    }
    let spectrum = SpectrumFit {
        eigenvalues: variances,
        range: start..=end,
    };
    let fit = |fit| alpha_req(&spectrum, fit).map_err(|problem| format!("the variances {problem}"));
    let line = fit(PowerLawFit::LeastSquares)?;
    Ok(AlphaReq {
        start,
        end,
        least_squares: line.alpha,
        intercept: line.intercept.unwrap_or(f64::NAN),
        stringer: fit(PowerLawFit::Stringer)?.alpha,
        robust_median: robust(variances, start, end),
    })
}

/// The median of windows over as much of the range as leaves room for the last of them.
fn robust(variances: &[f64], start: usize, end: usize) -> Option<f64> {
    let range = (start..=end).rev().map(|end| start..=end);
    let mut fitting = range.map(|range| {
        let spectrum = SpectrumFit {
            eigenvalues: &variances[..end],
            range,
        };
        alpha_req(&spectrum, PowerLawFit::RobustMedian)
    });
    fitting.find_map(Result::ok).map(|law| law.alpha)
}

fn projection(streamed: &Streamed, axes: &[Vec<f64>], labels: Option<&ClassLabels>) -> Vec<Point> {
    let (width, mean) = (streamed.moments.width(), streamed.moments.mean());
    let along = |row: &[f64], axis: Option<&Vec<f64>>| {
        let centred = row.iter().zip(mean).map(|(value, mean)| value - mean);
        axis.map_or(0.0, |axis| {
            centred.zip(axis).map(|(value, axis)| value * axis).sum()
        })
    };
    // Every so many of the sample, which is in the order of the file.
    let every = streamed.sampled.len().div_ceil(POINTS).max(1);
    let rows = streamed
        .sample
        .chunks_exact(width)
        .zip(&streamed.sampled)
        .step_by(every);
    rows.map(|(row, &sample)| Point {
        x: along(row, axes.first()),
        y: along(row, axes.get(1)),
        class: labels.map(|labels| labels.labels[sample]),
    })
    .collect()
}

#[cfg(test)]
mod tests;
