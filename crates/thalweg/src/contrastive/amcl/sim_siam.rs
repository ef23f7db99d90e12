//! SimSiam with a temperature for each pair: no negatives, but a predictor and targets that are held constant.

use burn::tensor::Tensor;

use super::regularizer::{beta, regularizers};
use crate::ConfigError;
use crate::quantity::Quantity;

/// `Σ_c ( −s_a/(2τ_a) − s_b/(2τ_b) + β Ω(τ_a) + β Ω(τ_b) )`, a mean over samples; s is the similarity of a prediction from one
/// view with the constant target of the other.
#[derive(Clone, Copy, Debug)]
pub struct AmclSimSiamLoss {
    beta: f64,
}

impl AmclSimSiamLoss {
    /// With weight β of the regulariser.
    ///
    /// # Errors
    /// When β is negative or not finite.
    pub fn new(weight: f64) -> Result<Self, ConfigError> {
        Ok(Self { beta: beta(weight)? })
    }

    /// The loss `[1]` from both directions' similarities and temperatures, of vectors of `width` numbers.
    ///
    /// # Shapes
    /// - all four `[heads, samples]`.
    ///
    /// # Panics
    /// When there is nothing in them, or the shapes differ.
    pub fn forward(
        &self,
        similarities: [Tensor<2>; 2],
        temperatures: [Tensor<2>; 2],
        width: f64,
    ) -> Tensor<1> {
        let [heads, samples] = similarities[0].dims();
        assert!(heads * samples > 0, "no head of no sample has a loss");
        let directions = similarities.into_iter().zip(temperatures);
        let each = directions.map(|(similarity, temperature)| {
            assert_eq!(
                similarity.dims(),
                [heads, samples],
                "both directions of all samples"
            );
            assert_eq!(
                temperature.dims(),
                [heads, samples],
                "a temperature for each similarity"
            );
            let penalty = regularizers(width, temperature.clone()) * self.beta;
            penalty - similarity / temperature * 0.5
        });
        let total = each.reduce(|total, more| total + more).expect("two directions");
        total.sum() * (1.0 / samples as f64)
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    let quantity = Quantity::new(
        "amcl_simsiam_loss",
        "SimSiam of several heads with a temperature for each pair, and its gradients",
    )
    .param("beta", 0.1)
    .param("dim", 128.0)
    .input("sim_a", "[C, n]")
    .input("sim_b", "[C, n]")
    .input("tau_a", "[C, n]")
    .input("tau_b", "[C, n]");
    let temperatures = || crate::quantity::Array {
        shape: vec![3, 3],
        data: vec![0.5; 9],
    };
    vec![
        quantity
            .with_example("tau_a", temperatures())
            .with_example("tau_b", temperatures())
            .eval(|case| {
                let (loss, width) = (AmclSimSiamLoss::new(case.param("beta")?)?, case.dim()?);
                if case.array("sim_a").data.is_empty() {
                    return case
                        .refuse_input("sim_a", "is empty; it must hold at least one head and one sample");
                }
                for name in ["sim_a", "sim_b"] {
                    case.finite(name)?;
                }
                for name in ["tau_a", "tau_b"] {
                    case.above_zero(name)?;
                }
                let [sim_a, sim_b, tau_a, tau_b] =
                    ["sim_a", "sim_b", "tau_a", "tau_b"].map(|name| case.variable::<2>(name));
                let value = loss.forward(
                    [sim_a.clone(), sim_b.clone()],
                    [tau_a.clone(), tau_b.clone()],
                    width,
                );
                let leaves = [
                    ("sim_a", &sim_a),
                    ("sim_b", &sim_b),
                    ("tau_a", &tau_a),
                    ("tau_b", &tau_b),
                ];
                Ok(case.value_and_gradients(value, &leaves))
            }),
    ]
}
