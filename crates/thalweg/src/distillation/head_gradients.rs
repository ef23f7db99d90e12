//! What a loss does to a linear head and to the features under it, in closed form.
//!
//! With logits `z = W h + b` the gradient of row k of W is `Σ_i r_ik h_i` and that of `h_i` is `Σ_k r_ik w_k`, where r is the
//! loss's residual: `(p_k − 1[k = y])/N` of cross-entropy, `T (σ(z_k/T) − σ(t_k/T))/N` of BinaryKL, `(T/2) tanh((z_k −
//! t_k)/(2T))/N` of BinaryKL-Norm. The sum over samples of class k itself is the *pull* on w_k, that over all others the
//! *push*. Once the student is surer of its class than the teacher, cross-entropy still pulls and BinaryKL pulls back, while
//! their gradients of the features may well agree: the reason for two heads.
//!
//! Source: Yang, Zong, Huang, Feng, An, "Dual-Head Knowledge Distillation", KDD 2025.

use super::kd::temperature;
use crate::quantity::{Array, Case, Outputs, Quantity, QuantityError};

/// A loss whose residual is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HeadLoss {
    /// Cross-entropy with the labels.
    CrossEntropy,
    /// BinaryKL against the teacher at a temperature.
    BinaryKl {
        /// T, above 0.
        temperature: f64,
    },
    /// BinaryKL-Norm against the teacher at a temperature.
    BinaryKlNorm {
        /// T, above 0.
        temperature: f64,
    },
}

/// A batch at a linear head, all row-major: features `[batch, width]`, weight `[classes, width]`, bias `[classes]`, teacher
/// logits `[batch, classes]`, labels in `0..classes`.
#[derive(Clone, Copy, Debug)]
pub struct LinearHead<'a> {
    /// Features.
    pub features: &'a [f64],
    /// Weight.
    pub weight: &'a [f64],
    /// Bias; as many as classes.
    pub bias: &'a [f64],
    /// Labels; as many as samples.
    pub labels: &'a [usize],
    /// Teacher logits.
    pub teacher_logits: &'a [f64],
}

/// Gradients of the batch mean of a loss.
#[derive(Clone, Debug)]
pub struct HeadGradients {
    /// Of the weight, from samples of the row's own class; `[classes, width]`.
    pub pull: Vec<f64>,
    /// Of the weight, from all other samples; `[classes, width]`.
    pub push: Vec<f64>,
    /// Of the features, `[batch, width]`.
    pub features: Vec<f64>,
}

impl HeadGradients {
    /// Of the weight, `[classes, width]`.
    pub fn weight(&self) -> Vec<f64> {
        self.pull
            .iter()
            .zip(&self.push)
            .map(|(pull, push)| pull + push)
            .collect()
    }
}

impl LinearHead<'_> {
    fn width(&self) -> usize {
        self.features.len() / self.labels.len()
    }

    /// The gradients of the batch mean of `loss`.
    ///
    /// # Panics
    /// When the batch is empty, sizes disagree or a label is out of range.
    pub fn gradients(&self, loss: HeadLoss) -> HeadGradients {
        let (width, classes, batch) = (self.width(), self.bias.len(), self.labels.len());
        assert_eq!(
            (self.features.len(), self.weight.len(), self.teacher_logits.len()),
            (batch * width, classes * width, batch * classes),
            "features, weight and teacher logits of {batch} samples, {width} features and {classes} classes"
        );
        let mut gradients = HeadGradients {
            pull: vec![0.0; classes * width],
            push: vec![0.0; classes * width],
            features: vec![0.0; batch * width],
        };
        let mut residual = vec![0.0; classes];
        let rows = self.features.chunks_exact(width).zip(self.labels);
        let rows = rows.zip(self.teacher_logits.chunks_exact(classes));
        for (((features, &label), teacher), out) in rows.zip(gradients.features.chunks_exact_mut(width)) {
            self.logits(features, &mut residual);
            loss.residual(&mut residual, teacher, label);
            for (class, &residual) in residual.iter().enumerate() {
                let residual = residual / batch as f64;
                let at = class * width..(class + 1) * width;
                let part = if class == label {
                    &mut gradients.pull[at.clone()]
                } else {
                    &mut gradients.push[at.clone()]
                };
                add_scaled(part, residual, features);
                add_scaled(out, residual, &self.weight[at]);
            }
        }
        gradients
    }

    fn logits(&self, features: &[f64], out: &mut [f64]) {
        let rows = self.weight.chunks_exact(self.width()).zip(self.bias);
        for (out, (row, bias)) in out.iter_mut().zip(rows) {
            *out = bias + row.iter().zip(features).map(|(w, h)| w * h).sum::<f64>();
        }
    }
}

