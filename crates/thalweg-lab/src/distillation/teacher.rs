//! A teacher: what it says of every sample of a data set.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};
use thalweg_data::Dataset;

use super::mlp::matrix;
use super::{Mlp, MlpError};
use crate::model::{Activation, ModelSpec};
use crate::trial::{Source, TrialSpec, train};
use crate::{LabError, output};

/// Name of the tensor that holds a teacher's logits where its network stays at home.
const LOGITS: &str = "logits";

/// Why a file holds no teacher.
#[derive(Debug, thiserror::Error)]
pub enum TeacherError {
    /// The file cannot be read.
    #[error("cannot read the teacher {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds something else, or is damaged.
    #[error("the teacher {path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Box<TeacherError>,
    },
    /// No perceptron, and no logits.
    #[error(
        "{0}; a teacher is a perceptron (NAME.weight [outputs, inputs], NAME.bias [outputs], in order), or its logits \
         (one tensor `logits` [samples, classes], in the order of the data)"
    )]
    Mlp(#[from] MlpError),
    /// Only logits are known.
    #[error("this teacher came as logits; there is no network of it to save")]
    NothingToSave,
}

/// A teacher of every sample of a data set.
#[derive(Clone, Debug)]
pub struct Teacher {
    description: String,
    fingerprint: String,
    /// Row-major, `[samples, classes]`, in the order of the data set.
    logits: Vec<f32>,
    classes: usize,
    mlp: Option<Mlp>,
}

impl Teacher {
    /// Trains a perceptron. None when `interrupted` was set before it ended; `advance` is called after each epoch.
    ///
    /// # Errors
    /// When the specification is no perceptron's, or the data cannot be split as asked.
    pub fn train(
        spec: &TrialSpec,
        dataset: &Arc<Dataset>,
        interrupted: &AtomicBool,
        advance: &dyn Fn(),
    ) -> Result<Option<Self>, LabError> {
        let activation = match &spec.model {
            ModelSpec::Linear => Activation::Relu,
            ModelSpec::Mlp { activation, .. } => *activation,
            ModelSpec::Cnn => {
                return Err(LabError::Plan(
                    "a teacher trained here is linear or an mlp".to_owned(),
                ));
            }
        };
        let Some(trained) = train(spec, Source::from(dataset), interrupted, &mut |_| advance())? else {
            return Ok(None);
        };
        let mlp = Mlp::of_network(&trained.network, activation, trained.prepared.scaler());
        Ok(Some(Self::of_mlp(mlp, dataset)))
    }

    /// Reads a teacher from a safetensors file: a perceptron on the features as read, or a tensor `logits` with a row for
    /// each sample.
    ///
    /// # Errors
    /// When the file cannot be read, is no such teacher, or is one of other data.
    pub fn open(path: &Path, dataset: &Dataset) -> Result<Self, TeacherError> {
        let bytes = std::fs::read(path).map_err(|source| TeacherError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::from_bytes(&bytes, dataset).map_err(|problem| TeacherError::File {
            path: path.to_owned(),
            problem: Box::new(problem),
        })
    }

    fn from_bytes(bytes: &[u8], dataset: &Dataset) -> Result<Self, TeacherError> {
        let tensors = SafeTensors::deserialize(bytes).map_err(MlpError::damaged)?;
        if tensors.names().contains(&LOGITS) {
            let logits = matrix(LOGITS, &tensors)?;
            let classes = dataset.classes.len();
            let sizes = [
                ("its logits are of as many samples as", dataset.len()),
                ("its logits are for as many classes as", classes),
            ];
            for (found, (what, expected)) in logits.shape.into_iter().zip(sizes) {
                if found != expected {
                    return Err(TeacherError::Mlp(MlpError::Mismatch {
                        what,
                        found,
                        expected,
                    }));
                }
            }
            return Ok(Self::of_logits(
                "logits of a file".to_owned(),
                logits.values,
                classes,
            ));
        }
        let mlp = Mlp::from_tensors(bytes, &tensors)?;
        mlp.check_fits(dataset)?;
        Ok(Self::of_mlp(mlp, dataset))
    }

    fn of_mlp(mlp: Mlp, dataset: &Dataset) -> Self {
        let logits = mlp.logits(dataset);
        Self {
            mlp: Some(mlp.clone()),
            ..Self::of_logits(mlp.describe(), logits, mlp.classes())
        }
    }

    fn of_logits(description: String, logits: Vec<f32>, classes: usize) -> Self {
        let mut hash = Sha256::new();
        hash.update((classes as u64).to_le_bytes());
        logits.iter().for_each(|logit| hash.update(logit.to_le_bytes()));
        let fingerprint = hash.finalize()[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            description,
            fingerprint,
            logits,
            classes,
            mlp: None,
        }
    }

    /// Writes its network as a safetensors file, whole or not at all.
    ///
    /// # Errors
    /// When it came as logits, or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), LabError> {
        let mlp = self.mlp.as_ref().ok_or(TeacherError::NothingToSave)?;
        output::whole(path, mlp.to_bytes())
    }

