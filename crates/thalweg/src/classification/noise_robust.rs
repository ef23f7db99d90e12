//! The baselines of noise-robust learning under one name: the quantity that computes any of them.

use super::active_passive::{ActivePassiveLossConfig, Passive};
use super::multiclass_hinge::{MulticlassHingeLossConfig, Violations};
use super::{
    BrierLossConfig, CompSumLossConfig, JensenShannonLossConfig, RobustLogLossConfig,
    SymmetricCrossEntropyLossConfig, TruncatedGeneralizedCrossEntropyLossConfig,
};
use crate::Reduction;
use crate::config::require;
use crate::objective::ScoreLoss;
use crate::quantity::{Case, Quantity, QuantityError};

#[derive(Clone, Copy)]
enum Baseline {
    CrossEntropy,
    Symmetric,
    Generalized,
    Truncated,
    Hinge(Violations),
    JensenShannon,
    RobustLog,
    ReverseCrossEntropy,
    AsymmetricGeneralized,
    AsymmetricUnhinged,
    Squared,
    Absolute,
}

const NAMES: [(&str, Baseline); 13] = [
    ("ce", Baseline::CrossEntropy),
    ("sce", Baseline::Symmetric),
    ("gce", Baseline::Generalized),
    ("truncated_gce", Baseline::Truncated),
    ("ww", Baseline::Hinge(Violations::Mean)),
    ("cs", Baseline::Hinge(Violations::Largest)),
    ("js", Baseline::JensenShannon),
    ("rll", Baseline::RobustLog),
    ("nce_rce", Baseline::ReverseCrossEntropy),
    ("nce_agce", Baseline::AsymmetricGeneralized),
    ("nce_aul", Baseline::AsymmetricUnhinged),
    ("mse", Baseline::Squared),
    ("mae", Baseline::Absolute),
];

/// What stands for a parameter that is left to the loss.
const OWN: &str = "own";

fn loss(case: &Case, reduction: Reduction) -> Result<Box<dyn ScoreLoss>, QuantityError> {
    let given = |name: &str, own: f64| {
        if case.choice(name, &[(OWN, ())]).is_ok() {
            Ok(own)
        } else {
            case.param(name)
        }
    };
    let active_passive = |passive| -> Result<Box<dyn ScoreLoss>, QuantityError> {
        let config = ActivePassiveLossConfig::new(passive)
            .with_active_weight(given("alpha", 5.0)?)
            .with_passive_weight(given("beta", 5.0)?);
        Ok(Box::new(config.with_reduction(reduction).init()?))
    };
    let comp_sum = |tau| -> Result<Box<dyn ScoreLoss>, QuantityError> {
        let config = CompSumLossConfig::new().with_tau(tau).with_reduction(reduction);
        Ok(Box::new(config.init()?))
    };
    Ok(match case.choice("name", &NAMES)? {
        Baseline::CrossEntropy => comp_sum(1.0)?,
        Baseline::Generalized => {
            let q = given("q", 0.7)?;
            comp_sum(1.0 + require("gce", "q", q, "above 0 and at most 1", |q| q > 0.0 && q <= 1.0)?)?
        }
        Baseline::Symmetric => Box::new(
            SymmetricCrossEntropyLossConfig::new()
                .with_balance(given("balance", 0.5)?)
                .with_a(given("A", 4.0)?)
                .with_reduction(reduction)
                .init()?,
        ),
        Baseline::Absolute => Box::new(
            SymmetricCrossEntropyLossConfig::new()
                .with_balance(1.0)
                .with_a(2.0)
                .with_reduction(reduction)
                .init()?,
        ),
        Baseline::Truncated => Box::new(
            TruncatedGeneralizedCrossEntropyLossConfig::new()
                .with_q(given("q", 0.7)?)
                .with_k(given("k", 0.5)?)
                .with_reduction(reduction)
                .init()?,
        ),
        Baseline::Hinge(violations) => Box::new(
            MulticlassHingeLossConfig::new(violations)
                .with_margin(given("margin", 1.0)?)
                .with_reduction(reduction)
                .init()?,
        ),
        Baseline::JensenShannon => Box::new(
            JensenShannonLossConfig::new()
                .with_label_weight(given("label_weight", 0.5)?)
                .with_reduction(reduction)
                .init()?,
        ),
        Baseline::RobustLog => Box::new(
            RobustLogLossConfig::new()
                .with_alpha(given("alpha", 0.1)?)
                .with_reduction(reduction)
                .init()?,
        ),
        Baseline::Squared => Box::new(BrierLossConfig::new().with_reduction(reduction).init()?),
        Baseline::ReverseCrossEntropy => active_passive(Passive::ReverseCrossEntropy)?,
        Baseline::AsymmetricGeneralized => active_passive(Passive::AsymmetricGeneralized {
            a: given("a", 3.0)?,
            q: given("q", 1.5)?,
        })?,
        Baseline::AsymmetricUnhinged => active_passive(Passive::AsymmetricUnhinged {
            a: given("a", 6.0)?,
            q: given("q", 1.5)?,
        })?,
    })
}

pub(super) fn quantities() -> Vec<Quantity> {
    let parameters = [
        "balance",
        "A",
        "q",
        "k",
        "margin",
        "label_weight",
        "alpha",
        "beta",
        "a",
    ];
    let quantity = Quantity::new(
        "noise_robust_loss",
        "a baseline of noise-robust learning by name (ce, sce, gce, truncated_gce, ww, cs, js, rll, nce_rce, nce_agce, \
         nce_aul, mse, mae), per sample, and its gradient",
    )
    .param("name", "ce")
    .param("reduction", "mean");
    let quantity = parameters
        .into_iter()
        .fold(quantity, |quantity, name| quantity.param(name, OWN));
    vec![
        quantity
            .input("logits", "[N, K]")
            .input("labels", "[N]")
            .eval(|case| {
                case.not_empty("logits")?;
                let (loss, each) = (loss(case, case.reduction()?)?, loss(case, Reduction::None)?);
                let labels = case.class_labels("labels", "logits")?;
                let logits = case.variable::<2>("logits");
                let per_sample = each.forward(case.tensor("logits"), labels.clone());
                Ok(case
                    .value_and_gradients(loss.forward(logits.clone(), labels), &[("logits", &logits)])
                    .with_tensor("per_sample", per_sample))
            }),
    ]
}
