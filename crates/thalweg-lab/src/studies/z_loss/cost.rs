//! Part 2: what a step costs as classes grow, on one thread.

use std::time::{Duration, Instant};

use burn::module::{Module, Param};
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use thalweg::Reduction;
use thalweg::classification::output::{
    FactoredOutputConfig, HierarchicalSoftmaxOutput, LogSoftmaxOutput, OutputLayer,
};
use thalweg::classification::spherical::SphericalMember;
use thalweg_kernels::batch::forward_backward;
use thalweg_kernels::matrix::{Matrix, Work, multiply};
use thalweg_kernels::random::Stream;
use thalweg_kernels::spherical::OfMoments;

use crate::LabError;
use crate::pool::Pool;
use crate::study::{Advance, Claim, Scale, Table, Verdict, Weight};

const WIDTH: usize = 64;
const BATCH: usize = 32;
const RATE: f64 = 0.05;
const MEMBER: SphericalMember = SphericalMember::ZLoss { a: 0.5, b: 8.0 };

fn counts(scale: &Scale) -> Vec<usize> {
    scale.pick(vec![1_000, 10_000, 100_000], vec![500, 1_000, 2_000])
}

fn repetitions(scale: &Scale) -> usize {
    scale.pick(30, 3)
}

/// One step a number of classes, and one for whole models.
pub(super) fn steps(scale: &Scale) -> usize {
    counts(scale).len() + 1
}

/// Median seconds of a step of the layers.
#[derive(Clone, Copy)]
struct Layers {
    classes: usize,
    dense: f64,
    factored: f64,
}

/// Median seconds of a step of a hidden layer and an output layer.
#[derive(Clone, Copy)]
struct Models {
    factored: f64,
    hierarchical: f64,
    log_softmax: f64,
}

pub(super) fn run(
    scale: &Scale,
    pool: &Pool,
    advance: &Advance,
) -> Result<(Vec<Table>, Vec<Claim>), LabError> {
    let alone = Pool { jobs: 1, ..*pool };
    let counts = counts(scale);
    let layers = alone.try_map(counts.len(), |index| {
        let timed = layers(counts[index], repetitions(scale))?;
        advance(1);
        Ok(Some(timed))
    })?;
    let largest = *counts.last().expect("there are some");
    let models = alone.try_map(1, |_| {
        let timed = models(largest, repetitions(scale))?;
        advance(1);
        Ok(Some(timed))
    })?;
    let models = models[0];
    let claims = claims(&layers, &models);
    Ok((vec![layer_table(&layers), model_table(largest, &models)], claims))
}

fn layers(classes: usize, repetitions: usize) -> Result<Layers, LabError> {
    let mut layer = FactoredOutputConfig::new(classes, WIDTH)
        .with_member(MEMBER)
        .init(0)?;
    let mut dense = Dense::new(layer.weights(), classes);
    let mut stream = Stream::new(0, "cost", classes as u64);
    let mut batch = || {
        let hidden: Vec<f64> = (0..BATCH * WIDTH).map(|_| stream.uniform()).collect();
        let targets: Vec<u32> = (0..BATCH).map(|_| stream.below(classes) as u32).collect();
        (hidden, targets)
    };
    // One after the other: in turns each would find the other's memory in the cache.
    let factored = median_seconds(repetitions, || {
        let (hidden, targets) = batch();
        let (hidden, targets) = tensors(hidden, &targets, &Device::flex());
        let started = Instant::now();
        layer.train(hidden, targets, RATE)?;
        Ok(started.elapsed())
    })?;
    let dense = median_seconds(repetitions, || {
        let (hidden, targets) = batch();
        let started = Instant::now();
        dense.step(&hidden, &targets);
        Ok(started.elapsed())
    })?;
    Ok(Layers {
        classes,
        dense,
        factored,
    })
}

/// Of repetitions of a step, after some to warm up.
fn median_seconds(
    repetitions: usize,
    mut step: impl FnMut() -> Result<Duration, LabError>,
) -> Result<f64, LabError> {
    for _ in 0..repetitions / 5 {
        step()?;
    }
    let mut times = (0..repetitions).map(|_| step()).collect::<Result<Vec<_>, _>>()?;
    times.sort_unstable();
    Ok(times[times.len() / 2].as_secs_f64())
}

