//! The contrastive losses: a positive and its negatives, each pair with its own temperature, over several heads.

use burn::config::Config;
use burn::tensor::Tensor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thalweg_kernels::adaptive_temperature::{softmax, softmax_slopes};

use super::regularizer::beta;
use super::term::{Pair, Rule};
use crate::ConfigError;
use crate::bridge::{constant, with_gradients};
use crate::quantity::{Case, Outputs, Quantity, QuantityError};

/// What stands for the negatives of an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregate {
    /// The one of the highest similarity, not of the highest `s/τ`; the first of several.
    Max,
    /// All, by `log Σ exp(s/τ)`.
    LogSumExp,
}

/// Who is a candidate beside the positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Candidates {
    /// The negatives alone, as in SimCLR and MoCo here: NT-Xent without the positive in its denominator.
    Negatives,
    /// The positive too, with its temperature, after the negatives: InfoNCE.
    WithPositive,
}

/// Which views are anchors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Anchors {
    /// Those of the first view.
    FirstView,
    /// Those of both, one after the other.
    BothViews,
}

/// Configuration of [`AmclLoss`].
#[derive(Config, Copy, Debug)]
pub struct AmclLossConfig {
    /// Weight β of the regulariser of temperatures, at least 0.
    #[config(default = 0.1)]
    pub beta: f64,
    /// What stands for the negatives.
    #[config(default = "Aggregate::Max")]
    pub aggregate: Aggregate,
    /// Who is a candidate.
    #[config(default = "Candidates::Negatives")]
    pub candidates: Candidates,
    /// Which views are anchors.
    #[config(default = "Anchors::BothViews")]
    pub anchors: Anchors,
}

impl AmclLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// When β is negative or not finite.
    pub fn init(&self) -> Result<AmclLoss, ConfigError> {
        beta(self.beta)?;
        Ok(AmclLoss { config: *self })
    }
}

/// The contrastive losses of AMCL.
#[derive(Clone, Copy, Debug)]
pub struct AmclLoss {
    pub(super) config: AmclLossConfig,
}

/// Similarities and temperatures of each head's anchors.
#[derive(Clone, Debug)]
pub struct TemperedPairs {
    /// `[heads, anchors]`.
    pub positive_similarity: Tensor<2>,
    /// `[heads, anchors, negatives]`.
    pub negative_similarity: Tensor<3>,
    /// `[heads, anchors]`.
    pub positive_temperature: Tensor<2>,
    /// `[heads, anchors, negatives]`.
    pub negative_temperature: Tensor<3>,
}

/// Slopes by the four arrays of [`TemperedPairs`].
struct Slopes {
    positive: Vec<Pair>,
    similarity: Vec<f64>,
    temperature: Vec<f64>,
}

impl AmclLoss {
    pub(super) fn rule(&self, width: f64) -> Rule {
        Rule {
            beta: self.config.beta,
            width,
            candidates: self.config.candidates,
        }
    }

    /// The loss `[1]` of given similarities and temperatures of vectors of `width` numbers: the mean over anchors, summed over
    /// heads. It is computed on the host whatever the backend.
    ///
    /// # Panics
    /// When there is no head, anchor or negative, or the shapes disagree.
    pub fn of_pairs(&self, pairs: &TemperedPairs, width: f64) -> Tensor<1> {
        self.with_hardest(pairs, width).0
    }

    /// The same, with the temperature of each hardest negative.
    pub(super) fn with_hardest(&self, pairs: &TemperedPairs, width: f64) -> (Tensor<1>, Vec<f64>) {
        let [heads, anchors, negatives] = pairs.negative_similarity.dims();
        assert!(
            heads * anchors * negatives > 0,
            "similarities [{heads}, {anchors}, {negatives}] hold no negatives"
        );
        assert_eq!(
            pairs.negative_temperature.dims(),
            [heads, anchors, negatives],
            "a temperature for each negative"
        );
        for of_positive in [&pairs.positive_similarity, &pairs.positive_temperature] {
            assert_eq!(of_positive.dims(), [heads, anchors], "one for each positive");
        }
        let (similarity, temperature) = (
            floats(&pairs.positive_similarity),
            floats(&pairs.positive_temperature),
        );
        let positive = similarity.into_iter().zip(temperature);
        let positive = positive.map(|(similarity, temperature)| Pair {
            similarity,
            temperature,
        });
        let mut slopes = Slopes {
            positive: positive.collect(),
            similarity: floats(&pairs.negative_similarity),
            temperature: floats(&pairs.negative_temperature),
        };
        let (rule, scale) = (self.rule(width), 1.0 / anchors as f64);
        let rows = slopes
            .similarity
            .par_chunks_mut(negatives)
            .zip(slopes.temperature.par_chunks_mut(negatives))
            .zip(&mut slopes.positive);
        let terms: Vec<(f64, f64)> = rows
            .map(|((similarity, temperature), positive)| {
                self.row(rule, scale, positive, similarity, temperature)
            })
            .collect();
        let value = scale * terms.iter().map(|(value, _)| value).sum::<f64>();
        let hardest = terms.into_iter().map(|(_, temperature)| temperature).collect();
        (pairs.node(value, slopes), hardest)
    }

