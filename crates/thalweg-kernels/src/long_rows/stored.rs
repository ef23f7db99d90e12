//! What rows may be kept as.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::real::Real;

/// A number as it is kept: itself, or a half-precision one that is widened for every computation.
pub trait Stored: Copy + Send + Sync + std::fmt::Debug + 'static {
    /// What is computed in.
    type Wide: Real;

    /// The numbers as what is computed in: themselves, or written into `buffer`, which has room for them.
    fn widened<'a>(numbers: &'a [Self], buffer: &'a mut [Self::Wide]) -> &'a [Self::Wide];

    /// Rounds to what is kept.
    fn narrowed(number: Self::Wide) -> Self;
}

/// A number that is kept as what is computed in: `f32` or `f64`.
pub trait Plain: Real + Stored<Wide = Self> {}

impl Plain for f32 {}
impl Plain for f64 {}

macro_rules! kept_as_itself {
    ($float:ty) => {
        impl Stored for $float {
            type Wide = Self;

            #[inline(always)]
            fn widened<'a>(numbers: &'a [Self], _: &'a mut [Self]) -> &'a [Self] {
                numbers
            }

            #[inline(always)]
            fn narrowed(number: Self) -> Self {
                number
            }
        }
    };
}

macro_rules! kept_as_half {
    ($half:ty) => {
        impl Stored for $half {
            type Wide = f32;

            #[inline]
            fn widened<'a>(numbers: &'a [Self], buffer: &'a mut [f32]) -> &'a [f32] {
                let buffer = &mut buffer[..numbers.len()];
                numbers.convert_to_f32_slice(buffer);
                buffer
            }

            #[inline]
            fn narrowed(number: f32) -> Self {
                Self::from_f32(number)
            }
        }
    };
}

kept_as_itself!(f32);
kept_as_itself!(f64);
kept_as_half!(f16);
kept_as_half!(bf16);
