//! The multiview centroid loss: all views of a sample are pulled to the centroid of its views as the target network sees them.
//!
//! With `u_iv` the embedding of view v of sample i, brought to length 1, `u'_iv` the target network's, a constant, and
//! `c_i = normalise(mean_v u'_iv)`:
//! - from each view: `mean_iv ‖u_iv − c_i‖² = mean_iv (2 − 2⟨u_iv, c_i⟩)`;
//! - from the centroid: `mean_i ‖normalise(mean_v u_iv) − c_i‖²`;
//! - raw: `mean_i ‖mean_v u_iv − mean_v u'_iv‖²`.
//!
//! Where BYOL pulls a view to the other views' targets, the centroid holds the view's own target as well.
//!
//! Source: Moon, Buracas, Park, Kim, Canny, "An embedding-dynamic approach to self-supervised learning", WACV 2023
//! (arXiv 2207.03552).

use burn::config::Config;
use burn::tensor::Tensor;

use super::unit_views::{constants, mean_view, unit_rows, unit_views};
use crate::quantity::{Case, Quantity, QuantityError};

/// What is pulled to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum CentroidForm {
    /// Each view to the centroid of the target's.
    ViewToCentroid,
    /// The centroid of the views to that of the target's, both on the sphere.
    BetweenCentroids,
    /// The mean of the views to that of the target's, neither brought back to the sphere.
    Raw,
}

impl CentroidForm {
    pub(super) const NAMES: [(&'static str, Self); 3] = [
        ("view_to_centroid", Self::ViewToCentroid),
        ("centroid_to_centroid", Self::BetweenCentroids),
        ("raw_centroid", Self::Raw),
    ];
}

/// Configuration of [`MultiviewCentroidLoss`].
#[derive(Config, Debug)]
pub struct MultiviewCentroidLossConfig {
    /// What is pulled to what.
    #[config(default = "CentroidForm::ViewToCentroid")]
    pub form: CentroidForm,
}

impl MultiviewCentroidLossConfig {
    /// The loss.
    pub fn init(&self) -> MultiviewCentroidLoss {
        MultiviewCentroidLoss { form: self.form }
    }
}

/// The multiview centroid loss, from 0 to 4.
#[derive(Clone, Copy, Debug)]
pub struct MultiviewCentroidLoss {
    form: CentroidForm,
}

impl MultiviewCentroidLoss {
    /// Embeddings of any length; norms are taken to be at least 1e-12. Target views that cancel out have no centroid and pull
    /// nowhere.
    ///
    /// # Shapes
    /// - online, target: one view or more each, `[batch, width]`; returns `[1]`. The target is a constant, whatever it hangs on.
    ///
    /// # Panics
    /// When there is no view, or views differ in shape.
    pub fn forward(&self, online: &[Tensor<2>], target: &[Tensor<2>]) -> Tensor<1> {
        let (online, target) = (unit_views(online), unit_views(&constants(target)));
        let target = mean_view(&target);
        match self.form {
            CentroidForm::ViewToCentroid => {
                let centroid = unit_rows(target);
                let pulls = online.iter().map(|view| gap(view.clone(), centroid.clone()));
                let sum = pulls.reduce(|sum, pull| sum + pull).expect("at least one view");
                sum * (1.0 / online.len() as f64)
            }
            CentroidForm::BetweenCentroids => gap(unit_rows(mean_view(&online)), unit_rows(target)),
            CentroidForm::Raw => gap(mean_view(&online), target),
        }
    }
}

/// Mean over rows of the squared distance. Between units it loses no digits where they are close, as `2 − 2⟨a, b⟩` would.
fn gap(a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
    let [batch, _] = a.dims();
    (a - b).square().sum() * (1.0 / batch as f64)
}

impl Case<'_> {
    /// Views `[V, B, d]` of an input, each with a direction.
    ///
    /// # Errors
    /// When there are none, or one is not finite or zero.
    pub(super) fn views_of(&self, name: &str) -> Result<(), QuantityError> {
        self.embeddings(&[name])?;
        if self.array(name).shape[1] == 0 {
            return self.refuse_input(name, "has no samples; at least one is needed");
        }
        self.no_zero_rows(name)
    }

    /// Refuses target views that cancel out where their centroid is to have a direction.
    ///
    /// # Errors
    /// When the mean of a sample's unit views is shorter than 1e-12.
    pub(super) fn centroids_of(&self, name: &str) -> Result<(), QuantityError> {
        let lengths = mean_view(&unit_views(&views(self.tensor(name))))
            .square()
            .sum_dim(1);
        let lengths = lengths.into_data().try_into_vec_as::<f64>();
        let lengths = lengths.expect("float tensors read as f64");
        match lengths.iter().position(|&square| square < 1e-24) {
            Some(sample) => self.refuse_input(
                name,
                format!("has views of sample {sample} that cancel out; their centroid has no direction (use raw_centroid)"),
            ),
            None => Ok(()),
        }
    }

    /// Checked online and target views for a form, the online ones a variable.
    pub(super) fn online_and_target(&self, form: CentroidForm) -> Result<[Tensor<3>; 2], QuantityError> {
        for name in ["online", "target"] {
            self.views_of(name)?;
        }
        if form != CentroidForm::Raw {
            self.centroids_of("target")?;
        }
        if form == CentroidForm::BetweenCentroids {
            self.centroids_of("online")?;
        }
        Ok([self.variable("online"), self.tensor("target")])
    }
}

