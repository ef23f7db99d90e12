//! Trials, the fair comparison, statistics, the run store, reports and the studies.

pub mod results;
