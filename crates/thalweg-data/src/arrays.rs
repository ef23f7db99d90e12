//! Sets stored as an array of features beside an array of labels: what IDX, NPY and NPZ have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::dataset::Dataset;
use crate::error::{DataError, Place};
use crate::impute::{Gap, fill};
use crate::options::ReadOptions;
use crate::source::check_memory;
use crate::table::class_problem;

/// Features as read, whether or not they can be used.
#[derive(Debug)]
pub(crate) struct Features {
    pub(crate) file: PathBuf,
    /// The shape of one sample.
    pub(crate) shape: Vec<usize>,
    /// `[samples, shape]`, NaN where a value is missing.
    pub(crate) values: Vec<f32>,
}

/// The labels of samples.
#[derive(Debug)]
pub(crate) struct Labels {
    pub(crate) file: PathBuf,
    pub(crate) values: LabelValues,
}

#[derive(Debug)]
pub(crate) enum LabelValues {
    Numbers(Vec<f64>),
    Texts(Vec<String>),
}

impl LabelValues {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Texts(texts) => texts.len(),
        }
    }

    /// Adds labels of the same kind; false if they are not.
    pub(crate) fn append(&mut self, more: Self) -> bool {
        match (self, more) {
            (Self::Numbers(numbers), Self::Numbers(more)) => numbers.extend(more),
            (Self::Texts(texts), Self::Texts(more)) => texts.extend(more),
            _ => return false,
        }
        true
    }
}

/// Features with labels that fit them.
#[derive(Debug)]
pub(crate) struct Arrays {
    pub(crate) name: String,
    pub(crate) features: Features,
    pub(crate) labels: Vec<u32>,
    pub(crate) classes: Vec<String>,
    pub(crate) published_test: Option<usize>,
}

impl Features {
    pub(crate) fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// The number of missing values of each feature.
    pub(crate) fn missing(&self) -> Vec<usize> {
        let mut missing = vec![0; self.width()];
        for row in self.values.chunks_exact(self.width()) {
            for (count, value) in missing.iter_mut().zip(row) {
                *count += usize::from(value.is_nan());
            }
        }
        missing
    }

    /// `pixel 3,14` in images, else `feature 7`; all counted from 1.
    pub(crate) fn names(&self) -> Vec<String> {
        match self.shape[..] {
            [channels, height, width] => (0..channels * height * width)
                .map(|index| {
                    let (channel, pixel) = (index / (height * width), index % (height * width));
                    let (row, column) = (pixel / width + 1, pixel % width + 1);
                    match channels {
                        1 => format!("pixel {row},{column}"),
                        _ => format!("pixel {row},{column} of channel {}", channel + 1),
                    }
                })
                .collect(),
            _ => (1..=self.width())
                .map(|number| format!("feature {number}"))
                .collect(),
        }
    }
}

impl Arrays {
    pub(crate) fn new(
        name: String,
        features: Features,
        labels: Labels,
        published_test: Option<usize>,
    ) -> Result<Self, DataError> {
        let samples = features.values.len() / features.width();
        if labels.values.len() != samples {
            return Err(DataError::LengthMismatch {
                file: features.file,
                samples,
                labels_file: labels.file,
                labels: labels.values.len(),
            });
        }
        let (classes, labels) = match labels.values {
            LabelValues::Numbers(numbers) => classes_of_numbers(&labels.file, &numbers)?,
            LabelValues::Texts(texts) => classes_of_texts(&texts),
        };
        Ok(Self {
            name,
            features,
            labels,
            classes,
            published_test,
        })
    }

