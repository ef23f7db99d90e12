//! Curvature's quantities.

use super::{
    BlockFisherInverse, Coefficients, CurvatureError, FisherInverse, GradientWindow, check_dampening,
};
use crate::Reduction;
use crate::classification::CompSumLossConfig;
use crate::quantity::{Array, Case, Outputs, Quantity, QuantityError};

impl Case<'_> {
    /// What curvature says of an input.
    pub(crate) fn curvature_error(&self, input: &str, error: &CurvatureError) -> QuantityError {
        match error {
            CurvatureError::Config(config) => config.clone().into(),
            other => QuantityError::Input {
                name: input.to_owned(),
                problem: format!("cannot be used: {other}"),
            },
        }
    }

    fn fisher_inverse(&self) -> Result<FisherInverse<f64>, QuantityError> {
        let grads = self.array("grads");
        FisherInverse::new(self.param("damp")?, grads.data.clone(), grads.shape[1])
            .map_err(|error| self.curvature_error("grads", &error))
    }

    fn vector(&self, name: &str) -> Result<&[f64], QuantityError> {
        self.finite(name)?;
        Ok(&self.array(name).data)
    }
}

pub(super) fn matrix(rows: usize, data: Vec<f64>) -> Array {
    Array {
        shape: vec![rows, data.len() / rows.max(1)],
        data,
    }
}

pub(crate) fn quantities() -> Vec<Quantity> {
    vec![
        precompute(),
        product(),
        diagonal(),
        element(),
        coefficients(),
        block_product(),
        window(),
        softmax(),
    ]
}

fn of_gradients(name: &'static str, meaning: &'static str) -> Quantity {
    Quantity::new(name, meaning)
        .param("damp", 1e-5)
        .input("grads", "[M, D]")
}

fn precompute() -> Quantity {
    of_gradients(
        "mfac_static_precompute",
        "the vectors and denominators from which M-FAC has the empirical Fisher inverse",
    )
    .eval(|case| {
        let inverse = case.fisher_inverse()?;
        let denominators = inverse.denominators().to_vec();
        Ok(Outputs::new()
            .with("v", matrix(denominators.len(), inverse.vectors().to_vec()))
            .with("denom", denominators))
    })
}

fn product() -> Quantity {
    of_gradients(
        "mfac_inverse_hessian_vector_product",
        "product of the empirical Fisher inverse with a vector",
    )
    .input("x", "[D]")
    .eval(|case| {
        let inverse = case.fisher_inverse()?;
        Ok(Outputs::new().with("value", inverse.product(case.vector("x")?)))
    })
}

fn diagonal() -> Quantity {
    of_gradients(
        "mfac_inverse_diagonal",
        "diagonal of the empirical Fisher inverse",
    )
    .eval(|case| Ok(Outputs::new().with("value", case.fisher_inverse()?.diagonal().values)))
}

fn element() -> Quantity {
    of_gradients(
        "mfac_inverse_element",
        "one element of the empirical Fisher inverse",
    )
    .required_param("row")
    .required_param("col")
    .with_example("row", 0.0)
    .with_example("col", 1.0)
    .eval(|case| {
        let inverse = case.fisher_inverse()?;
        let within = |name| match case.count(name, 0)? {
            at if at < inverse.width() => Ok(at),
            _ => case.refuse_param(name, "below the number of parameters"),
        };
        Ok(Outputs::new().with("value", inverse.element(within("row")?, within("col")?)))
    })
}

fn coefficients() -> Quantity {
    of_gradients(
        "mfac_dynamic_coefficients",
        "what M-FAC's sliding window knows from products of gradients alone: D, and B with v = B·G",
    )
    .eval(|case| {
        let grads = case.array("grads");
        let (rows, dampening) = (grads.shape[0], check_dampening(case.param("damp")?)?);
        super::check_gradients(&grads.data, grads.shape[1], 0)
            .and_then(|()| super::of_gram(dampening, &grads.data, grads.shape[1], rows))
            .map(|found: Coefficients| {
                let lower = found.combinations().into_iter().map(|cell| cell / dampening);
                Outputs::new()
                    .with("d_upper", matrix(rows, found.upper()))
                    .with("b_lower", matrix(rows, lower.collect()))
            })
            .map_err(|error| case.curvature_error("grads", &error))
    })
}

