//! Memory of large gradients, lent again once nobody holds it. The system gives fresh memory page by page as it is first
//! touched, which costs several times what a fused kernel does.

use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::{DType, Flex};
use burn::tensor::{Element, Shape, Tensor};
use bytemuck::Pod;

/// Bytes from which memory is kept here; the allocator keeps smaller pieces by itself.
const LARGE: usize = 1 << 20;

/// Pieces that are kept at most, the one used longest ago leaving first.
const MOST: usize = 4;

static KEPT: Mutex<Vec<FlexTensor>> = Mutex::new(Vec::new());

fn kept() -> MutexGuard<'static, Vec<FlexTensor>> {
    // A panic cannot leave the list half changed.
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A CPU tensor that `write` has written, outside any autodiff graph. What it is handed holds arbitrary numbers.
pub(crate) fn written<const D: usize, E: Element + Pod>(
    shape: [usize; D],
    write: impl FnOnce(&mut [E]),
) -> Tensor<D> {
    let bytes = shape.iter().product::<usize>() * size_of::<E>();
    let mut memory = if bytes < LARGE {
        None
    } else {
        lent(E::dtype(), bytes)
    }
    .unwrap_or_else(|| FlexTensor::zeros(Shape::from(shape), E::dtype()));
    write(memory.try_storage_mut().expect("nobody else holds it"));
    let tensor = memory.with_layout(Layout::contiguous(Shape::from(shape)));
    if bytes >= LARGE {
        let mut kept = kept();
        if kept.len() == MOST {
            kept.remove(0);
        }
        kept.push(tensor.clone());
    }
    Tensor::from_primitive::<Flex>(tensor)
}

/// Memory of that size that nobody holds any more.
fn lent(dtype: DType, bytes: usize) -> Option<FlexTensor> {
    let mut kept = kept();
    let free = kept
        .iter()
        .rposition(|memory| memory.dtype() == dtype && memory.bytes().len() == bytes && memory.is_unique())?;
    Some(kept.remove(free))
}

/// Gives back to the system the memory of past gradients that is kept for the next: at most that of four of the largest.
pub fn release() {
    kept().clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_lent_again_only_when_nobody_holds_it() {
        // A size that no other test uses: the list is common to all.
        let shape = [1 << 10, 263];
        let address = |tensor: &Tensor<2>| {
            let primitive = tensor.clone().try_into_primitive::<Flex>().unwrap();
            primitive.bytes().as_ptr() as usize
        };
        let first = written::<2, f32>(shape, |numbers| numbers.fill(1.0));
        let place = address(&first);
        let second = written::<2, f32>(shape, |numbers| numbers.fill(2.0));
        assert_ne!(address(&second), place);
        assert_eq!(first.clone().sum().into_scalar::<f32>(), (1 << 10) as f32 * 263.0);
        drop(first);
        let third = written::<2, f32>([263, 1 << 10], |numbers| numbers.fill(3.0));
        assert_eq!((address(&third), third.dims()), (place, [263, 1 << 10]));
        assert_eq!(second.max().into_scalar::<f32>(), 2.0);
    }

    #[test]
    fn small_tensors_are_written_too() {
        let tensor = written::<1, f64>([3], |numbers| numbers[1] = 4.0);
        assert_eq!(tensor.into_data().try_to_vec::<f64>().unwrap(), [0.0, 4.0, 0.0]);
    }
}
