//! Sums of embeddings by class, streamed: from them tolerance follows exactly, and with the second moments of all
//! embeddings two of the measures of neural collapse.

use thalweg_kernels::real::Real;

use super::{DiagnosticError, Moments, Tolerance};
use crate::distillation::{CollapseError, collapse_of_means};

/// Sums of the rows of each class.
#[derive(Clone, Debug)]
pub struct ClassSums {
    width: usize,
    counts: Vec<usize>,
    /// `[classes, width]`.
    sums: Vec<f64>,
    /// Sum of the squared lengths of all rows.
    squares: f64,
}

/// How far features have collapsed, without a head to compare them with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeatureCollapse {
    /// NC1, `tr(Σ_W Σ_B⁺)/K`.
    pub variability: f64,
    /// NC2, lengths.
    pub equinorm: f64,
    /// NC2, angles.
    pub equiangular: f64,
}

impl ClassSums {
    /// Of embeddings of so many features.
    pub fn new(width: usize) -> Self {
        Self {
            width,
            counts: Vec::new(),
            sums: Vec::new(),
            squares: 0.0,
        }
    }

    /// Takes further rows in, with a label each.
    ///
    /// # Errors
    /// When there are fewer or more labels than rows.
    pub fn push<F: Real>(&mut self, rows: &[F], labels: &[u32]) -> Result<(), DiagnosticError> {
        if rows.len() != labels.len() * self.width {
            return Err(DiagnosticError::Count {
                found: labels.len(),
                expected: rows.len() / self.width,
            });
        }
        for (row, &label) in rows.chunks_exact(self.width).zip(labels) {
            let label = label as usize;
            if label >= self.counts.len() {
                self.counts.resize(label + 1, 0);
                self.sums.resize((label + 1) * self.width, 0.0);
            }
            self.counts[label] += 1;
            let sums = &mut self.sums[label * self.width..(label + 1) * self.width];
            for (sum, value) in sums.iter_mut().zip(row) {
                let value = value.to_f64();
                *sum += value;
                self.squares += value * value;
            }
        }
        Ok(())
    }

    /// The tolerance of all rows: `(Σ_k |s_k|² − Σ_i |x_i|²)` over the number of pairs.
    ///
    /// # Errors
    /// When no two rows are of the same class.
    pub fn tolerance(&self) -> Result<Tolerance, DiagnosticError> {
        let of_sums: f64 = self.sums.iter().map(|sum| sum * sum).sum();
        let pairs = |count: usize| count as f64 * count.saturating_sub(1) as f64;
        let same: f64 = self.counts.iter().map(|&count| pairs(count)).sum();
        if same == 0.0 {
            return Err(DiagnosticError::NoPair);
        }
        let total = of_sums - self.squares;
        Ok(Tolerance {
            value: total / same,
            joint: total / pairs(self.counts.iter().sum()),
        })
    }

    /// NC1 and NC2 of the same rows as `moments`. What varies within classes is what varies in all less what varies between
    /// them: an NC1 below 1e-14 is rounding.
    ///
    /// # Errors
    /// When there are fewer than two classes, one has no sample or all means are equal.
    pub fn collapse(&self, moments: &Moments) -> Result<FeatureCollapse, CollapseError> {
        if self.counts.len() < 2 {
            return Err(CollapseError::TooFewClasses(self.counts.len()));
        }
        if let Some(empty) = self.counts.iter().position(|&count| count == 0) {
            return Err(CollapseError::EmptyClass(empty));
        }
        let rows = self.sums.chunks_exact(self.width).zip(&self.counts);
        let centred: Vec<f64> = rows
            .flat_map(|(sums, &count)| {
                let share = 1.0 / count as f64;
                sums.iter()
                    .zip(moments.mean())
                    .map(move |(sum, mean)| share * sum - mean)
            })
            .collect();
        let between = |direction: &[f64]| -> f64 {
            let means = centred.chunks_exact(self.width).zip(&self.counts);
            let along = |mean: &[f64]| mean.iter().zip(direction).map(|(m, d)| m * d).sum::<f64>();
            means
                .map(|(mean, &count)| count as f64 * along(mean).powi(2))
                .sum()
        };
        let within = |direction: &[f64]| (moments.scatter_along(direction) - between(direction)).max(0.0);
        let size = self.squares.sqrt();
        let [variability, equinorm, equiangular] =
            collapse_of_means(&centred, self.width, size, moments.samples(), within)?;
        Ok(FeatureCollapse {
            variability,
            equinorm,
            equiangular,
        })
    }
}

#[cfg(test)]
mod tests {
    use thalweg_kernels::random::Stream;

    use super::*;
    use crate::diagnostics::Gram;
    use crate::distillation::neural_collapse;

    #[test]
    fn collapse_is_that_of_the_rows() {
        for (samples, width) in [(60, 5), (1500, 7), (12, 20)] {
            let mut stream = Stream::new(samples as u64, "collapse", 0);
            let labels: Vec<u32> = (0..samples as u32).map(|i| i * i % 7 % 3).collect();
            let rows: Vec<f64> = (0..samples * width)
                .map(|at| 1.0 + f64::from(labels[at / width] * (at % 3) as u32) + 0.3 * stream.uniform())
                .collect();
            let (mut sums, mut gram) = (ClassSums::new(width), Gram::new(width));
            sums.push(&rows, &labels).unwrap();
            gram.push(&rows).unwrap();
            let found = sums.collapse(&gram.finish().unwrap()).unwrap();
            let classes = 1 + *labels.iter().max().unwrap() as usize;
            let labels: Vec<usize> = labels.iter().map(|&label| label as usize).collect();
            let expected = neural_collapse(&rows, &labels, &vec![1.0; classes * width], classes).unwrap();
            let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9 * b.abs() + 1e-12, "{a}, {b}");
            close(found.variability, expected.variability);
            close(found.equinorm, expected.equinorm);
            close(found.equiangular, expected.equiangular);
        }
    }

    #[test]
    fn classes_without_samples_are_named() {
        let mut gram = Gram::new(1);
        gram.push(&[1.0, 2.0]).unwrap();
        let moments = gram.finish().unwrap();
        let collapse = |labels: &[u32]| {
            let mut sums = ClassSums::new(1);
            sums.push(&[1.0, 2.0], labels).unwrap();
            sums.collapse(&moments)
        };
        assert_eq!(collapse(&[0, 0]), Err(CollapseError::TooFewClasses(1)));
        assert_eq!(collapse(&[0, 2]), Err(CollapseError::EmptyClass(1)));
        assert!(collapse(&[0, 1]).is_ok());
    }
}
