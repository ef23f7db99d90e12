//! Several ways to prune compared: each prunes copies of the same networks to each sparsity, judged on the same test split.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg::compression::{PruningConfig, Saliency};
use thalweg::objective::Settings;
use thalweg_data::Dataset;

use super::dense::{Dense, Origin};
use super::record::{Judged, Point, Protocol, Pruning};
use super::steps::{PrunedNetwork, PruningSpec};
use super::trial::PruningTrial;
use super::{name, verdict};
use crate::LabError;
use crate::comparison::summarise::data_summary;
use crate::distillation::{Mlp, data_spec, default_epochs};
use crate::metrics::Direction;
use crate::model::{Activation, ModelSpec};
use crate::pool::Pool;
use crate::results::{Recommendation, Summary};
use crate::statistics::{differences, summary};
use crate::trial::{Outcome, Prepared, TrialSpec};

/// Consecutive weights of a block of WoodFisher, whose explicit inverses of all weights are the square of their number.
const WOOD_FISHER_BLOCK: usize = 128;

/// What is to be compared, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where networks come from.
    pub origin: Origin,
    /// The network, where it is trained here.
    pub model: ModelSpec,
    /// Passes over the training split, where it is trained here; none: by its size.
    pub epochs: Option<usize>,
    /// Samples in a batch.
    pub batch_size: usize,
    /// Learning rate of Adam, training and fine-tuning.
    pub learning_rate: f64,
    /// What weights are ranked by.
    pub methods: Vec<Saliency>,
    /// Shares of the weights that are to be 0.
    pub sparsities: Vec<f64>,
    /// Steps of gradual pruning, each with gradients anew; every method prunes at once as well.
    pub recomputations: usize,
    /// Passes over the training split after each gradual step; pruning at once is followed by as many in all.
    pub finetune: usize,
    /// Training samples whose gradients a step takes.
    pub gradients: usize,
    /// Dampening of the Fisher information.
    pub dampening: f64,
    /// Consecutive weights among which curvature is looked at; none: 128 by WoodFisher, all by M-FAC.
    pub block_size: Option<usize>,
    /// Whether weights that stay are moved for all that go together.
    pub joint: bool,
    /// Paired repetitions: of the network and its gradient samples, or, of a network of a file, of the samples.
    pub seeds: usize,
    /// The exact command, for the record.
    pub command: String,
    /// When it was started, RFC 3339.
    pub started: String,
    /// What it was made with.
    pub versions: Vec<(String, String)>,
}

/// A plan that is known to make sense for its data.
pub struct Checked<'a> {
    plan: &'a Plan,
    dataset: &'a Arc<Dataset>,
    ways: Vec<Way>,
    sparsities: Vec<f64>,
    /// One for each seed.
    dense: Vec<Dense>,
    weights: usize,
    sparsity_before: f64,
}

/// A way to prune.
#[derive(Clone, Copy)]
struct Way {
    saliency: Saliency,
    recomputations: usize,
}

fn refuse<T>(why: impl Into<String>) -> Result<T, LabError> {
    Err(LabError::Plan(why.into()))
}

