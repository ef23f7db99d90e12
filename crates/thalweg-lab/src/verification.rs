//! Verification trials: an encoder trained on some identities under any [`ViewObjective`](thalweg::objective::ViewObjective)
//! with labels, and judged by how well the cosine of two embeddings tells whether two samples of *unseen* identities are of one.
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//! use thalweg::verification::{CosFaceLossConfig, MarginClassifierConfig};
//! use thalweg_data::generators::gaussian_blobs;
//! use thalweg_lab::verification::{Verification, run};
//!
//! let dataset = gaussian_blobs(160, 16, 8, 0.3, 0);
//! let trial = Verification { batch_size: 32, ..Verification::new(2, 0) };
//! let outcome = run(&dataset, &trial, |told| {
//!     let loss = CosFaceLossConfig::new().with_scale(16.0).init()?;
//!     let classes = MarginClassifierConfig::new(told.classes, told.width);
//!     Ok(Box::new(classes.init(loss, told.seed, &told.device)?))
//! }, &AtomicBool::new(false))?;
//! let judged = outcome.expect("nobody interrupted it").test;
//! assert!(judged.metrics["auc"] > 0.5);
//! # Ok::<(), thalweg_lab::LabError>(())
//! ```

mod identities;
mod judgement;
mod network;
mod scoring;
#[cfg(test)]
mod tests;
mod training;
mod trial;

pub use identities::{Identities, IdentityShares};
pub use judgement::{CurvePoint, Judgement, judge};
pub use network::{Embedder, EmbedderSpec};
pub use training::{Told, Trained, train};
pub use trial::{Batches, Outcome, TestFeatures, Verification, run};
