//! MoCo: a query is to find its own key, by a slow key network, among the keys of past batches.
//!
//! `−log( exp(q·k₊/τ) / (exp(q·k₊/τ) + Σ_j exp(q·k_j/τ)) )`, mean over queries, of unit vectors: q of the first view by the
//! encoder, k₊ of the second by the target network, k_j from a queue of the latest keys. The keys of the batch enter the queue
//! after its loss; the queue is empty at first, and a query without negatives costs nothing.
//!
//! A sample's own older keys are no negatives of it: all keys of samples that are in the batch are left out, for the whole
//! batch. (The authors' code leaves them in; with a queue shorter than an epoch there are none but right after its turn.)
//!
//! Source: He, Fan, Wu, Xie, Girshick, "Momentum contrast", CVPR 2020 (arXiv 1911.05722).

use burn::config::Config;
use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Tensor, TensorData};
use thalweg_kernels::in_batch::{
    Anchors, Own, Pairs, Slope, SoftmaxTerm, Statistics, softmax_gradients, softmax_statistics,
};
use thalweg_kernels::random::Stream;

use super::key_queue::KeyQueue;
use super::target_network::TargetMomentum;
use super::unit_views::unit_rows;
use crate::ConfigError;
use crate::bridge::{CpuFloat, CpuFloats, constant, with_gradients};
use crate::config::require;
use crate::objective::{EmbeddedViews, Progress, ViewObjective};
use crate::quantity::Quantity;

/// InfoNCE of queries, each with a key of its own, against negatives for all: `[1]`, the mean over queries.
///
/// # Shapes
/// - queries, keys `[batch, width]`, negatives `[count, width]`, which may be none: all unit rows; keys and negatives are
///   constants, whatever they hang on. Temperature τ above 0.
///
/// # Panics
/// When the shapes disagree.
pub fn queue_info_nce(
    queries: Tensor<2>,
    keys: Tensor<2>,
    negatives: Tensor<2>,
    temperature: f64,
) -> Tensor<1> {
    let (shape, [_, width]) = (queries.dims(), negatives.dims());
    assert_eq!(shape, keys.dims(), "a key for each query");
    assert_eq!(shape[1], width, "negatives are as wide as queries");
    let (keys, negatives) = (keys.without_autodiff(), negatives.without_autodiff());
    let memory = [&queries, &keys, &negatives].map(CpuFloats::gathered);
    let [Some(q), Some(k), Some(n)] = &memory else {
        return composed(queries, keys, negatives, temperature);
    };
    match queries.dtype() {
        DType::F32 => streamed::<f32>(queries.clone(), [q, k, n], temperature),
        _ => streamed::<f64>(queries.clone(), [q, k, n], temperature),
    }
}

/// In tensor operations, with all scores at once.
fn composed(queries: Tensor<2>, keys: Tensor<2>, negatives: Tensor<2>, temperature: f64) -> Tensor<1> {
    let own = (queries.clone() * keys).sum_dim(1);
    let others = queries.matmul(negatives.transpose());
    let logits = Tensor::cat(vec![own, others], 1) * (1.0 / temperature);
    let [batch, _] = logits.dims();
    -log_softmax(logits, 1).slice([0..batch, 0..1]).mean()
}

/// On memory, without a matrix of scores.
fn streamed<F: CpuFloat>(queries: Tensor<2>, memory: [&CpuFloats; 3], temperature: f64) -> Tensor<1> {
    let [batch, width] = queries.dims();
    let [q, k, n] = memory.map(CpuFloats::slice::<F>);
    let temperatures = vec![temperature; batch];
    let pairs = Pairs::Across {
        queries: q,
        keys: n,
        anchors: Anchors {
            temperatures: &temperatures,
            positives: None,
        },
        own: Own::Counted,
    };
    let statistics = softmax_statistics(&pairs, width);
    let rows = || q.chunks_exact(width).zip(k.chunks_exact(width));
    let positives = rows().map(|(query, key)| {
        let pairs = query.iter().zip(key);
        pairs.map(|(a, b)| a.to_f64() * b.to_f64()).sum::<f64>()
    });
    let terms: Vec<SoftmaxTerm> = statistics[0]
        .iter()
        .zip(positives)
        .map(|(&others, positive)| Statistics { positive, ..others }.info_nce(temperature))
        .collect();
    let share = 1.0 / batch as f64;
    let value = share * terms.iter().map(|term| term.loss).sum::<f64>();
    let by_others = terms.iter().map(|term| Slope {
        positive: 0.0,
        others: share * term.slope.others,
    });
    let slopes = [by_others.collect(), Vec::new()];
    let [mut gradient, _] = softmax_gradients(&pairs, width, &statistics, &slopes);
    for ((slopes, (_, key)), term) in gradient.chunks_exact_mut(width).zip(rows()).zip(&terms) {
        let by_positive = share * term.slope.positive;
        for (slope, key) in slopes.iter_mut().zip(key) {
            *slope += F::from_f64(by_positive * key.to_f64());
        }
    }
    let (device, dtype) = (queries.device(), queries.dtype());
    let value = constant(vec![value], [1], &device, dtype);
    let gradient = constant(gradient, [batch, width], &device, dtype);
    with_gradients(value, [(queries, gradient)])
}

