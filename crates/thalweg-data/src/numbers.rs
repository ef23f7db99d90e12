//! Numbers as arrays store them.

use std::io::Read;
use std::path::Path;

use crate::error::DataError;
use crate::source::read_up_to;

/// The type of a stored number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

/// The order of the bytes of a stored number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Big,
    Little,
}

impl Type {
    pub(crate) fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// Hands the numbers stored in `bytes` to `sink`.
    fn decode(self, order: Order, bytes: &[u8], sink: &mut impl FnMut(f64)) {
        macro_rules! each {
            ($number:ty) => {
                for bytes in bytes.as_chunks::<{ size_of::<$number>() }>().0 {
                    sink(match order {
                        Order::Big => <$number>::from_be_bytes(*bytes),
                        Order::Little => <$number>::from_le_bytes(*bytes),
                    } as f64)
                }
            };
        }
        match self {
            Self::U8 => each!(u8),
            Self::I8 => each!(i8),
            Self::U16 => each!(u16),
            Self::I16 => each!(i16),
            Self::U32 => each!(u32),
            Self::I32 => each!(i32),
            Self::U64 => each!(u64),
            Self::I64 => each!(i64),
            Self::F32 => each!(f32),
            Self::F64 => each!(f64),
        }
    }
}

/// Reads exactly `count` numbers and hands them to `sink` one by one.
pub(crate) fn read(
    path: &Path,
    reader: &mut impl Read,
    kind: Type,
    order: Order,
    count: u64,
    mut sink: impl FnMut(f64),
) -> Result<(), DataError> {
    let promised = count * kind.size() as u64;
    let mut buffer = vec![0; 1 << 16];
    let mut done = 0;
    while done < promised {
        let wanted = buffer
            .len()
            .min(usize::try_from(promised - done).unwrap_or(usize::MAX));
        let found = read_up_to(reader, &mut buffer[..wanted]).map_err(DataError::io(path))?;
        kind.decode(order, &buffer[..found], &mut sink);
        done += found as u64;
        if found < wanted {
            return Err(size_mismatch(path, promised, done));
        }
    }
    Ok(())
}

/// Errors when there is more data than promised.
pub(crate) fn expect_end(path: &Path, reader: &mut impl Read, promised: u64) -> Result<(), DataError> {
    match read_up_to(reader, &mut [0]).map_err(DataError::io(path))? {
        0 => Ok(()),
        _ => Err(DataError::SizeMismatch {
            file: path.to_owned(),
            promised: promised.to_string(),
            held: "more".into(),
        }),
    }
}

pub(crate) fn size_mismatch(path: &Path, promised: u64, held: u64) -> DataError {
    DataError::SizeMismatch {
        file: path.to_owned(),
        promised: promised.to_string(),
        held: held.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(kind: Type, order: Order, bytes: &[u8]) -> Vec<f64> {
        let mut numbers = Vec::new();
        let count = (bytes.len() / kind.size()) as u64;
        read(Path::new("x"), &mut &*bytes, kind, order, count, |number| {
            numbers.push(number);
        })
        .unwrap();
        numbers
    }

    #[test]
    fn both_byte_orders_and_signs_are_read() {
        assert_eq!(
            decoded(Type::I16, Order::Big, &[0xff, 0xfe, 0x01, 0x00]),
            [-2.0, 256.0]
        );
        assert_eq!(
            decoded(Type::U16, Order::Little, &[0xff, 0xfe, 0x01, 0x00]),
            [65279.0, 1.0]
        );
        assert_eq!(decoded(Type::F64, Order::Little, &1.5f64.to_le_bytes()), [1.5]);
        assert_eq!(decoded(Type::I8, Order::Little, &[0x80]), [-128.0]);
    }

    #[test]
    fn a_short_stream_says_how_much_there_was() {
        let error = read(
            Path::new("x"),
            &mut &[1u8, 2, 3][..],
            Type::U8,
            Order::Big,
            5,
            |_| (),
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "x: its header promises 5 bytes of data, the file holds 3"
        );
    }
}
