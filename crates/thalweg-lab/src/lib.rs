//! Trials, the fair comparison, statistics, the run store, reports and the studies.

pub mod calibration;
pub mod comparison;
pub mod csv_out;
pub mod diagnosis;
pub mod distillation;
mod error;
pub mod few_shot;
pub mod metrics;
pub mod model;
pub mod output;
pub mod pool;
pub mod pruning;
pub mod report;
pub mod representation;
pub mod results;
pub mod self_supervised;
pub mod statistics;
pub mod store;
pub mod studies;
pub mod study;
pub mod trial;
pub mod tuning;
pub mod verification;

mod undefined;

pub use error::LabError;
