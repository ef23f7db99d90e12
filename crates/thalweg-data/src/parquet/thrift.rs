//! Walking structures of Thrift's compact protocol without building them.
//!
//! The decoder believes counts and sizes before it has seen what they count. This walk believes nothing: every step
//! takes at least a byte of what is there, so its time is bounded by the length of the data, and it takes no memory.

use std::io::{self, Read};

/// No structure of the format nests deeper.
const DEEPEST: u8 = 16;

/// The kinds of fields that are of interest by name.
pub(super) const TRUE: u8 = 1;
pub(super) const FALSE: u8 = 2;
pub(super) const I32: u8 = 5;
pub(super) const STRUCT: u8 = 12;

/// A field met on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// The number of the field that the structure is in, 0 for the outermost.
    pub(super) parent: i64,
    /// The number of the field.
    pub(super) id: i64,
    /// The kind of its value as stored.
    pub(super) kind: u8,
    /// Its value, if it is a whole number.
    pub(super) value: i64,
}

/// Walks over one structure and returns how many bytes it took. `visit` gets the fields of the structure and of those
/// directly in it, and fails to end the walk.
pub(super) fn walk(reader: impl Read, visit: impl FnMut(Field) -> io::Result<()>) -> io::Result<u64> {
    let mut walker = Walker {
        reader,
        read: 0,
        visit,
    };
    walker.structure(0, 0)?;
    Ok(walker.read)
}

struct Walker<R, V> {
    reader: R,
    read: u64,
    visit: V,
}

impl<R: Read, V: FnMut(Field) -> io::Result<()>> Walker<R, V> {
    fn structure(&mut self, parent: i64, depth: u8) -> io::Result<()> {
        let mut id = 0i64;
        loop {
            let head = self.byte()?;
            let (step, kind) = (i64::from(head >> 4), head & 0x0f);
            if kind == 0 {
                return Ok(());
            }
            id = if step == 0 { self.number()? } else { id + step };
            let value = match kind {
                3 => self.byte()?.into(),
                4..=6 => self.number()?,
                _ => 0,
            };
            if depth < 2 {
                (self.visit)(Field {
                    parent,
                    id,
                    kind,
                    value,
                })?;
            }
            match kind {
                // The value of a truth value is its kind; numbers were read above.
                TRUE..=6 => {}
                STRUCT => self.structure(id, deeper(depth)?)?,
                _ => self.skip(kind, deeper(depth)?)?,
            }
        }
    }

    /// Passes over a value that is no field of its own.
    fn skip(&mut self, kind: u8, depth: u8) -> io::Result<()> {
        match kind {
            3 => self.byte().map(drop),
            4..=6 => self.number().map(drop),
            7 => self.bytes(8),
            8 => {
                let length = self.varint()?;
                self.bytes(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 {
                    self.varint()?
                } else {
                    u64::from(head >> 4)
                };
                (0..count).try_for_each(|_| self.skip(head & 0x0f, deeper(depth)?))
            }
            11 => {
                let count = self.varint()?;
                let kinds = if count > 0 { self.byte()? } else { 0 };
                (0..count).try_for_each(|_| {
                    self.skip(kinds >> 4, deeper(depth)?)?;
                    self.skip(kinds & 0x0f, deeper(depth)?)
                })
            }
            STRUCT => self.structure(0, depth.max(2)),
            13 => self.bytes(16),
            // Lists of truth values, which the format does not have where this is used: the decoder takes them to
            // need no bytes at all.
            _ => Err(broken()),
        }
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.reader.read_exact(&mut byte)?;
        self.read += 1;
        Ok(byte[0])
    }

    fn bytes(&mut self, count: u64) -> io::Result<()> {
        let passed = io::copy(&mut self.reader.by_ref().take(count), &mut io::sink())?;
        self.read += passed;
        if passed == count { Ok(()) } else { Err(broken()) }
    }

    fn varint(&mut self) -> io::Result<u64> {
        let mut number = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        // The tenth byte holds the one bit that is left.
        match self.byte()? {
            last @ 0..=1 => Ok(number | u64::from(last) << 63),
            _ => Err(broken()),
        }
    }

    fn number(&mut self) -> io::Result<i64> {
        let zigzag = self.varint()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }
}

fn deeper(depth: u8) -> io::Result<u8> {
    if depth < DEEPEST {
        Ok(depth + 1)
    } else {
        Err(broken())
    }
}

/// The error of a structure that cannot be walked over.
pub(super) fn broken() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parent, number and value of the fields met, and the length walked over.
    fn fields(bytes: &[u8]) -> io::Result<(Vec<[i64; 3]>, u64)> {
        let mut seen = Vec::new();
        let read = walk(bytes, |field| {
            seen.push([field.parent, field.id, field.value]);
            Ok(())
        })?;
        Ok((seen, read))
    }

    #[test]
    fn fields_are_found_and_counted() {
        // 1: i32 -3; 4: binary "ab"; 5: struct { 1: i64 300; 2: true }; 21: list of two bytes; what follows is not read.
        let bytes = [
            0x15, 5, 0x38, 2, b'a', b'b', 0x1c, 0x16, 0xd8, 0x04, 0x11, 0, 0x09, 42, 0x23, 7, 7, 0, 99,
        ];
        let expected = vec![
            [0, 1, -3],
            [0, 4, 0],
            [0, 5, 0],
            [5, 1, 300],
            [5, 2, 0],
            [0, 21, 0],
        ];
        assert_eq!(fields(&bytes).unwrap(), (expected, 18));
    }

    #[test]
    fn counts_without_content_end_the_walk() {
        let most = [0xff, 0xff, 0xff, 0xff, 0x07];
        for kind in [0x07, 0x08, 0x09, 0x0c, 0x01] {
            let list = [&[0x19, 0xf0 | kind], &most[..], &[0; 3]].concat();
            assert!(fields(&list).is_err(), "{kind}");
        }
        assert!(fields(&[0x19; 100]).is_err());
        assert!(fields(&[0x1c; 100]).is_err());
        assert!(
            fields(&[
                0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0
            ])
            .is_err()
        );
    }
}
