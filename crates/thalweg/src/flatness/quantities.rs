//! The family's quantities.

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor, TensorData};
use thalweg_kernels::random::Stream;

use super::{
    Convergence, Landscape, MesaConfig, Moment, SafConfig, SoftmaxRegression, TrajectoryLoss,
    TrajectoryLossConfig, Window, first_order_sharpness, hessian_trace, largest_in_ball, sam_sharpness,
    slots, top_eigenvalue,
};
use crate::config::require;
use crate::objective::{Batch, Model, Objective, Progress};
use crate::optimizer::{
    Evaluation, MomentumSgdConfig, Neighbourhood, Perturbation, SamConfig, SgdConfig, WholeOptimizer,
    averaged, follow, target_of,
};
use crate::quantity::{Array, Case, Outputs, Quantity, QuantityError};

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        trajectory_loss(),
        total_loss(),
        epoch_schedule(),
        ema_update(),
        sam_perturbation(),
        asam_perturbation(),
        sam_trajectory(),
        saf_trajectory(),
        mesa_trajectory(),
        sharpness_measures(),
        worst_case(),
    ]
}

fn of_loss(quantity: Quantity) -> Quantity {
    quantity
        .param("temperature", 5.0)
        .param("weight", 0.3)
        .param("temperature_squared", true)
}

impl Case<'_> {
    fn trajectory_config(&self) -> Result<TrajectoryLossConfig, QuantityError> {
        Ok(TrajectoryLossConfig::new()
            .with_temperature(self.param("temperature")?)
            .with_weight(self.param("weight")?)
            .with_temperature_squared(self.flag("temperature_squared")?))
    }

    fn trajectory(&self) -> Result<TrajectoryLoss, QuantityError> {
        Ok(self.trajectory_config()?.init()?)
    }

    /// Checks rows of numbers: at least one, of at least one, all finite.
    fn rows(&self, name: &str) -> Result<(), QuantityError> {
        self.not_empty(name)?;
        self.finite(name)?;
        match self.array(name).shape[1] {
            0 => self.refuse_input(name, "has no columns; there must be at least one"),
            _ => Ok(()),
        }
    }

    fn integer(&self, name: &str) -> Result<i64, QuantityError> {
        match self.optional_integer(name)? {
            Some(integer) => Ok(integer),
            None => self.refuse_param(name, "a whole number"),
        }
    }

    /// The landscape of the inputs `features` and `labels`, and the weights of the input `name`.
    fn regression(&self, name: &str) -> Result<(SoftmaxRegression, Vec<f64>), QuantityError> {
        self.rows("features")?;
        self.rows(name)?;
        let weights = self.array(name);
        let labels = self.class_indices("labels", weights.shape[0])?;
        let features = self.array("features").data.clone();
        let landscape = SoftmaxRegression::new(features, labels, weights.shape[1], weights.shape[0]);
        Ok((landscape, weights.data.clone()))
    }
}

fn trajectory_loss() -> Quantity {
    of_loss(Quantity::new(
        "saf_trajectory_loss",
        "SAF's divergence of logits from past ones, and its gradient",
    ))
    .input("logits", "[N, K]")
    .input("past_logits", "[N, K]")
    .eval(|case| {
        case.rows("logits")?;
        case.rows("past_logits")?;
        let (loss, logits) = (case.trajectory()?, case.variable::<2>("logits"));
        let value = loss.divergence(logits.clone(), case.tensor("past_logits"));
        Ok(case.value_and_gradients(value, &[("logits", &logits)]))
    })
}

fn total_loss() -> Quantity {
    of_loss(Quantity::new(
        "saf_total_loss",
        "cross-entropy with SAF's divergence from past logits where that is active, and its gradient",
    ))
    .param("label_smoothing", 0.0)
    .param("active", true)
    .input("logits", "[N, K]")
    .input("past_logits", "[N, K]")
    .input("labels", "[N]")
    .eval(|case| {
        case.rows("logits")?;
        case.rows("past_logits")?;
        let config = case.trajectory_config()?;
        let loss = config
            .with_label_smoothing(case.param("label_smoothing")?)
            .init()?;
        let labels = case.labels("labels", case.array("logits").shape[1])?;
        let logits = case.variable::<2>("logits");
        let value = if case.flag("active")? {
            loss.forward(logits.clone(), labels, case.tensor("past_logits"))
        } else {
            loss.base(logits.clone(), labels)
        };
        Ok(case.value_and_gradients(value, &[("logits", &logits)]))
    })
}

