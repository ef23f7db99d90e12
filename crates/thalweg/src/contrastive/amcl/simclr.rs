//! The conformance quantity of the whole: raw embeddings through the temperature network to the loss.

use burn::tensor::Tensor;

use super::limits::limited;
use super::loss::{AmclLossConfig, Anchors};
use super::network::with_network;
use crate::quantity::{Case, Outputs, Quantity, QuantityError};

/// Heads one after the other along the columns, `[n, heads·d]`.
fn beside_each_other(heads: Tensor<3>) -> Tensor<2> {
    let [count, rows, width] = heads.dims();
    heads.swap_dims(0, 1).reshape([rows, count * width])
}

impl Case<'_> {
    /// Two views of heads `[C, n, d]` as they can be compared.
    fn views_of_heads(&self) -> Result<(), QuantityError> {
        for name in ["z1", "z2"] {
            self.finite(name)?;
            let [heads, samples, width] = self.array(name).shape[..] else {
                unreachable!("three extents were declared")
            };
            if heads == 0 || width == 0 {
                return self.refuse_input(name, "is empty; it must hold at least one head and one column");
            }
            if samples < 2 {
                let problem = format!("has {samples} samples; without a second one there are no negatives");
                return self.refuse_input(name, problem);
            }
            self.no_zero_rows(name)?;
        }
        Ok(())
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    let quantity = limited(
        "amcl_simclr_loss",
        "loss of two views' raw embeddings of several heads, each pair's temperature from the network, with its gradients; \
         anchors are the first view's",
    );
    let quantity = quantity
        .param("beta", 0.1)
        .input("z1", "[C, n, d]")
        .input("z2", "[C, n, d]");
    vec![with_network(quantity).eval(|case| {
        case.views_of_heads()?;
        let loss = AmclLossConfig::new()
            .with_beta(case.param("beta")?)
            .with_anchors(Anchors::FirstView)
            .init()?;
        let (network, [w1, w2]) = case.temperature_network("z1")?;
        let [z1, z2] = ["z1", "z2"].map(|name| case.variable::<3>(name));
        let views = [&z1, &z2].map(|view| beside_each_other(view.clone()));
        let [first, second] = views;
        let value = loss.forward(&network, first, second).loss;
        let outputs = Outputs::new().with_scalar("value", value.clone());
        let gradients = value.backward();
        Ok(outputs
            .with_gradient("z1", &z1, &gradients)
            .with_gradient("z2", &z2, &gradients)
            .with_gradient("w1", &w1, &gradients)
            .with_gradient("w2", &w2, &gradients))
    })]
}
