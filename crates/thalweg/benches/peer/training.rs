//! Whole training steps, and single layers and optimisers of them, for the peer to take turns with.
//!
//! `time` answers with the milliseconds of one step of a model that goes on training; `check` trains a fresh model for three
//! steps and writes the numbers that both sides must agree on.

use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use burn::module::{Module, Param};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::relu;
use burn::tensor::module;
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Gradients, Int, Tensor, TensorData};
use thalweg::classification::{CompSumLossConfig, LogitLoss};
use thalweg::layers::{Linear, conv2d, linear, max_pool2d};
use thalweg::optimizer::AdamWConfig;

/// Something that takes steps.
trait Steps {
    /// A step, and a number of it that tells whether both sides do the same.
    fn step(&mut self) -> Tensor<1>;
}

/// Serves `case` if it is one of these.
pub fn serve(case: &str, folder: &Path) -> bool {
    let make: Box<dyn Fn() -> Box<dyn Steps>> = match case {
        "mlp_step" => Box::new(|| Box::new(Training::new(Mlp::new(folder, linear), ours(), folder))),
        "mlp_step_by_burn" => {
            let linear = module::linear::<2>;
            Box::new(move || Box::new(Training::new(Mlp::new(folder, linear), burns(), folder)))
        }
        "conv_step" => Box::new(|| {
            let net = ConvNet::new(folder, conv2d, max_pool2d);
            Box::new(Training::new(net, ours(), folder))
        }),
        "conv_step_by_burn" => Box::new(|| {
            let net = ConvNet::new(folder, module::conv2d, module::max_pool2d);
            Box::new(Training::new(net, burns(), folder))
        }),
        "conv2d" => Box::new(|| Box::new(Convolution::new(folder))),
        "adamw" => Box::new(|| Box::new(Optimization::new(folder))),
        _ => return false,
    };
    let mut going = make();
    let mut out = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let started = Instant::now();
        if line.expect("the peer writes text") == "check" {
            let mut fresh = make();
            let numbers: Vec<f32> = (0..3).map(|_| fresh.step().into_scalar::<f32>()).collect();
            let bytes: Vec<u8> = numbers.into_iter().flat_map(f32::to_le_bytes).collect();
            std::fs::write(folder.join("checked.f32"), bytes).expect("the folder can be written");
        } else {
            going.step();
        }
        let milliseconds = started.elapsed().as_secs_f64() * 1e3;
        writeln!(out, "{milliseconds}").expect("the peer listens");
        out.flush().expect("the peer listens");
    }
    true
}

fn ours() -> ModuleOptimizer {
    let config = AdamWConfig::new().with_weight_decay(0.0);
    config.init().expect("its defaults are in range")
}

fn burns() -> ModuleOptimizer {
    AdamConfig::new().with_epsilon(1e-8).init()
}

/// A model and its gradients.
trait Network: Module {
    fn scores(&self, inputs: Tensor<2>) -> Tensor<2>;
}

/// Adam on cross-entropy of one batch, again and again.
struct Training<M> {
    model: Option<M>,
    optimizer: ModuleOptimizer,
    inputs: Tensor<2>,
    targets: Tensor<1, Int>,
    loss: LogitLoss,
}

impl<M: Network> Training<M> {
    fn new(model: M, optimizer: ModuleOptimizer, folder: &Path) -> Self {
        Self {
            model: Some(model),
            optimizer,
            inputs: read(folder, "inputs"),
            targets: super::targets(folder),
            loss: CompSumLossConfig::new()
                .init()
                .expect("its defaults are in range"),
        }
    }
}

impl<M: Network> Steps for Training<M> {
    fn step(&mut self) -> Tensor<1> {
        let model = self.model.take().expect("a step gives the model back");
        let scores = model.scores(self.inputs.clone());
        let loss = self.loss.forward(scores, self.targets.clone());
        let gradients: Gradients = loss.backward();
        let gradients = GradientsParams::from_grads(gradients, &model);
        self.model = Some(self.optimizer.step(1e-3, model, gradients));
        loss
    }
}

type LinearFunction = fn(Tensor<2>, Tensor<2>, Option<Tensor<1>>) -> Tensor<2>;

/// Linear layers with ReLU between.
#[derive(Module, Debug)]
struct Mlp {
    layers: Vec<Linear>,
    #[module(skip)]
    linear: Function,
}

#[derive(Clone, Debug)]
struct Function(LinearFunction);

impl Mlp {
    fn new(folder: &Path, linear: LinearFunction) -> Self {
        let layer = |index: usize| Linear {
            weight: parameter(folder, &format!("weight{index}")),
            bias: Some(parameter(folder, &format!("bias{index}"))),
        };
        Self {
            layers: (0..3).map(layer).collect(),
            linear: Function(linear),
        }
    }
}