fn epoch_schedule() -> Quantity {
    Quantity::new(
        "saf_epoch_schedule",
        "epochs in which SAF's term is active (1 or 0), and the slots that outputs go to and come from",
    )
    .param("start_epoch", 5.0)
    .param("end_epoch", 300.0)
    .param("lag", 3.0)
    .param("epochs", 10.0)
    .eval(|case| {
        let window = Window {
            start: Moment::Epoch(case.integer("start_epoch")?),
            end: Moment::Epoch(case.integer("end_epoch")?),
        };
        let (lag, epochs) = (case.count("lag", 0)?, case.count("epochs", 0)?);
        let each =
            |of: &dyn Fn(usize) -> usize| (0..epochs).map(|epoch| of(epoch) as f64).collect::<Vec<_>>();
        Ok(Outputs::new()
            .with("active", each(&|epoch| usize::from(window.holds(epoch, epochs))))
            .with("write_slot", each(&|epoch| slots(epoch, lag).0))
            .with("read_slot", each(&|epoch| slots(epoch, lag).1)))
    })
}

fn ema_update() -> Quantity {
    Quantity::new("mesa_ema_update", "MESA's averaged weights after one step")
        .param("decay", 0.9995)
        .input("ema", "[P]")
        .input("weights", "[P]")
        .eval(|case| {
            case.finite("ema")?;
            case.finite("weights")?;
            let decay = require(
                "mesa_ema_update",
                "decay",
                case.param("decay")?,
                "from 0 to 1",
                |decay| (0.0..=1.0).contains(&decay),
            )?;
            let after = averaged::<1>(case.tensor("ema"), case.tensor("weights"), decay);
            Ok(Outputs::new().with_tensor("ema", after))
        })
}

fn epsilon(rule: &Perturbation, weights: Tensor<1>, gradient: Tensor<1>) -> Outputs {
    let length = rule.length(&weights, &gradient).value();
    Outputs::new().with_tensor("epsilon", rule.epsilon(length, &weights, gradient))
}

fn sam_perturbation() -> Quantity {
    Quantity::new(
        "sam_perturbation",
        "SAM's way from the weights to where the loss is about largest",
    )
    .param("rho", 0.05)
    .input("grad", "[P]")
    .eval(|case| {
        case.finite("grad")?;
        let rule = SamConfig::new().with_rho(case.param("rho")?).perturbation()?;
        let gradient: Tensor<1> = case.tensor("grad");
        Ok(epsilon(&rule, gradient.zeros_like(), gradient))
    })
}

fn asam_perturbation() -> Quantity {
    Quantity::new(
        "asam_perturbation",
        "ASAM's way from the weights to where the loss is about largest",
    )
    .param("rho", 0.5)
    .param("eta", 0.01)
    .input("weights", "[P]")
    .input("grad", "[P]")
    .eval(|case| {
        case.finite("weights")?;
        case.finite("grad")?;
        let eta = case.param("eta")?;
        let config = SamConfig::new().with_rho(case.param("rho")?);
        let config = config.with_neighbourhood(Neighbourhood::Adaptive { eta });
        Ok(epsilon(
            &config.perturbation()?,
            case.tensor("weights"),
            case.tensor("grad"),
        ))
    })
}

/// Scores linear in the inputs, without a bias.
#[derive(Module, Debug)]
struct LinearScores {
    weights: Param<Tensor<2>>,
}

impl Model for LinearScores {
    fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        inputs.matmul(self.weights.val().transpose())
    }

    fn frozen(&self, inputs: Tensor<2>) -> Tensor<2> {
        inputs.matmul(self.weights.val().without_autodiff().transpose())
    }
}

/// A model beside the average of its weights.
struct Averaging<'a> {
    model: &'a LinearScores,
    average: &'a LinearScores,
}

