//! NPY arrays, alone or packed in an NPZ archive.

mod archive;
mod header;
mod rows;
mod write;

use std::io::Read;
use std::path::{Path, PathBuf};

pub(crate) use archive::{Archive, read as read_archive};
pub(crate) use header::MAGIC;
use header::{Element, Header, Layout};
pub use rows::{ClassLabels, NpyRows};
pub use write::write_npy;

use crate::arrays::{Arrays, Features, LabelValues, Labels, checked_count, labels_file};
use crate::error::{DataError, Place};
use crate::numbers::{self, Order, Type};
use crate::options::ReadOptions;
use crate::scores::NumberArray;
use crate::source::{self, Source, check_memory, read_up_to};
use crate::table::name_of;

/// Files of labels that are looked for beside a file of features.
const LABELS: [&str; 2] = ["y.npy", "labels.npy"];

/// Reads the features in the file at `path` with the labels beside it, or those named in the options.
pub(crate) fn read(path: &Path, options: &ReadOptions) -> Result<Arrays, DataError> {
    let labels = match &options.target {
        Some(target) => labels_file(path, target),
        None => LABELS
            .iter()
            .map(|name| path.with_file_name(name))
            .find(|labels| labels != path && labels.is_file())
            .ok_or_else(|| DataError::NoLabels {
                file: path.to_owned(),
                tried: LABELS.map(str::to_owned).to_vec(),
            })?,
    };
    let features = Array::open(path, source::open(path)?)?;
    let labels = Array::open(&labels, source::open(&labels)?)?;
    Arrays::new(
        name_of(path),
        features.features(options)?,
        labels.labels(options.memory_limit)?,
        None,
    )
}

/// The numbers in the file at `path`, in their own shape.
pub(crate) fn read_numbers(path: &Path, memory_limit: u64) -> Result<NumberArray, DataError> {
    Array::open(path, source::open(path)?)?.numbers(memory_limit)
}

/// The labels in the file at `path`.
pub(crate) fn read_labels(path: &Path, memory_limit: u64) -> Result<Labels, DataError> {
    Array::open(path, source::open(path)?)?.labels(memory_limit)
}

/// An array of which the header was read and found plausible for the size of its file.
struct Array<'a> {
    path: PathBuf,
    header: Header,
    reader: Box<dyn Read + 'a>,
}

impl<'a> Array<'a> {
    fn open(path: &Path, source: Source<'a>) -> Result<Self, DataError> {
        let mut reader = source.reader;
        let (header, length) = Header::read(path, &mut reader)?;
        let count = header
            .shape
            .iter()
            .fold(1u64, |product, &side| product.saturating_mul(side as u64));
        let promised = count.saturating_mul(header.element.size());
        let held = source.size.unwrap_or(source.at_most).saturating_sub(length);
        // Only a size known without reading must be met exactly.
        if promised > held || (source.size.is_some() && promised != held) {
            return Err(numbers::size_mismatch(path, promised, held));
        }
        Ok(Self {
            path: path.to_owned(),
            header,
            reader,
        })
    }

    fn samples(&self) -> usize {
        self.header.shape.first().copied().unwrap_or(0)
    }

    /// The array as features; an unsigned byte of an image is brightness from 0 to 255.
    fn features(self, options: &ReadOptions) -> Result<Features, DataError> {
        let mut values = Vec::new();
        let (file, shape) = (self.path.clone(), self.append_to(&mut values, options)?);
        Ok(Features { file, shape, values })
    }

    /// Appends the elements, sample by sample, and returns the shape of a sample.
    fn append_to(mut self, values: &mut Vec<f32>, options: &ReadOptions) -> Result<Vec<usize>, DataError> {
        let Element::Number(kind, order) = self.header.element else {
            return Err(DataError::Unsupported {
                file: self.path,
                what: "texts as features".into(),
                advice: "save the features as numbers".into(),
            });
        };
        let stored = &self.header.shape;
        let count = checked_count(&self.path, stored, options.memory_limit)?;
        let start = values.len();
        check_memory(&self.path, 4 * (start as u64 + count), options.memory_limit)?;
        let (shape, places) = Places::of(stored, self.header.layout);
        let scale = if kind == Type::U8 && shape.len() == 3 {
            1.0 / 255.0
        } else {
            1.0
        };
        values.reserve_exact(count as usize);
        match places {
            None => {
                let sink = |value: f64| values.push((value * scale) as f32);
                numbers::read(&self.path, &mut self.reader, kind, order, count, sink)?;
            }
            Some(mut places) => {
                values.resize(start + count as usize, 0.0);
                let sink = |value: f64| values[start + places.next()] = (value * scale) as f32;
                numbers::read(&self.path, &mut self.reader, kind, order, count, sink)?;
            }
        }
        Ok(shape)
    }