/// The same step on W itself, by matrix products and the fused kernel of the loss.
struct Dense {
    weights: Vec<f64>,
    classes: usize,
    scores: Vec<f64>,
    errors: Vec<f64>,
}

impl Dense {
    fn new(weights: Vec<f64>, classes: usize) -> Self {
        let scores = vec![0.0; BATCH * classes];
        Self {
            weights,
            classes,
            errors: scores.clone(),
            scores,
        }
    }

    fn step(&mut self, hidden: &[f64], targets: &[u32]) {
        let vectors = Matrix::new(hidden, BATCH, WIDTH);
        let rows = Matrix::new(&self.weights, self.classes, WIDTH);
        multiply(
            Work::Alone,
            &mut self.scores,
            0.0,
            1.0,
            vectors,
            rows.transposed(),
        );
        let (mut losses, scale) = (vec![0.0; BATCH], 1.0 / BATCH as f64);
        forward_backward(
            &OfMoments(&MEMBER),
            &self.scores,
            targets,
            self.classes,
            scale,
            &mut losses,
            &mut self.errors,
        );
        let errors = Matrix::new(&self.errors, BATCH, self.classes);
        let mut gradient = vec![0.0; hidden.len()];
        multiply(Work::Alone, &mut gradient, 0.0, 1.0, errors, rows);
        multiply(
            Work::Alone,
            &mut self.weights,
            1.0,
            -RATE,
            errors.transposed(),
            vectors,
        );
    }
}

fn tensors(hidden: Vec<f64>, targets: &[u32], device: &Device) -> (Tensor<2>, Tensor<1, Int>) {
    let hidden: Vec<f32> = hidden.into_iter().map(|x| x as f32).collect();
    let targets: Vec<i64> = targets.iter().map(|&target| i64::from(target)).collect();
    (
        Tensor::from_data(TensorData::new(hidden, [BATCH, WIDTH]), device),
        Tensor::from_data(TensorData::new(targets, [BATCH]), device),
    )
}

#[derive(Module, Debug)]
struct Hidden {
    weight: Param<Tensor<2>>,
}

/// A hidden layer by burn with an output layer on top.
struct Model<L> {
    hidden: Hidden,
    optimizer: ModuleOptimizer,
    output: L,
}

impl<L: OutputLayer> Model<L> {
    fn new(output: L, device: &Device) -> Self {
        let mut weights = vec![0.0_f32; WIDTH * WIDTH];
        Stream::new(0, "hidden", 0).fill_uniform(-0.125, 0.125, &mut weights);
        let weight = Tensor::from_data(TensorData::new(weights, [WIDTH, WIDTH]), device);
        Self {
            hidden: Hidden {
                weight: Param::from_tensor(weight),
            },
            optimizer: SgdConfig::new().init(),
            output,
        }
    }

    fn step(&mut self, inputs: Tensor<2>, targets: Tensor<1, Int>) -> Result<Duration, LabError> {
        let started = Instant::now();
        let hidden = relu(inputs.matmul(self.hidden.weight.val()));
        let loss = self.output.train(hidden, targets, RATE)?;
        let gradients = GradientsParams::from_grads(loss.backward(), &self.hidden);
        self.hidden = self.optimizer.step(RATE, self.hidden.clone(), gradients);
        Ok(started.elapsed())
    }
}

fn models(classes: usize, repetitions: usize) -> Result<Models, LabError> {
    let factored = FactoredOutputConfig::new(classes, WIDTH)
        .with_member(MEMBER)
        .init(0)?;
    let hierarchical = HierarchicalSoftmaxOutput::<f32>::new(classes, WIDTH, Reduction::Mean, 0);
    let log_softmax = LogSoftmaxOutput::<f32>::new(classes, WIDTH, Reduction::Mean, 0);
    Ok(Models {
        factored: model_seconds(factored, classes, repetitions)?,
        hierarchical: model_seconds(hierarchical, classes, repetitions)?,
        log_softmax: model_seconds(log_softmax, classes, repetitions)?,
    })
}

