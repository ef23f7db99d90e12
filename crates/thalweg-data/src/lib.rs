//! Data sets and readers: in a path, out validated arrays and labels.
//!
//! [`open`] reads CSV and TSV, Parquet, IDX (MNIST and its relatives, a pair of files or a folder of two), NPY and NPZ
//! into a [`Dataset`], or says with a [`DataError`] what is wrong, where, and what to do about it. [`digits`] needs no
//! file. The other modules change a data set as an experiment asks: wrong labels ([`noise`]), rare classes
//! ([`imbalance`]), parts ([`split`]), scales ([`standardize`]), views of samples ([`augment`]). All of it is determined by a
//! seed. [`NpyRows`] streams a matrix that may be larger than memory.

mod arrays;
pub mod augment;
mod csv;
mod dataset;
pub mod describe;
pub mod embedded;
mod error;
pub mod generators;
mod idx;
pub mod imbalance;
mod impute;
pub mod noise;
mod npy;
mod numbers;
mod open;
mod options;
mod parquet;
pub mod scores;
mod source;
pub mod split;
pub mod standardize;
mod table;
mod useless;

pub use dataset::{BagColumn, Dataset, Numbers};
pub use embedded::digits;
pub use error::{DataError, Place};
pub use npy::{ClassLabels, NpyRows, write_npy};
pub use open::open;
pub use options::{Impute, ReadOptions, parse_bytes};
pub use useless::Useless;
