//! Fused kernels on plain slices: no tensors, no I/O.
//!
//! The only crate of the workspace that may hold `unsafe`. Every kernel gives the same bits for any number of
//! threads.
//!
//! - [`batch`]: rows of scores, cut into blocks that threads share;
//! - [`rowwise`]: softmax-based losses of `[rows, classes]` scores, value and gradient in one pass;
//! - [`pairs`]: losses of a row of student scores beside a row of teacher scores;
//! - [`rows`]: losses that need the whole row, in f64;
//! - [`sorting`]: relaxed sorting networks, forward and reverse, without matrices;
//! - [`scaled_softmax`]: softmaxes of scaled rows in place, beside a term that all rows share;
//! - [`spherical`]: losses of the first two moments of a row and its target's score;
//! - [`in_batch`]: losses of all pairs of a batch, streamed;
//! - [`distances`]: distances of all rows of one set, and gradients along them;
//! - [`adaptive_temperature`]: a network that gives each pair a temperature, and softmaxes with those;
//! - [`matrix`]: products of matrices;
//! - [`long_rows`]: products and combinations of a few very long rows;
//! - [`linear`], [`conv`], [`max_pool`]: a linear layer, convolutions, max pooling, and their gradients;
//! - [`log_softmax_output`], [`hierarchical_output`]: whole steps of softmax output layers over many classes;
//! - [`optimizer`]: steps of optimisers over flat slices;
//! - [`row_norms`]: norms of rows and their gradient;
//! - [`lanes`]: sums, maxima and exponentials over a row, as vector code;
//! - [`trajectory`]: divergence of scores from their past, added to a loss of them;
//! - [`unit_rows`]: rows brought to length 1 and the gradient through that;
//! - [`real`]: the two float types and their vectorisable exponential;
//! - [`simd`]: which instruction set a kernel runs on;
//! - [`directions`]: a random direction a sample, drawn where it is used;
//! - [`random`]: random streams derived by name;
//! - [`memory`]: an allocator that knows each thread's peak.

pub mod adaptive_temperature;
pub mod batch;
pub mod conv;
pub mod directions;
pub mod distances;
pub mod hierarchical_output;
pub mod in_batch;
pub mod lanes;
pub mod linear;
pub mod log_softmax_output;
pub mod long_rows;
pub mod matrix;
pub mod max_pool;
pub mod memory;
pub mod optimizer;
pub mod pairs;
pub mod random;
pub mod real;
pub mod row_norms;
pub mod rows;
pub mod rowwise;
pub mod scaled_softmax;
pub mod simd;
pub mod sorting;
pub mod spherical;
pub mod trajectory;
pub mod unit_rows;
