//! NPZ archives: features and labels under the names people give them.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

use super::Array;
use crate::arrays::{Arrays, Features, LabelValues, Labels};
use crate::error::DataError;
use crate::options::ReadOptions;
use crate::scores::NumberArray;
use crate::source::{Source, most_inflated};
use crate::table::name_of;

/// The names of an array of features, and of the labels that go with it. Case does not matter.
type Names = (&'static [&'static str], &'static [&'static str]);

const WHOLE: Names = (
    &["x", "data", "features", "images"],
    &["y", "labels", "label", "target", "targets"],
);
const TRAIN: Names = (&["x_train", "train_images"], &["y_train", "train_labels"]);
const TEST: Names = (&["x_test", "test_images"], &["y_test", "test_labels"]);

type Zip = ZipArchive<BufReader<File>>;

/// An archive whose arrays are looked up by name.
pub(crate) struct Archive {
    path: PathBuf,
    zip: Zip,
    names: Vec<String>,
}

impl Archive {
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::io(path))?;
        let zip = ZipArchive::new(BufReader::new(file)).map_err(explain(path))?;
        Ok(Self {
            path: path.to_owned(),
            names: array_names(path, &zip)?,
            zip,
        })
    }

    /// The names of all arrays.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The first of the names wanted that is there.
    pub(crate) fn find(&self, wanted: &[&str]) -> Option<String> {
        let exact = wanted
            .iter()
            .find(|name| self.names.iter().any(|array| array == *name));
        exact.map(|name| (*name).to_owned())
    }

    /// The array called `name`.
    pub(crate) fn numbers(&mut self, name: &str, memory_limit: u64) -> Result<NumberArray, DataError> {
        open(&self.path, &mut self.zip, name)?.numbers(memory_limit)
    }

    /// The array of labels called `name`.
    pub(crate) fn labels(&mut self, name: &str, memory_limit: u64) -> Result<Labels, DataError> {
        open(&self.path, &mut self.zip, name)?.labels(memory_limit)
    }
}

/// The name of an array of features and of the labels that go with it.
type Pair = (String, String);

/// Reads the features and labels in the archive at `path`, or its published training and test parts.
pub(crate) fn read(path: &Path, options: &ReadOptions) -> Result<Arrays, DataError> {
    let file = File::open(path).map_err(DataError::io(path))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(explain(path))?;
    let (first, test) = pairs(path, &archive, options.target.as_deref())?;
    let mut values = Vec::new();
    let (shape, mut labels) = read_part(path, &mut archive, &first, options, &mut values)?;
    let mut published_test = None;
    if let Some(test) = test {
        let (test_shape, test_labels) = read_part(path, &mut archive, &test, options, &mut values)?;
        if test_shape != shape {
            let reason = format!("samples of `{}` and `{}` have different shapes", first.0, test.0);
            return Err(DataError::malformed(path, "NPZ", reason));
        }
        published_test = Some(labels.len());
        if !labels.append(test_labels) {
            let reason = format!(
                "labels are numbers in one of `{}` and `{}`, texts in the other",
                first.1, test.1
            );
            return Err(DataError::malformed(path, "NPZ", reason));
        }
    }
    let features = Features {
        file: path.to_owned(),
        shape,
        values,
    };
    Arrays::new(
        name_of(path),
        features,
        Labels {
            file: path.to_owned(),
            values: labels,
        },
        published_test,
    )
}

/// The names of the arrays; at least one.
fn array_names(path: &Path, archive: &Zip) -> Result<Vec<String>, DataError> {
    let mut arrays = Vec::new();
    for name in archive.file_names() {
        arrays.extend(
            name.map_err(explain(path))?
                .strip_suffix(".npy")
                .map(str::to_owned),
        );
    }
    if arrays.is_empty() {
        let found = "a ZIP archive without NPY arrays (a spreadsheet is to be exported as CSV)".into();
        return Err(DataError::Unrecognised {
            file: path.to_owned(),
            found,
        });
    }
    Ok(arrays)
}

/// Which arrays to read: one pair, or a training pair and a test pair.
fn pairs(path: &Path, archive: &Zip, target: Option<&str>) -> Result<(Pair, Option<Pair>), DataError> {
    let arrays = array_names(path, archive)?;
    let find = |wanted: &[&str]| {
        let named = |name: &&str| arrays.iter().find(|array| array.eq_ignore_ascii_case(name));
        wanted.iter().find_map(named).cloned()
    };
    let pair = |(features, labels): Names| Some((find(features)?, find(labels)?));
    if let Some(target) = target {
        let labels = arrays.iter().find(|&array| array == target).cloned();
        return match (find(WHOLE.0).or_else(|| find(TRAIN.0)), labels) {
            (Some(features), Some(labels)) => Ok(((features, labels), None)),
            (Some(_), None) => Err(DataError::NoLabels {
                file: path.to_owned(),
                tried: vec![target.to_owned()],
            }),
            (None, _) => Err(no_features(path, &arrays)),
        };
    }
    match (pair(WHOLE), pair(TRAIN), pair(TEST)) {
        (Some(whole), ..) => Ok((whole, None)),
        (None, Some(train), test) => Ok((train, test)),
        _ if find(WHOLE.0).is_none() => Err(no_features(path, &arrays)),
        _ => {
            let tried = WHOLE.1.iter().map(|&name| name.to_owned()).collect();
            Err(DataError::NoLabels {
                file: path.to_owned(),
                tried,
            })
        }
    }
}

/// Appends the features of one pair to `values`; returns the shape of a sample, and the labels.
fn read_part(
    path: &Path,
    archive: &mut Zip,
    (features, labels): &Pair,
    options: &ReadOptions,
    values: &mut Vec<f32>,
) -> Result<(Vec<usize>, LabelValues), DataError> {
    let before = values.len();
    let shape = open(path, archive, features)?.append_to(values, options)?;
    let labels_file = path.join(labels);
    let labels = open(path, archive, labels)?.labels(options.memory_limit)?.values;
    let samples = (values.len() - before) / shape.iter().product::<usize>();
    if samples != labels.len() {
        let file = path.join(features);
        return Err(DataError::LengthMismatch {
            file,
            samples,
            labels_file,
            labels: labels.len(),
        });
    }
    Ok((shape, labels))
}

fn open<'a>(path: &Path, archive: &'a mut Zip, name: &str) -> Result<Array<'a>, DataError> {
    let entry = archive.by_name(&format!("{name}.npy")).map_err(explain(path))?;
    let at_most = entry.size().min(most_inflated(entry.compressed_size()));
    // Errors name the array within the archive as if that were a folder.
    Array::open(
        &path.join(name),
        Source {
            reader: Box::new(entry),
            at_most,
            size: None,
        },
    )
}

fn no_features(path: &Path, arrays: &[String]) -> DataError {
    DataError::Unsupported {
        file: path.to_owned(),
        what: format!("an archive of the arrays {}", arrays.join(", ")),
        advice: "call the features `x` and the labels `y`: `numpy.savez(path, x=features, y=labels)`".into(),
    }
}

fn explain(path: &Path) -> impl Fn(ZipError) -> DataError {
    |error| match error {
        ZipError::Io(source) => DataError::Io {
            file: path.to_owned(),
            source,
        },
        other => DataError::malformed(path, "NPZ", other.to_string()),
    }
}
