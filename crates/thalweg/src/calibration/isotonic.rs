//! Isotonic regression, and calibration by it: the probability of each class against the rest is replaced by the
//! non-decreasing function of it that fits best in squares, and rows are normalised. Predictions may change.
//!
//! Pooling of adjacent violators. Between the ends of the pooled blocks values are interpolated linearly, beyond them
//! constant. Source: Zadrozny and Elkan, KDD 2002.

use serde::{Deserialize, Serialize};

use super::Logits;

/// A non-decreasing, piecewise linear function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsotonicRegression {
    /// Places, rising.
    pub x: Vec<f64>,
    /// Values there, never falling.
    pub y: Vec<f64>,
}

struct Block {
    first: f64,
    last: f64,
    sum: f64,
    count: f64,
}

impl Block {
    fn mean(&self) -> f64 {
        self.sum / self.count
    }
}

impl IsotonicRegression {
    /// The non-decreasing function of the least squared error. Equal `x` share a value.
    ///
    /// # Panics
    /// When there are no points, or their numbers differ.
    pub fn fit(x: &[f64], y: &[f64]) -> Self {
        assert!(
            !x.is_empty() && x.len() == y.len(),
            "isotonic regression needs points, as many x as y"
        );
        let mut order: Vec<usize> = (0..x.len()).collect();
        order.sort_by(|&a, &b| x[a].total_cmp(&x[b]));
        let mut blocks: Vec<Block> = Vec::new();
        for tied in order.chunk_by(|&a, &b| x[a] == x[b]) {
            let mut block = Block {
                first: x[tied[0]],
                last: x[tied[0]],
                sum: tied.iter().map(|&i| y[i]).sum(),
                count: tied.len() as f64,
            };
            while let Some(before) = blocks.pop_if(|before| before.mean() >= block.mean()) {
                block.first = before.first;
                block.sum += before.sum;
                block.count += before.count;
            }
            blocks.push(block);
        }
        let (mut places, mut values) = (Vec::new(), Vec::new());
        for block in &blocks {
            for place in [block.first, block.last] {
                if places.last() != Some(&place) {
                    places.push(place);
                    values.push(block.mean());
                }
            }
        }
        Self { x: places, y: values }
    }

    /// The function's value.
    pub fn at(&self, x: f64) -> f64 {
        let after = self.x.partition_point(|&place| place < x);
        if after == 0 {
            return self.y[0];
        }
        let (Some(&right), left) = (self.x.get(after), self.x[after - 1]) else {
            return self.y[self.y.len() - 1];
        };
        let share = (x - left) / (right - left);
        self.y[after - 1] + share * (self.y[after] - self.y[after - 1])
    }
}

/// A function for each class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsotonicCalibration {
    /// By class.
    pub curves: Vec<IsotonicRegression>,
}

impl IsotonicCalibration {
    /// Fits each class against the rest.
    ///
    /// # Panics
    /// When labels and samples do not go together; see [`Logits::check_labels`].
    pub fn fit(logits: &Logits, labels: &[usize]) -> Self {
        logits.check_labels(labels).expect("labels of these samples");
        let (classes, probabilities) = (logits.classes(), logits.probabilities());
        let curves = (0..classes).map(|class| {
            let of_class: Vec<f64> = probabilities
                .iter()
                .skip(class)
                .step_by(classes)
                .copied()
                .collect();
            let is_class = labels.iter().map(|&label| f64::from(u8::from(label == class)));
            IsotonicRegression::fit(&of_class, &is_class.collect::<Vec<_>>())
        });
        Self {
            curves: curves.collect(),
        }
    }

    /// Calibrated probabilities, `[samples, classes]`.
    pub fn probabilities(&self, logits: &Logits) -> Vec<f64> {
        one_against_the_rest(logits, |class, p| self.curves[class].at(p))
    }
}

/// Rows of probabilities calibrated class by class and normalised. Where all of a row become 0, nothing is known of it and
/// the row stays as it was.
pub(super) fn one_against_the_rest(
    logits: &Logits,
    calibrated: impl Fn(usize, f64) -> f64 + Sync,
) -> Vec<f64> {
    logits.map_rows(|_, row, out| {
        super::logits::softmax(row, 1.0, out);
        let values: Vec<f64> = out
            .iter()
            .enumerate()
            .map(|(class, &p)| calibrated(class, p))
            .collect();
        let sum: f64 = values.iter().sum();
        if sum > 0.0 {
            out.iter_mut()
                .zip(values)
                .for_each(|(out, value)| *out = value / sum);
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_never_falls_and_fits_best(points in prop::collection::vec((0_u32..15, 0.0..1.0_f64), 1..40)) {
            let (x, y): (Vec<f64>, Vec<f64>) = points.iter().map(|&(x, y)| (f64::from(x), y)).unzip();
            let fitted = IsotonicRegression::fit(&x, &y);
            prop_assert!(fitted.x.is_sorted_by(|a, b| a < b) && fitted.y.is_sorted());
            // The projection onto a cone: residuals are orthogonal to the fit, and to no non-decreasing function positive.
            let residuals: Vec<f64> = x.iter().zip(&y).map(|(&x, y)| y - fitted.at(x)).collect();
            let along = |f: &dyn Fn(f64) -> f64| residuals.iter().zip(&x).map(|(r, &x)| r * f(x)).sum::<f64>();
            prop_assert!(along(&|x| fitted.at(x)).abs() < 1e-9);
            prop_assert!(along(&|_| 1.0).abs() < 1e-9);
            for step in 0..15 {
                prop_assert!(along(&|x| f64::from(u8::from(x >= f64::from(step)))) < 1e-9);
            }
        }
    }

    #[test]
    fn values_between_and_beyond() {
        let fitted = IsotonicRegression::fit(&[1.0, 2.0, 3.0, 5.0], &[0.0, 0.6, 0.4, 1.0]);
        assert_eq!(fitted.x, [1.0, 2.0, 3.0, 5.0]);
        assert_eq!(fitted.y, [0.0, 0.5, 0.5, 1.0]);
        for (x, y) in [(0.0, 0.0), (1.5, 0.25), (2.5, 0.5), (4.0, 0.75), (9.0, 1.0)] {
            assert_eq!(fitted.at(x), y);
        }
    }

    #[test]
    fn a_row_of_which_nothing_is_known_stays() {
        let logits = Logits::new(vec![2.0, 0.0], 2).unwrap();
        assert_eq!(one_against_the_rest(&logits, |_, _| 0.0), logits.probabilities());
    }
}
