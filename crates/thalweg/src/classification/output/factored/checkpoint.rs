//! The layer's state as a safetensors file: all of it, in f64, so that training goes on to the same bits.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, Metadata, SafeTensorError, View, serialize_to_file};

use super::linear::Buffers;
use super::state::State;
use super::{FactoredOutput, FactoredOutputConfig};
use crate::ConfigError;

/// What the file says it is.
const FORMAT: &str = "thalweg factored output 1";

/// Header sizes beyond which a file is not worth reading; safetensors' own bound.
const LARGEST_HEADER: u64 = 100_000_000;

/// Why a layer was not saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written; an older one of its name is as it was.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SafeTensorError,
    },
    /// The file is not a layer's, or not of this configuration's.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// A matrix or vector as the file holds it.
struct Floats<'a> {
    values: &'a [f64],
    shape: Vec<usize>,
}

impl View for Floats<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F64
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        if cfg!(target_endian = "little") {
            Cow::Borrowed(bytemuck::cast_slice(self.values))
        } else {
            Cow::Owned(self.values.iter().flat_map(|x| x.to_le_bytes()).collect())
        }
    }

    fn data_len(&self) -> usize {
        size_of_val(self.values)
    }
}

impl FactoredOutput {
    /// Saves the state to a safetensors file, which is whole or not there.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), CheckpointError> {
        let path = path.as_ref();
        let state = &self.state;
        let d = state.width;
        let floats = |values, shape: &[usize]| Floats {
            values,
            shape: shape.to_vec(),
        };
        let mut tensors = vec![
            ("v", floats(&state.v[..], &[state.classes, d])),
            ("u", floats(&state.u[..], &[d, d])),
            ("omega", floats(&state.omega[..], &[d])),
            ("gram", floats(&state.gram[..], &[d, d])),
            ("row_sum", floats(&state.row_sum[..], &[d])),
        ];
        if let Some(inverse) = &state.u_inverse {
            tensors.push(("u_inverse", floats(&inverse[..], &[d, d])));
        }
        let facts = [
            ("format", FORMAT.to_owned()),
            ("steps", state.steps.to_string()),
            ("unfactorisations", state.unfactorisations.to_string()),
            ("bias", bias(&self.config)),
        ];
        let facts = facts.map(|(name, fact)| (name.to_owned(), fact));
        // The file is made beside its final place, which needs a folder.
        std::path::absolute(path)
            .map_err(SafeTensorError::from)
            .and_then(|absolute| serialize_to_file(tensors, Some(HashMap::from(facts)), &absolute))
            .map_err(|source| CheckpointError::Write {
                path: path.to_owned(),
                source,
            })
    }
}

impl FactoredOutputConfig {
    /// A layer of this configuration with the state of a file that [`FactoredOutput::save`] wrote.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else or a layer of another size.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<FactoredOutput, CheckpointError> {
        self.check()?;
        let path = path.as_ref();
        let problem = |problem| CheckpointError::Content {
            path: path.to_owned(),
            problem,
        };
        let state = self.read(path).map_err(|failure| match failure {
            Failure::Io(source) => CheckpointError::Read {
                path: path.to_owned(),
                source,
            },
            Failure::Content(text) => problem(text),
        })?;
        Ok(FactoredOutput {
            config: self.clone(),
            state,
            buffers: Buffers::default(),
        })
    }

    fn read(&self, path: &Path) -> Result<State, Failure> {
        let mut file = Tensors::open(path)?;
        let saved = file.fact("bias")?;
        let own = bias(self);
        if saved != own {
            return Err(Failure::Content(format!(
                "its bias constant is {saved}, that of the configuration {own}"
            )));
        }
        let (classes, d) = (self.classes, self.inner_width());
        let mut state = State {
            classes,
            width: d,
            v: file.floats("v", &[classes, d])?,
            u: file.floats("u", &[d, d])?,
            u_inverse: None,
            omega: file.floats("omega", &[d])?,
            gram: file.floats("gram", &[d, d])?,
            row_sum: file.floats("row_sum", &[d])?,
            steps: file.count("steps")?,
            unfactorisations: file.count("unfactorisations")?,
        };
        if self.upkeep.keeps_inverse() {
            if file.holds("u_inverse") {
                state.u_inverse = Some(file.floats("u_inverse", &[d, d])?);
            } else {
                state.u_inverse = Some(Vec::new());
                state.refresh_inverse();
            }
        }
        Ok(state)
    }
}

fn bias(config: &FactoredOutputConfig) -> String {
    config
        .bias
        .map_or_else(|| "none".to_owned(), |bias| bias.to_string())
}

enum Failure {
    Io(io::Error),
    Content(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A safetensors file that is read a tensor at a time, not to hold it in memory twice.
struct Tensors {
    file: File,
    metadata: Metadata,
    start: u64,
}

impl Tensors {
    fn open(path: &Path) -> Result<Self, Failure> {
        let foreign = || Failure::Content("it is no saved factored output layer".to_owned());
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        if size < 8 {
            return Err(foreign());
        }
        let mut length = [0; 8];
        file.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        if length > LARGEST_HEADER.min(size - 8) {
            return Err(foreign());
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header)?;
        let metadata: Metadata = serde_json::from_slice(&header).map_err(|_| foreign())?;
        let start = 8 + length;
        let tensors = Self {
            file,
            metadata,
            start,
        };
        if tensors.fact("format").is_ok_and(|format| format != FORMAT) || tensors.fact("format").is_err() {
            return Err(foreign());
        }
        if size != start + tensors.metadata.data_len() as u64 {
            return Err(Failure::Content(
                "it is cut short or has something appended".to_owned(),
            ));
        }
        Ok(tensors)
    }

    fn holds(&self, name: &str) -> bool {
        self.metadata.info(name).is_some()
    }

    fn fact(&self, name: &str) -> Result<String, Failure> {
        let facts = self.metadata.metadata().as_ref();
        let fact = facts.and_then(|facts| facts.get(name)).cloned();
        fact.ok_or_else(|| Failure::Content(format!("its header says nothing of `{name}`")))
    }

    fn count(&self, name: &str) -> Result<u64, Failure> {
        let text = self.fact(name)?;
        text.parse().map_err(|_| {
            Failure::Content(format!(
                "its header says `{name}` is {text}; it must be a whole number"
            ))
        })
    }

    fn floats(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f64>, Failure> {
        let info = self
            .metadata
            .info(name)
            .ok_or_else(|| Failure::Content(format!("it holds no tensor `{name}`")))?;
        if info.dtype != Dtype::F64 || info.shape != shape {
            return Err(Failure::Content(format!(
                "its tensor `{name}` is {:?} of shape {:?}; the configuration needs F64 of shape {shape:?}",
                info.dtype, info.shape
            )));
        }
        self.file
            .seek(SeekFrom::Start(self.start + info.data_offsets.0 as u64))?;
        let mut values = vec![0.0_f64; shape.iter().product()];
        self.file.read_exact(bytemuck::cast_slice_mut(&mut values))?;
        for value in &mut values {
            *value = f64::from_bits(u64::from_le(value.to_bits()));
        }
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(Failure::Content(format!(
                "its tensor `{name}` holds {} at index {at}",
                values[at]
            ))),
            None => Ok(values),
        }
    }
}