impl Model for Averaging<'_> {
    fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.model.forward(inputs)
    }

    fn frozen(&self, inputs: Tensor<2>) -> Tensor<2> {
        self.model.frozen(inputs)
    }

    fn averaged(&self, inputs: Tensor<2>) -> Option<Tensor<2>> {
        Some(self.average.frozen(inputs))
    }
}

/// Training on all samples at once, a step an epoch.
struct Training {
    batch: Batch,
    model: LinearScores,
    steps: usize,
    rate: f64,
    /// The weights after each step.
    weights: Array,
}

fn trained(quantity: Quantity) -> Quantity {
    quantity
        .param("lr", 0.1)
        .param("steps", 10.0)
        .input("features", "[N, D]")
        .input("labels", "[N]")
        .input("w0", "[K, D]")
}

impl Training {
    fn new(case: &Case) -> Result<Self, QuantityError> {
        case.rows("features")?;
        case.rows("w0")?;
        let (features, first) = (case.array("features"), case.array("w0"));
        let device = Device::flex().autodiff();
        let weights = TensorData::new(first.data.clone(), first.shape.clone());
        let weights = Tensor::from_data(weights, (&device, DType::F64));
        Ok(Self {
            batch: Batch {
                inputs: case.tensor::<2>("features").autodiff(),
                targets: case.labels("labels", first.shape[0])?,
                ids: (0..features.shape[0]).collect(),
                range: None,
                bags: None,
                teacher_logits: None,
            },
            model: LinearScores {
                weights: Param::from_tensor(weights),
            },
            steps: case.count("steps", 0)?,
            rate: case.param("lr")?,
            weights: Array {
                shape: [&[0], &first.shape[..]].concat(),
                data: Vec::new(),
            },
        })
    }

    /// A step of the optimiser on `loss` of the model; returns its value before the step.
    fn step(
        &mut self,
        optimizer: &mut impl WholeOptimizer,
        mut loss: impl FnMut(&LinearScores, &Batch) -> Tensor<1>,
    ) -> f64 {
        let batch = &self.batch;
        let (model, value) = optimizer.step(self.rate, self.model.clone(), &mut |model| {
            let loss = loss(model, batch);
            Evaluation {
                value: loss.clone().into_scalar::<f64>(),
                gradients: GradientsParams::from_grads(loss.backward(), model),
            }
        });
        self.model = model;
        let now = self.model.weights.val().into_data().try_into_vec_as::<f64>();
        self.weights.data.extend(now.expect("weights are floats"));
        self.weights.shape[0] += 1;
        value
    }

    fn progress(&self, epoch: usize) -> Progress {
        Progress {
            epoch,
            epochs: self.steps,
            step: epoch,
            steps: self.steps,
        }
    }
}

/// No objective of this family draws numbers.
fn undrawn() -> Stream {
    Stream::new(0, "flatness", 0)
}

fn sam_trajectory() -> Quantity {
    trained(Quantity::new(
        "sam_trajectory_softmax_regression",
        "weights of a softmax regression after each step of SAM or ASAM over SGD with momentum",
    ))
    .param("rho", 0.05)
    .param("momentum", 0.9)
    .param("adaptive", false)
    .param("eta", 0.01)
    .eval(|case| {
        let mut training = Training::new(case)?;
        let neighbourhood = if case.flag("adaptive")? {
            Neighbourhood::Adaptive {
                eta: case.param("eta")?,
            }
        } else {
            Neighbourhood::Ball
        };
        let base = MomentumSgdConfig::new().with_momentum(case.param("momentum")?);
        let config = SamConfig::new().with_rho(case.param("rho")?);
        let mut optimizer = config.with_neighbourhood(neighbourhood).init(base.init()?)?;
        let loss = TrajectoryLossConfig::new().init()?;
        for _ in 0..training.steps {
            training.step(&mut optimizer, |model, batch| {
                loss.base(model.forward(batch.inputs.clone()), batch.targets.clone())
            });
        }
        Ok(Outputs::new().with("weights", training.weights))
    })
}

