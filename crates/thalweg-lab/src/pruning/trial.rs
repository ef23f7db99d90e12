//! Pruning as trials: one network, pruned one way to one sparsity, judged on the test split.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;
use thalweg_data::Dataset;
use thalweg_kernels::memory;

use super::dense::Dense;
use super::name;
use super::steps::{PrunedNetwork, PruningSpec, prune};
use crate::LabError;
use crate::metrics::Scores;
use crate::model::Network;
use crate::trial::{Outcome, Prepared, Source, Trial, scores};

/// Raised when a change of the code changes what these trials compute.
const REVISION: u32 = 1;

/// Time that the steps of pruning took.
pub(super) const SECONDS: &str = "seconds";

/// A network pruned, or, without a specification, as it is.
#[derive(Serialize)]
pub(super) struct PruningTrial<'a> {
    revision: u32,
    dense: &'a Dense,
    #[serde(skip_serializing_if = "Option::is_none")]
    pruning: Option<PruningSpec>,
}

impl<'a> PruningTrial<'a> {
    pub fn new(dense: &'a Dense, pruning: Option<PruningSpec>) -> Self {
        Self {
            revision: REVISION,
            dense,
            pruning,
        }
    }

    /// The network pruned. None when interrupted.
    ///
    /// # Errors
    /// When it cannot be trained or pruned.
    pub fn pruned(
        &self,
        dataset: &Arc<Dataset>,
        interrupted: &AtomicBool,
    ) -> Result<Option<PrunedNetwork>, LabError> {
        let Some(network) = self.dense.network(dataset, interrupted)? else {
            return Ok(None);
        };
        match &self.pruning {
            Some(pruning) => prune(&network, pruning, &self.dense.training, dataset, interrupted),
            None => Ok(Some(PrunedNetwork::untouched(network))),
        }
    }
}

impl Trial for PruningTrial<'_> {
    fn objective(&self) -> &str {
        self.pruning.as_ref().map_or("dense", |spec| name(spec.saliency))
    }

    fn run(&self, source: Source, interrupted: &AtomicBool) -> Result<Option<Outcome>, LabError> {
        memory::reset_peak();
        let Some(pruned) = self.pruned(source.dataset, interrupted)? else {
            return Ok(None);
        };
        let training = &self.dense.training;
        let prepared = Prepared::new(source.dataset, &training.data, training.seed)?;
        let mut outcome = judged(&pruned.network, &prepared)?;
        outcome.metrics.extend(pruned.findings());
        outcome.metrics.insert(SECONDS.to_owned(), pruned.seconds);
        outcome.peak_bytes = memory::peak();
        Ok(Some(outcome))
    }
}

/// A network on the test split. Scores that are no numbers count as equal ones.
fn judged(network: &Network, prepared: &Prepared) -> Result<Outcome, LabError> {
    let part = &prepared.test;
    let mut logits = scores(network, prepared, part);
    let diverged = logits.iter().any(|score| !score.is_finite());
    if diverged {
        logits.fill(0.0);
    }
    let judged = Scores::new(&logits, prepared.dataset().classes.len(), &part.labels)?;
    Ok(Outcome {
        metrics: judged.evaluate(),
        curve: Vec::new(),
        confusion: Vec::new(),
        reliability: Vec::new(),
        roc: Vec::new(),
        remembered: None,
        diverged,
        seconds_per_epoch: 0.0,
        peak_bytes: 0,
    })
}