/// Configuration of [`Moco`].
#[derive(Config, Debug)]
pub struct MocoConfig {
    /// Keys that the queue holds, at least 1.
    #[config(default = 65_536)]
    pub queue: usize,
    /// Temperature τ, above 0.
    #[config(default = 0.07)]
    pub temperature: f64,
    /// Of the key network.
    #[config(default = "TargetMomentum::Constant(0.999)")]
    pub momentum: TargetMomentum,
}

impl MocoConfig {
    /// The objective, its queue empty.
    ///
    /// # Errors
    /// When a number is out of its range.
    pub fn init(&self) -> Result<Moco, ConfigError> {
        require("moco", "queue", self.queue as f64, "at least 1", |queue| {
            queue >= 1.0
        })?;
        Ok(Moco {
            temperature: temperature(self.temperature)?,
            momentum: self.momentum.checked("moco")?,
            queue: KeyQueue::new(self.queue),
        })
    }
}

fn temperature(value: f64) -> Result<f64, ConfigError> {
    require(
        "moco",
        "temperature",
        value,
        "above 0 and finite",
        |temperature| temperature > 0.0 && temperature.is_finite(),
    )
}

/// MoCo as an objective of views, with its queue. Asks for a target network, whose embeddings are the keys.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Moco {
    temperature: f64,
    momentum: TargetMomentum,
    queue: KeyQueue,
}

impl Moco {
    /// The keys it remembers.
    pub fn queue(&self) -> &KeyQueue {
        &self.queue
    }
}

