//! A data set as a trial sees it: split, corrupted, thinned out and scaled, all by seed, without copying it.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use thalweg_data::imbalance::{self, Imbalance};
use thalweg_data::noise::{self, LabelNoise};
use thalweg_data::split::{self, Fractions};
use thalweg_data::standardize::Standardizer;
use thalweg_data::{DataError, Dataset};

use super::bags::{self, BagForming, PartBags, Parts, Responses};

/// What is done to a data set before a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataSpec {
    /// Fingerprint of the data set.
    pub fingerprint: String,
    /// Share of the samples held out for the test, where none is published.
    pub test_fraction: f64,
    /// Seed of that hold-out: one for all trials of a comparison, so that tuning never sees a test sample.
    pub test_seed: u64,
    /// Share of the other samples held out for validation.
    pub validation_fraction: f64,
    /// Label noise on what is trained and validated on; the test split keeps its labels.
    pub noise: Option<NoiseSpec>,
    /// Ratio of the largest to the smallest class in the training split, and the profile between.
    pub imbalance: Option<(f64, ImbalanceKind)>,
    /// What is done to the columns of a table.
    #[serde(default, skip_serializing_if = "Scaling::is_standardized")]
    pub scaling: Scaling,
    /// How bags are formed, where targets are known by bag only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bags: Option<BagForming>,
}

impl DataSpec {
    /// All of a data set as it is, to train on; its published test part is the test, where it has one.
    pub fn new(fingerprint: impl Into<String>) -> Self {
        Self {
            fingerprint: fingerprint.into(),
            test_fraction: 0.0,
            test_seed: 0,
            validation_fraction: 0.0,
            noise: None,
            imbalance: None,
            scaling: Scaling::Standardized,
            bags: None,
        }
    }
}

/// What is done to the columns of a table. Images keep their range whatever this says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// Brought to mean 0 and variance 1 on the training split.
    #[default]
    Standardized,
    /// Nothing.
    AsIs,
}

impl Scaling {
    fn is_standardized(&self) -> bool {
        *self == Self::Standardized
    }
}

/// Label noise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseSpec {
    /// Probability that a label is replaced.
    pub rate: f64,
    /// By what.
    pub kind: NoiseKind,
}

/// As [`LabelNoise`], for records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoiseKind {
    /// Any other class, equally likely.
    Uniform,
    /// Each class has its own rate and preferences.
    ClassDependent,
    /// The next class.
    Pair,
}

/// As [`Imbalance`], for records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImbalanceKind {
    /// A long tail.
    Exponential,
    /// Half of the classes large, half small.
    Step,
}

impl From<NoiseKind> for LabelNoise {
    fn from(kind: NoiseKind) -> Self {
        match kind {
            NoiseKind::Uniform => Self::Uniform,
            NoiseKind::ClassDependent => Self::ClassDependent,
            NoiseKind::Pair => Self::Pair,
        }
    }
}

impl From<ImbalanceKind> for Imbalance {
    fn from(kind: ImbalanceKind) -> Self {
        match kind {
            ImbalanceKind::Exponential => Self::Exponential,
            ImbalanceKind::Step => Self::Step,
        }
    }
}

/// A part of the data: which samples, and the labels they go by.
#[derive(Clone, Debug)]
pub struct Part {
    /// Sample numbers in the data set.
    pub rows: Vec<usize>,
    /// Their labels, as trained or judged with.
    pub labels: Vec<u32>,
    /// Their bags, where targets are known by bag only.
    pub bags: Option<PartBags>,
}

/// A data set ready for one trial.
pub struct Prepared {
    dataset: Arc<Dataset>,
    scaler: Option<Standardizer>,
    responses: Option<Responses>,
    /// To train on.
    pub train: Part,
    /// To tune by; empty where no share was held out.
    pub validation: Part,
    /// To judge the final model on.
    pub test: Part,
}

impl Prepared {
    /// Prepares `dataset` under `seed`.
    ///
    /// # Errors
    /// When a class has too few samples for the splits asked for.
    pub fn new(dataset: &Arc<Dataset>, spec: &DataSpec, seed: u64) -> Result<Self, DataError> {
        match spec.bags {
            Some(forming) => Self::in_bags(dataset, spec, forming, seed),
            None => Self::by_class(dataset, spec, seed),
        }
    }

