//! The theory of comp-sum losses as numbers: conditional errors, minimizability gaps and H-consistency bounds.
//!
//! `p` is a conditional distribution over `n >= 2` classes; the hypothesis set is symmetric and complete unless its
//! scores are bounded, `|h_k| <= Λ`. Losses are in units of the loss itself (nats at τ = 1).
//!
//! Source: Mao, Mohri, Zhong, ICML 2023.

mod bounded;
mod transform;

pub use bounded::best_conditional_error_bounded;
pub use transform::{calibration_transform, explicit_upper_bound, h_consistency_bound};

use super::comp_sum::CompSumLossConfig;
use crate::quantity::{Array, Case, Outputs, Quantity, QuantityError};

/// `Φ^τ(u)` for `u >= 0`.
pub fn phi(u: f64, tau: f64) -> f64 {
    phi_of_log1p(u.ln_1p(), tau)
}

/// `Φ^τ(u)` of `log(1+u) = −log q`: also the loss at a softmax value `q`.
fn phi_of_log1p(log1p_u: f64, tau: f64) -> f64 {
    let power = 1.0 - tau;
    if power == 0.0 {
        log1p_u
    } else {
        (power * log1p_u).exp_m1() / power
    }
}

/// The least conditional error `C*` over all scores.
///
/// `((Σ p_y^(1/(2−τ)))^(2−τ) − 1)/(1−τ)` for τ < 2, Shannon's entropy at τ = 1, `(1 − max p)/(τ−1)` for τ >= 2, where
/// it is approached as scores diverge.
pub fn best_conditional_error(probs: &[f64], tau: f64) -> f64 {
    if tau >= 2.0 {
        return (1.0 - probs.iter().copied().fold(0.0, f64::max)) / (tau - 1.0);
    }
    if tau == 1.0 {
        return -probs
            .iter()
            .filter(|&&p| p > 0.0)
            .map(|p| p * p.ln())
            .sum::<f64>();
    }
    let inverse = 2.0 - tau;
    let log_norm = if (tau - 1.0).abs() < 0.5 {
        // Near τ = 1 the norm is near 1: sum the small differences p^(1+a) − p instead.
        let a = (tau - 1.0) / inverse;
        let excess: f64 = probs
            .iter()
            .filter(|&&p| p > 0.0)
            .map(|p| p * (a * p.ln()).exp_m1())
            .sum();
        inverse * (excess + (probs.iter().sum::<f64>() - 1.0)).ln_1p()
    } else {
        let largest = probs.iter().copied().fold(0.0, f64::max).ln();
        let sum: f64 = probs
            .iter()
            .filter(|&&p| p > 0.0)
            .map(|p| ((p.ln() - largest) / inverse).exp())
            .sum();
        largest + inverse * sum.ln()
    };
    log_norm.exp_m1() / (1.0 - tau)
}

/// Where the least conditional error is reached for τ < 2: softmax values proportional to `p_y^(1/(2−τ))`.
pub fn best_conditional_probs(probs: &[f64], tau: f64) -> Vec<f64> {
    let largest = probs.iter().copied().fold(0.0, f64::max);
    let weights: Vec<f64> = probs
        .iter()
        .map(|p| (p / largest).powf(1.0 / (2.0 - tau)))
        .collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

/// `R* − Σ_i w_i C*(p_i)`: how much of the best risk in class is not explained by the points one by one.
pub fn minimizability_gap<'a>(
    best_in_class_risk: f64,
    points: impl Iterator<Item = (&'a [f64], f64)>,
    tau: f64,
) -> f64 {
    best_in_class_risk
        - points
            .map(|(probs, weight)| weight * best_conditional_error(probs, tau))
            .sum::<f64>()
}

/// `Φ^τ(R*_0) − Φ^τ(C*_0)` for deterministic labels and scores bounded by Λ, where `R*_0` is the best risk in class of
/// the sum-exponential loss and `C*_0 = (n−1) e^(−2Λ)`. Non-increasing in τ.
pub fn minimizability_gap_bound(
    best_in_class_risk_tau0: f64,
    tau: f64,
    n_classes: usize,
    score_bound: f64,
) -> f64 {
    let best = (n_classes - 1) as f64 * (-2.0 * score_bound).exp();
    phi(best_in_class_risk_tau0, tau) - phi(best, tau)
}

fn tau(case: &Case) -> Result<f64, QuantityError> {
    let tau = case.param("tau")?;
    CompSumLossConfig::new().with_tau(tau).init()?;
    Ok(tau)
}

fn score_bound(case: &Case) -> Result<f64, QuantityError> {
    let bound = case.param("score_bound")?;
    if bound > 0.0 && bound.is_finite() {
        return Ok(bound);
    }
    Err(QuantityError::Parameter {
        name: "score_bound".to_owned(),
        found: bound.to_string(),
        accepted: "above 0 and finite".to_owned(),
    })
}

/// Rows of `probs`, each a distribution over at least two classes.
fn distributions<'a>(case: &'a Case) -> Result<std::slice::ChunksExact<'a, f64>, QuantityError> {
    let Array { shape, data } = case.array("probs");
    if shape[1] < 2 {
        return case.refuse_input(
            "probs",
            format!("has {} columns; at least 2 classes are needed", shape[1]),
        );
    }
    for (row, probs) in data.chunks_exact(shape[1]).enumerate() {
        let total: f64 = probs.iter().sum();
        if probs.iter().any(|&p| p < 0.0) || (total - 1.0).abs() > 1e-6 {
            return case.refuse_input(
                "probs",
                format!("row {row} is no distribution: its sum is {total}"),
            );
        }
    }
    Ok(data.chunks_exact(shape[1]))
}

