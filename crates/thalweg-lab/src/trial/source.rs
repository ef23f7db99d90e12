//! What trials train on: a data set, and a teacher of its samples perhaps.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thalweg::objective::Needs;
use thalweg_data::Dataset;

use super::TrialSpec;
use crate::LabError;
use crate::distillation::Teacher;
use crate::model::AuxiliaryHeadSpec;

/// What a trial learns from a teacher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DistillationSpec {
    /// Fingerprint of the teacher's logits, all that a student sees of it.
    pub teacher: String,
    /// The student's second head, where the objective has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auxiliary_head: Option<AuxiliaryHeadSpec>,
}

/// A data set, and a teacher of all its samples.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The data set.
    pub dataset: &'a Arc<Dataset>,
    /// The teacher.
    pub teacher: Option<&'a Teacher>,
}

impl<'a> From<&'a Arc<Dataset>> for Source<'a> {
    fn from(dataset: &'a Arc<Dataset>) -> Self {
        Self {
            dataset,
            teacher: None,
        }
    }
}

impl<'a> Source<'a> {
    /// A data set with a teacher of its samples.
    pub fn taught(dataset: &'a Arc<Dataset>, teacher: &'a Teacher) -> Self {
        Self {
            dataset,
            teacher: Some(teacher),
        }
    }

    /// The teacher that a trial is to have.
    ///
    /// # Errors
    /// When the objective needs a teacher or a second head that the specification does not name, or the teacher here is
    /// not the one it names.
    pub(super) fn teacher_for(
        &self,
        spec: &TrialSpec,
        needs: Needs,
    ) -> Result<Option<&'a Teacher>, LabError> {
        let objective = &spec.objective;
        let Some(named) = &spec.distillation else {
            return if needs.teacher || needs.auxiliary_head {
                Err(LabError::Plan(format!(
                    "{objective} learns from a teacher, and its trial names none"
                )))
            } else {
                Ok(None)
            };
        };
        if needs.auxiliary_head && named.auxiliary_head.is_none() {
            return Err(LabError::Plan(format!(
                "{objective} trains two heads, and its trial names no second one"
            )));
        }
        match self.teacher {
            Some(teacher) if teacher.fingerprint() == named.teacher => Ok(Some(teacher)),
            _ => Err(LabError::Plan(format!(
                "the trial of {objective} names another teacher than there is"
            ))),
        }
    }
}

impl TrialSpec {
    /// The same trial with what its objective needs of a teacher and a second head.
    ///
    /// # Errors
    /// When the objective is unknown or its settings are refused.
    pub fn taught(mut self, teacher: &Teacher, head: AuxiliaryHeadSpec) -> Result<Self, LabError> {
        let entry = thalweg::catalogue::objective(&self.objective)
            .ok_or_else(|| LabError::unknown_objective(&self.objective))?;
        let needs = entry.build(&self.settings)?.needs();
        self.distillation = needs.teacher.then(|| DistillationSpec {
            teacher: teacher.fingerprint().to_owned(),
            auxiliary_head: needs.auxiliary_head.then_some(head),
        });
        Ok(self)
    }
}
