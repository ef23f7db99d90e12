//! Trials, the fair comparison, statistics, the run store, reports and the studies.

pub mod csv_out;
pub mod metrics;
pub mod report;
pub mod results;
pub mod statistics;
pub mod store;

mod undefined;