impl HeadLoss {
    /// Turns the logits of a sample into the derivative of its loss with respect to them.
    fn residual(self, logits: &mut [f64], teacher: &[f64], label: usize) {
        match self {
            Self::CrossEntropy => {
                let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                logits.iter_mut().for_each(|z| *z = (*z - top).exp());
                let total: f64 = logits.iter().sum();
                let others = total - logits[label];
                // 1 − p_y from the others, so that a confident answer keeps its digits.
                let rest = if logits[label] > others {
                    let all = logits.iter().enumerate();
                    all.filter(|&(k, _)| k != label).map(|(_, e)| e).sum()
                } else {
                    others
                };
                logits.iter_mut().for_each(|e| *e /= total);
                logits[label] = -rest / total;
            }
            Self::BinaryKl { temperature } => {
                for (z, &t) in logits.iter_mut().zip(teacher) {
                    // On the side of the coin where the teacher's probability is small, differences keep their digits.
                    let side = if t > 0.0 { -1.0 } else { 1.0 };
                    let sigmoid = |z: f64| 1.0 / (1.0 + (-side * z / temperature).exp());
                    *z = temperature * side * (sigmoid(*z) - sigmoid(t));
                }
            }
            Self::BinaryKlNorm { temperature } => {
                for (z, &t) in logits.iter_mut().zip(teacher) {
                    *z = 0.5 * temperature * ((*z - t) / (2.0 * temperature)).tanh();
                }
            }
        }
    }
}

fn add_scaled(out: &mut [f64], factor: f64, values: &[f64]) {
    for (out, value) in out.iter_mut().zip(values) {
        *out += factor * value;
    }
}

/// The cosine of the angle between two arrays of equal length; none where one is 0.
pub fn cosine(a: &[f64], b: &[f64]) -> Option<f64> {
    let inner = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let norms = inner(a, a).sqrt() * inner(b, b).sqrt();
    (norms > 0.0).then(|| inner(a, b) / norms)
}

fn loss_of(case: &Case) -> Result<HeadLoss, QuantityError> {
    let temperature = temperature("head_gradient", case.param("temperature")?)?;
    case.choice(
        "loss",
        &[
            ("cross_entropy", HeadLoss::CrossEntropy),
            ("binary_kl", HeadLoss::BinaryKl { temperature }),
            ("binary_kl_norm", HeadLoss::BinaryKlNorm { temperature }),
        ],
    )
}

/// Calls `work` with the head of a case.
fn with_head<T>(
    case: &Case,
    work: impl FnOnce(LinearHead) -> Result<T, QuantityError>,
) -> Result<T, QuantityError> {
    case.logits("teacher_logits")?;
    if case.array("features").shape[1] == 0 {
        return case.refuse_input("features", "has no columns; at least one feature is needed");
    }
    let classes = case.array("teacher_logits").shape[1];
    let labels = case.class_indices("labels", classes)?;
    work(LinearHead {
        features: &case.array("features").data,
        weight: &case.array("weight").data,
        bias: &case.array("bias").data,
        labels: &labels,
        teacher_logits: &case.array("teacher_logits").data,
    })
}