fn non_negative<'a>(case: &'a Case, name: &str, most: f64) -> Result<&'a [f64], QuantityError> {
    let data = &case.array(name).data;
    match data.iter().position(|&x| !(0.0..=most).contains(&x)) {
        Some(at) => case.refuse_input(
            name,
            format!("holds {} at index {at}; it must be in [0, {most}]", data[at]),
        ),
        None => Ok(data),
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "comp_sum_best_conditional_error",
            "least conditional error over all scores, and where it is",
        )
        .param("tau", 1.0)
        .input("probs", "[N, C]")
        .eval(|case| {
            let tau = tau(case)?;
            let rows = distributions(case)?;
            let value: Vec<f64> = rows
                .clone()
                .map(|probs| best_conditional_error(probs, tau))
                .collect();
            let outputs = Outputs::new().with("value", value);
            if tau >= 2.0 {
                return Ok(outputs);
            }
            let data = rows
                .flat_map(|probs| best_conditional_probs(probs, tau))
                .collect();
            let shape = case.array("probs").shape.clone();
            Ok(outputs.with("minimizer_probs", Array { shape, data }))
        }),
        Quantity::new(
            "comp_sum_best_conditional_error_bounded",
            "least conditional error over scores in [−Λ, Λ]",
        )
        .param("tau", 1.0)
        .required_param("score_bound")
        .input("probs", "[N, C]")
        .eval(|case| {
            let (tau, bound) = (tau(case)?, score_bound(case)?);
            let value: Vec<f64> = distributions(case)?
                .map(|probs| best_conditional_error_bounded(probs, tau, bound))
                .collect();
            Ok(Outputs::new().with("value", value))
        }),
        Quantity::new(
            "comp_sum_minimizability_gap",
            "best risk in class less the mean least conditional error",
        )
        .param("tau", 1.0)
        .input("best_in_class_risk", "number")
        .input("probs", "[N, C]")
        .input("weights", "[N]")
        .eval(|case| {
            let tau = tau(case)?;
            let weights = non_negative(case, "weights", f64::INFINITY)?.iter().copied();
            let points = distributions(case)?.zip(weights);
            let gap = minimizability_gap(case.number("best_in_class_risk"), points, tau);
            Ok(Outputs::new().with("value", gap))
        }),
        Quantity::new(
            "comp_sum_minimizability_gap_bound_deterministic",
            "bound of the minimizability gap for deterministic labels and bounded scores",
        )
        .param("tau", 1.0)
        .required_param("n_classes")
        .required_param("score_bound")
        .input("best_in_class_risk_tau0", "number")
        .eval(|case| {
            let (tau, classes, bound) = (tau(case)?, case.count("n_classes", 2)?, score_bound(case)?);
            let risk = case.number("best_in_class_risk_tau0");
            if risk < 0.0 {
                return case.refuse_input(
                    "best_in_class_risk_tau0",
                    format!("is {risk}; a risk is at least 0"),
                );
            }
            Ok(Outputs::new().with("value", minimizability_gap_bound(risk, tau, classes, bound)))
        }),
        Quantity::new(
            "comp_sum_calibration_transform",
            "calibration transform T, the least surrogate gap at a 0-1 gap β",
        )
        .param("tau", 1.0)
        .required_param("n_classes")
        .input("beta", "[M]")
        .eval(|case| {
            let (tau, classes) = (tau(case)?, case.count("n_classes", 2)?);
            let beta = non_negative(case, "beta", 1.0)?;
            let value: Vec<f64> = beta
                .iter()
                .map(|&b| calibration_transform(b, tau, classes))
                .collect();
            Ok(Outputs::new().with("value", value))
        }),
        Quantity::new(
            "comp_sum_h_consistency_bound",
            "bound Γ of the 0-1 gap by the surrogate gap, and its closed form",
        )
        .param("tau", 1.0)
        .required_param("n_classes")
        .input("surrogate_gap", "[M]")
        .eval(|case| {
            let (tau, classes) = (tau(case)?, case.count("n_classes", 2)?);
            let gap = non_negative(case, "surrogate_gap", f64::INFINITY)?;
            let value: Vec<f64> = gap
                .iter()
                .map(|&t| h_consistency_bound(t, tau, classes))
                .collect();
            let explicit: Vec<f64> = gap
                .iter()
                .map(|&t| explicit_upper_bound(t, tau, classes))
                .collect();
            Ok(Outputs::new()
                .with("value", value)
                .with("explicit_upper_bound", explicit))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thalweg_kernels::random::Stream;

    use super::*;

    pub(super) fn random_distribution(stream: &mut Stream, classes: usize) -> Vec<f64> {
        let weights: Vec<f64> = (0..classes).map(|_| -(1.0 - stream.uniform()).ln()).collect();
        let total: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / total).collect()
    }

    /// `Σ_y p_y ℓ_τ(h, y)`.
    pub(super) fn conditional_error(probs: &[f64], scores: &[f64], tau: f64) -> f64 {
        let total: f64 = scores.iter().map(|h| h.exp()).sum();
        probs
            .iter()
            .zip(scores)
            .filter(|(p, _)| **p > 0.0)
            .map(|(p, h)| p * phi_of_log1p(total.ln() - h, tau))
            .sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn the_best_error_is_below_every_error_and_reached(seed in 0_u64..100_000, classes in 2_usize..7, tau in 0.0_f64..3.0) {
            let mut stream = Stream::new(seed, "theory", 0);
            let probs = random_distribution(&mut stream, classes);
            let best = best_conditional_error(&probs, tau);
            for _ in 0..20 {
                let scores: Vec<f64> = (0..classes).map(|_| 6.0 * stream.uniform() - 3.0).collect();
                prop_assert!(conditional_error(&probs, &scores, tau) >= best - 1e-12);
            }
            if tau < 1.95 {
                let scores: Vec<f64> = best_conditional_probs(&probs, tau).iter().map(|q| q.ln()).collect();
                let reached = conditional_error(&probs, &scores, tau);
                prop_assert!((reached - best).abs() < 1e-10 * (1.0 + best), "{reached} against {best}");
            }
        }

        #[test]
        fn the_gap_bound_does_not_increase_in_tau(risk in 0.3_f64..5.0, tau in 0.0_f64..2.0, bound in 1.2_f64..4.0) {
            let at = |tau| minimizability_gap_bound(risk, tau, 4, bound);
            prop_assert!(at(tau + 0.1) <= at(tau) + 1e-14);
        }
    }

    #[test]
    fn continuous_in_tau() {
        let probs = [0.5, 0.3, 0.2, 0.0];
        for (at, beside) in [
            (1.0, 1.0 + 1e-7),
            (1.0, 1.0 - 1e-7),
            (1.5, 1.5 - 1e-9),
            (0.5, 0.5 + 1e-9),
        ] {
            let (a, b) = (
                best_conditional_error(&probs, at),
                best_conditional_error(&probs, beside),
            );
            assert!((a - b).abs() < 1e-6, "{a} at τ = {at}, {b} at {beside}");
        }
        let near_two = best_conditional_error(&probs, 2.0 - 1e-6);
        assert!((near_two - best_conditional_error(&probs, 2.0)).abs() < 1e-5);
    }
}
