//! Targets that a trial knows as means of bags: how bags are formed, and what their means are of.

use serde::{Deserialize, Serialize};
use thalweg::aggregate::{Bags, PointLoss};
use thalweg_data::split::{self, Fractions, Split};
use thalweg_data::{DataError, Dataset};
use thalweg_kernels::random::Stream;

use super::data::DataSpec;

/// Which samples make a bag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BagForming {
    /// Those that the bag column of the data says; a split keeps bags whole.
    Column,
    /// So many at random, within each part of the split; a last bag may be larger.
    Random(usize),
}

/// The bags of a part of the data.
#[derive(Clone, Debug)]
pub struct PartBags {
    /// The bag of each sample of the part.
    pub bags: Bags,
    /// Mean target of each bag `[bags, columns]`, in the units of the data.
    pub means: Vec<f64>,
}

/// What means are of, and how predictions are compared with them.
#[derive(Clone, Copy, Debug)]
pub struct Responses {
    /// Numbers of a target: one for each class, or 1.
    pub columns: usize,
    /// How predictions are compared.
    pub point_loss: PointLoss,
    /// What targets are shifted by in training, where they are compared by squares.
    centre: f64,
    /// What they are divided by.
    scale: f64,
}

impl Responses {
    /// Of a data set, scaled by the bag means to train on.
    pub(super) fn of(dataset: &Dataset, train: &PartBags) -> Self {
        let plain = |columns, point_loss| Self {
            columns,
            point_loss,
            centre: 0.0,
            scale: 1.0,
        };
        match &dataset.numbers {
            None => plain(dataset.classes.len(), PointLoss::CrossEntropy),
            Some(numbers) if numbers.are_shares() => plain(1, PointLoss::CrossEntropy),
            Some(_) => {
                let count = train.means.len() as f64;
                let centre = train.means.iter().sum::<f64>() / count;
                let squares = train.means.iter().map(|mean| (mean - centre).powi(2));
                let deviation = (squares.sum::<f64>() / count).sqrt();
                Self {
                    centre,
                    scale: if deviation > 0.0 { deviation } else { 1.0 },
                    ..plain(1, PointLoss::Squared)
                }
            }
        }
    }

    /// A target as trained on.
    pub fn scaled(&self, target: f64) -> f64 {
        (target - self.centre) / self.scale
    }

    /// What scores `[samples, columns]` predict, in the units of the data: shares, or numbers.
    pub fn predictions(&self, scores: &[f32]) -> Vec<f64> {
        let rows = scores.chunks_exact(self.columns);
        match (self.point_loss, self.columns) {
            (PointLoss::Squared, _) => scores
                .iter()
                .map(|&score| self.centre + self.scale * f64::from(score))
                .collect(),
            (PointLoss::CrossEntropy, 1) => scores
                .iter()
                .map(|&score| (1.0 + (-f64::from(score)).exp()).recip())
                .collect(),
            (PointLoss::CrossEntropy, _) => rows.flat_map(softmax).collect(),
        }
    }
}

fn softmax(row: &[f32]) -> Vec<f64> {
    let largest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let exponentials: Vec<f64> = row
        .iter()
        .map(|&score| (f64::from(score) - largest).exp())
        .collect();
    let total: f64 = exponentials.iter().sum();
    exponentials.into_iter().map(|value| value / total).collect()
}

/// The parts of a data set in bags: sample numbers, and the bag of each.
pub(super) struct Parts {
    pub(super) split: Split,
    pub(super) bags: [Option<Bags>; 3],
}