impl Plan {
    /// Checks the plan against the data, before anything is run.
    ///
    /// # Errors
    /// When a number is out of range, the data has no classes or cannot be split, or the network of a file is sparser than
    /// is asked for.
    pub fn check<'a>(&'a self, dataset: &'a Arc<Dataset>) -> Result<Checked<'a>, LabError> {
        if dataset.classes.len() < 2 {
            return refuse("networks are pruned and judged as classifiers, and the data has no two classes");
        }
        if self.model == ModelSpec::Cnn {
            return refuse("a network pruned here is linear or an mlp");
        }
        for (what, count) in [
            ("seed", self.seeds),
            ("sample in a batch", self.batch_size),
            ("epoch", self.epochs.unwrap_or(1)),
            ("recomputation", self.recomputations),
            ("gradient", self.gradients),
        ] {
            if count == 0 {
                return refuse(format!("there is at least one {what}"));
            }
        }
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            let rate = self.learning_rate;
            return refuse(format!("the learning rate is above 0 and finite, not {rate}"));
        }
        PruningConfig::new()
            .with_dampening(self.dampening)
            .with_block_size(self.block_size)
            .init()?;
        if self.methods.is_empty() {
            return refuse("there is at least one method to prune by");
        }
        let data = data_spec(dataset.fingerprint());
        // Splitting once shows whether every class has enough samples, and how large the training split is.
        let prepared = Prepared::new(dataset, &data, 0)?;
        let mut training = TrialSpec::new(data, self.model.clone(), "cross_entropy", Settings::new(), 0);
        training.learning_rate = self.learning_rate;
        training.batch_size = self.batch_size;
        training.epochs = self
            .epochs
            .unwrap_or_else(|| default_epochs(prepared.train.rows.len()));
        let of_seed = |seed| {
            let mut training = training.clone();
            training.seed = seed;
            Dense::new(&self.origin, training)
        };
        let dense: Vec<Dense> = (0..self.seeds as u64).map(of_seed).collect();
        let before = PrunedNetwork::untouched(dense[0].of_its_shape(dataset));
        Ok(Checked {
            plan: self,
            dataset,
            ways: self.ways(),
            sparsities: self.rising_sparsities(before.sparsity())?,
            dense,
            weights: before.alive.len(),
            sparsity_before: before.sparsity(),
        })
    }

    /// Magnitudes that nothing moves are the same at once and by and by.
    fn ways(&self) -> Vec<Way> {
        let mut ways: Vec<Way> = Vec::new();
        // Magnitude first: differences are to it.
        let mut methods = self.methods.clone();
        methods.sort_by_key(|saliency| *saliency != Saliency::Magnitude);
        for saliency in methods {
            for recomputations in [1, self.recomputations] {
                let same = saliency == Saliency::Magnitude && self.finetune == 0;
                let known = ways
                    .iter()
                    .any(|way| way.saliency == saliency && (same || way.recomputations == recomputations));
                if !known {
                    ways.push(Way {
                        saliency,
                        recomputations,
                    });
                }
            }
        }
        ways
    }

    fn rising_sparsities(&self, before: f64) -> Result<Vec<f64>, LabError> {
        let mut sparsities = self.sparsities.clone();
        if let Some(wrong) = sparsities.iter().find(|share| !(**share > 0.0 && **share <= 1.0)) {
            return refuse(format!("a sparsity is above 0 and at most 1, not {wrong}"));
        }
        if let Some(low) = sparsities.iter().find(|share| **share <= before) {
            return refuse(format!(
                "the share {before:.3} of the model's weights is 0 already; a sparsity above that is needed, not {low}"
            ));
        }
        sparsities.sort_by(f64::total_cmp);
        sparsities.dedup();
        if sparsities.is_empty() {
            return refuse("there is at least one sparsity");
        }
        Ok(sparsities)
    }
}

