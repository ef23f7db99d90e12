//! The pruner's quantities.

use super::{PruningConfig, Saliency, sparsity_schedule};
use crate::quantity::{Outputs, Quantity};

pub(crate) fn quantities() -> Vec<Quantity> {
    vec![obs_prune(), schedule()]
}

fn obs_prune() -> Quantity {
    Quantity::new(
        "mfac_obs_prune",
        "Optimal Brain Surgeon by the empirical Fisher inverse: scores, the weights that go, the others moved, and what it costs",
    )
    .param("damp", 1e-5)
    .required_param("num_prune")
    .param("joint", false)
    .input("grads", "[M, D]")
    .input("w", "[D]")
    .with_example("num_prune", 1.0)
    .eval(|case| {
        let pruner = PruningConfig::new()
            .with_saliency(Saliency::MFac)
            .with_dampening(case.param("damp")?)
            .with_joint(case.flag("joint")?)
            .init()
            .map_err(|error| case.curvature_error("damp", &error))?;
        case.finite("w")?;
        let (mut weights, count) = (case.array("w").data.clone(), case.count("num_prune", 0)?);
        if count > weights.len() {
            return case.refuse_param("num_prune", "at most the number of weights");
        }
        let mut alive = vec![true; weights.len()];
        let pruned = pruner
            .prune(&mut weights, &mut alive, &case.array("grads").data, count)
            .map_err(|error| case.curvature_error("grads", &error))?;
        let removed: Vec<f64> = pruned.removed.iter().map(|&at| at as f64).collect();
        Ok(Outputs::new()
            .with("scores", pruned.scores)
            .with("pruned", removed)
            .with("w", weights)
            .with("predicted_loss_increase", pruned.predicted_loss_increase))
    })
}

fn schedule() -> Quantity {
    Quantity::new(
        "mfac_recompute_sparsity_schedule",
        "sparsities after each of a number of equal parts of the way to a target",
    )
    .param("start", 0.0)
    .required_param("target")
    .param("recomputations", 1.0)
    .eval(|case| {
        let schedule = sparsity_schedule(
            case.param("start")?,
            case.param("target")?,
            case.count("recomputations", 1)?,
        )?;
        Ok(Outputs::new().with("value", schedule))
    })
}
