//! The robust loss itself, of given differences h, and its best temperatures.

use burn::tensor::Tensor;
use thalweg_kernels::in_batch::Statistics;

use crate::bridge::{constant, with_gradients};
use crate::classification::rowwise::host_scores;
use crate::config::require;
use crate::quantity::{Array, Case, Outputs, Quantity, QuantityError};

/// The robust loss of one anchor, and what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct RobustTerm {
    /// `τ log mean exp(h/τ) + τρ`.
    pub loss: f64,
    /// The worst case's weights of the negatives, `softmax(h/τ)`: the gradient by h.
    pub weights: Vec<f64>,
    /// Their divergence `KL(p, uniform)`, from 0 to the logarithm of the number of negatives.
    pub divergence: f64,
}

impl RobustTerm {
    /// The derivative by τ, `ρ − KL`, which grows with τ.
    pub fn by_temperature(&self, rho: f64) -> f64 {
        rho - self.divergence
    }
}

/// The robust loss of an anchor with differences h to its negatives.
///
/// # Panics
/// When there are no negatives.
pub fn robust_term(h: &[f64], temperature: f64, rho: f64) -> RobustTerm {
    assert!(!h.is_empty(), "an anchor needs negatives");
    let statistics = Statistics::of(f64::NAN, h.iter().copied(), temperature);
    let count = h.len() as f64;
    RobustTerm {
        loss: statistics.top + temperature * ((statistics.sum / count).ln() + rho),
        weights: h.iter().map(|&h| statistics.share(h, temperature)).collect(),
        divergence: divergence(&statistics, count, temperature),
    }
}

fn divergence(statistics: &Statistics, count: f64, temperature: f64) -> f64 {
    let entropy = statistics.sum.ln() - statistics.moment / (statistics.sum * temperature);
    (count.ln() - entropy).max(0.0)
}

