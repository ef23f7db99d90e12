//! The values of the `eval` protocol, and how JSON writes them.
//!
//! An array is `{"shape": [..], "data": [flat, row-major]}`; NaN and the infinities are the strings `"nan"`, `"inf"`
//! and `"-inf"`.

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};

/// An f64 array.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Array {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Elements in row-major order.
    #[serde(serialize_with = "numbers")]
    pub data: Vec<f64>,
}

/// What a parameter, input or output may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number, also where JSON writes it as `"nan"`, `"inf"` or `"-inf"`.
    Number(f64),
    /// A word.
    Text(String),
    /// True or false.
    Flag(bool),
    /// A plain list of numbers.
    List(Vec<f64>),
    /// An array with a shape.
    Array(Array),
}

impl Value {
    /// What it is, with its article.
    pub fn kind(&self) -> String {
        match self {
            Self::Number(number) => format!("the number {number}"),
            Self::Text(text) => format!("the text \"{text}\""),
            Self::Flag(flag) => format!("{flag}"),
            Self::List(list) => format!("a list of {} numbers", list.len()),
            Self::Array(array) => format!("an array of shape {:?}", array.shape),
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<Array> for Value {
    fn from(array: Array) -> Self {
        Self::Array(array)
    }
}

impl From<Vec<f64>> for Value {
    fn from(data: Vec<f64>) -> Self {
        Self::Array(Array {
            shape: vec![data.len()],
            data,
        })
    }
}

/// A number that JSON may hold, or the word for one that it may not.
struct Plain(f64);

impl Serialize for Plain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            number if number.is_finite() => serializer.serialize_f64(number),
            number if number.is_nan() => serializer.serialize_str("nan"),
            number if number > 0.0 => serializer.serialize_str("inf"),
            _ => serializer.serialize_str("-inf"),
        }
    }
}

fn numbers<S: Serializer>(data: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    let mut sequence = serializer.serialize_seq(Some(data.len()))?;
    for &number in data {
        sequence.serialize_element(&Plain(number))?;
    }
    sequence.end()
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => Plain(*number).serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::List(list) => numbers(list, serializer),
            Self::Array(array) => array.serialize(serializer),
        }
    }
}

fn special(text: &str) -> Option<f64> {
    match text {
        "nan" => Some(f64::NAN),
        "inf" => Some(f64::INFINITY),
        "-inf" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// One element of an array's data.
struct Element(f64);

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ElementVisitor;
        impl Visitor<'_> for ElementVisitor {
            type Value = Element;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a number, \"nan\", \"inf\" or \"-inf\"")
            }

            fn visit_f64<E>(self, number: f64) -> Result<Element, E> {
                Ok(Element(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Element, E> {
                Ok(Element(number as f64))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Element, E> {
                Ok(Element(number as f64))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Element, E> {
                special(text)
                    .map(Element)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(ElementVisitor)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a number, a string, a boolean, a list of numbers or {\"shape\": [..], \"data\": [..]}")
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(special(text).map_or_else(|| Value::from(text), Value::Number))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Element(number)) = sequence.next_element()? {
            list.push(number);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let (mut shape, mut data) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "shape" => shape = Some(map.next_value::<Vec<usize>>()?),
                "data" => data = Some(map.next_value::<Vec<Element>>()?),
                other => return Err(de::Error::unknown_field(other, &["shape", "data"])),
            }
        }
        let shape = shape.ok_or_else(|| de::Error::missing_field("shape"))?;
        let data: Vec<f64> = data
            .ok_or_else(|| de::Error::missing_field("data"))?
            .into_iter()
            .map(|Element(x)| x)
            .collect();
        let elements = shape
            .iter()
            .try_fold(1_usize, |product, &extent| product.checked_mul(extent));
        if elements != Some(data.len()) {
            return Err(de::Error::custom(format!(
                "shape {shape:?} does not hold {} elements",
                data.len()
            )));
        }
        Ok(Value::Array(Array { shape, data }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_back() {
        let text = r#"{"shape":[2,2],"data":[1.5,"nan","inf","-inf"]}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&value).unwrap(), text);
        assert_eq!(
            serde_json::from_str::<Value>("[1, 2]").unwrap(),
            Value::List(vec![1.0, 2.0])
        );
        assert_eq!(
            serde_json::from_str::<Value>("\"inf\"").unwrap(),
            Value::Number(f64::INFINITY)
        );
    }

    #[test]
    fn a_shape_that_does_not_hold_the_data_is_refused() {
        for text in [
            r#"{"shape":[3],"data":[1]}"#,
            r#"{"shape":[4294967296,4294967296,2],"data":[]}"#,
            r#"{"data":[1]}"#,
            r#"{"shape":[1],"data":["x"]}"#,
        ] {
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
        }
    }
}
