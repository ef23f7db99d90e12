//! Batches as plain numbers, definitions by looking at everything, and losses of all settings.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use thalweg_kernels::random::Stream;

use super::super::*;
use crate::Reduction;
use crate::classification::rowwise::tests::value_and_gradient;

pub const DISTANCES: [Similarity; 4] = [
    Similarity::Euclidean,
    Similarity::SquaredEuclidean,
    Similarity::Chord,
    Similarity::Cosine,
];
pub const MININGS: [Mining; 3] = [Mining::All, Mining::Hard, Mining::SemiHard];

/// A batch as plain numbers.
#[derive(Clone, Debug)]
pub struct Batch {
    pub rows: Vec<Vec<f64>>,
    pub labels: Vec<i64>,
}

impl Batch {
    /// Rows of three classes, two of them rare.
    pub fn random(count: usize, width: usize, seed: u64) -> Self {
        let mut stream = Stream::new(seed, "batch", 0);
        let mut draw = || stream.uniform() - 0.5;
        let rows = (0..count).map(|_| (0..width).map(|_| 2.0 * draw()).collect());
        let rows = rows.collect();
        let labels = (0..count).map(|_| match draw() {
            d if d < -0.3 => 7,
            d if d < 0.0 => -2,
            _ => 3,
        });
        Self {
            rows,
            labels: labels.collect(),
        }
    }

    pub fn tensor(&self, dtype: DType) -> Tensor<2> {
        let shape = [self.rows.len(), self.rows[0].len()];
        Tensor::from_data(
            TensorData::new(self.rows.concat(), shape),
            (&Device::flex(), dtype),
        )
    }

    pub fn labels(&self) -> Tensor<1, Int> {
        Tensor::from_ints(self.labels.as_slice(), &Device::flex())
    }

    pub fn reordered(&self, places: &[usize]) -> Self {
        Self {
            rows: places.iter().map(|&at| self.rows[at].clone()).collect(),
            labels: places.iter().map(|&at| self.labels[at]).collect(),
        }
    }

    pub fn distance(&self, similarity: Similarity, i: usize, j: usize) -> f64 {
        let length = |row: &[f64]| row.iter().map(|x| x * x).sum::<f64>().sqrt();
        let unit = |row: &[f64]| row.iter().map(|x| x / length(row)).collect::<Vec<f64>>();
        let gap = |a: &[f64], b: &[f64]| length(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>());
        let (a, b) = (&self.rows[i], &self.rows[j]);
        match similarity {
            Similarity::Euclidean => gap(a, b),
            Similarity::SquaredEuclidean => gap(a, b).powi(2),
            Similarity::Chord => gap(&unit(a), &unit(b)),
            Similarity::Cosine => 1.0 - self.dot(&unit(a), &unit(b)),
            Similarity::Dot => -self.dot(a, b),
        }
    }

