//! The numbers that an objective or an optimiser may be tuned by.

use std::collections::BTreeMap;

/// A tunable parameter of an objective or an optimiser.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Name, as in the config.
    pub name: &'static str,
    /// Meaning in a few words.
    pub meaning: &'static str,
    /// Default, the paper's where there is one.
    pub default: f64,
    /// Range to tune over, ends included.
    pub range: (f64, f64),
    /// How the range is to be walked.
    pub scale: Scale,
}

/// How a range is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// In equal steps.
    Linear,
    /// In equal factors.
    Logarithmic,
}

impl Parameter {
    /// The value at `position` in `[0, 1]` along the range.
    pub fn at(&self, position: f64) -> f64 {
        let (low, high) = self.range;
        match self.scale {
            Scale::Linear => low + (high - low) * position,
            Scale::Logarithmic => (low.ln() + (high.ln() - low.ln()) * position).exp(),
        }
    }
}

/// Values of parameters, by name.
pub type Settings = BTreeMap<String, f64>;

/// The value of each parameter, by name.
pub(crate) type Values<'a> = &'a dyn Fn(&str) -> f64;

/// A setting of a parameter that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{of} has no parameter `{parameter}`; it has {known}")]
pub struct UnknownParameter {
    /// What has no such parameter.
    pub of: &'static str,
    /// The name given.
    pub parameter: String,
    /// What it has.
    pub known: String,
}

/// The default of each.
pub(crate) fn defaults(parameters: &[Parameter]) -> Settings {
    let defaults = parameters.iter();
    defaults
        .map(|parameter| (parameter.name.to_owned(), parameter.default))
        .collect()
}

/// What each is in `settings`, its default where they leave it out.
///
/// # Errors
/// When a setting names none of them.
pub(crate) fn values<'a>(
    of: &'static str,
    parameters: &'a [Parameter],
    settings: &'a Settings,
) -> Result<impl Fn(&str) -> f64 + 'a, UnknownParameter> {
    let declared = |name: &str| parameters.iter().find(|parameter| parameter.name == name);
    if let Some(name) = settings.keys().find(|name| declared(name).is_none()) {
        let known: Vec<_> = parameters.iter().map(|p| format!("`{}`", p.name)).collect();
        return Err(UnknownParameter {
            of,
            parameter: name.clone(),
            known: match known.len() {
                0 => "none".to_owned(),
                _ => known.join(", "),
            },
        });
    }
    Ok(move |name: &str| {
        settings.get(name).copied().unwrap_or_else(|| {
            declared(name)
                .unwrap_or_else(|| panic!("{of} declares no parameter `{name}`"))
                .default
        })
    })
}

/// A Rust expression in which `{name}` stands for a parameter's value.
pub(crate) fn rust_with(rust: &str, parameters: &[Parameter], settings: &Settings) -> String {
    parameters.iter().fold(rust.to_owned(), |text, parameter| {
        let value = settings.get(parameter.name).copied().unwrap_or(parameter.default);
        text.replace(&format!("{{{}}}", parameter.name), &literal(value))
    })
}

/// A float literal of at most four significant digits.
fn literal(value: f64) -> String {
    format!("{:?}", format!("{value:.3e}").parse::<f64>().unwrap_or(value))
}
