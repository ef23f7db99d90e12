//! Temperatures that a small network gives each pair of vectors, and softmaxes of scores of which each has its own.
//!
//! A network with one hidden layer on the concatenation `[a; b]` is `W_a a` of one side plus `W_b b` of the other before the
//! ReLU: two products of matrices, and a pass over all pairs and hidden units that keeps nothing of the size of both
//! ([`PairNetwork`]). Its answers become temperatures within [`Limits`], and those enter a softmax
//! ([`softmax`], [`softmax_slopes`]).

mod limits;
mod network;
mod softmax;
#[cfg(test)]
mod tests;

pub use limits::Limits;
pub use network::{NetworkGradients, PairNetwork};
pub use softmax::{Softmax, softmax, softmax_slopes};
