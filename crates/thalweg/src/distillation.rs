//! Learning from a teacher: losses of a student's logits beside a teacher's, one or two heads, and what the gradients of
//! two losses do to a common head.

mod binary_kl;
mod binary_kl_norm;
mod dist;
mod dkd;
mod dual_head;
mod gradient_alignment;
mod head_gradients;
mod kd;
mod neural_collapse;
mod one_head;
mod teacher_loss;

pub use binary_kl::BinaryKlLossConfig;
pub use binary_kl_norm::BinaryKlNormLossConfig;
pub use dist::{DistConfig, DistLoss, DistLossConfig};
pub use dkd::{DkdConfig, DkdLoss, DkdLossConfig};
pub use dual_head::{
    DualHeadDistillation, DualHeadDistillationConfig, DualHeadDistillationLoss,
    DualHeadDistillationLossConfig,
};
pub use gradient_alignment::{Aligned, AlignmentScope, align};
pub use head_gradients::{HeadGradients, HeadLoss, LinearHead, cosine};
pub use kd::{DistillKlLossConfig, KdConfig};
pub(crate) use neural_collapse::collapse_of_means;
pub use neural_collapse::{CollapseError, NeuralCollapse, neural_collapse, simplex_etf};
pub use one_head::{BinaryDivergence, LogitDistillationConfig, OneHeadDistillation};
pub(crate) use teacher_loss::reduced as reduced_pair;
pub use teacher_loss::{TaughtLoss, TeacherLoss};

use crate::objective::ObjectiveEntry;
use crate::quantity::Quantity;

/// What the pages of the family say of shapes.
const SHAPES: &str =
    "model, inputs [batch, features], targets [batch], teacher_logits [batch, classes] → [1]";

pub(crate) fn objectives() -> Vec<ObjectiveEntry> {
    [
        kd::objectives(),
        dkd::objectives(),
        dist::objectives(),
        one_head::objectives(),
        dual_head::objectives(),
    ]
    .concat()
}

pub(crate) fn quantities() -> Vec<Quantity> {
    [
        kd::quantities(),
        binary_kl::quantities(),
        binary_kl_norm::quantities(),
        dkd::quantities(),
        dist::quantities(),
        dual_head::quantities(),
        gradient_alignment::quantities(),
        head_gradients::quantities(),
        neural_collapse::quantities(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
