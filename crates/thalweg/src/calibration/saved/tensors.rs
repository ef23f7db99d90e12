//! A calibrator as a safetensors file: its parameters as f64 tensors, and the rest of the JSON document in the metadata.
//!
//! In the document each fraction, array of numbers or rectangle of them is replaced by `{"tensor": "NAME"}`; tensors are
//! called by their place in the parameters, such as `network.w1`.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde_json::{Map, Value, json};

use super::{Calibrator, FORMAT, SavedError};

/// Numbers of a shape, as the file holds them.
struct Packed {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Calibrator {
    /// The calibrator as the bytes of a safetensors file.
    pub fn to_safetensors(&self) -> Vec<u8> {
        let mut document = self.document();
        let mut tensors = BTreeMap::new();
        if let Some(parameters) = document.get_mut("parameters") {
            pack(String::new(), parameters, &mut tensors);
        }
        let views = tensors.iter().map(|(name, packed)| {
            let view = TensorView::new(Dtype::F64, packed.shape.clone(), &packed.bytes);
            (name, view.expect("a shape that was counted"))
        });
        let metadata = [(FORMAT.to_owned(), document.to_string())];
        serialize(views, Some(metadata.into_iter().collect())).expect("the header of a calibrator is small")
    }

    /// Reads what [`to_safetensors`](Self::to_safetensors) wrote, and checks it.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json), or when the bytes are no safetensors file or tensors are missing.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, SavedError> {
        let broken = |problem: String| SavedError::Tensors(problem);
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| broken(error.to_string()))?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| broken(error.to_string()))?;
        let metadata = header.metadata().as_ref();
        let document = metadata.and_then(|metadata| metadata.get(FORMAT));
        let document = document.ok_or_else(|| broken(format!("its metadata has no `{FORMAT}`")))?;
        let mut document: Value = serde_json::from_str(document)?;
        if let Some(parameters) = document.get_mut("parameters") {
            unpack(parameters, &tensors).map_err(broken)?;
        }
        Self::from_document(document)
    }
}

/// Moves the numbers within `value` to `tensors`, under their place in it.
fn pack(place: String, value: &mut Value, tensors: &mut BTreeMap<String, Packed>) {
    let within = |key: &str| {
        if place.is_empty() {
            key.to_owned()
        } else {
            format!("{place}.{key}")
        }
    };
    if let Some(packed) = rectangle(value) {
        *value = json!({"tensor": place});
        tensors.insert(place, packed);
        return;
    }
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                pack(within(key), field, tensors);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter_mut().enumerate() {
                pack(within(&index.to_string()), element, tensors);
            }
        }
        _ => {}
    }
}

/// A fraction, the numbers of an array, or those of equally long arrays; none where there is anything else. Whole numbers
/// count something and stay where they are.
fn rectangle(value: &Value) -> Option<Packed> {
    if let Some(number) = value.as_f64().filter(|_| value.is_f64()) {
        return Some(Packed {
            shape: Vec::new(),
            bytes: number.to_le_bytes().to_vec(),
        });
    }
    let row = |value: &Value| -> Option<Vec<f64>> { value.as_array()?.iter().map(Value::as_f64).collect() };
    let rows = value.as_array().filter(|rows| !rows.is_empty())?;
    let (shape, numbers) = match row(value) {
        Some(numbers) => (vec![numbers.len()], numbers),
        None => {
            let rows: Vec<Vec<f64>> = rows.iter().map(row).collect::<Option<_>>()?;
            let width = rows[0].len();
            if rows.iter().any(|row| row.len() != width) {
                return None;
            }
            (vec![rows.len(), width], rows.concat())
        }
    };
    let bytes = numbers.into_iter().flat_map(f64::to_le_bytes).collect();
    Some(Packed { shape, bytes })
}

/// Puts the numbers back where their names stand.
fn unpack(value: &mut Value, tensors: &SafeTensors) -> Result<(), String> {
    if let Some(name) = reference(value) {
        let tensor = tensors.tensor(&name).map_err(|error| error.to_string())?;
        if tensor.dtype() != Dtype::F64 {
            return Err(format!("tensor `{name}` is of {:?}, not F64", tensor.dtype()));
        }
        let numbers = tensor.data().as_chunks().0.iter();
        let numbers: Vec<f64> = numbers.map(|bytes| f64::from_le_bytes(*bytes)).collect();
        if let Some(at) = numbers.iter().position(|number| !number.is_finite()) {
            return Err(format!("tensor `{name}` holds {} at {at}", numbers[at]));
        }
        *value = match *tensor.shape() {
            [] => json!(numbers[0]),
            [_] => json!(numbers),
            [_, width] if width > 0 => json!(numbers.chunks(width).collect::<Vec<_>>()),
            _ => return Err(format!("tensor `{name}` has shape {:?}", tensor.shape())),
        };
        return Ok(());
    }
    match value {
        Value::Object(fields) => fields.values_mut().try_for_each(|field| unpack(field, tensors)),
        Value::Array(elements) => elements
            .iter_mut()
            .try_for_each(|element| unpack(element, tensors)),
        _ => Ok(()),
    }
}

fn reference(value: &Value) -> Option<String> {
    let fields: &Map<String, Value> = value.as_object().filter(|fields| fields.len() == 1)?;
    fields.get("tensor")?.as_str().map(str::to_owned)
}
