//! One step of a case at a time, on arrays that a file holds, for a peer to take turns with: see `benches/peers`.
//!
//! `peer --bench CASE FOLDER` reads the arrays of the case from the folder, then answers each line of its standard input:
//! `time` with the milliseconds that forward and backward took, `check` by writing value and gradient into the folder.

#[path = "peer/metric_learning.rs"]
mod metric_learning;
#[path = "peer/pairs.rs"]
mod pairs;
#[path = "peer/training.rs"]
mod training;

use std::cell::RefCell;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::{Device, Int, Tensor, TensorData};
use core_affinity::CoreId;
use thalweg::classification::spherical::{TaylorSoftmaxLossConfig, ZLossConfig};
use thalweg::classification::{
    AldrKlConfig, CompSumLossConfig, FocalLossConfig, LdrKlLossConfig, LinearLossConfig, LogitLoss,
};
use thalweg::distillation::DistillKlLossConfig;

const THREADS: usize = 2;

type Step = Box<dyn Fn() -> (Tensor<1>, Vec<Tensor<2>>)>;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let [case, folder] = &arguments[..] else {
        return;
    };
    // A peer under OMP_PROC_BIND has pinned itself, and what it starts, to one core: asked for, there would be only that one.
    rayon::ThreadPoolBuilder::new()
        .num_threads(THREADS)
        .start_handler(|thread| {
            assert!(
                core_affinity::set_for_current(CoreId { id: thread }),
                "cores 0 and 1 are needed"
            );
        })
        .build_global()
        .expect("no pool was made before");
    let folder = PathBuf::from(folder);
    rayon::scope(|_| {
        if !training::serve(case, &folder) {
            serve(&step(case, &folder), &folder);
        }
    });
}

fn serve(step: &Step, folder: &Path) {
    let mut out = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let started = Instant::now();
        let (loss, variables) = step();
        let gradients = loss.backward();
        let gradients: Vec<Tensor<2>> = variables
            .iter()
            .map(|variable| variable.grad(&gradients).expect("a loss depends on its inputs"))
            .collect();
        let milliseconds = started.elapsed().as_secs_f64() * 1e3;
        if line.expect("the peer writes text") == "check" {
            let mut values = floats(loss.without_autodiff());
            gradients
                .into_iter()
                .for_each(|gradient| values.extend(floats(gradient)));
            let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
            std::fs::write(folder.join("checked.f32"), bytes).expect("the folder can be written");
        }
        writeln!(out, "{milliseconds}").expect("the peer listens");
        out.flush().expect("the peer listens");
    }
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data()
        .try_into_vec::<f32>()
        .expect("single precision")
}

/// An array `NAME.f32`, and its shape, which `NAME.shape` tells.
fn array(folder: &Path, name: &str) -> (Vec<f32>, Vec<usize>) {
    let bytes = std::fs::read(folder.join(format!("{name}.f32"))).expect("the peer wrote the array");
    let values: Vec<f32> = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect();
    let shape = std::fs::read_to_string(folder.join(format!("{name}.shape"))).expect("and its shape");
    let shape: Vec<usize> = shape
        .split_whitespace()
        .map(|extent| extent.parse().expect("a number"))
        .collect();
    (values, shape)
}

fn variable(folder: &Path, name: &str) -> Tensor<2> {
    let (values, shape) = array(folder, name);
    Tensor::<2>::from_data(TensorData::new(values, shape), &Device::flex())
        .autodiff()
        .require_grad()
}

fn targets(folder: &Path) -> Tensor<1, Int> {
    let bytes = std::fs::read(folder.join("targets.i64")).expect("the peer wrote the targets");
    let values: Vec<i64> = bytes
        .as_chunks::<8>()
        .0
        .iter()
        .map(|b| i64::from_le_bytes(*b))
        .collect();
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), &Device::flex())
}

fn step(case: &str, folder: &Path) -> Step {
    if let Some(step) = pairs::step(case, folder).or_else(|| metric_learning::step(case, folder)) {
        return step;
    }
    let cross_entropy = || CompSumLossConfig::new().init();
    let of_logits: Result<LogitLoss, _> = match case {
        "cross_entropy" => cross_entropy(),
        "generalized_cross_entropy" => CompSumLossConfig::new().with_tau(1.7).init(),
        "mean_absolute_error" => CompSumLossConfig::new().with_tau(2.0).init(),
        "focal" => FocalLossConfig::new().init(),
        "ldr_kl" => LdrKlLossConfig::new().with_lambda(10.0).init(),
        "taylor_softmax" => TaylorSoftmaxLossConfig::new().init(),
        "z_loss" => ZLossConfig::new().init(),
        "kd" => {
            let (student, teacher) = (variable(folder, "logits"), variable(folder, "teacher"));
            let teacher = teacher.without_autodiff();
            let loss = DistillKlLossConfig::new().with_temperature(4.0).init();
            let loss = loss.expect("the temperature is in range");
            return Box::new(move || {
                (
                    loss.forward(student.clone(), teacher.clone()),
                    vec![student.clone()],
                )
            });
        }
        "aldr_kl" => {
            let (logits, targets) = (variable(folder, "logits"), targets(folder));
            let loss = AldrKlConfig::new().init().expect("its defaults are in range");
            let loss = RefCell::new(loss);
            let ids: Vec<usize> = (0..logits.dims()[0]).collect();
            return Box::new(move || {
                let value = loss.borrow_mut().forward(logits.clone(), targets.clone(), &ids);
                (value, vec![logits.clone()])
            });
        }
        "linear_cross_entropy" => {
            let (hidden, weight) = (variable(folder, "hidden"), variable(folder, "weight"));
            let targets = targets(folder);
            let loss = cross_entropy().expect("its defaults are in range");
            let layer = LinearLossConfig::new()
                .init(loss)
                .expect("its defaults are in range");
            return Box::new(move || {
                let loss = layer.forward(hidden.clone(), weight.clone(), None, targets.clone());
                (loss, vec![hidden.clone(), weight.clone()])
            });
        }
        other => panic!("there is no case {other}"),
    };
    let loss = of_logits.expect("the parameters are in range");
    let (logits, targets) = (variable(folder, "logits"), targets(folder));
    Box::new(move || {
        (
            loss.forward(logits.clone(), targets.clone()),
            vec![logits.clone()],
        )
    })
}
