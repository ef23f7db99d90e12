//! Gradient alignment: where the auxiliary loss's gradient g₁ opposes the main loss's g₀, it loses the part along g₀.
//!
//! `g₁ ← g₁ − min(0, ⟨g₁, g₀⟩/‖g₀‖²) g₀`; the step is along `g₀ + g₁`. Only g₁ gives way: an asymmetric PCGrad. Over the full
//! scope both are all parameters in a row, zeros where a loss does not reach, so that the projection also adds a multiple of
//! g₀ to the main head; over the shared scope conflict is seen, and removed, in the common parameters alone.
//!
//! Source: Yang, Zong, Huang, Feng, An, "Dual-Head Knowledge Distillation", KDD 2025, and its public code (full scope).

use serde::{Deserialize, Serialize};
use thalweg_kernels::real::Real;

use crate::quantity::{Outputs, Quantity};

/// The parameters that conflict is seen over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlignmentScope {
    /// All, heads included.
    Full,
    /// Those that both losses reach.
    Shared,
}

/// Two gradients brought together.
#[derive(Clone, Debug, PartialEq)]
pub struct Aligned<F> {
    /// Their sum, along which to step.
    pub merged: Vec<F>,
    /// The auxiliary gradient as projected.
    pub projected: Vec<F>,
    /// Their inner product over the scope before.
    pub dot: f64,
}

/// Aligns `auxiliary` with `main`, which are flat gradients of the same parameters; `shared` says which of those both losses
/// reach. Sums are taken in f64. A main gradient of 0 projects nothing.
///
/// # Panics
/// When the lengths differ.
pub fn align<F: Real>(main: &[F], auxiliary: &[F], shared: &[bool], scope: AlignmentScope) -> Aligned<F> {
    assert!(
        main.len() == auxiliary.len() && main.len() == shared.len(),
        "gradients of {} and {} parameters, of which {} are told",
        main.len(),
        auxiliary.len(),
        shared.len()
    );
    let counts = |index: usize| scope == AlignmentScope::Full || shared[index];
    let inner = |other: &[F]| -> f64 {
        let products = main.iter().zip(other).enumerate();
        products
            .filter(|&(index, _)| counts(index))
            .map(|(_, (a, b))| a.to_f64() * b.to_f64())
            .sum()
    };
    let (dot, square) = (inner(auxiliary), inner(main));
    let share = if dot < 0.0 && square > 0.0 {
        dot / square
    } else {
        0.0
    };
    let projected: Vec<F> = auxiliary
        .iter()
        .zip(main)
        .enumerate()
        .map(|(index, (&own, other))| {
            if share != 0.0 && counts(index) {
                F::from_f64(own.to_f64() - share * other.to_f64())
            } else {
                own
            }
        })
        .collect();
    Aligned {
        merged: main.iter().zip(&projected).map(|(&a, &b)| a + b).collect(),
        projected,
        dot,
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "gradient_alignment",
            "an auxiliary gradient without its part against the main one, and their sum",
        )
        .param("scope", "full")
        .input("grad_main", "[P]")
        .input("grad_aux", "[P]")
        .input("shared_mask", "[P]")
        .eval(|case| {
            let scope = case.choice(
                "scope",
                &[("full", AlignmentScope::Full), ("shared", AlignmentScope::Shared)],
            )?;
            case.not_empty("grad_main")?;
            let mask = &case.array("shared_mask").data;
            if let Some(at) = mask.iter().position(|&shared| shared != 0.0 && shared != 1.0) {
                let problem = format!(
                    "holds {} at index {at}; it is 1 for what both reach and 0 for the rest",
                    mask[at]
                );
                return case.refuse_input("shared_mask", problem);
            }
            let shared: Vec<bool> = mask.iter().map(|&shared| shared == 1.0).collect();
            let (main, auxiliary) = (&case.array("grad_main").data, &case.array("grad_aux").data);
            let aligned = align(main, auxiliary, &shared, scope);
            Ok(Outputs::new()
                .with("merged", aligned.merged)
                .with("projected_aux", aligned.projected)
                .with("dot", aligned.dot))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn inner(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn without_a_main_gradient_nothing_is_projected() {
        let aligned = align(&[0.0, 0.0], &[1.0, -2.0], &[true, true], AlignmentScope::Full);
        assert_eq!(aligned.merged, [1.0, -2.0]);
        assert_eq!(aligned.dot, 0.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn what_is_left_does_not_oppose_and_agreement_is_kept(
            gradients in vec((-2.0_f64..2.0, -2.0_f64..2.0, any::<bool>()), 1..12), shared_scope in any::<bool>(),
        ) {
            let (main, auxiliary): (Vec<f64>, Vec<f64>) = gradients.iter().map(|&(a, b, _)| (a, b)).unzip();
            let shared: Vec<bool> = gradients.iter().map(|&(.., shared)| shared).collect();
            let scope = if shared_scope { AlignmentScope::Shared } else { AlignmentScope::Full };
            let aligned = align(&main, &auxiliary, &shared, scope);
            let within: Vec<f64> = main.iter().zip(&shared).map(|(g, &s)| if s || !shared_scope { *g } else { 0.0 }).collect();
            prop_assert!((aligned.dot - inner(&within, &auxiliary)).abs() < 1e-12);
            prop_assert!(inner(&within, &aligned.projected) >= -1e-12);
            prop_assert!(inner(&within, &aligned.merged) >= -1e-12);
            let sum: Vec<f64> = main.iter().zip(&auxiliary).map(|(a, b)| a + b).collect();
            if aligned.dot >= 0.0 {
                prop_assert_eq!(&aligned.merged, &sum);
            }
            for (index, &is_shared) in shared.iter().enumerate() {
                if shared_scope && !is_shared {
                    prop_assert_eq!(aligned.merged[index], sum[index]);
                }
            }
        }
    }
}
