//! The training loop.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use thalweg::aggregate::{Bags, within_bag_variance};
use thalweg::catalogue;
use thalweg::objective::{BagLabels, Batch, Descent, Objective, Progress};
use thalweg::optimizer::lion_k::{Kernel, domain_distance};
use thalweg::optimizer::{AnyOptimizer, Evaluation, OptimizerError, WholeOptimizer};
use thalweg_data::Dataset;
use thalweg_kernels::memory;
use thalweg_kernels::random::Stream;

use super::alignment::aligned;
use super::averaging::{Averaging, WeightAverage};
use super::data::{Part, targets};
use super::evaluation::{robust_accuracy, scores};
use super::{CurveDetail, JudgedOn, Outcome, PartBags, Prepared, Remembered, Source, TrialSpec};
use crate::LabError;
use crate::distillation::Teacher;
use crate::metrics::{BINS, Scores, of_bags, of_numbers};
use crate::model::Network;
use crate::results::{EpochPoint, Fit};

/// Gradients are scaled down to this Euclidean norm over all parameters.
const LARGEST_GRADIENT: f64 = 5.0;

/// Variance within bags, beside the mean square, that is rounding.
const ROUNDING: f64 = 1e-20;

/// Runs a trial, on this thread alone. None when `interrupted` was set before it ended.
///
/// # Errors
/// When the objective is unknown or its settings are refused, the data cannot be split as asked, or `source` is not what
/// the specification names.
pub fn run(spec: &TrialSpec, source: Source, interrupted: &AtomicBool) -> Result<Option<Outcome>, LabError> {
    Ok(train(spec, source, interrupted, &mut |_| {})?.map(|trained| trained.outcome))
}

/// A trained network, with the data as it saw it and what the trial found.
pub struct Trained {
    /// The network after the last epoch.
    pub network: Network,
    /// Its data.
    pub prepared: Prepared,
    /// What [`run`] returns.
    pub outcome: Outcome,
}

/// As [`run`], keeping the network. `after_epoch` is shown the network and its data after every epoch.
///
/// # Errors
/// As [`run`].
pub fn train(
    spec: &TrialSpec,
    source: Source,
    interrupted: &AtomicBool,
    after_epoch: &mut dyn FnMut((&Network, &Prepared)),
) -> Result<Option<Trained>, LabError> {
    memory::reset_peak();
    let entry =
        catalogue::objective(&spec.objective).ok_or_else(|| LabError::unknown_objective(&spec.objective))?;
    let objective = entry.build(&spec.settings)?;
    let teacher = source.teacher_for(spec, objective.needs())?;
    let prepared = Prepared::new(source.dataset, &spec.data, spec.seed)?;
    let mut trial = Trial::new(spec, prepared, objective, teacher)?;
    let mut curve = Vec::with_capacity(spec.epochs);
    let mut seconds = 0.0;
    for epoch in 0..spec.epochs {
        if interrupted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let started = Instant::now();
        let train_loss = trial.epoch(epoch, &|network| network);
        seconds += started.elapsed().as_secs_f64();
        curve.push(EpochPoint {
            epoch: epoch + 1,
            train_loss,
            validation_accuracy: trial.validation_accuracy(),
            fit: (spec.curve == CurveDetail::Fit).then(|| trial.fit()),
            constraint_distance: trial.constraint_distance(),
        });
        after_epoch((&trial.network, &trial.prepared));
    }
    let mut outcome = trial.judge()?;
    outcome.curve = curve;
    outcome.seconds_per_epoch = seconds / spec.epochs.max(1) as f64;
    outcome.peak_bytes = memory::peak();
    Ok(Some(Trained {
        network: trial.network,
        prepared: trial.prepared,
        outcome,
    }))
}

/// Trains a network on for `epochs` of the specification's, counted from 0, and puts it through `after_step` after each
/// step. None when `interrupted` was set before it ended.
///
/// # Errors
/// When the objective is unknown, its settings are refused or it needs a teacher, or the optimiser refuses its own.
pub(crate) fn train_on(
    network: Network,
    spec: &TrialSpec,
    epochs: Range<usize>,
    dataset: &Arc<Dataset>,
    interrupted: &AtomicBool,
    after_step: &dyn Fn(Network) -> Network,
) -> Result<Option<Network>, LabError> {
    let entry =
        catalogue::objective(&spec.objective).ok_or_else(|| LabError::unknown_objective(&spec.objective))?;
    let objective = entry.build(&spec.settings)?;
    let teacher = Source::from(dataset).teacher_for(spec, objective.needs())?;
    let prepared = Prepared::new(dataset, &spec.data, spec.seed)?;
    let mut trial = Trial::of(network, spec, prepared, objective, teacher)?;
    for epoch in epochs {
        if interrupted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        trial.epoch(epoch, after_step);
    }
    Ok(Some(trial.network))
}