fn saf_trajectory() -> Quantity {
    of_loss(trained(Quantity::new(
        "saf_trajectory_softmax_regression",
        "SAF on a softmax regression, a step an epoch: weights after each, losses before",
    )))
    .param("lag", 3.0)
    .param("start_epoch", 5.0)
    .eval(|case| {
        let mut training = Training::new(case)?;
        let mut objective = SafConfig::new()
            .with_temperature(case.param("temperature")?)
            .with_weight(case.param("weight")?)
            .with_temperature_squared(case.flag("temperature_squared")?)
            .with_lag(case.count("lag", 0)?)
            .with_start(Moment::Epoch(case.integer("start_epoch")?))
            .init()?;
        let mut optimizer = SgdConfig::new().init()?;
        let mut losses = Vec::with_capacity(training.steps);
        for epoch in 0..training.steps {
            let progress = training.progress(epoch);
            losses.push(training.step(&mut optimizer, |model, batch| {
                objective.loss(model, batch, &progress, &mut undrawn())
            }));
        }
        Ok(Outputs::new()
            .with("weights", training.weights)
            .with("loss", losses))
    })
}

fn mesa_trajectory() -> Quantity {
    of_loss(trained(Quantity::new(
        "mesa_trajectory_softmax_regression",
        "MESA on a softmax regression, a step an epoch: weights after each, their average at the end",
    )))
    .param("decay", 0.9995)
    .param("start_epoch", 5.0)
    .eval(|case| {
        let mut training = Training::new(case)?;
        let decay = case.param("decay")?;
        let mut objective = MesaConfig::new()
            .with_temperature(case.param("temperature")?)
            .with_weight(case.param("weight")?)
            .with_temperature_squared(case.flag("temperature_squared")?)
            .with_decay(decay)
            .with_start(Moment::Epoch(case.integer("start_epoch")?))
            .init()?;
        let mut optimizer = SgdConfig::new().init()?;
        let mut average = target_of(&training.model);
        for epoch in 0..training.steps {
            let progress = training.progress(epoch);
            training.step(&mut optimizer, |model, batch| {
                let model = Averaging {
                    model,
                    average: &average,
                };
                objective.loss(&model, batch, &progress, &mut undrawn())
            });
            average = follow(average, &training.model, decay);
        }
        Ok(Outputs::new()
            .with("weights", training.weights)
            .with_tensor("ema", average.weights.val()))
    })
}

fn sharpness_measures() -> Quantity {
    Quantity::new(
        "sharpness_measures_softmax_regression",
        "sharpness of a softmax regression: rise along the gradient, the same to first order, Hessian's top eigenvalue and trace",
    )
    .param("rho", 0.05)
    .input("features", "[N, D]")
    .input("labels", "[N]")
    .input("weights", "[K, D]")
    .eval(|case| {
        let (landscape, weights) = case.regression("weights")?;
        let rho = radius("sharpness_measures_softmax_regression", case.param("rho")?)?;
        let mut random = Stream::new(0, "top eigenvalue", 0);
        let top = top_eigenvalue(&landscape, &weights, Convergence::default(), &mut random);
        Ok(Outputs::new()
            .with("loss", landscape.loss(&weights))
            .with("sam_sharpness", sam_sharpness(&landscape, &weights, rho))
            .with("first_order_sharpness", first_order_sharpness(&landscape, &weights, rho))
            .with("hessian_top_eigenvalue", top)
            .with("hessian_trace", hessian_trace(&landscape, &weights)))
    })
}

fn radius(quantity: &'static str, rho: f64) -> Result<f64, QuantityError> {
    Ok(require(quantity, "rho", rho, "at least 0 and finite", |rho| {
        rho >= 0.0 && rho.is_finite()
    })?)
}

fn worst_case() -> Quantity {
    Quantity::new(
        "worst_case_sharpness_quadratic",
        "largest value of grad·e + ½ e·He over the ball of radius rho",
    )
    .param("rho", 0.05)
    .input("hessian", "[D, D]")
    .input("grad", "[D]")
    .eval(|case| {
        case.finite("hessian")?;
        case.finite("grad")?;
        let rho = radius("worst_case_sharpness_quadratic", case.param("rho")?)?;
        let value = largest_in_ball(&case.array("hessian").data, &case.array("grad").data, rho);
        Ok(Outputs::new().with("value", value))
    })
}