/// The temperature in `[least, most]` at which the robust loss of an anchor is least: where the divergence is ρ, or at an end.
///
/// # Panics
/// When there are no negatives or the range is none.
pub fn optimal_temperature(h: &[f64], rho: f64, [least, most]: [f64; 2]) -> f64 {
    assert!(!h.is_empty(), "an anchor needs negatives");
    assert!(
        0.0 < least && least <= most,
        "{least} to {most} is no range of temperatures"
    );
    let slope = |temperature: f64| {
        let statistics = Statistics::of(f64::NAN, h.iter().copied(), temperature);
        rho - divergence(&statistics, h.len() as f64, temperature)
    };
    if slope(least) >= 0.0 {
        return least;
    }
    if slope(most) <= 0.0 {
        return most;
    }
    let (mut low, mut high) = (least, most);
    // More halvings change no bit.
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if slope(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// Mean robust loss over anchors, of h `[anchors, negatives]` and τ `[anchors]`.
fn mean_loss(h: Tensor<2>, temperatures: Tensor<1>, rho: f64) -> Tensor<1> {
    let [anchors, negatives] = h.dims();
    let (device, dtype) = (h.device(), h.dtype());
    let values = temperatures.clone().into_data().try_into_vec_as::<f64>();
    let values = values.expect("float tensors read as f64");
    let rows = host_scores(&h);
    let share = 1.0 / anchors as f64;
    let (mut total, mut by_h, mut by_temperature) = (0.0, Vec::with_capacity(rows.len()), Vec::new());
    for (row, &temperature) in rows.chunks(negatives).zip(&values) {
        let term = robust_term(row, temperature, rho);
        total += share * term.loss;
        by_temperature.push(share * term.by_temperature(rho));
        by_h.extend(term.weights.iter().map(|weight| share * weight));
    }
    let as_tensor = |values: Vec<f64>, shape| constant::<2, f64>(values, shape, &device, dtype);
    with_gradients(
        constant(vec![total], [1], &device, dtype),
        [
            (h, as_tensor(by_h, [anchors, negatives])),
            (temperatures.unsqueeze(), as_tensor(by_temperature, [1, anchors])),
        ],
    )
}

impl Case<'_> {
    /// A ρ of at least 0.
    pub(super) fn rho(&self) -> Result<f64, QuantityError> {
        let rho = require(
            "isogclr",
            "rho",
            self.param("rho")?,
            "at least 0 and finite",
            |rho| rho >= 0.0 && rho.is_finite(),
        )?;
        Ok(rho)
    }

    /// Differences h with at least one column, finite.
    fn differences(&self) -> Result<&Array, QuantityError> {
        self.embeddings(&["h"])?;
        Ok(self.array("h"))
    }

    /// Temperatures above 0.
    pub(super) fn temperatures(&self, name: &str) -> Result<&[f64], QuantityError> {
        self.finite(name)?;
        let data = &self.array(name).data;
        match data.iter().position(|&temperature| temperature <= 0.0) {
            Some(at) => self.refuse_input(
                name,
                format!("holds {} at index {at}; temperatures are above 0", data[at]),
            ),
            None => Ok(data),
        }
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "robust_global_contrastive_loss",
            "robust contrastive loss with a temperature for each anchor, a mean over anchors, and its gradients",
        )
        .param("rho", 0.4)
        .input("h", "[n, m]")
        .input("tau", "[n]")
        .with_example("tau", vec![0.5, 0.25, 1.0])
        .eval(|case| {
            case.differences()?;
            case.temperatures("tau")?;
            let (h, tau) = (case.variable::<2>("h"), case.variable::<1>("tau"));
            let value = mean_loss(h.clone(), tau.clone(), case.rho()?);
            let outputs = case.loss_value(value.clone());
            let gradients = value.backward();
            Ok(outputs
                .with_gradient("h", &h, &gradients)
                .with_gradient("tau", &tau, &gradients))
        }),
        Quantity::new(
            "rgcl_temperature_gradient",
            "slope of each anchor's robust loss by its temperature, the worst weights and their divergence",
        )
        .param("rho", 0.4)
        .input("h", "[n, m]")
        .input("tau", "[n]")
        .with_example("tau", vec![0.5, 0.25, 1.0])
        .eval(|case| {
            let h = case.differences()?;
            let rho = case.rho()?;
            let rows = h.data.chunks(h.shape[1]).zip(case.temperatures("tau")?);
            let terms: Vec<RobustTerm> = rows.map(|(row, &tau)| robust_term(row, tau, rho)).collect();
            let weights = Array {
                shape: h.shape.clone(),
                data: terms.iter().flat_map(|term| term.weights.clone()).collect(),
            };
            let slopes: Vec<f64> = terms.iter().map(|term| term.by_temperature(rho)).collect();
            let divergences: Vec<f64> = terms.iter().map(|term| term.divergence).collect();
            Ok(Outputs::new()
                .with("grad_tau", slopes)
                .with("dro_weights", weights)
                .with("kl_from_uniform", divergences))
        }),
        Quantity::new(
            "rgcl_optimal_temperature",
            "temperature of least robust loss of each anchor, the mean loss there and the divergences",
        )
        .param("rho", 0.4)
        .param("tau_min", 0.05)
        .param("tau_max", 1.0)
        .input("h", "[n, m]")
        .eval(|case| {
            let h = case.differences()?;
            let rho = case.rho()?;
            let range = case.temperature_range()?;
            let (mut temperatures, mut divergences, mut total) = (Vec::new(), Vec::new(), 0.0);
            for row in h.data.chunks(h.shape[1]) {
                let temperature = optimal_temperature(row, rho, range);
                let term = robust_term(row, temperature, rho);
                temperatures.push(temperature);
                divergences.push(term.divergence);
                total += term.loss;
            }
            Ok(Outputs::new()
                .with("value", total / h.shape[0] as f64)
                .with("tau", temperatures)
                .with("kl_from_uniform", divergences))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn differences() -> impl Strategy<Value = Vec<f64>> {
        proptest::collection::vec(-2.0_f64..2.0, 1..20)
    }

    proptest! {
        #[test]
        fn slopes_are_those_of_the_loss(h in differences(), temperature in 0.05_f64..2.0, rho in 0.0_f64..1.0) {
            let term = robust_term(&h, temperature, rho);
            let at = |temperature: f64| robust_term(&h, temperature, rho).loss;
            let step = 1e-5 * temperature;
            let numeric = (at(temperature + step) - at(temperature - step)) / (2.0 * step);
            prop_assert!((numeric - term.by_temperature(rho)).abs() < 1e-5);
            for j in 0..h.len() {
                let moved = |step: f64| {
                    let mut h = h.clone();
                    h[j] += step;
                    robust_term(&h, temperature, rho).loss
                };
                prop_assert!(((moved(1e-6) - moved(-1e-6)) / 2e-6 - term.weights[j]).abs() < 1e-6);
            }
            prop_assert!(term.divergence <= (h.len() as f64).ln() + 1e-12);
        }

        #[test]
        fn at_the_best_temperature_the_divergence_is_rho(h in differences(), rho in 0.0_f64..3.0) {
            let (least, most) = (0.01, 5.0);
            let best = optimal_temperature(&h, rho, [least, most]);
            let term = robust_term(&h, best, rho);
            if best == least {
                prop_assert!(term.divergence <= rho);
            } else if best == most {
                prop_assert!(term.divergence >= rho);
            } else {
                prop_assert!((term.divergence - rho).abs() < 1e-9);
            }
            for other in [least, 0.1, 1.0, most] {
                prop_assert!(robust_term(&h, other, rho).loss >= term.loss - 1e-12);
            }
            // No divergence exceeds the logarithm of the number of negatives.
            prop_assert!(rho < (h.len() as f64).ln() || best == least);
        }

        #[test]
        fn the_ends_are_mean_and_maximum(h in differences()) {
            let mean = h.iter().sum::<f64>() / h.len() as f64;
            let top = h.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert!((robust_term(&h, 1e7, 0.0).loss - mean).abs() < 1e-6);
            prop_assert!((robust_term(&h, 1e-6, 0.0).loss - top).abs() < 1e-4);
        }
    }

    #[test]
    fn extreme_quotients_stay_finite() {
        let term = robust_term(&[2.0, -2.0, 1.5], 1e-5, 0.1);
        assert!((term.loss - 2.0).abs() < 1e-4 && term.weights[0] == 1.0);
    }
}
