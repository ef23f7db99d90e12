//! What M-FAC remembers, as the bytes of a safetensors file.

use bytemuck::Pod;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use thalweg_kernels::long_rows::{Stored, bf16, f16};

use super::{MFac, Running, StateError};
use crate::bridge::CpuFloat;

/// What the bytes say they are.
const FORMAT: &str = "thalweg M-FAC 1";

/// What gradients may be kept as: f32, f64, or half-precision numbers computed with in f32.
pub trait WindowElement: Stored<Wide: CpuFloat> + Pod {
    /// Its name in a safetensors file.
    const DTYPE: Dtype;
    /// That of what is computed in.
    const WIDE: Dtype;
}

macro_rules! kept {
    ($($element:ty: $dtype:ident in $wide:ident;)*) => {
        $(impl WindowElement for $element {
            const DTYPE: Dtype = Dtype::$dtype;
            const WIDE: Dtype = Dtype::$wide;
        })*
    };
}

kept! {
    f32: F32 in F32;
    f64: F64 in F64;
    f16: F16 in F32;
    bf16: BF16 in F32;
}

pub(super) fn to_bytes<S: WindowElement>(optimizer: &MFac<S>) -> Result<Vec<u8>, StateError> {
    let mut tensors = Vec::new();
    if let Some(Running {
        parameters,
        kept,
        rule,
    }) = &optimizer.running
    {
        let window = &rule.window;
        let (gradients, products, table, next) = window.parts();
        let (m, d) = (window.rows(), window.width());
        let whole = |numbers: &[usize]| -> Vec<u8> {
            let numbers = numbers.iter().map(|&number| number as u64);
            numbers.flat_map(u64::to_le_bytes).collect()
        };
        let bytes = |numbers: &[f64]| bytemuck::cast_slice(numbers).to_vec();
        tensors.push((
            "gradients",
            S::DTYPE,
            vec![m, d],
            bytemuck::cast_slice(gradients).to_vec(),
        ));
        tensors.push(("products", Dtype::F64, vec![m, m], bytes(products)));
        tensors.push(("coefficients", Dtype::F64, vec![m, m], bytes(table)));
        tensors.push(("place", Dtype::U64, vec![2], whole(&[next, *parameters])));
        if !rule.velocity.is_empty() {
            let velocity = bytemuck::cast_slice(&rule.velocity).to_vec();
            tensors.push(("velocity", S::WIDE, vec![d], velocity));
        }
        if let Some(kept) = kept {
            tensors.push(("kept", Dtype::U64, vec![d], whole(kept)));
        }
    }
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(|error| failed(&error))?;
            Ok((*name, view))
        })
        .collect::<Result<Vec<_>, StateError>>()?;
    let facts = [("format".to_owned(), FORMAT.to_owned())];
    serialize(views, Some(facts.into_iter().collect())).map_err(|error| failed(&error))
}

fn failed(error: &impl ToString) -> StateError {
    StateError(error.to_string())
}

pub(super) fn from_bytes<S: WindowElement>(
    mut optimizer: MFac<S>,
    bytes: &[u8],
) -> Result<MFac<S>, StateError> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| failed(&error))?;
    let facts = header.metadata().as_ref();
    if facts.and_then(|facts| facts.get("format")).map(String::as_str) != Some(FORMAT) {
        return Err(StateError("the bytes are not of M-FAC".to_owned()));
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| failed(&error))?;
    if tensors.names().is_empty() {
        optimizer.running = None;
        return Ok(optimizer);
    }
    let place = whole(&tensors, "place", 2)?;
    let m = optimizer.config.num_gradients;
    let (next, parameters) = (place[0], place[1]);
    if next >= m {
        return Err(StateError(format!("it is of more gradients than {m}")));
    }
    let kept = if optimizer.config.sparse {
        let found = tensors.tensor("kept").map_err(|error| failed(&error))?;
        Some(whole(&tensors, "kept", found.shape().iter().product())?)
    } else {
        None
    };
    let d = kept.as_ref().map_or(parameters, Vec::len);
    let mut rule = optimizer.rule(d).map_err(|error| failed(&error))?;
    let (gradients, products, table) = rule.window.parts_mut(next);
    read(&tensors, "gradients", S::DTYPE, &[m, d], gradients)?;
    read(&tensors, "products", Dtype::F64, &[m, m], products)?;
    read(&tensors, "coefficients", Dtype::F64, &[m, m], table)?;
    if !rule.velocity.is_empty() {
        read(&tensors, "velocity", S::WIDE, &[d], &mut rule.velocity)?;
    }
    optimizer.running = Some(Running {
        parameters,
        kept,
        rule,
    });
    Ok(optimizer)
}

fn whole(tensors: &SafeTensors, name: &str, count: usize) -> Result<Vec<usize>, StateError> {
    let mut numbers = vec![0_u64; count];
    read(tensors, name, Dtype::U64, &[count], &mut numbers)?;
    Ok(numbers.into_iter().map(|number| number as usize).collect())
}

/// Reads a tensor that must be of this type and shape.
fn read<T: Pod>(
    tensors: &SafeTensors,
    name: &str,
    dtype: Dtype,
    shape: &[usize],
    into: &mut [T],
) -> Result<(), StateError> {
    let found = tensors.tensor(name).map_err(|error| failed(&error))?;
    if found.dtype() != dtype || found.shape() != shape {
        return Err(StateError(format!(
            "`{name}` is {:?} {:?}, not {dtype:?} {shape:?}",
            found.dtype(),
            found.shape()
        )));
    }
    bytemuck::cast_slice_mut(into).copy_from_slice(found.data());
    Ok(())
}
