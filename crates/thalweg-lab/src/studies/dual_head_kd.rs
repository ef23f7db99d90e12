//! Dual-head distillation: students with two heads beside students with one, and what the two losses do to a common head.

mod data;
mod gradients;
mod methods;
mod tries;

use std::sync::Arc;

use thalweg::objective::Settings;
use thalweg_data::Dataset;

use crate::LabError;
use crate::distillation::{Teacher, step_drops, teacher_trial};
use crate::model::{AuxiliaryHeadSpec, ModelSpec};
use crate::pool::Pool;
use crate::study::{Advance, Findings, Scale, Study};
use crate::trial::{DataSpec, OptimizerSpec, Source, TrialSpec};

pub(super) const STUDY: Study = Study {
    slug: "dual_head_kd",
    claim: "A student taught by labels and by its teacher's logits is better with a head for each loss than with one head \
            for both, and better than without the teacher; the losses conflict in the head, not in the features.",
    source: "Yang, Zong, Huang, Feng, An, KDD 2025 (arXiv 2411.08937)",
    seeds: 10,
    steps: |scale| methods::steps(scale) + tries::steps(scale) + gradients::steps(scale),
    run,
};

fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Findings, LabError> {
    let lessons = Lesson::all(scale.pick(60, 6), scale.seeds(), scale, pool, advance)?;
    let compared = methods::run(scale, pool, &lessons)?;
    let (mut tables, mut claims) = (vec![compared.table()], compared.claims());
    let (of_gradients, claim) = gradients::run(scale, pool, &lessons, advance)?;
    tables.extend(of_gradients);
    claims.extend(claim);
    let (more, claim) = tries::run(scale, pool, &lessons, &compared, advance)?;
    tables.extend(more);
    claims.push(claim);
    Ok(Findings::new(scale, tables, claims))
}

/// The data of a seed and its teacher.
struct Lesson {
    seed: u64,
    dataset: Arc<Dataset>,
    fingerprint: String,
    teacher: Teacher,
}

impl Lesson {
    /// One for each seed.
    fn all(
        classes: usize,
        seeds: usize,
        scale: &Scale,
        pool: &Pool,
        advance: &Advance,
    ) -> Result<Vec<Self>, LabError> {
        pool.try_map(seeds, |seed| {
            let seed = seed as u64;
            let dataset = Arc::new(data::generate(classes, seed));
            let model = ModelSpec::mlp(vec![256, 256]);
            let spec = teacher_trial(&dataset, model, Some(scale.pick(40, 2)), 64);
            let teacher = Teacher::train(&spec, &dataset, pool.interrupted, &|| {})?;
            advance(1);
            Ok(teacher.map(|teacher| Self {
                seed,
                fingerprint: spec.data.fingerprint,
                dataset,
                teacher,
            }))
        })
    }

    fn source(&self) -> Source<'_> {
        Source::taught(&self.dataset, &self.teacher)
    }

    /// Accuracy of the teacher on the test split.
    fn teacher_accuracy(&self) -> f64 {
        let first = self.dataset.published_test.expect("the generator publishes one");
        let rows: Vec<usize> = (first..self.dataset.len()).collect();
        self.teacher.accuracy(&rows, &self.dataset.labels[first..])
    }

    /// A student 32-48-16-K of this teacher.
    fn student(
        &self,
        scale: &Scale,
        objective: &str,
        settings: &[(&str, f64)],
    ) -> Result<TrialSpec, LabError> {
        let data = DataSpec::new(self.fingerprint.clone());
        let settings: Settings = settings
            .iter()
            .map(|&(name, value)| (name.to_owned(), value))
            .collect();
        let mut spec = TrialSpec::new(data, ModelSpec::mlp(vec![48, 16]), objective, settings, self.seed);
        spec.epochs = scale.pick(80, 2);
        spec.optimizer = OptimizerSpec::sgd(0.9, step_drops(spec.epochs));
        spec.learning_rate = 0.05;
        spec.weight_decay = 5e-4;
        spec.taught(&self.teacher, AuxiliaryHeadSpec::Linear)
    }
}
