//! The network that gives a pair of vectors its temperature: one for all heads and all pairs.

use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{DType, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use thalweg_kernels::adaptive_temperature::Limits;
use thalweg_kernels::random::Stream;

use super::OBJECTIVE;
use super::limits::{limited, limits, temperatures};
use super::pair_pass::pair_logits;
use crate::ConfigError;
use crate::config::require;
use crate::quantity::{Case, Outputs, Quantity, QuantityError};

/// How a pair (a, b) enters the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PairForm {
    /// One after the other: `logit = w₂ relu(W₁ [a; b] + b₁) + b₂`. Which comes first matters.
    Concat,
    /// By what one linear layer makes of each: `logit = ⟨W₁ a + b₁, W₁ b + b₁⟩ + b₂`.
    Dot,
}

/// Configuration of [`AdaptiveTemperature`].
#[derive(Config, Copy, Debug)]
pub struct AdaptiveTemperatureConfig {
    /// How a pair enters.
    #[config(default = "PairForm::Concat")]
    pub pair: PairForm,
    /// Hidden units, at least 1.
    #[config(default = 128)]
    pub hidden: usize,
    /// Lowest temperature, above 0. Below 0.05 a weight of the regulariser above the similarity of the hardest negatives
    /// sends the loss far below zero.
    #[config(default = 1e-5)]
    pub lower: f64,
    /// Highest temperature.
    #[config(default = 2.0)]
    pub upper: f64,
}

impl AdaptiveTemperatureConfig {
    /// A network for vectors of `width` numbers, its weights uniform in `±1/√fan_in`.
    ///
    /// # Errors
    /// When a width is 0 or the limits are none.
    pub fn init(
        &self,
        width: usize,
        stream: &mut Stream,
        (device, dtype): (&Device, DType),
    ) -> Result<AdaptiveTemperature, ConfigError> {
        self.check()?;
        require(OBJECTIVE, "width", width as f64, "at least 1", |width| {
            width >= 1.0
        })?;
        let mut uniform = |shape: [usize; 2], fan_in: usize| {
            let bound = 1.0 / (fan_in as f32).sqrt();
            let mut values = vec![0.0_f32; shape[0] * shape[1]];
            stream.fill_uniform(-bound, bound, &mut values);
            Tensor::<2>::from_data(TensorData::new(values, shape), (device, dtype))
        };
        let inputs = match self.pair {
            PairForm::Concat => 2 * width,
            PairForm::Dot => width,
        };
        let w1 = uniform([self.hidden, inputs], inputs);
        let b1 = uniform([1, self.hidden], inputs).reshape([self.hidden]);
        let w2 = match self.pair {
            PairForm::Concat => Some(uniform([1, self.hidden], self.hidden)),
            PairForm::Dot => None,
        };
        let b2 = uniform([1, 1], self.hidden).reshape([1]);
        AdaptiveTemperature::from_parameters(w1, b1, w2, b2, limits(self.lower, self.upper)?)
    }

    /// # Errors
    /// As [`init`](Self::init), apart from the width of the vectors.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        require(OBJECTIVE, "hidden", self.hidden as f64, "at least 1", |hidden| {
            hidden >= 1.0
        })?;
        limits(self.lower, self.upper).map(drop)
    }
}

/// The network, with its limits.
#[derive(Module, Debug)]
pub struct AdaptiveTemperature {
    w1: Param<Tensor<2>>,
    b1: Param<Tensor<1>>,
    /// None where the hidden layers of both are multiplied.
    w2: Option<Param<Tensor<2>>>,
    b2: Param<Tensor<1>>,
    #[module(skip)]
    limits: Limits,
}

impl AdaptiveTemperature {
    /// From weights `W₁` `[hidden, 2·width]`, `b₁` `[hidden]`, `w₂` `[1, hidden]`, `b₂` `[1]`; without `w₂` the form is
    /// [`PairForm::Dot`], and `W₁` is `[hidden, width]`.
    ///
    /// # Errors
    /// When `w₂` is there and the first layer has an odd number of inputs.
    ///
    /// # Panics
    /// When the other shapes disagree.
    pub fn from_parameters(
        w1: Tensor<2>,
        b1: Tensor<1>,
        w2: Option<Tensor<2>>,
        b2: Tensor<1>,
        limits: Limits,
    ) -> Result<Self, ConfigError> {
        let [hidden, inputs] = w1.dims();
        if let Some(w2) = &w2 {
            require(
                OBJECTIVE,
                "inputs of w1",
                inputs as f64,
                "even: two vectors",
                |inputs| inputs % 2.0 == 0.0,
            )?;
            assert_eq!(w2.dims(), [1, hidden], "w2 of {hidden} hidden units");
        }
        assert_eq!(b1.dims(), [hidden], "b1 of {hidden} hidden units");
        assert_eq!(b2.dims(), [1], "b2 is one number");
        Ok(Self {
            w1: Param::from_tensor(w1),
            b1: Param::from_tensor(b1),
            w2: w2.map(Param::from_tensor),
            b2: Param::from_tensor(b2),
            limits,
        })
    }

    /// Numbers of each vector of a pair.
    pub fn width(&self) -> usize {
        let [_, inputs] = self.w1.dims();
        match self.form() {
            PairForm::Concat => inputs / 2,
            PairForm::Dot => inputs,
        }
    }