fn declared(name: &'static str, meaning: &'static str) -> Quantity {
    Quantity::new(name, meaning)
        .param("loss", "binary_kl")
        .param("temperature", 2.0)
        .input("features", "[N, D]")
        .input("weight", "[K, D]")
        .input("bias", "[K]")
        .input("labels", "[N]")
        .input("teacher_logits", "[N, K]")
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        declared(
            "head_gradient_decomposition",
            "pull and push of a loss on a linear head, and its gradient of the features",
        )
        .eval(|case| {
            let loss = loss_of(case)?;
            with_head(case, |head| {
                let HeadGradients { pull, push, features } = head.gradients(loss);
                let array = |like: &str, data| Array {
                    shape: case.array(like).shape.clone(),
                    data,
                };
                Ok(Outputs::new()
                    .with("pull", array("weight", pull))
                    .with("push", array("weight", push))
                    .with("grad_features", array("features", features)))
            })
        }),
        declared(
            "head_gradient_conflict",
            "cosines of a loss's and cross-entropy's gradients, of the head and of the features",
        )
        .eval(|case| {
            let loss = loss_of(case)?;
            with_head(case, |head| {
                let (labels, other) = (head.gradients(HeadLoss::CrossEntropy), head.gradients(loss));
                let cosines = (
                    cosine(&labels.weight(), &other.weight()),
                    cosine(&labels.features, &other.features),
                );
                match cosines {
                    (Some(head), Some(features)) => Ok(Outputs::new()
                        .with("cosine_head", head)
                        .with("cosine_features", features)),
                    (None, _) => case.refuse_input(
                        "features",
                        "leaves a gradient of the head at 0, which has no direction",
                    ),
                    (_, None) => case.refuse_input(
                        "weight",
                        "leaves a gradient of the features at 0, which has no direction",
                    ),
                }
            })
        }),
    ]
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, Int, Tensor, TensorData};
    use proptest::prelude::*;
    use thalweg_kernels::random::Stream;

    use super::super::{BinaryKlLossConfig, BinaryKlNormLossConfig, simplex_etf};
    use super::*;
    use crate::classification::CompSumLossConfig;
    use crate::classification::rowwise::tests::assert_close;

    const SHAPE: [usize; 3] = [5, 4, 3];

    struct Drawn {
        features: Vec<f64>,
        weight: Vec<f64>,
        bias: Vec<f64>,
        labels: Vec<usize>,
        teacher: Vec<f64>,
    }

    fn drawn(seed: u64) -> Drawn {
        let [batch, classes, width] = SHAPE;
        let mut stream = Stream::new(seed, "head", 0);
        let mut draw = |count: usize| (0..count).map(|_| 4.0 * stream.uniform() - 2.0).collect();
        Drawn {
            features: draw(batch * width),
            weight: draw(classes * width),
            bias: draw(classes),
            teacher: draw(batch * classes),
            labels: (0..batch).map(|i| (i + seed as usize) % classes).collect(),
        }
    }

    impl Drawn {
        fn head(&self) -> LinearHead<'_> {
            LinearHead {
                features: &self.features,
                weight: &self.weight,
                bias: &self.bias,
                labels: &self.labels,
                teacher_logits: &self.teacher,
            }
        }

        /// Weight and feature gradients by autodiff.
        fn by_autodiff(&self, loss: HeadLoss) -> [Vec<f64>; 2] {
            let [batch, classes, width] = SHAPE;
            let device = Device::flex();
            let tensor = |data: &[f64], shape: [usize; 2]| {
                Tensor::<2>::from_data(TensorData::new(data.to_vec(), shape), (&device, DType::F64))
            };
            let features = tensor(&self.features, [batch, width]).autodiff().require_grad();
            let weight = tensor(&self.weight, [classes, width]).autodiff().require_grad();
            let bias = tensor(&self.bias, [1, classes]).autodiff();
            let logits = features.clone().matmul(weight.clone().transpose()) + bias;
            let teacher = tensor(&self.teacher, [batch, classes]);
            let labels: Vec<i64> = self.labels.iter().map(|&label| label as i64).collect();
            let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [batch]), &device);
            let value = match loss {
                HeadLoss::CrossEntropy => CompSumLossConfig::new().init().unwrap().forward(logits, labels),
                HeadLoss::BinaryKl { temperature } => {
                    let config = BinaryKlLossConfig::new().with_temperature(temperature);
                    config.init().unwrap().forward(logits, teacher)
                }
                HeadLoss::BinaryKlNorm { temperature } => {
                    let config = BinaryKlNormLossConfig::new().with_temperature(temperature);
                    config.init().unwrap().forward(logits, teacher)
                }
            };
            let gradients = value.backward();
            [weight, features].map(|leaf| {
                let gradient = leaf.grad(&gradients).unwrap();
                gradient.into_data().try_into_vec_as::<f64>().unwrap()
            })
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn pull_and_push_together_are_the_gradient(seed in 0_u64..1000, temperature in 0.5_f64..4.0) {
            let drawn = drawn(seed);
            for loss in [HeadLoss::CrossEntropy, HeadLoss::BinaryKl { temperature }, HeadLoss::BinaryKlNorm { temperature }] {
                let gradients = drawn.head().gradients(loss);
                let [weight, features] = drawn.by_autodiff(loss);
                assert_close(&gradients.weight(), &weight, 1e-12);
                assert_close(&gradients.features, &features, 1e-12);
            }
        }
    }

    /// The features are the class means, a simplex ETF, and the head is in line with them.
    #[test]
    fn under_collapse_the_losses_pull_a_surer_student_in_opposite_directions() {
        let classes = 6;
        let etf = simplex_etf(classes);
        let weight: Vec<f64> = etf.iter().map(|value| 4.0 * value).collect();
        // The teacher orders the classes as the student does, with a smaller margin.
        let teacher: Vec<f64> = etf.iter().map(|value| 2.0 * value).collect();
        let labels: Vec<usize> = (0..classes).collect();
        let bias = vec![0.0; classes];
        let head = LinearHead {
            features: &etf,
            weight: &weight,
            bias: &bias,
            labels: &labels,
            teacher_logits: &teacher,
        };
        let labelled = head.gradients(HeadLoss::CrossEntropy);
        let taught = head.gradients(HeadLoss::BinaryKl { temperature: 2.0 });
        assert!(cosine(&labelled.pull, &taught.pull).unwrap() < -0.999);
        assert_eq!(cosine(&labelled.pull, &vec![0.0; classes * classes]), None);
    }
}
