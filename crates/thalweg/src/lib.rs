//! Training objectives on [burn]: what a model is asked to minimise, and whether it did what its theory promised.
//!
//! - Losses, one file an objective: [`classification`], [`robustness`], [`aggregate`], [`distillation`],
//!   [`contrastive`]. Each has a config with
//!   the paper's defaults,
//!   `init()`, and `forward(...)` on burn tensors of either float type, on any backend.
//! - What is fitted to a trained classifier so that its probabilities mean what they say: [`calibration`].
//! - What networks are made of and trained with, at the speed of the kernels: [`layers`], [`optimizer`].
//! - Objectives that find flat minima, and how flat one is: [`flatness`].
//! - Embeddings by which labels are alike: [`metric_learning`].
//! - Losses of two views of a sample, without labels or negatives: [`self_supervised`].
//! - Losses of episodes of a few labelled samples: [`few_shot`].
//! - Whether two samples are of one identity, margin losses and metrics: [`verification`].
//! - Whether an embedding is any good, without labels: [`diagnostics`].
//! - The inverse of the empirical Fisher information without a matrix of its size: [`curvature`]; and what it tells of which
//!   weights a network can do without: [`compression`].
//! - [`objective`]: the one small trait a training loop calls, and an objective's page in the catalogue.
//! - [`quantity`]: everything else the library computes, as named numbers of given arrays.
//! - [`catalogue`]: the list of both.
//! - [`bridge`]: the only contact with burn's internals; use it to hand burn a gradient you already know.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use thalweg::classification::CompSumLossConfig;
//!
//! let device = Device::flex().autodiff();
//! let logits = Tensor::<2>::from_floats([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]], &device).require_grad();
//! let targets = Tensor::from_ints([0, 2], &device);
//! let loss = CompSumLossConfig::new().with_tau(1.5).init()?.forward(logits.clone(), targets);
//! let gradient = logits.grad(&loss.backward()).unwrap();
//! assert_eq!(gradient.dims(), [2, 3]);
//! # Ok::<(), thalweg::ConfigError>(())
//! ```

pub mod aggregate;
pub mod bridge;
pub mod calibration;
pub mod catalogue;
pub mod classification;
pub mod compression;
mod config;
pub mod contrastive;
pub mod curvature;
pub mod diagnostics;
pub mod distillation;
pub mod few_shot;
pub mod flatness;
pub mod layers;
pub mod metric_learning;
pub mod objective;
pub mod optimizer;
pub mod quantity;
mod reduction;
pub mod robustness;
pub mod self_supervised;
pub mod verification;

pub use config::ConfigError;
pub use reduction::Reduction;

/// The version of burn that this crate is built on.
pub const BURN_VERSION: &str = "0.22.1";