struct Trial<'a> {
    spec: &'a TrialSpec,
    prepared: Prepared,
    objective: Box<dyn Objective>,
    teacher: Option<&'a Teacher>,
    network: Network,
    average: Option<WeightAverage>,
    optimizer: AnyOptimizer,
    /// What bounds the weights, where the optimiser does.
    constraint: Option<(Kernel, f64)>,
    device: Device,
}

impl<'a> Trial<'a> {
    fn new(
        spec: &'a TrialSpec,
        prepared: Prepared,
        objective: Box<dyn Objective>,
        teacher: Option<&'a Teacher>,
    ) -> Result<Self, LabError> {
        let device = Device::flex().autodiff();
        let dataset = prepared.dataset();
        let mut network = Network::new(
            &spec.model,
            &dataset.feature_shape,
            prepared.outputs(),
            spec.seed,
            &device,
        );
        if let Some(head) = spec.distillation.as_ref().and_then(|spec| spec.auxiliary_head) {
            network = network.with_auxiliary_head(head, spec.seed, &device);
        }
        Self::of(network, spec, prepared, objective, teacher)
    }

    /// Of a network that there is.
    fn of(
        network: Network,
        spec: &'a TrialSpec,
        prepared: Prepared,
        objective: Box<dyn Objective>,
        teacher: Option<&'a Teacher>,
    ) -> Result<Self, LabError> {
        let average = objective.needs().weight_average;
        let settings = spec.optimizer.settings_with(spec.weight_decay)?;
        let entry = spec.optimizer.entry()?;
        Ok(Self {
            spec,
            prepared,
            objective,
            teacher,
            average: average.map(|decay| WeightAverage::of(&network, decay)),
            network,
            optimizer: entry.build(&settings)?,
            constraint: entry.constraint(&settings).map_err(OptimizerError::from)?,
            device: Device::flex().autodiff(),
        })
    }

    /// One pass over the training split, the network put through `after_step` after each step; returns the mean loss.
    fn epoch(&mut self, epoch: usize, after_step: &dyn Fn(Network) -> Network) -> f64 {
        let samples = self.prepared.train.rows.len();
        let mut random = Stream::new(self.spec.seed, &self.spec.objective, epoch as u64);
        let batched = self.batches(epoch);
        let batches = batched.len();
        let mut total = 0.0;
        for (index, ids) in batched.iter().enumerate() {
            let progress = Progress {
                epoch,
                epochs: self.spec.epochs,
                step: epoch * batches + index,
                steps: self.spec.epochs * batches,
            };
            total += self.step(ids, &progress, &mut random) * ids.len() as f64;
            self.network = after_step(std::mem::replace(&mut self.network, Network::hollow()));
        }
        total / samples as f64
    }

    /// The samples of each batch, in random order; whole bags where there are bags.
    fn batches(&self, epoch: usize) -> Vec<Vec<usize>> {
        let train = &self.prepared.train;
        let size = self.spec.batch_size;
        let mut stream = Stream::new(self.spec.seed, "batches", epoch as u64);
        let Some(PartBags { bags, .. }) = &train.bags else {
            let mut order: Vec<usize> = (0..train.rows.len()).collect();
            stream.shuffle(&mut order);
            return order.chunks(size).map(<[usize]>::to_vec).collect();
        };
        let mut members = vec![Vec::new(); bags.len()];
        for (sample, &bag) in bags.index().iter().enumerate() {
            members[bag].push(sample);
        }
        stream.shuffle(&mut members);
        let mut batches: Vec<Vec<usize>> = Vec::new();
        for bag in members {
            match batches.last_mut() {
                Some(batch) if batch.len() + bag.len() <= size => batch.extend(bag),
                _ => batches.push(bag),
            }
        }
        batches
    }

