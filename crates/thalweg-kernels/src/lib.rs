//! Fused kernels on plain slices: no tensors, no I/O.
//!
//! The only crate of the workspace that may hold `unsafe`. Every kernel gives the same bits for any number of
//! threads.

pub mod random;