    /// The numbers as they are, row-major.
    fn numbers(mut self, memory_limit: u64) -> Result<NumberArray, DataError> {
        let Element::Number(kind, order) = self.header.element else {
            return Err(DataError::Unsupported {
                file: self.path,
                what: "texts as numbers".into(),
                advice: "save the array as numbers, for example `array.astype('float32')`".into(),
            });
        };
        let count = checked_count(&self.path, &self.header.shape, memory_limit)?;
        check_memory(&self.path, 8 * count, memory_limit)?;
        let mut values = Vec::with_capacity(count as usize);
        numbers::read(&self.path, &mut self.reader, kind, order, count, |value| {
            values.push(value);
        })?;
        let shape = self.header.shape;
        if self.header.layout == Layout::Fortran {
            values = row_major(&shape, &values);
        }
        Ok(NumberArray { shape, values })
    }

    fn labels(mut self, memory_limit: u64) -> Result<Labels, DataError> {
        let count = checked_count(&self.path, &self.header.shape, memory_limit)?;
        if count != self.samples() as u64 {
            return Err(DataError::malformed(
                &self.path,
                "label",
                "labels have one dimension only",
            ));
        }
        let values = match self.header.element {
            Element::Number(kind, order) => {
                check_memory(&self.path, 8 * count, memory_limit)?;
                let mut labels = Vec::with_capacity(count as usize);
                numbers::read(&self.path, &mut self.reader, kind, order, count, |label| {
                    labels.push(label);
                })?;
                LabelValues::Numbers(labels)
            }
            element => LabelValues::Texts(self.texts(element, count, memory_limit)?),
        };
        Ok(Labels {
            file: self.path,
            values,
        })
    }

    fn texts(&mut self, element: Element, count: u64, memory_limit: u64) -> Result<Vec<String>, DataError> {
        let size = element.size();
        check_memory(
            &self.path,
            count * (size + size_of::<String>() as u64),
            memory_limit,
        )?;
        let mut bytes = vec![0; size as usize];
        let mut texts = Vec::with_capacity(count as usize);
        for number in 1..=count {
            if read_up_to(&mut self.reader, &mut bytes).map_err(DataError::io(&self.path))? < bytes.len() {
                return Err(numbers::size_mismatch(
                    &self.path,
                    count * size,
                    (number - 1) * size,
                ));
            }
            let text = match element {
                Element::Unicode(_, order) => unicode(&bytes, order),
                _ => String::from_utf8(bytes.clone()).ok(),
            };
            let place = || Place::row(&self.path, number).column("labels");
            let text = text.ok_or_else(|| DataError::NotAClass {
                place: place(),
                value: format!("{bytes:?}"),
            })?;
            let text = text.trim_end_matches('\0');
            if text.is_empty() {
                return Err(DataError::MissingTarget {
                    place: place(),
                    count: 1,
                });
            }
            texts.push(text.to_owned());
        }
        Ok(texts)
    }
}

fn unicode(bytes: &[u8], order: Order) -> Option<String> {
    let character = |bytes: &[u8; 4]| match order {
        Order::Big => char::from_u32(u32::from_be_bytes(*bytes)),
        Order::Little => char::from_u32(u32::from_le_bytes(*bytes)),
    };
    bytes.as_chunks().0.iter().map(character).collect()
}

/// An array whose first index runs fastest, so that the last one does.
fn row_major(shape: &[usize], stored: &[f64]) -> Vec<f64> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for side in shape {
        strides.push(stride);
        stride *= side;
    }
    (0..stored.len())
        .map(|index| {
            let (mut rest, mut place) = (index, 0);
            for (side, stride) in shape.iter().zip(&strides).rev() {
                place += rest % side * stride;
                rest /= side;
            }
            stored[place]
        })
        .collect()
}