    /// What is known of a batch of whole bags.
    fn bag_labels(&self, ids: &[usize]) -> Option<BagLabels> {
        let (part, responses) = (self.prepared.train.bags.as_ref()?, self.prepared.responses()?);
        let mut bags: Vec<usize> = ids.iter().map(|&id| part.bags.index()[id]).collect();
        bags.sort_unstable();
        bags.dedup();
        let place = |id: &usize| {
            bags.binary_search(&part.bags.index()[*id])
                .expect("it is among them")
        };
        let index = Bags::new(ids.iter().map(place).collect()).expect("no bag of a batch is empty");
        let columns = responses.columns;
        let means: Vec<f32> = bags
            .iter()
            .flat_map(|&bag| &part.means[bag * columns..][..columns])
            .map(|&mean| responses.scaled(mean) as f32)
            .collect();
        let means = TensorData::new(means, [bags.len(), columns]);
        Some(BagLabels {
            bags: index,
            means: Tensor::from_data(means, &self.device.clone().without_autodiff()),
            point_loss: responses.point_loss,
        })
    }

    fn step(&mut self, ids: &[usize], progress: &Progress, random: &mut Stream) -> f64 {
        let train = &self.prepared.train;
        let rows: Vec<usize> = ids.iter().map(|&id| train.rows[id]).collect();
        let bags = self.bag_labels(ids);
        let known = ids.iter().filter(|_| bags.is_none());
        let batch = Batch {
            inputs: self.prepared.inputs(&rows, &self.device),
            targets: targets(known.map(|&id| train.labels[id]), &self.device),
            ids: ids.to_vec(),
            range: self.prepared.range(),
            bags,
            teacher_logits: self.teacher.map(|teacher| teacher.logits(&rows, &self.device)),
        };
        let drawn = random.clone();
        let mut evaluate = |network: &Network| {
            // However often an optimiser looks at a batch, it is the same batch with the same draws.
            *random = drawn.clone();
            let model = Averaging {
                network,
                average: self.average.as_ref(),
            };
            let descent = self.objective.descent(&model, &batch, progress, random);
            let (value, gradients) = gradients_of(descent, network);
            Evaluation {
                value,
                gradients: clipped(gradients, network),
            }
        };
        let schedule = &self.spec.optimizer.schedule;
        let rate = self.spec.learning_rate * schedule.factor(progress.epoch, self.spec.epochs);
        let network = std::mem::replace(&mut self.network, Network::hollow());
        let (network, value) = self.optimizer.step(rate, network, &mut evaluate);
        if let Some(average) = &mut self.average {
            average.follow(&network);
        }
        self.network = network;
        value
    }

    /// Accuracy on the validation split, NaN where there is none.
    fn validation_accuracy(&self) -> f64 {
        let part = &self.prepared.validation;
        let classes = self.prepared.dataset().classes.len();
        if part.rows.is_empty() || classes == 0 {
            return f64::NAN;
        }
        let scores = scores(&self.network, &self.prepared, part);
        let right = scores
            .chunks_exact(classes)
            .zip(&part.labels)
            .filter(|(row, label)| argmax(row) == **label as usize);
        right.count() as f64 / part.rows.len() as f64
    }

    /// How well the training split is fitted; NaN where scores are no numbers.
    fn fit(&self) -> Fit {
        let part = &self.prepared.train;
        let classes = self.prepared.dataset().classes.len();
        let logits = scores(&self.network, &self.prepared, part);
        match Scores::new(&logits, classes, &part.labels) {
            Ok(scores) => Fit {
                accuracy: scores.accuracy(),
                cross_entropy: scores.negative_log_likelihood(),
            },
            Err(_) => Fit {
                accuracy: f64::NAN,
                cross_entropy: f64::NAN,
            },
        }
    }

    /// How far the weights are from where the optimiser's decay will have them.
    fn constraint_distance(&self) -> Option<f64> {
        let (kernel, weight_decay) = self.constraint?;
        Some(domain_distance(kernel, weight_decay, &self.network))
    }

    fn part(&self) -> &Part {
        match self.spec.judged_on {
            JudgedOn::Validation => &self.prepared.validation,
            JudgedOn::Test => &self.prepared.test,
        }
    }

