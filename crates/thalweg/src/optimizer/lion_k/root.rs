//! Roots of growing functions, to the last bits.

/// Halvings after which neighbouring floats are met wherever the bounds were.
const HALVINGS: usize = 200;

/// Where `slope` passes 0 between `low` and `high`; an end where it does not.
pub(super) fn root(mut low: f64, mut high: f64, slope: impl Fn(f64) -> f64) -> f64 {
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if slope(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}
