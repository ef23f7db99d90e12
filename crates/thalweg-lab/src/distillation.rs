//! Distillation: a teacher, trained here or brought along, and a fair comparison of the ways to learn from it.
//!
//! A student sees nothing of its teacher but logits, one row a sample, computed once: data that is not augmented has the
//! same in every epoch, and whatever made them does not matter.

mod mlp;
mod plan;
mod teacher;

pub use mlp::{Mlp, MlpError};
pub use plan::{Checked, Method, Plan, step_drops, teacher_trial};
pub(crate) use plan::{data_spec, default_epochs};
pub use teacher::{Teacher, TeacherError};