fn model_seconds(output: impl OutputLayer, classes: usize, repetitions: usize) -> Result<f64, LabError> {
    let device = Device::flex().autodiff();
    let mut model = Model::new(output, &device);
    let mut stream = Stream::new(1, "cost", classes as u64);
    median_seconds(repetitions, || {
        let inputs: Vec<f64> = (0..BATCH * WIDTH).map(|_| stream.uniform()).collect();
        let targets: Vec<u32> = (0..BATCH).map(|_| stream.below(classes) as u32).collect();
        let (inputs, targets) = tensors(inputs, &targets, &device);
        model.step(inputs, targets)
    })
}

/// Of log time in log classes, by least squares.
fn slope(layers: &[Layers], time: impl Fn(&Layers) -> f64) -> f64 {
    let points: Vec<(f64, f64)> = layers
        .iter()
        .map(|layer| ((layer.classes as f64).ln(), time(layer).ln()))
        .collect();
    let count = points.len() as f64;
    let x = points.iter().map(|point| point.0).sum::<f64>() / count;
    let y = points.iter().map(|point| point.1).sum::<f64>() / count;
    let covariance: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    covariance / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
}

fn claims(layers: &[Layers], models: &Models) -> Vec<Claim> {
    let verdict = |holds| {
        Some(if holds {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        })
    };
    let (factored, dense) = (
        slope(layers, |layer| layer.factored),
        slope(layers, |layer| layer.dense),
    );
    let last = layers.last().expect("there are some");
    let ratio = last.dense / last.factored;
    vec![
        Claim {
            text: "the factored step does not depend on the number of classes, the dense one does".to_owned(),
            criterion: "log-log slope in the classes below 0.15 and above 0.8".to_owned(),
            evidence: format!("slopes {factored:+.3} and {dense:+.3}").replace('-', "−"),
            verdict: verdict(factored < 0.15 && dense > 0.8),
            weight: Weight::Decisive,
        },
        Claim {
            text: format!(
                "at {} classes the factored step is many times faster than the dense one",
                last.classes
            ),
            criterion: "at least 40 times".to_owned(),
            evidence: format!("{ratio:.0} times"),
            verdict: verdict(ratio >= 40.0),
            weight: Weight::Decisive,
        },
        Claim {
            text: "with a hidden layer below, the factored Z-loss is faster than hierarchical softmax"
                .to_owned(),
            criterion: format!("a shorter median step at {} classes", last.classes),
            evidence: format!(
                "{:.1} times faster, and {:.0} times faster than log-softmax",
                models.hierarchical / models.factored,
                models.log_softmax / models.factored
            ),
            verdict: verdict(models.factored < models.hierarchical),
            weight: Weight::Decisive,
        },
    ]
}

fn layer_table(layers: &[Layers]) -> Table {
    let rows = layers.iter().map(|layer| {
        vec![
            layer.classes.to_string(),
            milliseconds(layer.dense),
            milliseconds(layer.factored),
            format!("{:.1}", layer.dense / layer.factored),
        ]
    });
    Table {
        title: format!(
            "2a. Milliseconds a Z-loss step of the output layer, width {WIDTH}, batch {BATCH}, f64, one thread"
        ),
        columns: ["classes", "dense", "factored", "ratio"]
            .map(str::to_owned)
            .to_vec(),
        rows: rows.collect(),
    }
}

fn model_table(classes: usize, models: &Models) -> Table {
    let row = |label: &str, time: f64| {
        vec![
            label.to_owned(),
            milliseconds(time),
            format!("{:.1}", time / models.factored),
        ]
    };
    Table {
        title: format!(
            "2b. Milliseconds a step of a hidden layer and the output, {classes} classes, one thread"
        ),
        columns: ["output", "step", "times the factored"]
            .map(str::to_owned)
            .to_vec(),
        rows: vec![
            row("factored Z-loss, f64", models.factored),
            row("hierarchical softmax, f32", models.hierarchical),
            row("log-softmax, f32", models.log_softmax),
        ],
    }
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.3}", 1e3 * seconds)
}
