//! The header of an NPY array: a Python dictionary in text.

use std::io::Read;
use std::path::Path;

use crate::error::DataError;
use crate::numbers::{Order, Type};
use crate::source::read_up_to;

pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";
/// The headers that numpy itself reads without being asked twice are no longer.
const LONGEST: usize = 10_000;

/// What the elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    Number(Type, Order),
    /// Texts of at most so many bytes, filled up with zeros.
    Bytes(usize),
    /// Texts of at most so many characters of four bytes, filled up with zeros.
    Unicode(usize, Order),
}

impl Element {
    /// How many bytes one takes.
    pub(crate) fn size(self) -> u64 {
        match self {
            Self::Number(kind, _) => kind.size() as u64,
            Self::Bytes(length) => length as u64,
            Self::Unicode(length, _) => 4 * length as u64,
        }
    }
}

/// In which order the elements are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The last index runs fastest.
    C,
    /// The first index runs fastest.
    Fortran,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Header {
    pub(crate) element: Element,
    pub(crate) layout: Layout,
    pub(crate) shape: Vec<usize>,
}

impl Header {
    /// Reads the header and leaves `reader` at the data. Returns how many bytes were read, too.
    pub(crate) fn read(path: &Path, reader: &mut impl Read) -> Result<(Self, u64), DataError> {
        let malformed = |reason: &str| DataError::malformed(path, "NPY", reason);
        let mut fill = |bytes: &mut [u8]| match read_up_to(reader, bytes) {
            Ok(count) if count == bytes.len() => Ok(()),
            Ok(_) => Err(malformed("it ends within its header")),
            Err(source) => Err(DataError::io(path)(source)),
        };
        let mut start = [0; 8];
        fill(&mut start)?;
        if !start.starts_with(MAGIC) {
            return Err(malformed("it starts with other bytes"));
        }
        let (length, prefix) = if start[6] == 1 {
            let mut bytes = [0; 2];
            fill(&mut bytes)?;
            (usize::from(u16::from_le_bytes(bytes)), 10)
        } else {
            let mut bytes = [0; 4];
            fill(&mut bytes)?;
            (u32::from_le_bytes(bytes) as usize, 12)
        };
        if length > LONGEST {
            return Err(malformed("its header is too long"));
        }
        let mut text = vec![0; length];
        fill(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        let dictionary = Dictionary::parse(&text).ok_or_else(|| malformed("its header is no dictionary"))?;
        Ok((dictionary.interpret(path)?, prefix + length as u64))
    }
}

#[derive(Default)]
struct Dictionary<'a> {
    descr: &'a str,
    fortran: bool,
    shape: Vec<usize>,
}

impl<'a> Dictionary<'a> {
    /// Parses `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(text: &'a str) -> Option<Self> {
        let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        while !rest.is_empty() {
            let (key, value) = rest.split_once(':')?;
            let value = value.trim_start();
            // A value ends at the comma outside of its own brackets and quotes.
            let end = match value.as_bytes().first()? {
                b'(' => value.find(')')? + 1,
                b'[' => value.rfind(']')? + 1,
                quote @ (b'\'' | b'"') => value[1..].find(char::from(*quote))? + 2,
                _ => value.find(',').unwrap_or(value.len()),
            };
            let (value, after) = value.split_at(end);
            match key.trim().trim_matches(['\'', '"']) {
                "descr" => descr = Some(value.trim_matches(['\'', '"'])),
                "fortran_order" => fortran = Some(value.trim() == "True"),
                "shape" => shape = Some(tuple(value)?),
                _ => return None,
            }
            rest = after.trim_start().strip_prefix(',').unwrap_or(after).trim_start();
        }
        Some(Self {
            descr: descr?,
            fortran: fortran?,
            shape: shape?,
        })
    }

    fn interpret(self, path: &Path) -> Result<Header, DataError> {
        let element = element(self.descr).ok_or_else(|| DataError::Unsupported {
            file: path.to_owned(),
            what: format!("elements of type `{}`", self.descr),
            advice: "save an array of numbers, for example `numpy.save(path, array.astype('float32'))`; labels may be texts, `astype(str)`".into(),
        })?;
        let layout = if self.fortran { Layout::Fortran } else { Layout::C };
        Ok(Header {
            element,
            layout,
            shape: self.shape,
        })
    }
}

fn tuple(text: &str) -> Option<Vec<usize>> {
    let inner = text.strip_prefix('(')?.strip_suffix(')')?;
    let sides = inner.split(',').map(str::trim).filter(|side| !side.is_empty());
    sides
        .map(|side| side.trim_end_matches('L').parse().ok())
        .collect()
}

fn element(descr: &str) -> Option<Element> {
    let (order, rest) = match descr.as_bytes().first()? {
        b'<' | b'|' | b'=' => (Order::Little, descr.get(1..)?),
        b'>' => (Order::Big, descr.get(1..)?),
        _ => (Order::Little, descr),
    };
    let (kind, length) = rest.split_at_checked(1)?;
    let length: usize = length.parse().ok()?;
    let number = |kind| Some(Element::Number(kind, order));
    match (kind, length) {
        ("u" | "b", 1) => number(Type::U8),
        ("i", 1) => number(Type::I8),
        ("u", 2) => number(Type::U16),
        ("i", 2) => number(Type::I16),
        ("u", 4) => number(Type::U32),
        ("i", 4) => number(Type::I32),
        ("u", 8) => number(Type::U64),
        ("i", 8) => number(Type::I64),
        ("f", 4) => number(Type::F32),
        ("f", 8) => number(Type::F64),
        ("S", 1..=LONGEST) => Some(Element::Bytes(length)),
        ("U", 1..=LONGEST) => Some(Element::Unicode(length, order)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<Result<Header, DataError>> {
        Dictionary::parse(text).map(|dictionary| dictionary.interpret(Path::new("x.npy")))
    }

    #[test]
    fn headers_of_numpy_are_understood() {
        let header = parsed("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n")
            .unwrap()
            .unwrap();
        let element = Element::Number(Type::F32, Order::Little);
        assert_eq!(
            header,
            Header {
                element,
                layout: Layout::C,
                shape: vec![3, 4]
            }
        );
        let header = parsed("{'shape': (7,), 'fortran_order': True, 'descr': '>U12'}")
            .unwrap()
            .unwrap();
        let element = Element::Unicode(12, Order::Big);
        assert_eq!(
            header,
            Header {
                element,
                layout: Layout::Fortran,
                shape: vec![7]
            }
        );
        let header = parsed("{'descr': '|b1', 'fortran_order': False, 'shape': ()}")
            .unwrap()
            .unwrap();
        assert!(header.shape.is_empty());
    }

    #[test]
    fn others_are_refused() {
        for descr in ["'|O'", "'<c16'", "[('a', '<f4'), ('b', '<i8')]", "'<f2'"] {
            let header = parsed(&format!(
                "{{'descr': {descr}, 'fortran_order': False, 'shape': (2,), }}"
            ));
            assert!(
                matches!(header, Some(Err(DataError::Unsupported { .. }))),
                "{descr}"
            );
        }
        for text in [
            "",
            "{}",
            "{'descr': '<f4'}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        ] {
            assert!(parsed(text).is_none(), "{text}");
        }
    }
}