impl ViewObjective for Moco {
    /// Of the first view against the target network's second.
    ///
    /// # Panics
    /// When there is no target network, fewer than two views, or embeddings are not as wide as before.
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, _: &mut Stream) -> Tensor<1> {
        let [queries, _] = views.pair().map(unit_rows);
        let keys = unit_rows(views.of_target()[1].clone().without_autodiff());
        let ([_, width], dtype) = (queries.dims(), queries.dtype());
        let negatives: Vec<f32> = self.queue.of_others(&views.ids).collect();
        let shape = [negatives.len() / width, width];
        let device = queries.device().without_autodiff();
        let negatives = Tensor::from_data(TensorData::new(negatives, shape), (&device, dtype));
        let loss = queue_info_nce(queries, keys.clone(), negatives, self.temperature);
        let keys = keys.into_data().try_into_vec_as::<f32>();
        let keys = keys.expect("float tensors read as f32");
        self.queue.push(&keys, &views.ids, width);
        loss
    }

    fn target_momentum(&self, progress: &Progress) -> Option<f64> {
        Some(self.momentum.at(progress))
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "moco_loss",
            "InfoNCE of queries, each with its own key, against a queue of keys, all brought to length 1, and its gradient",
        )
        .param("tau", 0.07)
        .input("queries", "[B, d]")
        .input("keys", "[B, d]")
        .input("queue", "[K, d]")
        .eval(|case| {
            let temperature = temperature(case.param("tau")?)?;
            case.embeddings(&["queries", "keys"])?;
            case.finite("queue")?;
            for name in ["queries", "keys", "queue"] {
                case.no_zero_rows(name)?;
            }
            let queries = case.variable::<2>("queries");
            let [keys, queue] = ["keys", "queue"].map(|name| unit_rows(case.tensor(name)));
            let value = queue_info_nce(unit_rows(queries.clone()), keys, queue, temperature);
            Ok(case.value_and_gradients(value, &[("queries", &queries)]))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixtures::{agrees_with_differences, gradient, leaf, numbers};
    use super::*;

    fn units(count: usize, width: usize, seed: u64, dtype: DType) -> Tensor<2> {
        unit_rows(leaf(&numbers(count * width, seed), width, dtype).without_autodiff())
    }

    const PROGRESS: Progress = Progress {
        epoch: 0,
        epochs: 1,
        step: 0,
        steps: 1,
    };

    fn views(ids: &[usize], seed: u64) -> EmbeddedViews {
        let view = |seed| leaf(&numbers(ids.len() * 3, seed), 3, DType::F64);
        EmbeddedViews {
            embeddings: vec![view(seed), view(seed + 1)],
            targets: Some(vec![view(seed + 2), view(seed + 3)]),
            ids: ids.to_vec(),
            labels: None,
        }
    }

    fn loss(moco: &mut Moco, views: &EmbeddedViews) -> f64 {
        let value = moco.loss(views, &PROGRESS, &mut Stream::new(0, "", 0));
        value.into_scalar::<f64>()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn streamed_as_by_tensor_operations(
            batch in 1_usize..6, count in 1_usize..20, width in 1_usize..6, seed in 0_u64..1000, temperature in 0.05_f64..2.0,
        ) {
            for (dtype, close) in [(DType::F64, 1e-11), (DType::F32, 1e-4)] {
                let (keys, negatives) = (units(batch, width, seed, dtype), units(count, width, seed + 1, dtype));
                let by = |form: fn(Tensor<2>, Tensor<2>, Tensor<2>, f64) -> Tensor<1>| {
                    let queries = leaf(&numbers(batch * width, seed + 2), width, dtype);
                    let value = form(unit_rows(queries.clone()), keys.clone(), negatives.clone(), temperature);
                    (value.clone().into_scalar::<f64>(), gradient(&value, &queries))
                };
                let ((value, slopes), (expected, others)) = (by(queue_info_nce), by(composed));
                prop_assert!((value - expected).abs() < close * (1.0 + expected), "{value} {expected}");
                for (a, b) in slopes.iter().zip(others) {
                    prop_assert!((a - b).abs() < close * (1.0 + b.abs()), "{a} {b}");
                }
            }
            let (keys, negatives) = (units(batch, width, seed, DType::F64), units(count, width, seed + 1, DType::F64));
            let queries = leaf(&numbers(batch * width, seed + 2), width, DType::F64);
            agrees_with_differences(&queries, &|queries| {
                queue_info_nce(unit_rows(queries), keys.clone(), negatives.clone(), temperature)
            })?;
        }
    }

    #[test]
    fn without_negatives_there_is_nothing_to_learn() {
        let queries = leaf(&numbers(6, 0), 3, DType::F64);
        let keys = units(2, 3, 1, DType::F64);
        let none = keys.clone().slice([0..0, 0..3]);
        let value = queue_info_nce(unit_rows(queries.clone()), keys, none, 0.1);
        assert_eq!(gradient(&value, &queries), [0.0; 6]);
        assert_eq!(value.into_scalar::<f64>(), 0.0);
    }

    #[test]
    fn negatives_are_the_latest_keys_of_others() {
        let mut moco = MocoConfig::new()
            .with_queue(4)
            .with_temperature(0.5)
            .init()
            .unwrap();
        assert_eq!(loss(&mut moco, &views(&[0, 1, 2], 10)), 0.0);
        assert_eq!(moco.queue().len(), 3);
        // Samples 1 and 2 are in this batch: only the key of 0 is a negative.
        let second = views(&[2, 1], 20);
        let own = views(&[0, 1, 2], 10).of_target()[1].clone().slice([0..1, 0..3]);
        let expected = queue_info_nce(
            unit_rows(second.embeddings[0].clone()),
            unit_rows(second.of_target()[1].clone()),
            unit_rows(own),
            0.5,
        );
        let found = loss(&mut moco, &second);
        // Keys wait in single precision.
        assert!((found - expected.into_scalar::<f64>()).abs() < 1e-6 && found > 0.0);
        assert_eq!(moco.queue().len(), 4);
    }

    #[test]
    fn saved_and_restored_it_goes_on_as_before() {
        let mut moco = MocoConfig::new().with_queue(5).init().unwrap();
        loss(&mut moco, &views(&[0, 1, 2, 3], 30));
        let mut restored: Moco = serde_json::from_str(&serde_json::to_string(&moco).unwrap()).unwrap();
        for step in 0..3 {
            let next = views(&[4 + step, 1], 40 + step as u64);
            assert_eq!(loss(&mut moco, &next), loss(&mut restored, &next));
        }
        assert_eq!(moco, restored);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let refused = |config: MocoConfig| config.init().unwrap_err().parameter;
        assert_eq!(refused(MocoConfig::new().with_queue(0)), "queue");
        assert_eq!(refused(MocoConfig::new().with_temperature(0.0)), "temperature");
        let momentum = TargetMomentum::Constant(1.5);
        assert_eq!(refused(MocoConfig::new().with_momentum(momentum)), "momentum");
    }
}
