//! Cases of all pairs of a batch, of sorting networks, and of singular values.

use std::path::Path;

use burn::tensor::Tensor;
use thalweg::contrastive::{
    ClipLossConfig, DifferentiableSortConfig, GroupOrderingLossConfig, Network, NtXentLossConfig,
    PermutationBceLossConfig, SigLipLossConfig,
};
use thalweg::self_supervised::{SingularForm, SingularValueLossConfig};

use crate::{Step, variable};

/// The step of a case, where it is one of these.
pub fn step(case: &str, folder: &Path) -> Option<Step> {
    let two = |loss: Box<dyn Fn(Tensor<2>, Tensor<2>) -> Tensor<1>>| -> Step {
        let (first, second) = (variable(folder, "first"), variable(folder, "second"));
        Box::new(move || {
            let loss = loss(first.clone(), second.clone());
            (loss, vec![first.clone(), second.clone()])
        })
    };
    let in_range = "the parameters are in range";
    Some(match case {
        "nt_xent" => {
            let loss = NtXentLossConfig::new().init().expect(in_range);
            two(Box::new(move |first, second| loss.forward(first, second)))
        }
        "clip" => {
            let loss = ClipLossConfig::new().init().expect(in_range);
            two(Box::new(move |first, second| loss.forward(first, second)))
        }
        "sig_lip" => {
            let loss = SigLipLossConfig::new().init().expect(in_range);
            two(Box::new(move |first, second| loss.forward(first, second)))
        }
        "group_ordering_odd_even" | "group_ordering_bitonic" => {
            let config = GroupOrderingLossConfig::new().with_sort(sort(case));
            two(Box::new(move |positives, negatives| {
                let ([_, p], [_, k]) = (positives.dims(), negatives.dims());
                let loss = config.clone().with_topk_neg(k).init(p).expect(in_range);
                loss.forward(positives, negatives)
            }))
        }
        "permutation_odd_even" | "permutation_bitonic" => {
            let x = variable(folder, "x");
            let config = PermutationBceLossConfig::new().with_sort(sort(case));
            let [_, wires] = x.dims();
            let loss = config.init(wires).expect(in_range);
            Box::new(move || (loss.forward(x.clone()), vec![x.clone()]))
        }
        "singular_value_gram" | "singular_value_sigma" => {
            let z = variable(folder, "z");
            let form = match case {
                "singular_value_gram" => SingularForm::Gram,
                _ => SingularForm::Sigma,
            };
            let loss = SingularValueLossConfig::new().with_form(form).init();
            Box::new(move || (loss.forward(z.clone()), vec![z.clone()]))
        }
        _ => return None,
    })
}

fn sort(case: &str) -> DifferentiableSortConfig {
    DifferentiableSortConfig::new().with_network(if case.ends_with("bitonic") {
        Network::Bitonic
    } else {
        Network::OddEven
    })
}
