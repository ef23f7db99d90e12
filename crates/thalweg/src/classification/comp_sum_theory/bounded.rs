//! The least conditional error when every score lies in `[−Λ, Λ]`, exactly.
//!
//! In softmax values `q` the box becomes a cone, `max q <= R·min q` with `R = e^(2Λ)`, and the error `Σ p_y φ(q_y)`,
//! `φ(q) = (q^(τ−1) − 1)/(1−τ)`. For τ < 2 φ is convex: for a floor `m` the minimiser is
//! `q_y = clamp(c·p_y^(1/(2−τ)), m, R·m)` with `c` such that `Σ q = 1`, and the minimum is convex in `m`, one number to
//! search for. For τ >= 2 φ is concave: the minimum is at a vertex, where the likeliest `k` classes have `R·m` and the
//! others `m`.

use super::phi_of_log1p;

/// `R` is kept below the largest f64.
const LARGEST_LOG_RATIO: f64 = 690.0;

/// Least conditional error over scores with `|h_k| <= score_bound`.
pub fn best_conditional_error_bounded(probs: &[f64], tau: f64, score_bound: f64) -> f64 {
    let ratio = (2.0 * score_bound).min(LARGEST_LOG_RATIO).exp();
    let mut sorted = probs.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    if tau >= 2.0 {
        best_vertex(&sorted, tau, ratio)
    } else {
        best_floor(&sorted, tau, ratio)
    }
}

fn error(probs: &[f64], tau: f64, q: impl Fn(usize) -> f64) -> f64 {
    let terms = probs.iter().enumerate().filter(|(_, p)| **p > 0.0);
    terms.map(|(y, p)| p * phi_of_log1p(-q(y).ln(), tau)).sum()
}

fn best_vertex(sorted: &[f64], tau: f64, ratio: f64) -> f64 {
    let classes = sorted.len();
    (1..classes)
        .map(|high| {
            let floor = 1.0 / ((classes - high) as f64 + high as f64 * ratio);
            error(sorted, tau, |y| if y < high { ratio * floor } else { floor })
        })
        .fold(f64::INFINITY, f64::min)
}

fn best_floor(sorted: &[f64], tau: f64, ratio: f64) -> f64 {
    let inverse = 2.0 - tau;
    let weights: Vec<f64> = sorted
        .iter()
        .map(|p| ((p.ln() - sorted[0].ln()) / inverse).exp())
        .collect();
    let at = |log_floor: f64| {
        let floor = log_floor.exp();
        let factor = factor_for(&weights, floor, ratio * floor);
        error(sorted, tau, |y| (factor * weights[y]).clamp(floor, ratio * floor))
    };
    // Between all classes but one at the ceiling and all classes equal.
    let classes = sorted.len() as f64;
    golden_section(at, -((classes - 1.0) * ratio + 1.0).ln(), -classes.ln())
}

/// The `c` for which `Σ clamp(c·w, floor, ceiling) = 1`, or the largest useful one.
fn factor_for(weights: &[f64], floor: f64, ceiling: f64) -> f64 {
    let sum = |c: f64| weights.iter().map(|w| (c * w).clamp(floor, ceiling)).sum::<f64>();
    let smallest = weights.iter().copied().filter(|&w| w > 0.0).fold(1.0, f64::min);
    let (mut low, mut high) = (floor.ln(), ceiling.ln() - smallest.ln());
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if sum(middle.exp()) < 1.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    high.exp()
}

/// The least value of a unimodal function between `low` and `high`.
fn golden_section(f: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    let shrink = 0.5 * (5.0_f64.sqrt() - 1.0);
    let mut left = high - shrink * (high - low);
    let mut right = low + shrink * (high - low);
    let (mut at_left, mut at_right) = (f(left), f(right));
    let mut best = f(low).min(f(high)).min(at_left).min(at_right);
    for _ in 0..100 {
        if at_left <= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - shrink * (high - low);
            at_left = f(left);
            best = best.min(at_left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + shrink * (high - low);
            at_right = f(right);
            best = best.min(at_right);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thalweg_kernels::random::Stream;

    use super::super::tests::{conditional_error, random_distribution};
    use super::super::{best_conditional_error, phi};
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn no_scores_in_the_box_do_better(
            seed in 0_u64..100_000, classes in 2_usize..6, tau in 0.0_f64..3.0, bound in 0.1_f64..3.0,
        ) {
            let mut stream = Stream::new(seed, "bounded", 0);
            let probs = random_distribution(&mut stream, classes);
            let best = best_conditional_error_bounded(&probs, tau, bound);
            prop_assert!(best >= best_conditional_error(&probs, tau) - 1e-12);
            // Random points, then coordinate descent from the best of them.
            let mut scores = vec![0.0; classes];
            let mut least = conditional_error(&probs, &scores, tau);
            let mut width = bound;
            for round in 0..4000 {
                if round % 200 == 199 {
                    width *= 0.6;
                }
                let moved: Vec<f64> = scores
                    .iter()
                    .map(|h| (h + width * (2.0 * stream.uniform() - 1.0)).clamp(-bound, bound))
                    .collect();
                let error = conditional_error(&probs, &moved, tau);
                if error < least {
                    (least, scores) = (error, moved);
                }
            }
            prop_assert!(least >= best - 1e-12, "found {least} below {best}");
            // For a convex problem the search also comes close.
            if tau < 1.0 {
                prop_assert!(least - best < 1e-3 * (1.0 + best), "search stopped at {least}, best {best}");
            }
        }

        #[test]
        fn a_deterministic_label_has_the_closed_form(classes in 2_usize..8, tau in 0.0_f64..3.0, bound in 0.05_f64..4.0) {
            let mut probs = vec![0.0; classes];
            probs[classes / 2] = 1.0;
            let exact = phi((classes - 1) as f64 * (-2.0 * bound).exp(), tau);
            prop_assert!((best_conditional_error_bounded(&probs, tau, bound) - exact).abs() < 1e-10 * (1.0 + exact));
        }

        #[test]
        fn a_wide_box_is_no_bound(seed in 0_u64..1000, tau in 0.0_f64..1.9) {
            let probs = random_distribution(&mut Stream::new(seed, "wide", 0), 4);
            let free = best_conditional_error(&probs, tau);
            prop_assert!((best_conditional_error_bounded(&probs, tau, 400.0) - free).abs() < 1e-9 * (1.0 + free));
        }
    }
}
