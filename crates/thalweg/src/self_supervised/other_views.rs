//! Each view against the other views of its sample.

use burn::tensor::Tensor;

use super::unit_views::{constants, sum_of_views, unit_views};
use crate::quantity::{Case, QuantityError};

/// `mean over i and v ≠ w of cos(a_iv, b_iw)`, the b constants.
///
/// # Panics
/// When there are fewer than two views, not as many of each, or views differ in shape.
pub(super) fn cosine_with_others(a: &[Tensor<2>], b: &[Tensor<2>]) -> Tensor<1> {
    let count = a.len();
    assert!(count >= 2, "two views are needed, not {count}");
    assert_eq!(b.len(), count, "as many views of either kind");
    let (a, b) = (unit_views(a), unit_views(&constants(b)));
    let [batch, _] = a[0].dims();
    // Of the sum over all the view's own is taken out: the cost grows with the views, not with their pairs.
    let all = sum_of_views(&b);
    let each = a.into_iter().zip(b);
    let along = each.map(|(view, own)| (view * (all.clone() - own)).sum());
    let sum = along
        .reduce(|sum, along| sum + along)
        .expect("at least two views");
    sum * (1.0 / (batch * count * (count - 1)) as f64)
}

impl Case<'_> {
    /// Two views or more of each input, each with a direction.
    ///
    /// # Errors
    /// When there are fewer, or one is not finite or zero.
    pub(super) fn several_views(&self, names: [&str; 2]) -> Result<(), QuantityError> {
        for name in names {
            self.views_of(name)?;
            let count = self.array(name).shape[0];
            if count < 2 {
                return self.refuse_input(name, format!("has {count} view; at least 2 are needed"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;
    use proptest::prelude::*;

    use super::super::fixtures::{agrees_with_differences, leaf, numbers};
    use super::super::unit_views::unit_rows;
    use super::super::{byol_loss, sim_siam_loss};
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn the_mean_of_all_pairs_of_different_views(
            count in 2_usize..5, batch in 1_usize..5, width in 1_usize..5, seed in 0_u64..1000,
        ) {
            let drawn = |shift: u64| -> Vec<Tensor<2>> {
                let view = |view| leaf(&numbers(batch * width, seed + shift + view), width, DType::F64);
                (0..count as u64).map(view).collect()
            };
            let (a, b) = (drawn(0), drawn(10_000));
            let mut mean = 0.0;
            for (v, view) in a.iter().enumerate() {
                for (_, other) in b.iter().enumerate().filter(|(w, _)| *w != v) {
                    let cosines = (unit_rows(view.clone()) * unit_rows(other.clone())).sum();
                    mean += cosines.into_scalar::<f64>() / (batch * count * (count - 1)) as f64;
                }
            }
            let found = cosine_with_others(&a, &b).into_scalar::<f64>();
            prop_assert!((found - mean).abs() < 1e-12);
            let byol = byol_loss(&a, &b).into_scalar::<f64>();
            let sim_siam = sim_siam_loss(&a, &b).into_scalar::<f64>();
            prop_assert!((byol - 2.0 * (1.0 + sim_siam)).abs() < 1e-12 && (-1e-12..=4.0 + 1e-12).contains(&byol));
            let value = |view: Tensor<2>| {
                let mut views = a.clone();
                views[0] = view;
                byol_loss(&views, &b)
            };
            agrees_with_differences(&a[0], &value)?;
            prop_assert!(b[0].grad(&byol_loss(&a, &b).backward()).is_none());
        }
    }
}
