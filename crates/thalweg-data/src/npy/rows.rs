//! The rows of a matrix in an NPY file, a few at a time: what is larger than memory is still read.

use std::path::{Path, PathBuf};

use super::header::{Element, Layout};
use super::{Array, read_labels};
use crate::arrays::{LabelValues, classes_of_numbers, classes_of_texts};
use crate::error::DataError;
use crate::numbers::{self, Order, Type};
use crate::open::{Format, format};
use crate::source;

/// A matrix `[samples, width]` that is read row by row, gzip or not.
///
/// One that is stored column by column has no rows to stream and is read whole.
pub struct NpyRows {
    path: PathBuf,
    shape: [usize; 2],
    kind: Type,
    source: Stored,
    left: usize,
}

enum Stored {
    /// The array at its next row, and the order of its bytes.
    Rows(Array<'static>, Order),
    /// All of it, row-major.
    Whole(Vec<f64>),
}

impl NpyRows {
    /// Opens the matrix in the file at `path`. `memory_limit` bounds what a matrix stored column by column may take, in
    /// bytes.
    ///
    /// # Errors
    /// When the file cannot be read, is no NPY file, or holds another array than a matrix of numbers with elements.
    pub fn open(path: &Path, memory_limit: u64) -> Result<Self, DataError> {
        let unsupported = |what: &str, advice: &str| DataError::Unsupported {
            file: path.to_owned(),
            what: what.to_owned(),
            advice: advice.to_owned(),
        };
        match format(path, &source::head(path, 4096)?)? {
            Format::Npy => {}
            Format::Npz => {
                return Err(unsupported(
                    "an archive of arrays",
                    "save the matrix alone: `numpy.save(path, array)`",
                ));
            }
            _ => {
                return Err(unsupported(
                    "anything but an NPY file",
                    "save the matrix as `numpy.save(path, array)`",
                ));
            }
        }
        let array = Array::open(path, source::open(path)?)?;
        let stored = array.header.shape.clone();
        let [samples, width] = stored[..] else {
            return Err(unsupported(
                &format!("an array of shape {stored:?}"),
                "a matrix is expected, one row a sample: `array.reshape(len(array), -1)`",
            ));
        };
        let Element::Number(kind, order) = array.header.element else {
            return Err(unsupported(
                "texts as numbers",
                "save the array as numbers: `array.astype('float32')`",
            ));
        };
        if samples == 0 || width == 0 {
            return Err(DataError::Empty {
                file: path.to_owned(),
                what: "the array has no elements",
            });
        }
        let source = match array.header.layout {
            Layout::C => Stored::Rows(array, order),
            Layout::Fortran => Stored::Whole(array.numbers(memory_limit)?.values),
        };
        Ok(Self {
            path: path.to_owned(),
            shape: [samples, width],
            kind,
            source,
            left: samples,
        })
    }

    /// Number of rows.
    pub fn samples(&self) -> usize {
        self.shape[0]
    }

    /// Length of a row.
    pub fn width(&self) -> usize {
        self.shape[1]
    }

    /// The distance from 1 to the next number that its elements can hold: that of f32, else that of f64.
    pub fn epsilon(&self) -> f64 {
        match self.kind {
            Type::F32 => f64::from(f32::EPSILON),
            _ => f64::EPSILON,
        }
    }

    /// Puts the next rows into `rows`, at most `count` of them, in place of what was there; returns how many.
    ///
    /// # Errors
    /// When the file cannot be read to its end.
    pub fn read(&mut self, count: usize, rows: &mut Vec<f64>) -> Result<usize, DataError> {
        rows.clear();
        let [samples, width] = self.shape;
        let count = count.min(self.left);
        let numbers = count * width;
        match &mut self.source {
            Stored::Rows(array, order) => {
                rows.reserve(numbers);
                let sink = |value| rows.push(value);
                numbers::read(
                    &self.path,
                    &mut array.reader,
                    self.kind,
                    *order,
                    numbers as u64,
                    sink,
                )?;
            }
            Stored::Whole(values) => {
                let done = (samples - self.left) * width;
                rows.extend_from_slice(&values[done..done + numbers]);
            }
        }
        self.left -= count;
        Ok(count)
    }
}

/// Classes and the class of each sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassLabels {
    /// Names of the classes: texts, or whole numbers, in their order.
    pub classes: Vec<String>,
    /// The class of each sample.
    pub labels: Vec<u32>,
}

impl ClassLabels {
    /// Reads the labels in the NPY file at `path`: whole numbers or texts, one dimension. Every class has a sample.
    ///
    /// # Errors
    /// When the file cannot be read, is no NPY file, takes more than `memory_limit` bytes, or holds something else.
    pub fn read(path: &Path, memory_limit: u64) -> Result<Self, DataError> {
        let (classes, labels) = match read_labels(path, memory_limit)?.values {
            LabelValues::Numbers(numbers) => classes_of_numbers(path, &numbers)?,
            LabelValues::Texts(texts) => classes_of_texts(&texts),
        };
        Ok(Self { classes, labels })
    }
}
