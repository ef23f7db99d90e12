//! Networks with fewer weights.

pub mod gradients;
