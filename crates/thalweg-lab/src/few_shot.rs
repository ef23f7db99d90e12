//! Few-shot trials: an encoder trained on episodes of some classes under any
//! [`EpisodeObjective`](thalweg::objective::EpisodeObjective), and judged on episodes of classes that it never saw.
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//! use thalweg::few_shot::PrototypicalLossConfig;
//! use thalweg_lab::few_shot::{self, FewShot};
//!
//! let digits = thalweg_data::digits();
//! let trial = FewShot { episodes: 10, test_episodes: 10, ..FewShot::new(digits.classes.len(), 0) };
//! let mut objective = PrototypicalLossConfig::new().init()?;
//! let outcome = few_shot::run(&digits, &trial, &mut objective, &AtomicBool::new(false))?;
//! assert!(outcome.expect("nobody interrupted it").metrics["accuracy"] > 0.3);
//! # Ok::<(), thalweg_lab::LabError>(())
//! ```

mod classes;
mod episodes;
mod evaluation;
mod training;
mod trial;

pub use classes::{Classes, Part};
pub use evaluation::{Judgement, judge};
pub use training::{TrainedEncoder, train};
pub use trial::{FewShot, FewShotOutcome, run};

#[cfg(test)]
mod tests;
