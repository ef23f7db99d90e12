//! What a configuration may be refused for.

/// A parameter outside its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{objective}: `{parameter}` is {value}; it must be {accepted}")]
pub struct ConfigError {
    /// The objective.
    pub objective: &'static str,
    /// Its parameter.
    pub parameter: &'static str,
    /// The value given.
    pub value: f64,
    /// What would be accepted.
    pub accepted: &'static str,
}

/// Checks a parameter; NaN never passes.
///
/// # Errors
/// When `holds` is false of it.
pub(crate) fn require(
    objective: &'static str,
    parameter: &'static str,
    value: f64,
    accepted: &'static str,
    holds: impl Fn(f64) -> bool,
) -> Result<f64, ConfigError> {
    if !value.is_nan() && holds(value) {
        Ok(value)
    } else {
        Err(ConfigError {
            objective,
            parameter,
            value,
            accepted,
        })
    }
}