/// Splits by whole bags where a column tells them, by samples where bags are formed at random.
pub(super) fn split(
    dataset: &Dataset,
    spec: &DataSpec,
    forming: BagForming,
    seed: u64,
) -> Result<Parts, DataError> {
    let split = match (forming, &dataset.bags) {
        (BagForming::Column, Some(column)) => {
            let of_bags = in_two(column.names.len(), spec, seed)?;
            let samples = |chosen: &[usize]| -> Vec<usize> {
                let mut wanted = vec![false; column.names.len()];
                chosen.iter().for_each(|&bag| wanted[bag] = true);
                (0..dataset.len())
                    .filter(|&row| wanted[column.index[row] as usize])
                    .collect()
            };
            Split {
                train: samples(&of_bags.train),
                validation: samples(&of_bags.validation),
                test: samples(&of_bags.test),
            }
        }
        _ => in_two(dataset.len(), spec, seed)?,
    };
    let parts = [&split.train, &split.validation, &split.test];
    let bags = std::array::from_fn(|part| {
        let rows = parts[part];
        let index = match (forming, &dataset.bags) {
            (BagForming::Column, Some(column)) => {
                renumbered(rows.iter().map(|&row| column.index[row]), column.names.len())
            }
            (BagForming::Random(size), _) => at_random(rows.len(), size, seed, part),
            (BagForming::Column, None) => (0..rows.len()).collect(),
        };
        Bags::new(index).ok()
    });
    Ok(Parts { split, bags })
}

/// The test part under the seed that all trials share, the validation part of the rest under the trial's.
fn in_two(count: usize, spec: &DataSpec, seed: u64) -> Result<Split, DataError> {
    let held_out = split::random(
        count,
        Fractions {
            validation: 0.0,
            test: spec.test_fraction,
        },
        spec.test_seed,
    )?;
    let inner = split::random(
        held_out.train.len(),
        Fractions {
            validation: spec.validation_fraction,
            test: 0.0,
        },
        seed,
    )?;
    let outer = |inner: Vec<usize>| inner.into_iter().map(|at| held_out.train[at]).collect();
    Ok(Split {
        train: outer(inner.train),
        validation: outer(inner.validation),
        test: held_out.test,
    })
}

/// Numbers from 0 on in the order of first appearance.
fn renumbered(bags: impl Iterator<Item = u32>, count: usize) -> Vec<usize> {
    let mut numbers = vec![None; count];
    let mut next = 0;
    bags.map(|bag| {
        *numbers[bag as usize].get_or_insert_with(|| {
            next += 1;
            next - 1
        })
    })
    .collect()
}

fn at_random(samples: usize, size: usize, seed: u64, part: usize) -> Vec<usize> {
    let bags = (samples / size).max(1);
    let mut index: Vec<usize> = (0..samples).map(|sample| (sample / size).min(bags - 1)).collect();
    Stream::new(seed, "bags", part as u64).shuffle(&mut index);
    index
}

/// Means of the targets of samples over their bags.
pub(super) fn means(dataset: &Dataset, rows: &[usize], bags: Bags) -> PartBags {
    let means = match &dataset.numbers {
        Some(numbers) => {
            let targets: Vec<f64> = rows.iter().map(|&row| numbers.values[row]).collect();
            bags.means(&targets, 1)
        }
        None => {
            let classes = dataset.classes.len();
            let mut targets = vec![0.0; rows.len() * classes];
            for (row, target) in rows.iter().zip(targets.chunks_exact_mut(classes)) {
                target[dataset.labels[*row] as usize] = 1.0;
            }
            bags.means(&targets, classes)
        }
    };
    PartBags { bags, means }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bags_have_their_size_and_a_last_one_takes_the_rest() {
        let bags = Bags::new(at_random(23, 5, 0, 0)).unwrap();
        assert_eq!(bags.sizes(), [5, 5, 5, 8]);
        assert_ne!(at_random(23, 5, 0, 0), at_random(23, 5, 1, 0));
        assert_eq!(at_random(3, 5, 0, 0), [0, 0, 0]);
    }

    #[test]
    fn bags_are_renumbered_as_they_appear() {
        assert_eq!(renumbered([7, 2, 7, 5].into_iter(), 9), [0, 1, 0, 2]);
    }

    #[test]
    fn numbers_are_scaled_for_training_and_back() {
        let dataset = thalweg_data::embedded::diabetes();
        let rows: Vec<usize> = (0..dataset.len()).collect();
        let bags = Bags::new(at_random(rows.len(), 4, 0, 0)).unwrap();
        let train = means(&dataset, &rows, bags);
        let responses = Responses::of(&dataset, &train);
        let scaled: Vec<f64> = train.means.iter().map(|&mean| responses.scaled(mean)).collect();
        assert!(scaled.iter().sum::<f64>().abs() < 1e-9);
        let back = responses.predictions(&[scaled[0] as f32]);
        assert!((back[0] - train.means[0]).abs() < 1e-3);
    }
}
