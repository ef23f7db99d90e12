//! One case as a quantity reads it: typed parameters, tensors and labels; and the outputs it answers with.

use std::collections::{BTreeMap, HashMap};

use burn::tensor::{DType, Device, Gradients, Int, Tensor, TensorData};

use super::{Array, QuantityError, Value};
use crate::Reduction;
use crate::classification::LogitLoss;

/// The parameters and inputs of one case, complete and of the declared shapes.
pub struct Case<'a> {
    params: HashMap<&'a str, &'a Value>,
    inputs: &'a BTreeMap<String, Value>,
}

/// Named results, in the order in which they were given.
#[derive(Debug, Default)]
pub struct Outputs(Vec<(String, Value)>);

impl Outputs {
    /// No results yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a result.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.0.push((name.into(), value.into()));
        self
    }

    /// Adds a tensor with its shape.
    #[must_use]
    pub fn with_tensor<const D: usize>(self, name: impl Into<String>, tensor: Tensor<D>) -> Self {
        let shape = tensor.dims().to_vec();
        self.with(
            name,
            Array {
                shape,
                data: elements(tensor),
            },
        )
    }

    /// Adds the only element of a tensor, as a plain number.
    #[must_use]
    pub fn with_scalar(self, name: impl Into<String>, tensor: Tensor<1>) -> Self {
        self.with(name, tensor.into_scalar::<f64>())
    }

    /// Adds the gradient of a variable as `grad_NAME`; zeros where nothing depends on it.
    #[must_use]
    pub(crate) fn with_gradient<const D: usize>(
        self,
        name: &str,
        variable: &Tensor<D>,
        gradients: &Gradients,
    ) -> Self {
        let gradient = variable
            .grad(gradients)
            .unwrap_or_else(|| variable.zeros_like().inner());
        self.with_tensor(format!("grad_{name}"), gradient)
    }

    /// Name and value of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

fn elements<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor
        .into_data()
        .try_into_vec_as::<f64>()
        .expect("float tensors read as f64")
}

impl<'a> Case<'a> {
    pub(super) fn new(params: HashMap<&'a str, &'a Value>, inputs: &'a BTreeMap<String, Value>) -> Self {
        Self { params, inputs }
    }

    fn value(&self, name: &str) -> &Value {
        self.params
            .get(name)
            .copied()
            .unwrap_or_else(|| panic!("parameter `{name}` was not declared"))
    }

    /// Refuses a parameter for a reason of the quantity's own.
    ///
    /// # Errors
    /// Always: that is its result.
    pub fn refuse_param<T>(&self, name: &str, accepted: &str) -> Result<T, QuantityError> {
        self.refuse(name, accepted)
    }

    fn refuse<T>(&self, name: &str, accepted: &str) -> Result<T, QuantityError> {
        let found = self.value(name).kind();
        Err(QuantityError::Parameter {
            name: name.to_owned(),
            found,
            accepted: accepted.to_owned(),
        })
    }

    /// A numeric parameter.
    ///
    /// # Errors
    /// When it is not a number.
    pub fn param(&self, name: &str) -> Result<f64, QuantityError> {
        match self.value(name) {
            Value::Number(number) if !number.is_nan() => Ok(*number),
            _ => self.refuse(name, "a number"),
        }
    }

    /// A parameter that counts something.
    ///
    /// # Errors
    /// When it is not a whole number of at least `least`.
    pub fn count(&self, name: &str, least: usize) -> Result<usize, QuantityError> {
        match self.value(name) {
            Value::Number(number) if number.fract() == 0.0 && *number >= least as f64 && *number < 1e15 => {
                Ok(*number as usize)
            }
            _ => self.refuse(name, &format!("a whole number of at least {least}")),
        }
    }

