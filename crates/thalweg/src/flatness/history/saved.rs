//! A history as a safetensors file in memory: all of it, to the last bit.

use std::borrow::Cow;
use std::collections::HashMap;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, Metadata, SafeTensorError, View, serialize};

use super::rows::{Rows, Top};
use super::{OutputHistory, Slot};

/// What the file says it is.
const FORMAT: &str = "thalweg past outputs 1";

/// Why a history was not taken up.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The bytes are no safetensors file.
    #[error("the past outputs cannot be read")]
    Read(#[from] SafeTensorError),
    /// They are of something else.
    #[error("the past outputs: {0}")]
    Content(String),
}

fn content<T>(problem: impl Into<String>) -> Result<T, HistoryError> {
    Err(HistoryError::Content(problem.into()))
}

/// Numbers as the file holds them, in little-endian order.
struct Numbers {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for Numbers {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// A number that files hold.
trait Stored: Copy {
    const DTYPE: Dtype;
    fn append(self, bytes: &mut Vec<u8>);
    fn of(bytes: &[u8]) -> Self;
}

macro_rules! stored {
    ($($number:ty: $dtype:ident),*) => {$(
        impl Stored for $number {
            const DTYPE: Dtype = Dtype::$dtype;

            fn append(self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }

            fn of(bytes: &[u8]) -> Self {
                Self::from_le_bytes(bytes.try_into().expect("chunks of this size"))
            }
        }
    )*};
}

// Half precision is kept as its bits.
stored!(f32: F32, f64: F64, u16: F16, u32: U32, u64: U64);

fn numbers<T: Stored>(values: &[T], columns: usize) -> Numbers {
    let mut bytes = Vec::with_capacity(size_of_val(values));
    for &value in values {
        value.append(&mut bytes);
    }
    Numbers {
        dtype: T::DTYPE,
        shape: vec![values.len() / columns.max(1), columns],
        bytes,
    }
}

fn read<T: Stored>(file: &SafeTensors, name: &str, shape: [usize; 2]) -> Result<Vec<T>, HistoryError> {
    let tensor = file.tensor(name)?;
    if tensor.dtype() != T::DTYPE || tensor.shape() != shape {
        return content(format!(
            "`{name}` is {:?} {:?}; it must be {:?} {shape:?}",
            tensor.dtype(),
            tensor.shape(),
            T::DTYPE
        ));
    }
    Ok(tensor.data().chunks_exact(size_of::<T>()).map(T::of).collect())
}

impl OutputHistory {
    /// All that it holds, as a safetensors file.
    ///
    /// # Errors
    /// When the file cannot be laid out.
    pub fn to_bytes(&self) -> Result<Vec<u8>, HistoryError> {
        let mut tensors = Vec::new();
        for (at, slot) in self.slots.iter().enumerate() {
            tensors.push((format!("{at}.written"), numbers(&slot.written, 1)));
            let name = format!("{at}.logits");
            match &slot.rows {
                Rows::Single(rows) => tensors.push((name, numbers(rows, self.classes))),
                Rows::Double(rows) => tensors.push((name, numbers(rows, self.classes))),
                Rows::Half(rows) => tensors.push((name, numbers(rows, self.classes))),
                Rows::Top(Top {
                    classes,
                    logits,
                    kept,
                }) => {
                    tensors.push((name, numbers(logits, kept + 1)));
                    tensors.push((format!("{at}.classes"), numbers(classes, *kept)));
                }
            }
        }
        let facts = [
            ("format", FORMAT.to_owned()),
            ("lag", self.lag.to_string()),
            ("kept", format!("{:?}", self.kept)),
            ("temperature", self.temperature.to_string()),
            ("classes", self.classes.to_string()),
        ];
        let facts = facts.map(|(name, fact)| (name.to_owned(), fact));
        Ok(serialize(tensors, Some(HashMap::from(facts)))?)
    }

    /// The same history with what the one held that the bytes are of.
    ///
    /// # Errors
    /// When the bytes are of no history, or of one of another lag, temperature or kind.
    pub fn from_bytes(self, bytes: &[u8]) -> Result<Self, HistoryError> {
        let (_, metadata) = SafeTensors::read_metadata(bytes)?;
        let file = SafeTensors::deserialize(bytes)?;
        for (name, own) in [
            ("format", FORMAT.to_owned()),
            ("lag", self.lag.to_string()),
            ("kept", format!("{:?}", self.kept)),
            ("temperature", self.temperature.to_string()),
        ] {
            match fact(&metadata, name) {
                Some(found) if *found == own => {}
                Some(found) => return content(format!("their {name} is {found}; it must be {own}")),
                None => return content(format!("they do not say their {name}")),
            }
        }
        let Some(Ok(classes)) = fact(&metadata, "classes").map(|classes| classes.parse()) else {
            return content("they do not say of how many classes they are");
        };
        let slots = if file.is_empty() { 0 } else { self.lag + 1 };
        let slots = (0..slots).map(|at| self.slot(&file, at, classes));
        Ok(Self {
            slots: slots.collect::<Result<_, _>>()?,
            classes,
            ..self
        })
    }

    fn slot(&self, file: &SafeTensors, at: usize, classes: usize) -> Result<Slot, HistoryError> {
        let (written, logits) = (format!("{at}.written"), format!("{at}.logits"));
        let samples = file.tensor(&written)?.shape().first().copied().unwrap_or(0);
        let double = file.tensor(&logits)?.dtype() == Dtype::F64;
        let mut rows = if double {
            Rows::new::<f64>(self.kept, classes)
        } else {
            Rows::new::<f32>(self.kept, classes)
        };
        match &mut rows {
            Rows::Single(rows) => *rows = read(file, &logits, [samples, classes])?,
            Rows::Double(rows) => *rows = read(file, &logits, [samples, classes])?,
            Rows::Half(rows) => *rows = read(file, &logits, [samples, classes])?,
            Rows::Top(rows) => {
                rows.logits = read(file, &logits, [samples, rows.kept + 1])?;
                rows.classes = read(file, &format!("{at}.classes"), [samples, rows.kept])?;
                if let Some(class) = rows.classes.iter().find(|&&class| class as usize >= classes) {
                    return content(format!("class {class} of {classes}"));
                }
            }
        }
        Ok(Slot {
            written: read(file, &written, [samples, 1])?,
            rows,
        })
    }
}

fn fact<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a String> {
    metadata.metadata().as_ref()?.get(name)
}