    fn remembered(&self) -> Option<Remembered> {
        let train = &self.prepared.train;
        let (mut clean, mut corrupted) = (Vec::new(), Vec::new());
        for (id, (&row, &label)) in train.rows.iter().zip(&train.labels).enumerate() {
            let value = self.objective.remembered(id)?;
            if label == self.prepared.dataset().labels[row] {
                clean.push(value);
            } else {
                corrupted.push(value);
            }
        }
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
        Some(Remembered {
            clean: mean(clean),
            corrupted: mean(corrupted),
        })
    }

    fn judge(&self) -> Result<Outcome, LabError> {
        let part = self.part();
        let classes = self.prepared.dataset().classes.len();
        let mut logits = scores(&self.network, &self.prepared, part);
        let diverged = logits.iter().any(|score| !score.is_finite());
        if diverged {
            logits.fill(0.0);
        }
        let mut outcome = Outcome {
            metrics: self.bag_metrics(part, &logits),
            curve: Vec::new(),
            confusion: Vec::new(),
            reliability: Vec::new(),
            roc: Vec::new(),
            remembered: self.remembered(),
            diverged,
            seconds_per_epoch: 0.0,
            peak_bytes: 0,
        };
        if let Some(distance) = self.constraint_distance() {
            outcome.metrics.insert("constraint_distance".to_owned(), distance);
        }
        if classes > 0 {
            let judged = Scores::new(&logits, classes, &part.labels)?;
            outcome.metrics.extend(judged.evaluate());
            outcome.confusion = judged.confusion();
            outcome.reliability = judged.reliability(BINS);
        }
        if let Some(attack) = self.spec.attack {
            let robust = if diverged {
                0.0
            } else {
                robust_accuracy(&self.network, &self.prepared, part, attack, self.spec.seed)?
            };
            outcome.metrics.insert("robust_accuracy".to_owned(), robust);
        }
        Ok(outcome)
    }

    /// How well bag means are met, and single numbers where they are known; nothing where there are no bags.
    fn bag_metrics(&self, part: &Part, scores: &[f32]) -> BTreeMap<String, f64> {
        let (Some(PartBags { bags, means }), Some(responses)) = (&part.bags, self.prepared.responses())
        else {
            return BTreeMap::new();
        };
        let predictions = responses.predictions(scores);
        let mut metrics = of_bags(&predictions, means, bags, responses.point_loss);
        if let Some(numbers) = &self.prepared.dataset().numbers {
            let own: Vec<f64> = part.rows.iter().map(|&row| numbers.values[row]).collect();
            // Where only means are known, all numbers of a bag are its mean, but for rounding.
            let spread = within_bag_variance(&own, bags);
            let size = own.iter().map(|number| number * number).sum::<f64>() / own.len() as f64;
            if spread > ROUNDING * size {
                metrics.extend(of_numbers(&predictions, &own));
            }
        }
        metrics
    }
}

fn argmax(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

/// The value that a step descends, and the gradients it descends along.
fn gradients_of(descent: Descent, network: &Network) -> (f64, GradientsParams) {
    match descent {
        Descent::Loss(loss) => (
            loss.clone().into_scalar::<f64>(),
            GradientsParams::from_grads(loss.backward(), network),
        ),
        Descent::Aligned {
            main,
            auxiliary,
            scope,
        } => {
            let value = main.clone().into_scalar::<f64>() + auxiliary.clone().into_scalar::<f64>();
            (value, aligned(main, auxiliary, scope, network))
        }
    }
}

/// All gradients scaled so that their common norm is at most [`LARGEST_GRADIENT`].
fn clipped(mut gradients: GradientsParams, network: &Network) -> GradientsParams {
    struct Norm<'a>(&'a GradientsParams, f64);
    impl ModuleVisitor for Norm<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.get::<D>(param.id) {
                self.1 += gradient.square().sum().into_scalar::<f64>();
            }
        }
    }
    struct Shrink<'a>(&'a mut GradientsParams, f64);
    impl ModuleVisitor for Shrink<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.remove::<D>(param.id) {
                self.0.register(param.id, gradient * self.1);
            }
        }
    }
    let mut norm = Norm(&gradients, 0.0);
    network.visit(&mut norm);
    let length = norm.1.sqrt();
    if length > LARGEST_GRADIENT {
        network.visit(&mut Shrink(&mut gradients, LARGEST_GRADIENT / length));
    }
    gradients
}