impl Network for Mlp {
    fn scores(&self, mut hidden: Tensor<2>) -> Tensor<2> {
        for (index, layer) in self.layers.iter().enumerate() {
            if index > 0 {
                hidden = relu(hidden);
            }
            let bias = layer.bias.as_ref().map(Param::val);
            hidden = (self.linear.0)(hidden, layer.weight.val(), bias);
        }
        hidden
    }
}

type ConvFunction = fn(Tensor<4>, Tensor<4>, Option<Tensor<1>>, ConvOptions<2>) -> Tensor<4>;
type PoolFunction = fn(Tensor<4>, MaxPoolOptions<2>) -> Tensor<4>;

/// Two convolutions, each with ReLU and pooling, and a linear layer.
#[derive(Module, Debug)]
struct ConvNet {
    weights: Vec<Param<Tensor<4>>>,
    biases: Vec<Param<Tensor<1>>>,
    last: Linear,
    #[module(skip)]
    functions: (ConvFunction, PoolFunction),
}

impl ConvNet {
    fn new(folder: &Path, conv: ConvFunction, pool: PoolFunction) -> Self {
        let name = |of: &str, index: usize| format!("{of}{index}");
        Self {
            weights: (0..2).map(|i| parameter(folder, &name("weight", i))).collect(),
            biases: (0..2).map(|i| parameter(folder, &name("bias", i))).collect(),
            last: Linear {
                weight: parameter(folder, "weight2"),
                bias: Some(parameter(folder, "bias2")),
            },
            functions: (conv, pool),
        }
    }
}

impl Network for ConvNet {
    fn scores(&self, inputs: Tensor<2>) -> Tensor<2> {
        let mut hidden = inputs.reshape([-1, 1, 28, 28]);
        let (conv, pool) = self.functions;
        for (weight, bias) in self.weights.iter().zip(&self.biases) {
            hidden = conv(hidden, weight.val(), Some(bias.val()), SAME);
            hidden = pool(relu(hidden), MaxPoolOptions::new([2, 2]));
        }
        self.last.forward(hidden.flatten(1, 3))
    }
}

const SAME: ConvOptions<2> = ConvOptions {
    stride: [1, 1],
    padding: [(1, 1), (1, 1)],
    dilation: [1, 1],
    groups: 1,
};

/// Forward and backward of one convolution, whose input is a variable.
struct Convolution {
    input: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    upstream: Tensor<4>,
}

impl Convolution {
    fn new(folder: &Path) -> Self {
        Self {
            input: read(folder, "inputs").autodiff().require_grad(),
            weight: read(folder, "weight0").autodiff().require_grad(),
            bias: read(folder, "bias0").autodiff().require_grad(),
            upstream: read(folder, "upstream"),
        }
    }
}

impl Steps for Convolution {
    fn step(&mut self) -> Tensor<1> {
        let bias = Some(self.bias.clone());
        let out = conv2d(self.input.clone(), self.weight.clone(), bias, SAME);
        let gradients = (out * self.upstream.clone()).sum().backward();
        let of = |variable: &Tensor<4>| variable.grad(&gradients).expect("the sum depends on it");
        let of_input = of(&self.input).slice([0..1, 0..1, 5..6, 5..6]).reshape([1]);
        of_input + of(&self.weight).slice([0..1, 0..1, 0..1, 0..1]).reshape([1])
    }
}

/// AdamW on one array under one gradient.
struct Optimization {
    model: Option<Param<Tensor<1>>>,
    gradient: Tensor<1>,
    optimizer: ModuleOptimizer,
}

impl Optimization {
    fn new(folder: &Path) -> Self {
        Self {
            model: Some(parameter(folder, "parameters")),
            gradient: read(folder, "gradient"),
            optimizer: AdamWConfig::new().init().expect("its defaults are in range"),
        }
    }
}

impl Steps for Optimization {
    fn step(&mut self) -> Tensor<1> {
        let model = self.model.take().expect("a step gives the array back");
        let mut gradients = GradientsParams::new();
        gradients.register(model.id, self.gradient.clone());
        let model = self.optimizer.step(1e-3, model, gradients);
        let first = model.val().without_autodiff().narrow(0, 0, 1);
        self.model = Some(model);
        first
    }
}

fn read<const D: usize>(folder: &Path, name: &str) -> Tensor<D> {
    let (values, shape) = super::array(folder, name);
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

fn parameter<const D: usize>(folder: &Path, name: &str) -> Param<Tensor<D>> {
    Param::from_tensor(read(folder, name).autodiff())
}