impl Checked<'_> {
    /// Trials there are to run.
    pub fn trials(&self) -> usize {
        self.dense.len() * (1 + self.ways.len() * self.sparsities.len())
    }

    /// Runs it.
    ///
    /// # Errors
    /// When a trial fails or the run is interrupted.
    pub fn run(&self, pool: &Pool) -> Result<Pruning, LabError> {
        let targets = self
            .ways
            .iter()
            .flat_map(|way| self.sparsities.iter().map(|&sparsity| self.spec(way, sparsity)));
        let trials: Vec<PruningTrial> = std::iter::once(None)
            .chain(targets.map(Some))
            .flat_map(|spec| {
                self.dense
                    .iter()
                    .map(move |dense| PruningTrial::new(dense, spec.clone()))
            })
            .collect();
        let outcomes = pool.run(self.dataset, &trials)?;
        let (dense, pruned) = outcomes.split_at(self.dense.len());
        let of_way = self.dense.len() * self.sparsities.len();
        let ways = self.ways.iter().zip(pruned.chunks(of_way));
        let mut ways: Vec<Judged> = ways.map(|(way, outcomes)| self.judged(way, outcomes)).collect();
        compare(&mut ways);
        let mut found = Pruning {
            command: self.plan.command.clone(),
            versions: self.plan.versions.clone(),
            started: self.plan.started.clone(),
            data: data_summary(self.dataset, &self.dense[0].training.data, None)?,
            protocol: self.protocol()?,
            dense: summaries(dense),
            ways,
            recommendation: Recommendation::default(),
        };
        found.recommendation = verdict::recommend(&found);
        Ok(found)
    }

    /// The network of the first seed as the best way pruned it to the highest sparsity, for features as they are read.
    ///
    /// # Errors
    /// When the run is interrupted, or the network cannot be pruned.
    pub fn best_network(&self, found: &Pruning, pool: &Pool) -> Result<Mlp, LabError> {
        let way = &self.ways[found.best()];
        let highest = *self.sparsities.last().expect("there is a sparsity");
        let dense = &self.dense[0];
        let trial = PruningTrial::new(dense, Some(self.spec(way, highest)));
        let prepared = Prepared::new(self.dataset, &dense.training.data, dense.training.seed)?;
        let activation = match dense.training.model {
            ModelSpec::Mlp { activation, .. } => activation,
            ModelSpec::Linear | ModelSpec::Cnn => Activation::Relu,
        };
        let mut made = pool.try_map(1, |_| {
            let pruned = trial.pruned(self.dataset, pool.interrupted)?;
            Ok(pruned.map(|pruned| Mlp::of_network(&pruned.network, activation, prepared.scaler())))
        })?;
        Ok(made.remove(0))
    }

    fn spec(&self, way: &Way, sparsity: f64) -> PruningSpec {
        let plan = self.plan;
        PruningSpec {
            saliency: way.saliency,
            sparsity,
            recomputations: way.recomputations,
            gradients: plan.gradients,
            dampening: plan.dampening,
            block_size: self.block_size(way),
            joint: plan.joint,
            finetune: plan.finetune * (plan.recomputations / way.recomputations),
        }
    }

    fn block_size(&self, way: &Way) -> Option<usize> {
        match way.saliency {
            Saliency::Magnitude | Saliency::DiagonalFisher => None,
            Saliency::WoodFisher => Some(self.plan.block_size.unwrap_or(WOOD_FISHER_BLOCK)),
            Saliency::MFac => self.plan.block_size,
        }
    }

    fn judged(&self, way: &Way, outcomes: &[Outcome]) -> Judged {
        let points = self.sparsities.iter().zip(outcomes.chunks(self.dense.len()));
        Judged {
            method: name(way.saliency).to_owned(),
            recomputations: way.recomputations,
            block_size: self.block_size(way),
            points: points
                .map(|(&sparsity, outcomes)| Point {
                    sparsity,
                    metrics: summaries(outcomes),
                    difference: None,
                })
                .collect(),
            peak_bytes: outcomes
                .iter()
                .map(|outcome| outcome.peak_bytes)
                .max()
                .unwrap_or(0),
        }
    }

    fn protocol(&self) -> Result<Protocol, LabError> {
        let (plan, training) = (self.plan, &self.dense[0].training);
        let prepared = Prepared::new(self.dataset, &training.data, training.seed)?;
        Ok(Protocol {
            model: training
                .model
                .describe(&self.dataset.feature_shape, self.dataset.classes.len()),
            origin: match &plan.origin {
                Origin::Trained => format!(
                    "trained on cross-entropy by Adam, learning rate {}, {} epochs, batches of {}",
                    plan.learning_rate, training.epochs, plan.batch_size
                ),
                Origin::Read(model) => format!("read from {}", model.name),
            },
            weights: self.weights,
            sparsity_before: self.sparsity_before,
            seeds: plan.seeds,
            gradients: plan.gradients.min(prepared.train.rows.len()),
            dampening: plan.dampening,
            joint: plan.joint,
            finetune: plan.finetune * plan.recomputations,
        })
    }
}

/// Each metric over the seeds.
fn summaries(outcomes: &[Outcome]) -> BTreeMap<String, Summary> {
    let names = outcomes
        .first()
        .into_iter()
        .flat_map(|outcome| outcome.metrics.keys());
    names
        .map(|name| {
            let values: Vec<f64> = outcomes.iter().map(|outcome| outcome.metrics[name]).collect();
            (name.clone(), summary(&values))
        })
        .collect()
}

/// Differences to the first way in accuracy, corrected over the ways of a sparsity.
fn compare(ways: &mut [Judged]) {
    let Some((first, others)) = ways.split_first_mut() else {
        return;
    };
    for (index, point) in first.points.iter().enumerate() {
        let values: Vec<&[f64]> = others
            .iter()
            .map(|way| way.points[index].accuracy().values.as_slice())
            .collect();
        let found = differences(&values, &point.accuracy().values, Direction::HigherIsBetter);
        for (way, difference) in others.iter_mut().zip(found) {
            way.points[index].difference = Some(difference);
        }
    }
}
