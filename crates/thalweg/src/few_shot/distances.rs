//! Squared distances of all rows to all targets, and the way back from slopes by them to gradients of the rows.

use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::bridge::{constant, with_gradients};
use crate::classification::rowwise::host_scores;

/// Added to a squared distance before its root is taken, so that equal points have a slope.
pub(super) const ROOT_EPSILON: f64 = 1e-6;

/// The mean of each class's support.
///
/// # Shapes
/// - support `[ways·shots, width]`, class after class; returns `[ways, width]`.
///
/// # Panics
/// When the support is no whole number of samples a class.
pub fn class_prototypes(support: Tensor<2>, ways: usize) -> Tensor<2> {
    let [samples, width] = support.dims();
    assert!(
        samples > 0 && ways > 0 && samples.is_multiple_of(ways),
        "{samples} support samples are not as many of each of {ways} classes"
    );
    let shots = samples / ways;
    let sums = support.reshape([ways, shots, width]).sum_dim(1);
    sums.reshape([ways, width]) * (1.0 / shots as f64)
}

/// A value with its slope by each squared distance.
pub(super) struct Sloped {
    pub value: f64,
    pub slopes: Vec<f64>,
}

impl Sloped {
    pub fn flat(distances: &SquaredDistances) -> Self {
        Self {
            value: 0.0,
            slopes: vec![0.0; distances.values.len()],
        }
    }

    pub fn plus(mut self, other: &Self) -> Self {
        self.value += other.value;
        for (slope, more) in self.slopes.iter_mut().zip(&other.slopes) {
            *slope += more;
        }
        self
    }
}

struct Points {
    tensor: Tensor<2>,
    rows: Vec<f64>,
}

impl Points {
    fn new(tensor: Tensor<2>) -> Self {
        let rows = host_scores(&tensor);
        Self { tensor, rows }
    }

    fn len(&self) -> usize {
        self.tensor.dims()[0]
    }
}

/// `‖x_i − t_j‖²` of rows x and targets t, which may be the rows themselves.
pub(super) struct SquaredDistances {
    points: Points,
    targets: Option<Points>,
    width: usize,
    values: Vec<f64>,
}

impl SquaredDistances {
    pub fn between(rows: Tensor<2>, targets: Tensor<2>) -> Self {
        Self::new(Points::new(rows), Some(Points::new(targets)))
    }

    pub fn within(rows: Tensor<2>) -> Self {
        Self::new(Points::new(rows), None)
    }

    fn new(points: Points, targets: Option<Points>) -> Self {
        let others = targets.as_ref().unwrap_or(&points);
        let [count, width] = points.tensor.dims();
        assert_eq!(
            others.tensor.dims()[1],
            width,
            "embeddings differ in width: {width} and {}",
            others.tensor.dims()[1]
        );
        assert!(
            count > 0 && width > 0 && others.len() > 0,
            "distances need points on both sides, of one number or more"
        );
        let mut values = vec![0.0; count * others.len()];
        values
            .par_chunks_mut(others.len())
            .zip(points.rows.par_chunks(width))
            .for_each(|(values, row)| {
                for (value, target) in values.iter_mut().zip(others.rows.chunks_exact(width)) {
                    *value = squared_distance(row, target);
                }
            });
        Self {
            points,
            targets,
            width,
            values,
        }
    }

    /// Number of targets.
    pub fn targets(&self) -> usize {
        self.targets.as_ref().unwrap_or(&self.points).len()
    }

    /// Whether the targets are the rows themselves.
    pub fn are_within(&self) -> bool {
        self.targets.is_none()
    }

    /// Whether all are numbers, and not beyond the largest.
    pub fn are_finite(&self) -> bool {
        self.values.iter().all(|square| square.is_finite())
    }

    /// The distances of each row.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.values.chunks_exact(self.targets())
    }

    /// A loss `[1]` of these distances, with its gradients; NaN where a distance is no number.
    pub fn loss(&self, found: &Sloped) -> Tensor<1> {
        let (device, dtype) = (self.points.tensor.device(), self.points.tensor.dtype());
        let defined = self.are_finite();
        let value = if defined { found.value } else { f64::NAN };
        let value = constant(vec![value], [1], &device, dtype);
        let (mut of_rows, of_targets) = if defined {
            self.gradients(&found.slopes)
        } else {
            let undefined = |points: &Points| vec![f64::NAN; points.rows.len()];
            (
                undefined(&self.points),
                undefined(self.targets.as_ref().unwrap_or(&self.points)),
            )
        };
        let gradient = |points: &Points, values: Vec<f64>| {
            let shape = points.tensor.dims();
            let gradient = constant::<2, f64>(values, shape, &device, dtype);
            (points.tensor.clone(), gradient)
        };
        match &self.targets {
            Some(targets) => with_gradients(
                value,
                [gradient(&self.points, of_rows), gradient(targets, of_targets)],
            ),
            None => {
                of_rows.iter_mut().zip(of_targets).for_each(|(a, b)| *a += b);
                with_gradients(value, [gradient(&self.points, of_rows)])
            }
        }
    }

    /// `Σ_j 2 w_ij (x_i − t_j)` of each row, and `−Σ_i 2 w_ij (x_i − t_j)` of each target.
    fn gradients(&self, slopes: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let targets = self.targets.as_ref().unwrap_or(&self.points);
        let mut of_rows = vec![0.0; self.points.rows.len()];
        let mut of_targets = vec![0.0; targets.rows.len()];
        let rows = self.points.rows.chunks_exact(self.width);
        let slopes = slopes.chunks_exact(targets.len());
        for ((row, of_row), slopes) in rows.zip(of_rows.chunks_exact_mut(self.width)).zip(slopes) {
            let pairs = targets.rows.chunks_exact(self.width);
            let pairs = pairs.zip(of_targets.chunks_exact_mut(self.width));
            for ((target, of_target), slope) in pairs.zip(slopes) {
                if *slope == 0.0 {
                    continue;
                }
                let numbers = row.iter().zip(target).zip(of_row.iter_mut().zip(of_target));
                for ((x, t), (of_x, of_t)) in numbers {
                    let part = 2.0 * slope * (x - t);
                    *of_x += part;
                    *of_t -= part;
                }
            }
        }
        (of_rows, of_targets)
    }
}

/// In four sums, so that one addition need not wait for the last.
fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (wide_a, rest_a) = a.as_chunks::<4>();
    let (wide_b, rest_b) = b.as_chunks::<4>();
    for (a, b) in wide_a.iter().zip(wide_b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += (a - b) * (a - b);
        }
    }
    let rest: f64 = rest_a.iter().zip(rest_b).map(|(a, b)| (a - b) * (a - b)).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}