    /// A parameter that is a whole number, or the word `none`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn optional_integer(&self, name: &str) -> Result<Option<i64>, QuantityError> {
        match self.value(name) {
            Value::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => Ok(Some(*number as i64)),
            Value::Text(text) if text == "none" => Ok(None),
            _ => self.refuse(name, "a whole number or \"none\""),
        }
    }

    /// A parameter that is true or false.
    ///
    /// # Errors
    /// When it is neither.
    pub fn flag(&self, name: &str) -> Result<bool, QuantityError> {
        match self.value(name) {
            Value::Flag(flag) => Ok(*flag),
            _ => self.refuse(name, "true or false"),
        }
    }

    /// A parameter that is text; none where it is something else.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.value(name) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A parameter that is one of a few words.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<T, QuantityError> {
        if let Value::Text(text) = self.value(name)
            && let Some((_, choice)) = choices.iter().find(|(word, _)| word == text)
        {
            return Ok(*choice);
        }
        let words: Vec<_> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        self.refuse(name, &words.join(" or "))
    }

    /// The parameter `reduction`.
    ///
    /// # Errors
    /// When it is none of `mean`, `sum` and `none`.
    pub fn reduction(&self) -> Result<Reduction, QuantityError> {
        let choices = [
            ("mean", Reduction::Mean),
            ("sum", Reduction::Sum),
            ("none", Reduction::None),
        ];
        self.choice("reduction", &choices)
    }

    /// Whether the case gives an input that it may leave out.
    pub fn gives(&self, name: &str) -> bool {
        self.inputs.contains_key(name)
    }

    /// A numeric input.
    pub fn number(&self, name: &str) -> f64 {
        match &self.inputs[name] {
            Value::Number(number) => *number,
            other => unreachable!("`{name}` was checked to be a number, is {}", other.kind()),
        }
    }

    /// An array input.
    pub fn array(&self, name: &str) -> &Array {
        match &self.inputs[name] {
            Value::Array(array) => array,
            other => unreachable!("`{name}` was checked to be an array, is {}", other.kind()),
        }
    }

    /// An input as an f64 tensor, outside any autodiff graph.
    pub fn tensor<const D: usize>(&self, name: &str) -> Tensor<D> {
        let array = self.array(name);
        let data = TensorData::new(array.data.clone(), array.shape.clone());
        Tensor::from_data(data, (&Device::flex(), DType::F64))
    }

    /// An input as an f64 leaf whose gradient is kept.
    pub fn variable<const D: usize>(&self, name: &str) -> Tensor<D> {
        self.tensor(name).autodiff().require_grad()
    }

    /// Class labels in `0..classes`.
    ///
    /// # Errors
    /// When one is not a whole number in the range.
    pub fn labels(&self, name: &str, classes: usize) -> Result<Tensor<1, Int>, QuantityError> {
        let labels: Vec<i64> = self
            .class_indices(name, classes)?
            .into_iter()
            .map(|label| label as i64)
            .collect();
        let shape = [labels.len()];
        Ok(Tensor::from_data(TensorData::new(labels, shape), &Device::flex()))
    }

    /// Class labels in `0..classes`, as indices.
    ///
    /// # Errors
    /// When one is not a whole number in the range.
    pub fn class_indices(&self, name: &str, classes: usize) -> Result<Vec<usize>, QuantityError> {
        let array = self.array(name);
        let valid = |label: &f64| label.fract() == 0.0 && (0.0..classes as f64).contains(label);
        if let Some(at) = array.data.iter().position(|label| !valid(label)) {
            let problem = format!(
                "holds {} at index {at}; labels are whole numbers from 0 to {}",
                array.data[at],
                classes.saturating_sub(1)
            );
            return Err(QuantityError::Input {
                name: name.to_owned(),
                problem,
            });
        }
        Ok(array.data.iter().map(|&label| label as usize).collect())
    }

    /// Class labels for the columns of the input `scores`, which must be at least two.
    ///
    /// # Errors
    /// When a label is no column or there are fewer than two.
    pub fn class_labels(&self, name: &str, scores: &str) -> Result<Tensor<1, Int>, QuantityError> {
        self.two_columns(scores)?;
        self.labels(name, self.array(scores).shape[1])
    }

    /// Refuses scores of fewer than two classes.
    ///
    /// # Errors
    /// When the input has fewer than two columns.
    pub fn two_columns(&self, scores: &str) -> Result<(), QuantityError> {
        match self.array(scores).shape[1] {
            classes @ 0..2 => self.refuse_input(
                scores,
                format!("has {classes} columns; at least 2 classes are needed"),
            ),
            _ => Ok(()),
        }
    }

    /// Refuses an input for a reason of the quantity's own.
    ///
    /// # Errors
    /// Always: that is its result.
    pub fn refuse_input<T>(&self, name: &str, problem: impl Into<String>) -> Result<T, QuantityError> {
        Err(QuantityError::Input {
            name: name.to_owned(),
            problem: problem.into(),
        })
    }

    /// Refuses a batch without samples.
    ///
    /// # Errors
    /// When the first extent of the input is 0.
    pub fn not_empty(&self, name: &str) -> Result<(), QuantityError> {
        if self.array(name).shape.first() == Some(&0) {
            return self.refuse_input(name, "is empty; it must hold at least one sample");
        }
        Ok(())
    }

    /// Refuses an input with infinities.
    ///
    /// # Errors
    /// When an element is not finite.
    pub fn finite(&self, name: &str) -> Result<(), QuantityError> {
        let data = &self.array(name).data;
        match data.iter().position(|value| !value.is_finite()) {
            Some(at) => self.refuse_input(
                name,
                format!("holds {} at index {at}; it must be finite", data[at]),
            ),
            None => Ok(()),
        }
    }

    /// A loss of the inputs `logits` and `labels`: `value`, `per_sample` and `grad_logits`.
    ///
    /// # Errors
    /// When the batch is empty, a label is no column or there are fewer than two.
    pub(crate) fn logit_loss(&self, loss: &LogitLoss) -> Result<Outputs, QuantityError> {
        self.not_empty("logits")?;
        let labels = self.class_labels("labels", "logits")?;
        let logits = self.variable::<2>("logits");
        let per_sample = loss.per_sample(self.tensor("logits"), labels.clone());
        Ok(self
            .value_and_gradients(loss.forward(logits.clone(), labels), &[("logits", &logits)])
            .with_tensor("per_sample", per_sample))
    }

    /// A loss as `value`: a number, or an array where the reduction is none.
    pub fn loss_value(&self, loss: Tensor<1>) -> Outputs {
        match self.params.get("reduction") {
            Some(Value::Text(text)) if text == "none" => Outputs::new().with_tensor("value", loss),
            _ => Outputs::new().with_scalar("value", loss),
        }
    }

    /// A loss as `value`, and `grad_NAME` of each variable: of the loss itself, or of its sum where it is per sample.
    pub fn value_and_gradients<const D: usize>(
        &self,
        loss: Tensor<1>,
        variables: &[(&str, &Tensor<D>)],
    ) -> Outputs {
        let outputs = self.loss_value(loss.clone());
        let gradients = loss.sum().backward();
        variables.iter().fold(outputs, |outputs, (name, variable)| {
            outputs.with_gradient(name, variable, &gradients)
        })
    }
}