    /// What it is, in words.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// A hash of its logits, which are all that a student sees of it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Its logits `[rows, classes]` of some samples.
    pub fn logits(&self, rows: &[usize], device: &Device) -> Tensor<2> {
        let chosen: Vec<f32> = rows.iter().flat_map(|&row| self.row(row)).copied().collect();
        Tensor::from_data(TensorData::new(chosen, [rows.len(), self.classes]), device)
    }

    /// Its logits of a sample.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.logits[row * self.classes..(row + 1) * self.classes]
    }

    /// Share of samples that it classifies as labelled.
    pub fn accuracy(&self, rows: &[usize], labels: &[u32]) -> f64 {
        let right = rows.iter().zip(labels).filter(|&(&row, &label)| {
            let logits = self.row(row);
            let top = (1..self.classes).fold(0, |top, k| if logits[k] > logits[top] { k } else { top });
            top == label as usize
        });
        right.count() as f64 / rows.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;

    use super::*;

    fn logits_file(shape: [usize; 2]) -> Vec<u8> {
        let bytes: Vec<u8> = (0..shape[0] * shape[1])
            .flat_map(|i| (i as f64).to_le_bytes())
            .collect();
        let view = TensorView::new(Dtype::F64, shape.to_vec(), &bytes).unwrap();
        safetensors::serialize([(LOGITS, view)], None).unwrap()
    }

    #[test]
    fn logits_alone_are_a_teacher_of_the_data_they_were_made_for() {
        let dataset = thalweg_data::digits();
        let teacher = Teacher::from_bytes(&logits_file([1797, 10]), &dataset).unwrap();
        assert_eq!(teacher.row(3)[2], 32.0);
        // Every row rises to its last class.
        let nines: Vec<usize> = (0..1797).filter(|&row| dataset.labels[row] == 9).collect();
        assert_eq!(teacher.accuracy(&nines, &vec![9; nines.len()]), 1.0);
        assert!(matches!(
            teacher.save(Path::new("nowhere")),
            Err(LabError::Teacher(TeacherError::NothingToSave))
        ));
        for (shape, said) in [([1796, 10], "1797"), ([1797, 9], "10")] {
            let refused = Teacher::from_bytes(&logits_file(shape), &dataset).unwrap_err();
            assert!(refused.to_string().contains(said), "{refused}");
        }
    }

    #[test]
    fn bytes_of_another_kind_are_refused() {
        let dataset = thalweg_data::digits();
        for bytes in [&b""[..], b"PK\x03\x04 no tensors", &[0xff; 64]] {
            let refused = Teacher::from_bytes(bytes, &dataset).unwrap_err();
            assert!(
                matches!(refused, TeacherError::Mlp(MlpError::Damaged(_))),
                "{refused}"
            );
        }
    }
}
