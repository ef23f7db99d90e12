//! Fused kernels on plain slices: no tensors, no I/O.
//!
//! The only crate of the workspace that may hold `unsafe`. Every kernel gives the same bits for any number of
//! threads.
//!
//! - [`rowwise`]: softmax-based losses of `[rows, classes]` scores, value and gradient in one pass;
//! - [`pairs`]: losses of a row of student scores beside a row of teacher scores;
//! - [`rows`]: losses that need the whole row, in f64;
//! - [`real`]: the two float types and their vectorisable exponential;
//! - [`simd`]: which instruction set a kernel runs on;
//! - [`random`]: random streams derived by name;
//! - [`memory`]: an allocator that knows each thread's peak.

pub mod memory;
pub mod pairs;
pub mod random;
pub mod real;
pub mod rows;
pub mod rowwise;
pub mod simd;