    /// Loss and hardest temperature of an anchor; its numbers become slopes.
    fn row(
        &self,
        rule: Rule,
        scale: f64,
        positive: &mut Pair,
        similarity: &mut [f64],
        temperature: &mut [f64],
    ) -> (f64, f64) {
        let mut weights = vec![0.0; similarity.len()];
        let found = softmax(similarity, temperature, &mut weights);
        let hardest = Pair {
            similarity: similarity[found.hardest],
            temperature: temperature[found.hardest],
        };
        let value = match self.config.aggregate {
            Aggregate::Max => {
                let term = rule.hardest(*positive, hardest);
                *positive = term.by_positive.scaled(scale);
                similarity.fill(0.0);
                temperature.fill(0.0);
                let by_hardest = term.by_hardest.scaled(scale);
                similarity[found.hardest] = by_hardest.similarity;
                temperature[found.hardest] = by_hardest.temperature;
                term.value
            }
            Aggregate::LogSumExp => {
                let term = rule.softmax(*positive, &found, hardest);
                *positive = term.by_positive.scaled(scale);
                softmax_slopes(similarity, temperature, &weights, term.factor * scale);
                temperature[found.hardest] += term.by_hardest_temperature * scale;
                term.value
            }
        };
        (value, hardest.temperature)
    }
}

impl TemperedPairs {
    /// A value that depends on all four with the given slopes.
    fn node(&self, value: f64, slopes: Slopes) -> Tensor<1> {
        let [heads, anchors, negatives] = self.negative_similarity.dims();
        let like = &self.positive_similarity;
        let (device, dtype) = (like.device(), like.dtype());
        let by = |of: fn(&Pair) -> f64| slopes.positive.iter().map(of).collect::<Vec<f64>>();
        let column = |tensor: &Tensor<2>, values| {
            let shape = [heads * anchors, 1];
            let input = tensor.clone().reshape(shape);
            (input, constant::<2, f64>(values, shape, &device, dtype))
        };
        let matrix = |tensor: &Tensor<3>, values| {
            let shape = [heads * anchors, negatives];
            let input = tensor.clone().reshape(shape);
            (input, constant::<2, f64>(values, shape, &device, dtype))
        };
        let inputs = [
            column(&self.positive_similarity, by(|slope| slope.similarity)),
            matrix(&self.negative_similarity, slopes.similarity),
            column(&self.positive_temperature, by(|slope| slope.temperature)),
            matrix(&self.negative_temperature, slopes.temperature),
        ];
        with_gradients(constant(vec![value], [1], &device, dtype), inputs)
    }
}

fn floats<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    let data = tensor.clone().detach().into_data();
    data.try_into_vec_as().expect("float tensors read as f64")
}

impl Case<'_> {
    /// The parameter `aggregate`.
    fn aggregate(&self) -> Result<Aggregate, QuantityError> {
        let choices = [("max", Aggregate::Max), ("logsumexp", Aggregate::LogSumExp)];
        self.choice("aggregate", &choices)
    }

    /// A loss of the inputs `pos_sim`, `neg_sim`, `tau_pos` and `tau_neg`.
    fn of_tempered_pairs(&self, candidates: Candidates) -> Result<Outputs, QuantityError> {
        let width = self.dim()?;
        let loss = AmclLossConfig::new()
            .with_beta(self.param("beta")?)
            .with_aggregate(self.aggregate()?)
            .with_candidates(candidates)
            .init()?;
        let [heads, anchors, negatives] = self.array("neg_sim").shape[..] else {
            unreachable!("three extents were declared")
        };
        if heads == 0 || anchors == 0 {
            return self.refuse_input(
                "pos_sim",
                "is empty; it must hold at least one head and one anchor",
            );
        }
        if negatives == 0 {
            return self.refuse_input("neg_sim", "has no negatives; each anchor needs at least one");
        }
        for name in ["pos_sim", "neg_sim"] {
            self.finite(name)?;
        }
        for name in ["tau_pos", "tau_neg"] {
            self.above_zero(name)?;
        }
        let [similarity, temperature] = ["pos_sim", "tau_pos"].map(|name| self.variable::<2>(name));
        let [similarities, temperatures] = ["neg_sim", "tau_neg"].map(|name| self.variable::<3>(name));
        let pairs = TemperedPairs {
            positive_similarity: similarity.clone(),
            negative_similarity: similarities.clone(),
            positive_temperature: temperature.clone(),
            negative_temperature: temperatures.clone(),
        };
        let value = loss.of_pairs(&pairs, width);
        let outputs = Outputs::new().with_scalar("value", value.clone());
        let gradients = value.backward();
        Ok(outputs
            .with_gradient("pos_sim", &similarity, &gradients)
            .with_gradient("neg_sim", &similarities, &gradients)
            .with_gradient("tau_pos", &temperature, &gradients)
            .with_gradient("tau_neg", &temperatures, &gradients))
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    let quantity = |name, meaning, candidates| {
        let mut quantity = Quantity::new(name, meaning)
            .param("beta", 0.1)
            .param("dim", 128.0)
            .param("aggregate", "max")
            .input("pos_sim", "[C, n]")
            .input("neg_sim", "[C, n, N]")
            .input("tau_pos", "[C, n]")
            .input("tau_neg", "[C, n, N]");
        for (name, shape) in [("tau_pos", vec![3, 3]), ("tau_neg", vec![3, 3, 2])] {
            let data = vec![0.5; shape.iter().product()];
            quantity = quantity.with_example(name, crate::quantity::Array { shape, data });
        }
        quantity.eval(move |case| case.of_tempered_pairs(candidates))
    };
    vec![
        quantity(
            "amcl_ntxent_loss",
            "NT-Xent of several heads with a temperature for each pair, without the positive in the denominator",
            Candidates::Negatives,
        ),
        quantity(
            "amcl_infonce_loss",
            "InfoNCE of several heads with a temperature for each pair, the positive a candidate too",
            Candidates::WithPositive,
        ),
    ]
}
