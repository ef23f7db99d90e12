//! The networks that are pruned.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Device;
use serde::Serialize;
use sha2::{Digest, Sha256};
use thalweg_data::Dataset;

use crate::LabError;
use crate::distillation::{Mlp, MlpError};
use crate::model::Network;
use crate::trial::{Scaling, Source, TrialSpec, train};

/// Why a file holds no network to prune.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    /// The file cannot be read.
    #[error("cannot read the model {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds something else, or is damaged.
    #[error(
        "the model {path}: {problem}; a model is a perceptron of the features as they are read (NAME.weight [outputs, \
         inputs], NAME.bias [outputs], in order)"
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: MlpError,
    },
}

/// Where networks come from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Trained here, one for each seed.
    Trained,
    /// One of a file.
    Read(Box<Model>),
}

/// A network of a file.
#[derive(Clone, Debug)]
pub struct Model {
    /// The file's name.
    pub name: String,
    /// The network.
    pub mlp: Mlp,
    fingerprint: String,
}

impl Model {
    /// Reads a perceptron that is one for `dataset` from a safetensors file.
    ///
    /// # Errors
    /// When the file cannot be read, is no such network, or is one for other data.
    pub fn open(path: &Path, dataset: &Dataset) -> Result<Self, ModelFileError> {
        let bytes = std::fs::read(path).map_err(|source| ModelFileError::Read {
            path: path.to_owned(),
            source,
        })?;
        let read = Mlp::from_bytes(&bytes).and_then(|mlp| mlp.check_fits(dataset).map(|()| mlp));
        let mlp = read.map_err(|problem| ModelFileError::File {
            path: path.to_owned(),
            problem,
        })?;
        let digest = Sha256::digest(mlp.to_bytes());
        Ok(Self {
            name: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            mlp,
            fingerprint: digest[..16].iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}

/// The network of one seed before it is pruned, made when it is first asked for.
#[derive(Serialize)]
pub(super) struct Dense {
    /// How it was trained, or would be trained on.
    pub training: TrialSpec,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(skip)]
    mlp: Option<Mlp>,
    #[serde(skip)]
    network: Mutex<Option<Network>>,
}

impl Dense {
    /// `training` says how networks of the origin are trained, its seed which of them.
    pub fn new(origin: &Origin, mut training: TrialSpec) -> Self {
        let model = match origin {
            Origin::Trained => None,
            Origin::Read(model) => {
                training.model = model.mlp.spec();
                training.data.scaling = Scaling::AsIs;
                training.epochs = 0;
                Some(model)
            }
        };
        Self {
            training,
            fingerprint: model.map(|model| model.fingerprint.clone()),
            mlp: model.map(|model| model.mlp.clone()),
            network: Mutex::new(None),
        }
    }

    /// A network of its shape: that of the file, or one that is not trained yet.
    pub fn of_its_shape(&self, dataset: &Dataset) -> Network {
        let device = Device::flex().autodiff();
        match &self.mlp {
            Some(mlp) => mlp.network(&device),
            None => Network::new(
                &self.training.model,
                &dataset.feature_shape,
                dataset.classes.len(),
                self.training.seed,
                &device,
            ),
        }
    }

    /// The network. None when `interrupted` was set before it was trained.
    ///
    /// # Errors
    /// When it cannot be trained.
    pub fn network(
        &self,
        dataset: &Arc<Dataset>,
        interrupted: &AtomicBool,
    ) -> Result<Option<Network>, LabError> {
        // A panic while it was made left nothing behind.
        let mut network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        if network.is_none() {
            *network = match &self.mlp {
                Some(mlp) => Some(mlp.network(&Device::flex().autodiff())),
                None => train(&self.training, Source::from(dataset), interrupted, &mut |_| {})?
                    .map(|trained| trained.network),
            };
        }
        Ok(network.clone())
    }
}
