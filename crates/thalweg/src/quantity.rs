//! Quantities: any named number or array that the library computes from given arrays, and how a case asks for one.
//!
//! A [`Quantity`] is declared once, beside its objective; the [catalogue](crate::catalogue) collects them, and the
//! workbench's `eval`, `list` and `show` read them there. Everything is f64, through the code that trains.

mod case;
pub mod document;
mod example;
mod value;

pub use case::{Case, Outputs};
pub use document::Document;
pub use example::Example;
pub use value::{Array, Value};

use std::collections::{BTreeMap, HashMap};

/// Why a case has no answer. Each message names what is at fault.
#[derive(Debug, thiserror::Error)]
pub enum QuantityError {
    /// The quantity takes no such parameter.
    #[error("unknown parameter `{name}`; {quantity} takes {known}")]
    UnknownParameter {
        /// The name given.
        name: String,
        /// The quantity.
        quantity: &'static str,
        /// The names that would be accepted.
        known: String,
    },
    /// A parameter without default is missing.
    #[error("missing parameter `{0}`")]
    MissingParameter(&'static str),
    /// A parameter of the wrong kind or out of its range.
    #[error("parameter `{name}` is {found}; it must be {accepted}")]
    Parameter {
        /// The parameter.
        name: String,
        /// What was given.
        found: String,
        /// What would be accepted.
        accepted: String,
    },
    /// The quantity takes no such input.
    #[error("unknown input `{name}`; {quantity} takes {known}")]
    UnknownInput {
        /// The name given.
        name: String,
        /// The quantity.
        quantity: &'static str,
        /// The names that would be accepted.
        known: String,
    },
    /// An input is missing.
    #[error("missing input `{0}`")]
    MissingInput(&'static str),
    /// An input of the wrong shape or content.
    #[error("input `{name}` {problem}")]
    Input {
        /// The input.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An objective refused its configuration.
    #[error(transparent)]
    Config(#[from] crate::ConfigError),
}

/// How a parameter is given when a case leaves it out.
#[derive(Clone, Debug)]
enum Preset {
    Required,
    Default(Value),
}

type Eval = Box<dyn Fn(&Case) -> Result<Outputs, QuantityError> + Send + Sync>;

/// A named quantity: what it means, what it takes, how it is computed.
pub struct Quantity {
    name: &'static str,
    family: &'static str,
    meaning: &'static str,
    params: Vec<(&'static str, Preset)>,
    inputs: Vec<(&'static str, &'static str)>,
    optional: Vec<&'static str>,
    examples: HashMap<&'static str, Value>,
    eval: Eval,
}

impl Quantity {
    /// A quantity called `name`, with its meaning in one line.
    pub fn new(name: &'static str, meaning: &'static str) -> Self {
        let eval: Eval = Box::new(move |_| panic!("the quantity {name} was declared without eval"));
        Self {
            name,
            family: "",
            meaning,
            params: Vec::new(),
            inputs: Vec::new(),
            optional: Vec::new(),
            examples: HashMap::new(),
            eval,
        }
    }

    /// Adds a parameter with its default.
    #[must_use]
    pub fn param(mut self, name: &'static str, default: impl Into<Value>) -> Self {
        self.params.push((name, Preset::Default(default.into())));
        self
    }

    /// Adds a parameter that every case must give.
    #[must_use]
    pub fn required_param(mut self, name: &'static str) -> Self {
        self.params.push((name, Preset::Required));
        self
    }

    /// Adds an input. Its shape is `number`, extents in brackets such as `[N, C]`: letters that recur across inputs
    /// must agree, numbers must match; or `[..]`: any number of extents.
    #[must_use]
    pub fn input(mut self, name: &'static str, shape: &'static str) -> Self {
        self.inputs.push((name, shape));
        self
    }

    /// Adds an input that a case may leave out.
    #[must_use]
    pub fn optional_input(mut self, name: &'static str, shape: &'static str) -> Self {
        self.optional.push(name);
        self.input(name, shape)
    }

    /// What its [example](Self::example) gives for a parameter or input that not any number will do for.
    #[must_use]
    pub fn with_example(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.examples.insert(name, value.into());
        self
    }

    /// How it is computed.
    #[must_use]
    pub fn eval(
        mut self,
        eval: impl Fn(&Case) -> Result<Outputs, QuantityError> + Send + Sync + 'static,
    ) -> Self {
        self.eval = Box::new(eval);
        self
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its family, which the catalogue sets.
    pub fn family(&self) -> &'static str {
        self.family
    }

    pub(crate) fn in_family(self, family: &'static str) -> Self {
        Self { family, ..self }
    }

    /// Its meaning in one line.
    pub fn meaning(&self) -> &'static str {
        self.meaning
    }

    /// Its parameters, each with its default if it has one.
    pub fn params(&self) -> impl Iterator<Item = (&'static str, Option<&Value>)> {
        self.params.iter().map(|(name, preset)| match preset {
            Preset::Required => (*name, None),
            Preset::Default(value) => (*name, Some(value)),
        })
    }

    /// Its inputs, each with its shape.
    pub fn inputs(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.inputs.iter().copied()
    }

    /// Whether a case may leave the input out.
    pub fn is_optional(&self, input: &str) -> bool {
        self.optional.contains(&input)
    }

    /// Computes it.
    ///
    /// # Errors
    /// When the parameters or inputs are not what the quantity takes, or hold what it cannot be computed from.
    pub fn compute(
        &self,
        params: &BTreeMap<String, Value>,
        inputs: &BTreeMap<String, Value>,
    ) -> Result<Outputs, QuantityError> {
        let full = self.with_defaults(params)?;
        self.check_inputs(inputs)?;
        (self.eval)(&Case::new(full, inputs))
    }

    fn with_defaults<'a>(
        &'a self,
        params: &'a BTreeMap<String, Value>,
    ) -> Result<HashMap<&'a str, &'a Value>, QuantityError> {
        if let Some(name) = params
            .keys()
            .find(|name| !self.params.iter().any(|(known, _)| known == name))
        {
            return Err(QuantityError::UnknownParameter {
                name: name.clone(),
                quantity: self.name,
                known: in_words(self.params.iter().map(|(name, _)| *name)),
            });
        }
        self.params
            .iter()
            .map(|(name, preset)| match (params.get(*name), preset) {
                (Some(value), _) | (None, Preset::Default(value)) => Ok((*name, value)),
                (None, Preset::Required) => Err(QuantityError::MissingParameter(name)),
            })
            .collect()
    }

    fn check_inputs(&self, inputs: &BTreeMap<String, Value>) -> Result<(), QuantityError> {
        if let Some(name) = inputs
            .keys()
            .find(|name| !self.inputs.iter().any(|(known, _)| known == name))
        {
            return Err(QuantityError::UnknownInput {
                name: name.clone(),
                quantity: self.name,
                known: in_words(self.inputs.iter().map(|(name, _)| *name)),
            });
        }
        let mut bound: HashMap<&str, (usize, &str)> = HashMap::new();
        for (name, shape) in &self.inputs {
            let Some(value) = inputs.get(*name) else {
                if self.optional.contains(name) {
                    continue;
                }
                return Err(QuantityError::MissingInput(name));
            };
            check_shape(name, shape, value, &mut bound).map_err(|problem| QuantityError::Input {
                name: (*name).to_owned(),
                problem,
            })?;
        }
        Ok(())
    }
}

fn in_words<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn check_shape<'a>(
    name: &'a str,
    shape: &'a str,
    value: &Value,
    bound: &mut HashMap<&'a str, (usize, &'a str)>,
) -> Result<(), String> {
    let array = match (shape, value) {
        ("number", Value::Number(number)) if number.is_nan() => return Err("is not a number".to_owned()),
        ("number", Value::Number(_)) => return Ok(()),
        ("number", other) => return Err(format!("is {}; it must be a number", other.kind())),
        (_, Value::Array(array)) => array,
        (_, other) => {
            return Err(format!(
                "is {}; it must be an array of shape {shape}",
                other.kind()
            ));
        }
    };
    let extents: Vec<&str> = shape.trim_matches(['[', ']']).split(',').map(str::trim).collect();
    let any = extents == [".."];
    if !any && extents.len() != array.shape.len() {
        return Err(format!("has shape {:?}; it must be {shape}", array.shape));
    }
    let extents = if any { &[][..] } else { &extents };
    for (extent, &found) in extents.iter().zip(&array.shape) {
        let (expected, by) = match extent.parse() {
            Ok(number) => (number, ""),
            Err(_) => *bound.entry(extent).or_insert((found, name)),
        };
        if expected != found {
            let by = if by.is_empty() {
                String::new()
            } else {
                format!(", and {extent} is {expected} in `{by}`")
            };
            return Err(format!("has shape {:?}; it must be {shape}{by}", array.shape));
        }
    }
    match array.data.iter().position(|value| value.is_nan()) {
        Some(at) => Err(format!("holds NaN at index {at}")),
        None => Ok(()),
    }
}
