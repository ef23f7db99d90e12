//! What takes part in a comparison: objectives, or optimisers of one objective.

use thalweg::catalogue;
use thalweg::objective::{ObjectiveEntry, Parameter, Settings};
use thalweg::optimizer::{LearningRates, OptimizerEntry};

use crate::LabError;

/// An objective, and the optimiser where optimisers are compared.
#[derive(Clone, Copy)]
pub(crate) struct Contender {
    pub objective: &'static ObjectiveEntry,
    pub optimizer: Option<&'static OptimizerEntry>,
}

impl Contender {
    /// An objective among others.
    pub fn of(objective: &'static ObjectiveEntry) -> Self {
        Self {
            objective,
            optimizer: None,
        }
    }

    /// An optimiser among others that descend `objective`. One whose method is a term of an objective descends that one.
    ///
    /// # Errors
    /// When the catalogue lacks the objective that it names.
    pub fn descending(
        objective: &'static ObjectiveEntry,
        optimizer: &'static OptimizerEntry,
    ) -> Result<Self, LabError> {
        let own = optimizer
            .objective
            .map(|name| catalogue::objective(name).ok_or_else(|| LabError::unknown_objective(name)));
        Ok(Self {
            objective: own.transpose()?.unwrap_or(objective),
            optimizer: Some(optimizer),
        })
    }

    /// What it is called among the others.
    pub fn name(&self) -> &'static str {
        self.optimizer
            .map_or(self.objective.name, |optimizer| optimizer.name)
    }

    /// The parameters it is tuned by: those of what is compared.
    pub fn parameters(&self) -> Vec<&'static Parameter> {
        let Some(optimizer) = self.optimizer else {
            return self.objective.parameters.iter().collect();
        };
        let objective = optimizer.objective.map(|_| &self.objective.parameters);
        optimizer
            .parameters
            .iter()
            .chain(objective.into_iter().flatten())
            .collect()
    }

    /// The learning rates it is tried with; `otherwise` where all have one optimiser.
    pub fn learning_rates(&self, otherwise: LearningRates) -> LearningRates {
        self.optimizer
            .map_or(otherwise, |optimizer| optimizer.learning_rate)
    }

    /// Settings apart: those of the objective, then those of the optimiser.
    pub fn split(&self, settings: &Settings) -> [Settings; 2] {
        let owned = self.optimizer.map(|optimizer| |name: &str| optimizer.has(name));
        let [mut objective, mut optimizer] = [Settings::new(), Settings::new()];
        for (name, &value) in settings {
            let theirs = match &owned {
                Some(owned) if owned(name) => &mut optimizer,
                _ => &mut objective,
            };
            theirs.insert(name.clone(), value);
        }
        [objective, optimizer]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn settings_of_an_optimiser_come_apart_again() {
        let cross_entropy = catalogue::objective("cross_entropy").unwrap();
        for optimizer in catalogue::optimizers() {
            let contender = Contender::descending(cross_entropy, optimizer).unwrap();
            let parameters = contender.parameters();
            let names: HashSet<_> = parameters.iter().map(|parameter| parameter.name).collect();
            assert_eq!(names.len(), parameters.len(), "{}", optimizer.name);
            let settings = parameters
                .iter()
                .map(|parameter| (parameter.name.to_owned(), parameter.default))
                .collect();
            let [of_objective, of_optimizer] = contender.split(&settings);
            contender.objective.check(&of_objective).unwrap();
            optimizer.build(&of_optimizer).unwrap();
        }
    }
}
