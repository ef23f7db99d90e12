//! IDX files, the format of MNIST, Fashion-MNIST and EMNIST: images beside their labels, or a folder of two such
//! pairs.

mod names;

use std::path::{Path, PathBuf};

use crate::arrays::{Arrays, Features, LabelValues, Labels, checked_count, labels_file};
use crate::error::DataError;
use crate::numbers::{self, Order, Type};
use crate::options::ReadOptions;
use crate::source::{self, Source, read_up_to};
use crate::table::name_of;
use names::Pair;

/// Whether a file that starts with `head` is IDX.
pub(crate) fn is_idx(head: &[u8]) -> bool {
    matches!(head, [0, 0, code, rank, ..] if type_of(*code).is_some() && (1..=4).contains(rank))
}

/// Reads the features in the file at `path` with the labels beside them, or those named in the options.
pub(crate) fn read(path: &Path, options: &ReadOptions) -> Result<Arrays, DataError> {
    let labels = match &options.target {
        Some(target) => labels_file(path, target),
        None => names::labels_of(path)?,
    };
    let pair = OpenPair::open(
        &Pair {
            images: path.to_owned(),
            labels,
        },
        options,
    )?;
    let (file, shape) = (path.to_owned(), pair.shape.clone());
    let labels_file = pair.labels.path.clone();
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    pair.append_to(&mut values, &mut labels)?;
    Arrays::new(
        name_of(path),
        Features { file, shape, values },
        Labels {
            file: labels_file,
            values: LabelValues::Numbers(labels),
        },
        None,
    )
}

/// Reads the published training and test parts in `folder` as one set.
pub(crate) fn read_folder(folder: &Path, options: &ReadOptions) -> Result<Arrays, DataError> {
    let (train, test) = names::parts_in(folder)?;
    let train = OpenPair::open(&train, options)?;
    let test = OpenPair::open(&test, options)?;
    if train.shape != test.shape {
        let reason = format!(
            "its samples have another shape than those of {}",
            train.images.path.display()
        );
        return Err(DataError::malformed(&test.images.path, "IDX", reason));
    }
    let published_test = train.images.shape[0];
    let mut whole = train.images.shape.clone();
    whole[0] = whole[0].saturating_add(test.images.shape[0]);
    let count = checked_count(folder, &whole, options.memory_limit)?;

    let shape = train.shape.clone();
    let labels_file = train.labels.path.clone();
    let (mut values, mut labels) = (Vec::with_capacity(count as usize), Vec::new());
    train.append_to(&mut values, &mut labels)?;
    test.append_to(&mut values, &mut labels)?;
    let name = name_of(&folder.canonicalize().map_err(DataError::io(folder))?);
    Arrays::new(
        name,
        Features {
            file: folder.to_owned(),
            shape,
            values,
        },
        Labels {
            file: labels_file,
            values: LabelValues::Numbers(labels),
        },
        Some(published_test),
    )
}

/// Images and labels whose headers agree with each other and with the sizes of their files.
struct OpenPair {
    images: Array,
    labels: Array,
    /// The shape of one sample.
    shape: Vec<usize>,
}

impl OpenPair {
    fn open(pair: &Pair, options: &ReadOptions) -> Result<Self, DataError> {
        let images = Array::open(&pair.images)?;
        let shape = match images.shape[1..] {
            [] => {
                return Err(DataError::Unsupported {
                    file: pair.images.clone(),
                    what: "labels in place of features".into(),
                    advice: "give the path of the images, or of their folder".into(),
                });
            }
            [height, width] => vec![1, height, width],
            ref other => other.to_vec(),
        };
        checked_count(&images.path, &images.shape, options.memory_limit)?;
        let labels = Array::open(&pair.labels)?;
        checked_count(&labels.path, &labels.shape, options.memory_limit)?;
        if labels.shape.len() != 1 {
            return Err(DataError::malformed(
                &labels.path,
                "IDX",
                "labels have one dimension only",
            ));
        }
        if images.shape[0] != labels.shape[0] {
            return Err(DataError::LengthMismatch {
                file: images.path,
                samples: images.shape[0],
                labels_file: labels.path,
                labels: labels.shape[0],
            });
        }
        Ok(Self {
            images,
            labels,
            shape,
        })
    }

    fn append_to(self, values: &mut Vec<f32>, labels: &mut Vec<f64>) -> Result<(), DataError> {
        values.reserve_exact(self.images.count() as usize);
        // Bytes of images are brightness, published as 0 to 255.
        let scale = if self.images.kind == Type::U8 && self.shape.len() == 3 {
            1.0 / 255.0
        } else {
            1.0
        };
        self.images.read(|value| values.push((value * scale) as f32))?;
        labels.reserve_exact(self.labels.count() as usize);
        self.labels.read(|value| labels.push(value))
    }
}

/// An IDX file of which the header was read.
struct Array {
    path: PathBuf,
    kind: Type,
    /// At least one side.
    shape: Vec<usize>,
    source: Source<'static>,
}

impl Array {
    fn open(path: &Path) -> Result<Self, DataError> {
        let mut source = source::open(path)?;
        let mut header = [0; 4 + 4 * 4];
        let mut fill = |part: &mut [u8]| {
            let found = read_up_to(&mut source.reader, part).map_err(DataError::io(path))?;
            if found < part.len() {
                return Err(DataError::malformed(path, "IDX", "it ends within its header"));
            }
            Ok(())
        };
        fill(&mut header[..4])?;
        let kind = type_of(header[2]).filter(|_| is_idx(&header));
        let kind = kind.ok_or_else(|| DataError::malformed(path, "IDX", "it starts with other bytes"))?;
        let rank = usize::from(header[3]);
        let sides = &mut header[4..][..4 * rank];
        fill(sides)?;
        let shape = sides
            .as_chunks()
            .0
            .iter()
            .map(|&side| u32::from_be_bytes(side) as usize)
            .collect();
        let read = 4 + sides.len() as u64;
        source.at_most = source.at_most.saturating_sub(read);
        source.size = source.size.map(|size| size.saturating_sub(read));

        let array = Self {
            path: path.to_owned(),
            kind,
            shape,
            source,
        };
        let promised = array.count().saturating_mul(kind.size() as u64);
        match array.source.size {
            Some(size) if size != promised => Err(numbers::size_mismatch(path, promised, size)),
            None if promised > array.source.at_most => Err(DataError::SizeMismatch {
                file: path.to_owned(),
                promised: promised.to_string(),
                held: format!("{} at the very most", array.source.at_most),
            }),
            _ => Ok(array),
        }
    }

    fn count(&self) -> u64 {
        self.shape
            .iter()
            .fold(1, |product, &side| product.saturating_mul(side as u64))
    }

    fn read(mut self, sink: impl FnMut(f64)) -> Result<(), DataError> {
        let count = self.count();
        numbers::read(
            &self.path,
            &mut self.source.reader,
            self.kind,
            Order::Big,
            count,
            sink,
        )?;
        numbers::expect_end(
            &self.path,
            &mut self.source.reader,
            count * self.kind.size() as u64,
        )
    }
}

fn type_of(code: u8) -> Option<Type> {
    Some(match code {
        0x08 => Type::U8,
        0x09 => Type::I8,
        0x0B => Type::I16,
        0x0C => Type::I32,
        0x0D => Type::F32,
        0x0E => Type::F64,
        _ => return None,
    })
}
