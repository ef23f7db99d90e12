//! The name of a trial: a hash of its specification.

use std::fmt;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A stable content hash of a trial's specification. Equal specifications have equal keys in every process and version,
/// whatever the order of their fields; so whatever changes an outcome belongs in the specification.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrialKey(String);

impl TrialKey {
    /// The key of `spec`.
    ///
    /// # Errors
    /// When `spec` cannot be written as JSON.
    pub fn of(spec: &impl Serialize) -> Result<Self, serde_json::Error> {
        let digest = Sha256::digest(canonical(&serde_json::to_value(spec)?).as_bytes());
        // 128 bits: no two trials will ever meet, and a key still fits a line.
        Ok(Self(
            digest[..16].iter().map(|byte| format!("{byte:02x}")).collect(),
        ))
    }

    /// The key in hexadecimal.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TrialKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// JSON without spaces, fields in order of their names.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            let fields: Vec<String> = fields
                .into_iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_fields_does_not_matter_and_values_do() {
        #[derive(Serialize)]
        struct Backwards {
            seed: u64,
            objective: &'static str,
        }
        let key = TrialKey::of(&json!({"objective": "mae", "seed": 3})).unwrap();
        let backwards = Backwards {
            seed: 3,
            objective: "mae",
        };
        assert_eq!(TrialKey::of(&backwards).unwrap(), key);
        assert_ne!(
            TrialKey::of(&json!({"objective": "mae", "seed": 4})).unwrap(),
            key
        );
        assert_ne!(
            TrialKey::of(&json!({"objective": "mae", "seed": "3"})).unwrap(),
            key
        );
    }

    #[test]
    fn keys_never_change() {
        // A changed key would orphan every stored trial.
        let spec = json!({"b": [1, 0.1, null, true], "a": {"y": "é\"\n", "x": -2}});
        assert_eq!(
            canonical(&spec),
            "{\"a\":{\"x\":-2,\"y\":\"é\\\"\\n\"},\"b\":[1,0.1,null,true]}"
        );
        assert_eq!(
            TrialKey::of(&spec).unwrap().as_str(),
            "e85eb2f27b4c3a5c5ec494e17cb30c7b"
        );
    }
}
