//! The calibration transform `T_τ` on `β ∈ [0, 1]`, its inverse `Γ_τ`, and closed-form upper bounds of `Γ_τ`.
//!
//! `Δ01 + M01 <= Γ_τ(R_τ(h) − R*_τ(H) + M_τ)`: a small surrogate gap bounds the 0-1 gap. With
//! `m = (((1+β)^a + (1−β)^a)/2)^(1/a)`, `a = 1/(2−τ)`:
//!
//! | τ | `T_τ(β)` |
//! |---|---|
//! | `[0, 1)` | `2^(1−τ)/(1−τ) · (1 − m)` |
//! | 1 | `(1+β)/2 log(1+β) + (1−β)/2 log(1−β)` |
//! | `(1, 2)` | `(m − 1)/((τ−1) n^(τ−1))` |
//! | `>= 2` | `β/((τ−1) n^(τ−1))` |

/// `T_τ(β)` for `n_classes` classes.
pub fn calibration_transform(beta: f64, tau: f64, n_classes: usize) -> f64 {
    let scale = (n_classes as f64).powf(tau - 1.0);
    if tau >= 2.0 {
        return beta / ((tau - 1.0) * scale);
    }
    if tau == 1.0 {
        return binary_divergence(beta);
    }
    let grown = log_power_mean(beta, 1.0 / (2.0 - tau)).exp_m1();
    if tau < 1.0 {
        -(1.0 - tau).exp2() * grown / (1.0 - tau)
    } else {
        grown / ((tau - 1.0) * scale)
    }
}

/// `(1+β)/2 log(1+β) + (1−β)/2 log(1−β)`, which is `Σ_k β^(2k)/(2k(2k−1))`.
fn binary_divergence(beta: f64) -> f64 {
    if beta < 0.1 {
        let square = beta * beta;
        let mut power = 1.0;
        return (1..12)
            .map(|k| {
                power *= square;
                power / f64::from(2 * k * (2 * k - 1))
            })
            .sum();
    }
    let other = if beta < 1.0 {
        0.5 * (1.0 - beta) * (-beta).ln_1p()
    } else {
        0.0
    };
    0.5 * (1.0 + beta) * beta.ln_1p() + other
}

/// `log` of `(((1+β)^a + (1−β)^a)/2)^(1/a)`, without cancellation at small β.
fn log_power_mean(beta: f64, a: f64) -> f64 {
    if beta * a.max(1.0) < 0.1 {
        // Σ_{k>=1} binomial(a, 2k) β^(2k).
        let (mut term, mut sum) = (1.0, 0.0);
        for k in 0..12 {
            let j = f64::from(2 * k);
            term *= beta * beta * (a - j) * (a - j - 1.0) / ((j + 1.0) * (j + 2.0));
            sum += term;
        }
        return sum.ln_1p() / a;
    }
    let ratio = ((1.0 - beta) / (1.0 + beta)).powf(a);
    beta.ln_1p() + (0.5 * (1.0 + ratio)).ln() / a
}

/// `Γ_τ(t)`, the β with `T_τ(β) = t`; 1 where `t` is beyond `T_τ(1)`.
pub fn h_consistency_bound(surrogate_gap: f64, tau: f64, n_classes: usize) -> f64 {
    if surrogate_gap >= calibration_transform(1.0, tau, n_classes) {
        return 1.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return low;
        }
        if calibration_transform(middle, tau, n_classes) <= surrogate_gap {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// A closed form at least `Γ_τ(t)`: `√(2^τ (2−τ) t)` for τ < 1, `√(2 n^(τ−1) t)` for 1 <= τ < 2, `(τ−1) n^(τ−1) t` beyond.
pub fn explicit_upper_bound(surrogate_gap: f64, tau: f64, n_classes: usize) -> f64 {
    let scale = (n_classes as f64).powf(tau - 1.0);
    if tau < 1.0 {
        (tau.exp2() * (2.0 - tau) * surrogate_gap).sqrt()
    } else if tau < 2.0 {
        (2.0 * scale * surrogate_gap).sqrt()
    } else {
        (tau - 1.0) * scale * surrogate_gap
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thalweg_kernels::random::Stream;

    use super::super::best_conditional_error;
    use super::super::tests::{conditional_error, random_distribution};
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn the_transform_bounds_every_calibration_gap(seed in 0_u64..100_000, classes in 2_usize..6, tau in 0.0_f64..3.0) {
            let mut stream = Stream::new(seed, "calibration", 0);
            let probs = random_distribution(&mut stream, classes);
            let scores: Vec<f64> = (0..classes).map(|_| 8.0 * stream.uniform() - 4.0).collect();
            let predicted = (0..classes).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
            let beta = probs.iter().copied().fold(0.0, f64::max) - probs[predicted];
            let gap = conditional_error(&probs, &scores, tau) - best_conditional_error(&probs, tau);
            prop_assert!(calibration_transform(beta, tau, classes) <= gap + 1e-12);
        }

        #[test]
        fn convex_from_zero_and_inverted(a in 0.0_f64..1.0, b in 0.0_f64..1.0, tau in 0.0_f64..3.0, classes in 2_usize..9) {
            let t = |beta| calibration_transform(beta, tau, classes);
            prop_assert_eq!(t(0.0), 0.0);
            prop_assert!(t(0.5 * (a + b)) <= 0.5 * (t(a) + t(b)) + 1e-15);
            let back = h_consistency_bound(t(a), tau, classes);
            prop_assert!((back - a).abs() < 1e-7 && (back - a).abs() < 1e-6 * a.max(1e-6), "β = {a}, back {back}");
            prop_assert!(h_consistency_bound(t(a), tau, classes) <= explicit_upper_bound(t(a), tau, classes) * (1.0 + 1e-9));
        }

        #[test]
        fn pinsker(t in 0.0_f64..2.0) {
            prop_assert!(h_consistency_bound(t, 1.0, 3) <= (2.0 * t).sqrt() + 1e-12);
        }

        #[test]
        fn tight_with_two_classes_tied(beta in 0.0_f64..1.0, tau in 0.0_f64..1.999) {
            // n = 2, scores tied: the prediction may be the worse class, and the gap is T exactly.
            let probs = [0.5 * (1.0 + beta), 0.5 * (1.0 - beta)];
            let gap = conditional_error(&probs, &[0.0, 0.0], tau) - best_conditional_error(&probs, tau);
            prop_assert!((calibration_transform(beta, tau, 2) - gap).abs() < 1e-10 * (1.0 + gap));
        }
    }

    #[test]
    fn series_and_closed_form_meet() {
        for tau in [0.0, 0.5, 0.9, 1.0, 1.1, 1.5, 1.9] {
            let edge = 0.1 * (2.0_f64 - tau).min(1.0);
            let (below, above) = (edge * (1.0 - 1e-9), edge * (1.0 + 1e-9));
            let (a, b) = (
                calibration_transform(below, tau, 3),
                calibration_transform(above, tau, 3),
            );
            assert!((a - b).abs() < 1e-8 * a, "τ = {tau}: {a} and {b}");
        }
        assert!((calibration_transform(1.0, 1.0, 2) - std::f64::consts::LN_2).abs() < 1e-15);
    }
}
