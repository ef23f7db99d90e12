//! Binary margins `m = y f`, y = ±1, of a row of class scores: how what is defined for two classes meets any number.
//!
//! Two columns: one margin with `f = h_1 − h_0` and y = 1 for class 1. More: one margin a column, that class against the
//! rest, `f = h_k`.

/// Margins of a row of so many classes.
pub(super) fn margins_of(classes: usize) -> usize {
    if classes == 2 { 1 } else { classes }
}

/// Margin `which` of a row.
pub(super) fn margin(scores: &[f64], target: usize, which: usize) -> f64 {
    match scores {
        [first, second] => sign(target == 1) * (second - first),
        _ => sign(target == which) * scores[which],
    }
}

/// Writes the gradient of the row where `slope` is the derivative with respect to margin `which`. Over all margins of the
/// row this fills it.
pub(super) fn put_slope(gradient: &mut [f64], target: usize, which: usize, slope: f64) {
    match gradient {
        [first, second] => {
            *second = sign(target == 1) * slope;
            *first = -*second;
        }
        _ => gradient[which] = sign(target == which) * slope,
    }
}

fn sign(positive: bool) -> f64 {
    if positive { 1.0 } else { -1.0 }
}
