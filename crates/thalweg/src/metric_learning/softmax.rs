//! Logarithms of sums of exponentials, and the shares that are their slopes.

/// `log(1 + Σ exp(v_k))`, and in the place of each `v_k` its share `exp(v_k)/(1 + Σ exp(v_k))`. 0 for none.
pub(super) fn softmax_beside_one(values: &mut [f64]) -> f64 {
    softmax(values, 0.0)
}

/// `log Σ exp(v_k)`, and in the place of each `v_k` its share. Negative infinity for none.
pub(super) fn softmax_of(values: &mut [f64]) -> f64 {
    softmax(values, f64::NEG_INFINITY)
}

fn softmax(values: &mut [f64], beside: f64) -> f64 {
    let top = values.iter().fold(beside, |top, &value| top.max(value));
    if top == f64::NEG_INFINITY {
        return top;
    }
    let own = (beside - top).exp();
    let mut sum = 0.0;
    for value in values.iter_mut() {
        *value = (*value - top).exp();
        sum += *value;
    }
    let all = sum + own;
    values.iter_mut().for_each(|value| *value /= all);
    // Where the one beside is the largest, what is added to it may be far smaller.
    if own == 1.0 {
        top + sum.ln_1p()
    } else {
        top + all.ln()
    }
}

/// `log(1 + exp(x))` and its slope.
pub(super) fn softplus(x: f64) -> (f64, f64) {
    let falling = (-x.abs()).exp();
    let value = x.max(0.0) + falling.ln_1p();
    let slope = if x >= 0.0 { 1.0 } else { falling } / (1.0 + falling);
    (value, slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_finite_and_keep_their_digits() {
        assert_eq!(softplus(1e4), (1e4, 1.0));
        assert_eq!(softplus(-1e4), (0.0, 0.0));
        let (value, slope) = softplus(-50.0);
        let exact = (-50.0_f64).exp();
        assert!((value / exact - 1.0).abs() < 1e-15 && (slope / exact - 1.0).abs() < 1e-15);
        let mut values = [-50.0];
        assert!((softmax_beside_one(&mut values) / exact - 1.0).abs() < 1e-15);
        assert!((values[0] / exact - 1.0).abs() < 1e-15);
        let mut values = [1e4, 1e4, -1e4];
        assert_eq!(softmax_of(&mut values), 1e4 + 2.0_f64.ln());
        assert_eq!(values, [0.5, 0.5, 0.0]);
        assert_eq!(softmax_beside_one(&mut []), 0.0);
        assert_eq!(softmax_of(&mut []), f64::NEG_INFINITY);
    }
}