fn block_product() -> Quantity {
    of_gradients(
        "mfac_block_inverse_hessian_vector_product",
        "product of the inverse of the empirical Fisher information's diagonal blocks with a vector",
    )
    .required_param("block_size")
    .input("x", "[D]")
    .eval(|case| {
        let (grads, block) = (case.array("grads"), case.count("block_size", 1)?);
        let block = block.min(grads.shape[1]).max(1);
        let inverse = BlockFisherInverse::new(case.param("damp")?, &grads.data, grads.shape[1], block)
            .map_err(|error| case.curvature_error("grads", &error))?;
        Ok(Outputs::new().with("value", inverse.product(case.vector("x")?)))
    })
}

fn window() -> Quantity {
    Quantity::new(
        "mfac_sliding_window_ihvp",
        "each gradient of a stream times the inverse of the empirical Fisher information of the last ones, itself among them",
    )
    .param("damp", 1e-5)
    .required_param("window")
    .with_example("window", 2.0)
    .input("grad_stream", "[T, D]")
    .eval(|case| {
        let stream = case.array("grad_stream");
        let [steps, width] = stream.shape[..] else {
            unreachable!("the shape was checked")
        };
        let refuse = |error: CurvatureError| case.curvature_error("grad_stream", &error);
        let mut window =
            GradientWindow::<f64>::new(case.param("damp")?, case.count("window", 1)?, width).map_err(refuse)?;
        let mut value = Vec::with_capacity(stream.data.len());
        for gradient in stream.data.chunks_exact(width) {
            window.insert(gradient).map_err(refuse)?;
            value.extend(window.newest_product());
        }
        Ok(Outputs::new().with("value", Array { shape: vec![steps, width], data: value }))
    })
}

fn softmax() -> Quantity {
    Quantity::new(
        "empirical_fisher_inverse_vector_product_softmax",
        "gradients of each sample's cross-entropy by the weights of a linear classifier, and the empirical Fisher inverse of them \
         times a vector",
    )
    .param("damp", 1e-5)
    .input("features", "[N, D]")
    .input("labels", "[N]")
    .input("weights", "[K, D]")
    .input("x", "[KD]")
    .with_example("x", vec![0.5; 9])
    .eval(|case| {
        for name in ["features", "weights"] {
            case.not_empty(name)?;
            case.finite(name)?;
        }
        let (features, weights) = (case.array("features"), case.array("weights"));
        let (inputs, classes) = (features.shape[1], weights.shape[0]);
        let width = classes * inputs;
        if case.array("x").data.len() != width {
            return case.refuse_input("x", format!("has {} numbers; there are {width} weights", case.array("x").data.len()));
        }
        let labels = case.labels("labels", classes)?;
        let logits = case
            .tensor::<2>("features")
            .matmul(case.tensor::<2>("weights").transpose())
            .autodiff()
            .require_grad();
        let loss = CompSumLossConfig::new().with_reduction(Reduction::Sum).init()?;
        let slopes = loss.forward(logits.clone(), labels).backward();
        let slopes = logits.grad(&slopes).expect("a loss depends on its logits").into_data();
        let slopes = slopes.try_into_vec_as::<f64>().expect("gradients are floats");
        let samples = slopes.chunks_exact(classes).zip(features.data.chunks_exact(inputs));
        let gradients: Vec<f64> = samples
            .flat_map(|(slopes, inputs)| slopes.iter().flat_map(move |slope| inputs.iter().map(move |x| slope * x)))
            .collect();
        let inverse = FisherInverse::new(case.param("damp")?, gradients.clone(), width)
            .map_err(|error| case.curvature_error("features", &error))?;
        Ok(Outputs::new()
            .with("per_sample_grads", matrix(features.shape[0], gradients))
            .with("value", inverse.product(case.vector("x")?)))
    })
}