/// The views of `[V, B, d]`.
pub(super) fn views(stacked: Tensor<3>) -> Vec<Tensor<2>> {
    let [count, batch, width] = stacked.dims();
    let each = stacked.chunk(count, 0).into_iter();
    each.map(|view| view.reshape([batch, width])).collect()
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "multiview_centroid_loss",
            "pull of views to the centroid of the target network's, and its gradient",
        )
        .param("form", "view_to_centroid")
        .input("online", "[V, B, d]")
        .input("target", "[V, B, d]")
        .eval(|case| {
            let form = case.choice("form", &CentroidForm::NAMES)?;
            let [online, target] = case.online_and_target(form)?;
            let loss = MultiviewCentroidLossConfig::new().with_form(form).init();
            let value = loss.forward(&views(online.clone()), &views(target));
            Ok(case.value_and_gradients(value, &[("online", &online)]))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::DType;
    use proptest::prelude::*;

    use super::super::fixtures::{agrees_with_differences, gradient, leaf, numbers, rotation};
    use super::*;

    fn loss(form: CentroidForm, online: &[Tensor<2>], target: &[Tensor<2>]) -> f64 {
        let loss = MultiviewCentroidLossConfig::new().with_form(form).init();
        loss.forward(online, target).into_scalar::<f64>()
    }

    fn drawn(count: usize, batch: usize, width: usize, seed: u64) -> Vec<Tensor<2>> {
        let view = |view| leaf(&numbers(batch * width, 100 * seed + view), width, DType::F64);
        (0..count as u64).map(view).collect()
    }

    const FORMS: [CentroidForm; 3] = [
        CentroidForm::ViewToCentroid,
        CentroidForm::BetweenCentroids,
        CentroidForm::Raw,
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn it_is_between_0_and_4_and_does_not_see_a_common_rotation(
            count in 1_usize..5, batch in 1_usize..6, width in 2_usize..6, seed in 0_u64..1000,
        ) {
            let (online, target) = (drawn(count, batch, width, seed), drawn(count, batch, width, seed + 1));
            let turn = rotation(width, seed);
            let turned = |views: &[Tensor<2>]| {
                let each = views.iter().map(|view| view.clone().without_autodiff().matmul(turn.clone()));
                each.collect::<Vec<_>>()
            };
            for form in FORMS {
                let plain = loss(form, &online, &target);
                prop_assert!((0.0..=4.0).contains(&plain), "{plain}");
                let same = loss(form, &turned(&online), &turned(&target));
                prop_assert!((plain - same).abs() < 1e-12, "{plain} {same}");
            }
        }

        #[test]
        fn views_at_the_centroid_and_one_view_at_its_own_target_cost_nothing(
            batch in 1_usize..6, width in 2_usize..6, seed in 0_u64..1000, count in 1_usize..5,
        ) {
            let target = drawn(count, batch, width, seed);
            let centroid = unit_rows(mean_view(&unit_views(&target)));
            // Lengths do not matter.
            let online: Vec<_> = (0..count).map(|view| centroid.clone() * (view + 1) as f64).collect();
            prop_assert!(loss(CentroidForm::ViewToCentroid, &online, &target) < 1e-28);
            for form in FORMS {
                prop_assert!(loss(form, &target[..1], &target[..1]) < 1e-28);
            }
            let apart = drawn(count, batch, width, seed + 7);
            prop_assert!(loss(CentroidForm::ViewToCentroid, &apart, &target) > 0.0);
        }

        #[test]
        fn the_pull_is_the_spread_of_the_views_and_the_distance_of_their_mean(
            batch in 1_usize..6, width in 1_usize..6, seed in 0_u64..1000, count in 1_usize..5,
        ) {
            let (online, target) = (drawn(count, batch, width, seed), drawn(count, batch, width, seed + 1));
            let units = unit_views(&online);
            let centroid = unit_rows(mean_view(&unit_views(&target)));
            let mean = mean_view(&units);
            let spread: f64 = units.iter().map(|view| gap(view.clone(), mean.clone()).into_scalar::<f64>()).sum();
            let distance = gap(mean, centroid).into_scalar::<f64>();
            let pull = loss(CentroidForm::ViewToCentroid, &online, &target);
            prop_assert!((pull - spread / count as f64 - distance).abs() < 1e-12);
        }

        #[test]
        fn gradients_agree_with_differences_and_turn_but_never_stretch(
            batch in 1_usize..4, width in 2_usize..5, seed in 0_u64..1000,
        ) {
            let (online, target) = (drawn(2, batch, width, seed), drawn(2, batch, width, seed + 1));
            for form in FORMS {
                let value = |view: Tensor<2>| {
                    let loss = MultiviewCentroidLossConfig::new().with_form(form).init();
                    loss.forward(&[view, online[1].clone()], &target)
                };
                agrees_with_differences(&online[0], &value)?;
                let slopes = gradient(&value(online[0].clone()), &online[0]);
                let values = online[0].clone().into_data().try_into_vec_as::<f64>().unwrap();
                for (slope, row) in slopes.chunks(width).zip(values.chunks(width)) {
                    let along: f64 = slope.iter().zip(row).map(|(a, b)| a * b).sum();
                    prop_assert!(along.abs() < 1e-12, "{along}");
                }
            }
        }
    }

    #[test]
    fn nothing_reaches_the_target() {
        let (online, target) = (drawn(2, 3, 4, 0), drawn(2, 3, 4, 1));
        let value = MultiviewCentroidLossConfig::new()
            .init()
            .forward(&online, &target);
        assert!(target[0].grad(&value.backward()).is_none());
    }
}