    /// How a pair enters.
    pub fn form(&self) -> PairForm {
        match self.w2 {
            Some(_) => PairForm::Concat,
            None => PairForm::Dot,
        }
    }

    /// What temperatures stay between.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// All parameters as matrices: `W₁`, `b₁` `[1, hidden]`, `w₂` where there is one, `b₂` `[1, 1]`.
    pub(super) fn parameters(&self) -> Vec<Tensor<2>> {
        let row = |vector: &Param<Tensor<1>>| vector.val().unsqueeze::<2>();
        let w2 = self.w2.as_ref().map(Param::val);
        let shift = row(&self.b2);
        [self.w1.val(), row(&self.b1)]
            .into_iter()
            .chain(w2)
            .chain([shift])
            .collect()
    }

    /// Temperatures of the pairs of equal rows.
    ///
    /// # Shapes
    /// - a, b `[count, width]`; returns `[count]`.
    ///
    /// # Panics
    /// When the shapes differ or the width is another one.
    pub fn paired(&self, a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
        assert_eq!(a.dims(), b.dims(), "pairs of equal rows");
        let [count, _] = a.dims();
        let [left, right] = self.layers(a, b);
        let logits = match &self.w2 {
            Some(w2) => relu(left + right).matmul(w2.val().transpose()),
            None => (left * right).sum_dim(1),
        };
        let logits = logits.reshape([count]) + self.b2.val();
        temperatures(self.limits, logits)
    }

    /// Temperatures of the pairs of every row of `a` with every row of `b`. On CPU floats no more is held than they are.
    ///
    /// # Shapes
    /// - `[n, width]`, `[m, width]`; returns `[n, m]`.
    ///
    /// # Panics
    /// When the width is another one.
    pub fn between(&self, a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
        let [left, right] = self.layers(a, b);
        let logits = match &self.w2 {
            Some(w2) => pair_logits(left, right, w2.val()),
            None => left.matmul(right.transpose()),
        };
        temperatures(self.limits, logits + self.b2.val().unsqueeze::<2>())
    }

    /// What the first layer makes of either vector, `[count, hidden]`; together they are its sums.
    fn layers(&self, a: Tensor<2>, b: Tensor<2>) -> [Tensor<2>; 2] {
        let width = self.width();
        for side in [&a, &b] {
            let [_, found] = side.dims();
            assert_eq!(found, width, "vectors of {width} numbers");
        }
        let (w1, bias) = (self.w1.val(), self.b1.val().unsqueeze::<2>());
        match self.form() {
            PairForm::Concat => {
                let of = |side: usize| {
                    w1.clone()
                        .slice_dim(1, side * width..(side + 1) * width)
                        .transpose()
                };
                [a.matmul(of(0)) + bias, b.matmul(of(1))]
            }
            PairForm::Dot => [a, b].map(|side| side.matmul(w1.clone().transpose()) + bias.clone()),
        }
    }
}

impl Case<'_> {
    /// The network of the inputs `w1`, `b1`, `w2` and `b2`, and those as leaves.
    pub(super) fn temperature_network(
        &self,
        vectors: &str,
    ) -> Result<(AdaptiveTemperature, [Tensor<2>; 2]), QuantityError> {
        let limits = self.temperature_limits()?;
        for name in ["w1", "b1", "w2", "b2"] {
            self.finite(name)?;
        }
        let [hidden, inputs] = self.array("w1").shape[..] else {
            unreachable!("two extents were declared")
        };
        if hidden == 0 {
            return self.refuse_input("w1", "has no rows; the network has at least one hidden unit");
        }
        let width = self.array(vectors).shape.last().copied().unwrap_or(0);
        if inputs != 2 * width {
            return self.refuse_input(
                "w1",
                format!("has {inputs} columns; pairs from `{vectors}` have {}", 2 * width),
            );
        }
        let (w1, w2) = (self.variable::<2>("w1"), self.variable::<2>("w2"));
        let [b1, b2] = ["b1", "b2"].map(|name| self.variable::<1>(name));
        let network = AdaptiveTemperature::from_parameters(w1.clone(), b1, Some(w2.clone()), b2, limits)?;
        Ok((network, [w1, w2]))
    }
}

/// A quantity with the weights of a network.
pub(super) fn with_network(quantity: Quantity) -> Quantity {
    quantity
        .input("w1", "[h, 2d]")
        .input("b1", "[h]")
        .input("w2", "[1, h]")
        .input("b2", "[1]")
        .with_example(
            "w1",
            crate::quantity::Array {
                shape: vec![3, 6],
                data: (0..18).map(|at| f64::from(at % 5) / 5.0 - 0.4).collect(),
            },
        )
}

pub(super) fn quantities() -> Vec<Quantity> {
    let quantity = limited(
        "amcl_pair_temperature",
        "temperatures that a network with one hidden layer gives pairs of vectors, the first one first",
    );
    vec![
        with_network(quantity.input("zi", "[n, d]").input("zj", "[n, d]")).eval(|case| {
            case.embeddings(&["zi", "zj"])?;
            let (network, _) = case.temperature_network("zi")?;
            let [a, b] = ["zi", "zj"].map(|name| case.tensor::<2>(name).autodiff());
            Ok(Outputs::new().with_tensor("tau", network.paired(a, b)))
        }),
    ]
}