    pub fn dot(&self, a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    pub fn others(&self, anchor: usize, alike: bool) -> Vec<usize> {
        let all = 0..self.rows.len();
        all.filter(|&at| at != anchor && (self.labels[at] == self.labels[anchor]) == alike)
            .collect()
    }

    /// The triplets that are mined, by looking at every one.
    pub fn triplets(&self, mining: Mining, similarity: Similarity) -> Vec<[usize; 3]> {
        let mut all = Vec::new();
        for a in 0..self.rows.len() {
            for p in self.others(a, true) {
                all.extend(self.others(a, false).into_iter().map(|n| [a, p, n]));
            }
        }
        let d = |i, j| self.distance(similarity, i, j);
        all.iter()
            .copied()
            .filter(|&[a, p, n]| {
                let mut of_anchor = all.iter().filter(|other| other[0] == a);
                match mining {
                    Mining::All => true,
                    Mining::Hard => of_anchor.all(|&[_, q, m]| d(a, q) <= d(a, p) && d(a, m) >= d(a, n)),
                    Mining::SemiHard => {
                        let beyond = |m| d(a, m) > d(a, p);
                        beyond(n) && of_anchor.all(|&[_, _, m]| !beyond(m) || d(a, m) >= d(a, n))
                    }
                }
            })
            .collect()
    }
}

pub fn mean(terms: &[f64], over: MeanOver) -> f64 {
    let count = match over {
        MeanOver::All => terms.len(),
        MeanOver::NonZero => terms.iter().filter(|term| **term != 0.0).count(),
    };
    terms.iter().sum::<f64>() / count.max(1) as f64
}

pub type Forward = Box<dyn Fn(Tensor<2>, Tensor<1, Int>) -> Tensor<1>>;

pub fn triplet(mining: Mining, similarity: Similarity, mean_over: MeanOver, reduction: Reduction) -> Forward {
    let config = TripletMarginLossConfig::new()
        .with_mining(mining)
        .with_similarity(similarity)
        .with_mean_over(mean_over)
        .with_reduction(reduction);
    let loss = config.init().unwrap();
    Box::new(move |x, labels| loss.forward(x, labels))
}

pub fn pair(hinge: Hinge, similarity: Similarity, mean_over: MeanOver, reduction: Reduction) -> Forward {
    let config = ContrastivePairLossConfig::new()
        .with_positive_margin(0.3)
        .with_hinge(hinge)
        .with_similarity(similarity)
        .with_mean_over(mean_over)
        .with_reduction(reduction);
    let loss = config.init().unwrap();
    Box::new(move |x, labels| loss.forward(x, labels))
}

pub fn circle(reduction: Reduction) -> Forward {
    let config = CircleLossConfig::new().with_gamma(5.0).with_reduction(reduction);
    let loss = config.init().unwrap();
    Box::new(move |x, labels| loss.forward(x, labels))
}

pub fn multi_similarity(mining: PairMining, reduction: Reduction) -> Forward {
    let config = MultiSimilarityLossConfig::new()
        .with_beta(8.0)
        .with_mining(mining)
        .with_reduction(reduction);
    let loss = config.init().unwrap();
    Box::new(move |x, labels| loss.forward(x, labels))
}

pub fn n_pairs(similarity: Similarity) -> Forward {
    let loss = NPairsLossConfig::new()
        .with_similarity(similarity)
        .with_regularization(0.1);
    let loss = loss.init().unwrap();
    Box::new(move |x, labels| loss.forward(x, labels))
}

/// Those that see all embeddings of a batch alike.
pub fn of_all_embeddings(reduction: Reduction) -> Vec<Forward> {
    let mut losses = vec![circle(reduction)];
    for epsilon in [0.1, -0.2] {
        losses.push(multi_similarity(PairMining::Within { epsilon }, reduction));
    }
    losses.push(multi_similarity(PairMining::None, reduction));
    for similarity in DISTANCES {
        for mean_over in [MeanOver::NonZero, MeanOver::All] {
            losses.extend(MININGS.map(|mining| triplet(mining, similarity, mean_over, reduction)));
            for hinge in [Hinge::Linear, Hinge::Squared] {
                losses.push(pair(hinge, similarity, mean_over, reduction));
            }
        }
    }
    losses
}

pub fn every_loss() -> Vec<Forward> {
    let mut losses = of_all_embeddings(Reduction::Mean);
    losses.extend([Similarity::Dot, Similarity::Cosine, Similarity::Euclidean].map(n_pairs));
    losses
}

pub fn number(loss: &Forward, batch: &Batch) -> f64 {
    loss(batch.tensor(DType::F64), batch.labels()).into_scalar::<f64>()
}

pub fn with_gradient(loss: &Forward, batch: &Batch, dtype: DType) -> (f64, Vec<f64>) {
    let labels = batch.labels();
    let (value, gradient) = value_and_gradient(&batch.tensor(dtype), |x| loss(x, labels.clone()));
    (value[0], gradient)
}

pub fn assert_close(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-10 * (1.0 + expected.abs()),
        "{found}, expected {expected}"
    );
}