    fn in_bags(
        dataset: &Arc<Dataset>,
        spec: &DataSpec,
        forming: BagForming,
        seed: u64,
    ) -> Result<Self, DataError> {
        let Parts { split, bags } = bags::split(dataset, spec, forming, seed)?;
        let rows = [split.train, split.validation, split.test];
        let mut parts = rows.into_iter().zip(bags).map(|(rows, bags)| Part {
            labels: rows.iter().map(|&row| dataset.labels[row]).collect(),
            bags: bags.map(|bags| bags::means(dataset, &rows, bags)),
            rows,
        });
        let mut next = || parts.next().expect("three parts");
        let (train, validation, test) = (next(), next(), next());
        let responses = train.bags.as_ref().map(|bags| Responses::of(dataset, bags));
        Ok(Self {
            dataset: Arc::clone(dataset),
            scaler: scaler(dataset, spec, &train.rows),
            responses,
            train,
            validation,
            test,
        })
    }

    fn by_class(dataset: &Arc<Dataset>, spec: &DataSpec, seed: u64) -> Result<Self, DataError> {
        let classes = dataset.classes.len();
        let fractions = Fractions {
            validation: 0.0,
            test: spec.test_fraction,
        };
        let held_out = split::of_dataset(dataset, fractions, spec.test_seed)?;
        let part = |rows: Vec<usize>| {
            let labels = rows.iter().map(|&row| dataset.labels[row]).collect();
            Part {
                rows,
                labels,
                bags: None,
            }
        };
        let mut rest = part(held_out.train);
        let fractions = Fractions {
            validation: spec.validation_fraction,
            test: 0.0,
        };
        let inner = split::stratified(&rest.labels, &dataset.classes, fractions, seed)?;
        if let Some(NoiseSpec { rate, kind }) = spec.noise {
            rest.labels = noise::apply(&rest.labels, classes, rate, kind.into(), seed);
        }
        let of_rest = |indices: &[usize]| Part {
            rows: indices.iter().map(|&i| rest.rows[i]).collect(),
            labels: indices.iter().map(|&i| rest.labels[i]).collect(),
            bags: None,
        };
        let mut train = of_rest(&inner.train);
        if let Some((ratio, kind)) = spec.imbalance {
            let kept = imbalance::keep(&train.labels, classes, ratio, kind.into(), seed);
            train = Part {
                rows: kept.iter().map(|&i| train.rows[i]).collect(),
                labels: kept.iter().map(|&i| train.labels[i]).collect(),
                bags: None,
            };
        }
        Ok(Self {
            dataset: Arc::clone(dataset),
            scaler: scaler(dataset, spec, &train.rows),
            responses: None,
            train,
            validation: of_rest(&inner.validation),
            test: part(held_out.test),
        })
    }

    /// The data set.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// What bag means are of, where targets are known by bag only.
    pub fn responses(&self) -> Option<&Responses> {
        self.responses.as_ref()
    }

    /// Numbers that a network is to answer a sample with.
    pub fn outputs(&self) -> usize {
        self.responses
            .as_ref()
            .map_or(self.dataset.classes.len(), |responses| responses.columns)
    }

    /// How features are scaled, where they are.
    pub fn scaler(&self) -> Option<&Standardizer> {
        self.scaler.as_ref()
    }

    /// The range that inputs live in, where they have one: `[0, 1]` for images.
    pub fn range(&self) -> Option<(f64, f64)> {
        is_image(&self.dataset).then_some((0.0, 1.0))
    }

    /// The inputs of some samples, row-major.
    pub fn features(&self, rows: &[usize]) -> Vec<f32> {
        let width = self.dataset.width();
        let mut features = Vec::with_capacity(rows.len() * width);
        for &row in rows {
            features.extend_from_slice(self.dataset.row(row));
        }
        if let Some(scaler) = &self.scaler {
            scaler.apply(&mut features);
        }
        features
    }

    /// The inputs `[rows, features]` of some samples.
    pub fn inputs(&self, rows: &[usize], device: &Device) -> Tensor<2> {
        let shape = [rows.len(), self.dataset.width()];
        Tensor::from_data(TensorData::new(self.features(rows), shape), device)
    }
}

/// Labels as burn takes them.
pub fn targets(labels: impl Iterator<Item = u32>, device: &Device) -> Tensor<1, Int> {
    let labels: Vec<i32> = labels.map(|label| label as i32).collect();
    let count = labels.len();
    Tensor::from_data(TensorData::new(labels, [count]), device)
}

/// Images keep their range, in which perturbations have a meaning; table columns have none in common.
fn scaler(dataset: &Dataset, spec: &DataSpec, rows: &[usize]) -> Option<Standardizer> {
    let scaled = spec.scaling.is_standardized() && !is_image(dataset);
    scaled.then(|| Standardizer::fit(dataset, rows))
}

fn is_image(dataset: &Dataset) -> bool {
    dataset.feature_shape.len() == 3
}