/// Where the elements go, in the order in which they are stored, when it is not the order of the features.
struct Places {
    /// Per stored axis, fastest first: its side and the distance of neighbours among the features.
    axes: Vec<(usize, usize)>,
    index: Vec<usize>,
    place: usize,
}

impl Places {
    /// The shape of one sample of an array, and the places of the elements unless they are in order already.
    /// Samples of two sides are images of one channel; channels that come last are moved to the front.
    fn of(stored: &[usize], layout: Layout) -> (Vec<usize>, Option<Self>) {
        // The axes of the features, each by its number among the stored ones.
        let (shape, order) = match *stored {
            [] | [_] => (vec![1], vec![0]),
            [_, height, width] => (vec![1, height, width], vec![0, 1, 2]),
            [_, first, second, channels @ (1 | 3 | 4)] if !matches!(first, 1 | 3 | 4) => {
                (vec![channels, first, second], vec![0, 3, 1, 2])
            }
            _ => (stored[1..].to_vec(), (0..stored.len()).collect::<Vec<_>>()),
        };
        if layout == Layout::C && order.is_sorted() {
            return (shape, None);
        }
        let mut strides = vec![1; stored.len().max(1)];
        let mut stride = 1;
        for &axis in order.iter().rev() {
            strides[axis] = stride;
            stride *= stored.get(axis).copied().unwrap_or(1);
        }
        let mut axes: Vec<(usize, usize)> = stored.iter().copied().zip(strides).collect();
        if layout == Layout::C {
            axes.reverse();
        }
        let index = vec![0; axes.len()];
        (
            shape,
            Some(Self {
                axes,
                index,
                place: 0,
            }),
        )
    }

    fn next(&mut self) -> usize {
        let place = self.place;
        for (index, &(side, stride)) in self.index.iter_mut().zip(&self.axes) {
            *index += 1;
            self.place += stride;
            if *index < side {
                break;
            }
            self.place -= side * stride;
            *index = 0;
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(stored: &[usize], layout: Layout) -> (Vec<usize>, Vec<usize>) {
        let (shape, places) = Places::of(stored, layout);
        let count = stored.iter().product();
        let places = places.map_or_else(
            || (0..count).collect(),
            |mut it| (0..count).map(|_| it.next()).collect(),
        );
        (shape, places)
    }

    #[test]
    fn fortran_order_is_put_in_order() {
        assert_eq!(places(&[2, 3], Layout::C), (vec![3], vec![0, 1, 2, 3, 4, 5]));
        assert_eq!(
            places(&[2, 3], Layout::Fortran),
            (vec![3], vec![0, 3, 1, 4, 2, 5])
        );
    }

    #[test]
    fn fortran_order_becomes_row_major() {
        assert_eq!(
            row_major(&[2, 3], &[0.0, 10.0, 1.0, 11.0, 2.0, 12.0]),
            [0.0, 1.0, 2.0, 10.0, 11.0, 12.0]
        );
        let stored: Vec<f64> = (0..24).map(f64::from).collect();
        // Element (i, j, k) of a [2, 3, 4] array is stored at i + 2 j + 6 k.
        assert_eq!(row_major(&[2, 3, 4], &stored)[4 * 3 + 4 + 2], 1.0 + 2.0 + 12.0);
    }

    #[test]
    fn channels_that_come_last_are_moved_to_the_front() {
        // One sample of 2 x 1 pixels with 3 channels: pixel 0 (c0 c1 c2), pixel 1 (c0 c1 c2).
        assert_eq!(
            places(&[1, 2, 1, 3], Layout::C),
            (vec![3, 2, 1], vec![0, 2, 4, 1, 3, 5])
        );
        assert_eq!(places(&[1, 3, 2, 1], Layout::C).0, [3, 2, 1]);
        for layout in [Layout::C, Layout::Fortran] {
            let (shape, mut all) = places(&[2, 5, 6, 3], layout);
            assert_eq!(shape, [3, 5, 6]);
            all.sort_unstable();
            assert_eq!(all, (0..180).collect::<Vec<_>>());
        }
    }
}
