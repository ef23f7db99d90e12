//! Temperature scaling: `softmax(z/T)` with the one T that minimises the mean negative log-likelihood.
//!
//! In `β = 1/T` the likelihood is convex, so its minimum within the range is where the slope `Σ E_p z − z_y` changes sign;
//! Newton's method within that bracket finds it to machine precision.
//!
//! Source: Guo, Pleiss, Sun, Weinberger, ICML 2017.

use serde::{Deserialize, Serialize};

use super::Logits;
use super::logits::{softmax, top};
use crate::quantity::{Outputs, Quantity};

/// A single temperature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemperatureScaling {
    /// What logits are divided by.
    pub temperature: f64,
}

impl TemperatureScaling {
    /// Temperatures that are looked at. The ends stand for "the less, the better" (every prediction is right) and "the
    /// more, the better".
    pub const RANGE: (f64, f64) = (0.05, 50.0);

    /// The temperature of the highest likelihood within [`RANGE`](Self::RANGE); 1 where the likelihood does not depend on
    /// it.
    ///
    /// # Panics
    /// When labels and samples do not go together; see [`Logits::check_labels`].
    pub fn fit(logits: &Logits, labels: &[usize]) -> Self {
        logits.check_labels(labels).expect("labels of these samples");
        let slope = |beta: f64| slope_and_curvature(logits, labels, beta);
        let (mut low, mut high) = (1.0 / Self::RANGE.1, 1.0 / Self::RANGE.0);
        let ends = (slope(low)[0], slope(high)[0]);
        let at = |beta: f64| Self {
            temperature: (1.0 / beta).clamp(Self::RANGE.0, Self::RANGE.1),
        };
        match ends {
            (0.0, 0.0) => return at(1.0),
            (first, _) if first >= 0.0 => return at(low),
            (_, last) if last <= 0.0 => return at(high),
            _ => {}
        }
        let mut beta = 1.0_f64;
        for _ in 0..200 {
            let [gradient, curvature] = slope(beta);
            if gradient == 0.0 {
                break;
            }
            if gradient < 0.0 {
                low = beta;
            } else {
                high = beta;
            }
            let newton = beta - gradient / curvature;
            let next = if newton > low && newton < high {
                newton
            } else {
                0.5 * (low + high)
            };
            let moved = (next - beta).abs();
            beta = next;
            if moved <= 4.0 * f64::EPSILON * beta {
                break;
            }
        }
        at(beta)
    }

    /// Mean negative log-likelihood of the labels at this temperature, nats.
    ///
    /// # Panics
    /// When labels and samples do not go together.
    pub fn negative_log_likelihood(&self, logits: &Logits, labels: &[usize]) -> f64 {
        logits.check_labels(labels).expect("labels of these samples");
        let beta = 1.0 / self.temperature;
        let [nll] = logits.mean_of(|sample, row| {
            let max = row[top(row)];
            let sum: f64 = row.iter().map(|z| (beta * (z - max)).exp()).sum();
            [sum.ln() - beta * (row[labels[sample]] - max)]
        });
        nll
    }

    /// `softmax(z/T)`, `[samples, classes]`.
    pub fn probabilities(&self, logits: &Logits) -> Vec<f64> {
        logits.map_rows(|_, row, out| softmax(row, 1.0 / self.temperature, out))
    }
}

/// `mean E_p z − z_y` and `mean Var_p z` with `p = softmax(β z)`.
fn slope_and_curvature(logits: &Logits, labels: &[usize], beta: f64) -> [f64; 2] {
    logits.mean_of(|sample, row| {
        let max = row[top(row)];
        let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
        for z in row {
            let below = z - max;
            let e = (beta * below).exp();
            sum += e;
            first += e * below;
            second += e * below * below;
        }
        let (mean, square) = (first / sum, second / sum);
        [
            mean - (row[labels[sample]] - max),
            (square - mean * mean).max(0.0),
        ]
    })
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "temperature_scaling_fit",
            "the temperature within 0.05 and 50 of the highest likelihood, and the mean negative log-likelihood there",
        )
        .input("logits", "[N, C]")
        .input("labels", "[N]")
        .eval(|case| {
            case.not_empty("logits")?;
            let array = case.array("logits");
            let logits = Logits::new(array.data.clone(), array.shape[1])
                .or_else(|error| case.refuse_input("logits", format!("is refused: {error}")))?;
            let labels = case.class_indices("labels", logits.classes())?;
            let fitted = TemperatureScaling::fit(&logits, &labels);
            let nll = fitted.negative_log_likelihood(&logits, &labels);
            Ok(Outputs::new()
                .with("temperature", fitted.temperature)
                .with("nll", nll))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::logits::tests::random_set;
    use super::*;

    proptest! {
        #[test]
        fn at_the_optimum_the_mean_logit_is_that_of_the_labels(
            seed in any::<u64>(), classes in 2_usize..8, spread in 0.1..20.0_f64
        ) {
            let (logits, labels) = random_set(60, classes, spread, seed);
            let fitted = TemperatureScaling::fit(&logits, &labels);
            let [slope, _] = slope_and_curvature(&logits, &labels, 1.0 / fitted.temperature);
            let (least, most) = TemperatureScaling::RANGE;
            prop_assert!(
                slope.abs() < 1e-10 * spread || fitted.temperature == least || fitted.temperature == most,
                "{slope} at {}", fitted.temperature
            );
            let best = fitted.negative_log_likelihood(&logits, &labels);
            for temperature in [0.05, 0.2, 0.7, 1.0, 1.5, 4.0, 20.0, 50.0, 1.01 * fitted.temperature] {
                let other = TemperatureScaling { temperature: temperature.clamp(least, most) };
                prop_assert!(best <= other.negative_log_likelihood(&logits, &labels) + 1e-12);
            }
        }

        #[test]
        fn predictions_stay(seed in any::<u64>(), temperature in 0.05..50.0_f64) {
            let (logits, _) = random_set(20, 5, 3.0, seed);
            let scaled = TemperatureScaling { temperature }.probabilities(&logits);
            let predicted: Vec<usize> = scaled.chunks(5).map(top).collect();
            prop_assert_eq!(predicted, logits.predicted());
        }
    }

    #[test]
    fn what_cannot_be_improved_ends_at_the_range() {
        let fit = |values: &[f64], labels: &[usize]| {
            TemperatureScaling::fit(&Logits::new(values.to_vec(), 2).unwrap(), labels).temperature
        };
        assert_eq!(fit(&[1.0, 0.0, 0.0, 2.0], &[0, 1]), 0.05, "all are right");
        assert_eq!(fit(&[1.0, 0.0, 0.0, 2.0], &[1, 0]), 50.0, "all are wrong");
        assert_eq!(fit(&[3.0, 3.0], &[1]), 1.0, "nothing depends on it");
        assert!(fit(&[1e4, -1e4, 1e4, -1e4, -1e4, 1e4], &[0, 1, 1]).is_finite());
    }
}