    /// Everything that keeps the set from being used, most basic first.
    pub(crate) fn check(&self, options: &ReadOptions) -> Vec<DataError> {
        let Features { file, values, .. } = &self.features;
        let names = self.features.names();
        let mut problems = Vec::new();
        if let Some(index) = values.iter().position(|value| value.is_infinite()) {
            let place =
                Place::row(file, (index / names.len()) as u64 + 1).column(&names[index % names.len()]);
            problems.push(DataError::NotFinite {
                place,
                value: values[index].to_string(),
            });
        }
        let missing = self.features.missing();
        if options.impute.is_none() && missing.iter().any(|&count| count > 0) {
            problems.push(DataError::MissingValues {
                file: file.clone(),
                columns: names
                    .into_iter()
                    .zip(missing)
                    .filter(|(_, count)| *count > 0)
                    .collect(),
                rows: self.labels.len(),
            });
        }
        problems.extend(class_problem(file, "labels", &self.classes, self.labels.len()));
        problems
    }

    pub(crate) fn into_dataset(mut self, options: &ReadOptions) -> Result<Dataset, DataError> {
        if let Some(problem) = self.check(options).into_iter().next() {
            return Err(problem);
        }
        if let Some(impute) = options.impute {
            let (missing, samples) = (self.features.missing(), self.labels.len());
            let gaps: Vec<(usize, Gap)> = (0..missing.len())
                .filter(|&index| (1..samples).contains(&missing[index]))
                .map(|index| (index, Gap::Number(impute)))
                .collect();
            let width = missing.len();
            fill(&mut self.features.values, width, &gaps);
            // A feature without any value carries nothing; arrays keep their shape, so it becomes constant.
            for value in self.features.values.iter_mut().filter(|value| value.is_nan()) {
                *value = 0.0;
            }
        }
        Ok(Dataset {
            name: self.name,
            feature_names: self.features.names(),
            features: self.features.values,
            labels: self.labels,
            classes: self.classes,
            feature_shape: self.features.shape,
            published_test: self.published_test,
            numbers: None,
            bags: None,
            licence: None,
        })
    }
}

/// The file of labels that `target` names: as a path, else beside `features`.
pub(crate) fn labels_file(features: &Path, target: &str) -> PathBuf {
    let beside = features.with_file_name(target);
    if !Path::new(target).exists() && beside.exists() {
        beside
    } else {
        target.into()
    }
}

/// How many numbers an array of this shape holds, if its features (4 bytes each) fit the memory.
pub(crate) fn checked_count(path: &Path, shape: &[usize], limit: u64) -> Result<u64, DataError> {
    let count = shape
        .iter()
        .fold(1u64, |product, &side| product.saturating_mul(side as u64));
    if shape.contains(&0) {
        return Err(DataError::Empty {
            file: path.to_owned(),
            what: "the array has no elements",
        });
    }
    check_memory(path, count.saturating_mul(4), limit)?;
    Ok(count)
}

pub(crate) fn classes_of_numbers(file: &Path, numbers: &[f64]) -> Result<(Vec<String>, Vec<u32>), DataError> {
    // Ordered by the bits of whole numbers, so that no class depends on how a float is printed.
    let mut whole = Vec::with_capacity(numbers.len());
    for (index, &number) in numbers.iter().enumerate() {
        if number.fract() != 0.0 || number.abs() > 2f64.powi(53) {
            let place = Place::row(file, index as u64 + 1).column("labels");
            return Err(DataError::NotAClass {
                place,
                value: number.to_string(),
            });
        }
        whole.push(number as i64);
    }
    let distinct: BTreeSet<i64> = whole.iter().copied().collect();
    let codes: BTreeMap<i64, u32> = distinct.iter().copied().zip(0..).collect();
    Ok((
        distinct.iter().map(i64::to_string).collect(),
        whole.iter().map(|number| codes[number]).collect(),
    ))
}

pub(crate) fn classes_of_texts(texts: &[String]) -> (Vec<String>, Vec<u32>) {
    let distinct: BTreeSet<&String> = texts.iter().collect();
    let codes: BTreeMap<&String, u32> = distinct.iter().copied().zip(0..).collect();
    (
        distinct.iter().map(|&text| text.clone()).collect(),
        texts.iter().map(|text| codes[text]).collect(),
    )
}
