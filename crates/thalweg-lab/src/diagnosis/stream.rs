//! One pass over the rows of the files.

use std::path::Path;

use thalweg::diagnostics::{ClassSums, DiagnosticError, Gram, Moments, to_unit_rows};
use thalweg_data::{ClassLabels, DataError, NpyRows};
use thalweg_kernels::random::Stream;

use super::{ALPHA, Collapse, Labelled, Plan};
use crate::LabError;

/// Rows read at once.
const ROWS: usize = 1024;

/// What is kept of the rows.
pub(super) struct Streamed {
    pub moments: Moments,
    /// Machine epsilon of the stored numbers.
    pub epsilon: f64,
    pub zero_samples: usize,
    /// Numbers of the samples that are kept, rising, and their rows.
    pub sampled: Vec<usize>,
    pub sample: Vec<f64>,
    /// The same rows over their norms, without those that are 0.
    pub unit_sample: Vec<f64>,
    /// None without another view, or where no sample has a direction in both.
    pub alignment: Option<f64>,
    /// Sums by class of all rows as they are, and of unit rows.
    sums: Option<(ClassSums, ClassSums)>,
}

impl Streamed {
    pub fn read(plan: &Plan, labels: Option<&ClassLabels>) -> Result<Self, LabError> {
        let mut rows = NpyRows::open(&plan.embeddings, plan.memory_limit)?;
        let (samples, width) = (rows.samples(), rows.width());
        check_labels(plan, labels, samples)?;
        let mut views = other_view(plan, &rows)?;
        let sampled = chosen(samples, plan.pair_samples, plan.seed);
        let mut gram = Gram::new(width);
        let mut sums = labels.map(|_| (ClassSums::new(width), ClassSums::new(width)));
        let (mut sample, mut unit_sample) = (Vec::new(), Vec::new());
        let (mut zero_samples, mut done, mut next) = (0, 0, 0);
        let mut gaps = Mean::default();
        let (mut block, mut other) = (Vec::new(), Vec::new());
        loop {
            let count = rows.read(ROWS, &mut block)?;
            if count == 0 {
                break;
            }
            gram.push(&block).map_err(|problem| LabError::Embeddings {
                file: plan.embeddings.clone(),
                problem,
            })?;
            if let Some((plain, _)) = &mut sums
                && let Some(labels) = labels
            {
                let labels = &labels.labels[done..done + count];
                plain.push(&block, labels).expect("labels were counted");
            }
            while let Some(at) = sampled.get(next).filter(|&&at| at < done + count) {
                sample.extend_from_slice(&block[(at - done) * width..(at - done + 1) * width]);
                next += 1;
            }
            let has_direction = to_unit_rows(&mut block, width);
            zero_samples += has_direction.iter().filter(|has| !**has).count();
            if let Some((_, unit)) = &mut sums
                && let Some(labels) = labels
            {
                for (index, row) in block
                    .chunks_exact(width)
                    .enumerate()
                    .filter(|(i, _)| has_direction[*i])
                {
                    unit.push(row, &labels.labels[done + index..=done + index])
                        .expect("one label a row");
                }
            }
            if let Some((path, views)) = &mut views {
                views.read(ROWS, &mut other)?;
                check_finite(path, &other, width, done)?;
                let both = to_unit_rows(&mut other, width);
                for (index, (x, y)) in block
                    .chunks_exact(width)
                    .zip(other.chunks_exact(width))
                    .enumerate()
                {
                    if has_direction[index] && both[index] {
                        let gap: f64 = x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum();
                        gaps.add(gap.powf(0.5 * ALPHA));
                    }
                }
            }
            done += count;
        }
        for row in sample.chunks_exact(width) {
            let mut unit = row.to_vec();
            if to_unit_rows(&mut unit, width)[0] {
                unit_sample.extend(unit);
            }
        }
        let moments = gram.finish().map_err(|problem| LabError::Embeddings {
            file: plan.embeddings.clone(),
            problem,
        })?;
        Ok(Self {
            moments,
            epsilon: rows.epsilon(),
            zero_samples,
            sampled,
            sample,
            unit_sample,
            alignment: gaps.value(),
            sums,
        })
    }

    pub fn labelled(&self) -> Option<Labelled> {
        let (plain, unit) = self.sums.as_ref()?;
        let tolerance = unit.tolerance().ok();
        let collapse = plain.collapse(&self.moments).map(|found| Collapse {
            variability: found.variability,
            equinorm: found.equinorm,
            equiangular: found.equiangular,
        });
        Some(Labelled {
            tolerance: tolerance.map(|found| found.value),
            joint: tolerance.map(|found| found.joint),
            collapse: collapse
                .map_err(|problem| format!("the classes {problem}"))
                .into(),
        })
    }
}

#[derive(Default)]
struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

fn check_labels(plan: &Plan, labels: Option<&ClassLabels>, samples: usize) -> Result<(), LabError> {
    match labels {
        Some(labels) if labels.labels.len() != samples => Err(DataError::LengthMismatch {
            file: plan.embeddings.clone(),
            samples,
            labels_file: plan.labels.clone().unwrap_or_default(),
            labels: labels.labels.len(),
        }
        .into()),
        _ => Ok(()),
    }
}

/// The file of the other view, which must be of the same shape.
fn other_view<'a>(plan: &'a Plan, rows: &NpyRows) -> Result<Option<(&'a Path, NpyRows)>, LabError> {
    let Some(path) = &plan.views else {
        return Ok(None);
    };
    let views = NpyRows::open(path, plan.memory_limit)?;
    let (own, other) = ((rows.samples(), rows.width()), (views.samples(), views.width()));
    if own == other {
        return Ok(Some((path, views)));
    }
    Err(LabError::Plan(format!(
        "{}: has shape [{}, {}]; another view of {} has its shape, [{}, {}]",
        path.display(),
        other.0,
        other.1,
        plan.embeddings.display(),
        own.0,
        own.1
    )))
}

fn check_finite(path: &Path, values: &[f64], width: usize, before: usize) -> Result<(), LabError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => Err(LabError::Embeddings {
            file: path.to_owned(),
            problem: DiagnosticError::NotFinite {
                row: before + at / width + 1,
                column: at % width + 1,
                value: values[at],
            },
        }),
    }
}

/// At most `count` of the samples by chance, in their order.
fn chosen(samples: usize, count: usize, seed: u64) -> Vec<usize> {
    let mut all: Vec<usize> = (0..samples).collect();
    if samples > count {
        Stream::new(seed, "diagnosed pairs", 0).shuffle(&mut all);
        all.truncate(count);
        all.sort_unstable();
    }
    all
}
