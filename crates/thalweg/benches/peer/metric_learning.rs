//! Cases of labelled embeddings.

use std::path::Path;

use burn::tensor::{Int, Tensor};
use thalweg::metric_learning::{MultiSimilarityLossConfig, PairMining, TripletMarginLossConfig};

use crate::{Step, targets, variable};

/// The step of a case, where it is one of these.
pub fn step(case: &str, folder: &Path) -> Option<Step> {
    let labelled = |loss: Box<dyn Fn(Tensor<2>, Tensor<1, Int>) -> Tensor<1>>| -> Step {
        let (x, labels) = (variable(folder, "x"), targets(folder));
        Box::new(move || (loss(x.clone(), labels.clone()), vec![x.clone()]))
    };
    let in_range = "the parameters are in range";
    Some(match case {
        "triplet_all" => {
            let loss = TripletMarginLossConfig::new().init().expect(in_range);
            labelled(Box::new(move |x, labels| loss.forward(x, labels)))
        }
        "multi_similarity" | "multi_similarity_mined" => {
            let mut config = MultiSimilarityLossConfig::new();
            if case == "multi_similarity" {
                config.mining = PairMining::None;
            }
            let loss = config.init().expect(in_range);
            labelled(Box::new(move |x, labels| loss.forward(x, labels)))
        }
        _ => return None,
    })
}
