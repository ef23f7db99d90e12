//! How far the negatives that a loss sees are from all there are.

/// The Wasserstein distance of order 1 between two sets of numbers, `∫ |F_a − F_b|`: how far one has to move, on average, to
/// become the other.
///
/// # Panics
/// When either is empty.
pub fn wasserstein_distance(a: &[f64], b: &[f64]) -> f64 {
    assert!(!a.is_empty() && !b.is_empty(), "an empty set is at no distance");
    let [a, b] = [a, b].map(|values| {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted
    });
    let (mut i, mut j) = (0, 0);
    let mut at = a[0].min(b[0]);
    let mut distance = 0.0;
    while i < a.len() || j < b.len() {
        let next = match (a.get(i), b.get(j)) {
            (Some(&x), Some(&y)) => x.min(y),
            (Some(&x), None) => x,
            (None, Some(&y)) => y,
            (None, None) => break,
        };
        let gap = i as f64 / a.len() as f64 - j as f64 / b.len() as f64;
        distance += gap.abs() * (next - at);
        at = next;
        while a.get(i).is_some_and(|&x| x <= at) {
            i += 1;
        }
        while b.get(j).is_some_and(|&y| y <= at) {
            j += 1;
        }
    }
    distance
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sets_of_one_size_move_in_order(
            pairs in prop::collection::vec((-1.0_f64..1.0, -1.0_f64..1.0), 1..40), shift in -1.0_f64..1.0,
        ) {
            let (mut a, mut b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let found = wasserstein_distance(&a, &b);
            prop_assert!((found - wasserstein_distance(&b, &a)).abs() < 1e-12);
            let moved: Vec<f64> = a.iter().map(|x| x + shift).collect();
            prop_assert!((wasserstein_distance(&a, &moved) - shift.abs()).abs() < 1e-12);
            prop_assert!((wasserstein_distance(&a, &[&a[..], &a].concat())).abs() < 1e-12);
            a.sort_by(f64::total_cmp);
            b.sort_by(f64::total_cmp);
            let expected = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).sum::<f64>() / a.len() as f64;
            prop_assert!((found - expected).abs() < 1e-12);
        }
    }
}
