//! Scores that a model gave to samples, with labels and the scores of transformed views: what post-hoc calibration starts
//! from. In: NPZ, NPY or CSV, as any framework leaves them. Out: validated arrays.

mod csv_scores;
mod error;
mod labels;

use std::fs::File;
use std::path::{Path, PathBuf};

pub use error::ScoreError;

use crate::error::Place;
use crate::npy::{self, Archive};
use crate::open::{Format, format};
use crate::source;
use labels::RawLabels;

/// Names of the array of scores in an archive, if none is given.
const LOGITS: [&str; 5] = ["logits", "scores", "outputs", "predictions", "arr_0"];
/// Names of the labels in an archive or of their column in a table, if none is given.
const LABELS: [&str; 5] = ["labels", "label", "targets", "target", "y"];
/// Names of the views in an archive, if none is given.
const VIEWS: [&str; 2] = ["views", "view_logits"];

/// A numeric array, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberArray {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Elements.
    pub values: Vec<f64>,
}

/// Where scores and what belongs to them are.
#[derive(Clone, Debug)]
pub struct ScoreOptions {
    /// Array of the scores in an NPZ archive; by default `logits`, `scores`, `outputs`, `predictions`, `arr_0`, or the
    /// only one.
    pub logits: Option<String>,
    /// An array of the archive, a column of the table, or a file; by default the array or column called `labels`,
    /// `label`, `targets`, `target` or `y`.
    pub labels: Option<String>,
    /// Arrays of the archive, or files: each one view `[N, C]` or several `[V, N, C]`; by default the array called `views`
    /// or `view_logits`.
    pub views: Vec<String>,
    /// The most bytes any one array may take.
    pub memory_limit: u64,
}

/// Finite scores, with labels and views that fit them.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreSet {
    /// What the set is called: its file's name without extensions.
    pub name: String,
    /// Scores, `[samples, classes]`, at least two classes.
    pub scores: NumberArray,
    /// Names of the classes, where the file has any.
    pub classes: Option<Vec<String>>,
    /// A class for each sample, where there are labels.
    pub labels: Option<Vec<usize>>,
    /// Scores of transformed views, `[views, samples, classes]`.
    pub views: Option<NumberArray>,
}

/// Reads scores and what belongs to them.
///
/// Labels are class numbers from 0, or the names of the columns of scores in a table.
///
/// # Errors
/// When something is missing, of the wrong shape, not finite, or no class; see [`ScoreError`].
pub fn read(path: &Path, options: &ScoreOptions) -> Result<ScoreSet, ScoreError> {
    let mut opened = open(path, options)?;
    let [samples, classes] = opened.scores.shape[..] else {
        return Err(ScoreError::shape(path, &opened.scores, "[samples, classes]"));
    };
    if classes < 2 {
        return Err(ScoreError::shape(
            path,
            &opened.scores,
            "[samples, at least 2 classes]",
        ));
    }
    let column = |class: usize| match &opened.classes {
        Some(names) => names[class].clone(),
        None => format!("class {class}"),
    };
    check_finite(&opened.scores, |row| Place::row(path, row as u64 + 1), column)?;
    let views = views(path, &mut opened, options, (samples, classes))?;
    let labels = match opened.labels.take() {
        Some(raw) => Some(raw),
        None => options
            .labels
            .as_ref()
            .map(|labels| labels::from_file(path, labels, options))
            .transpose()?,
    };
    let labels = labels
        .map(|raw| raw.resolve(path, samples, classes, opened.classes.as_deref()))
        .transpose()?;
    Ok(ScoreSet {
        name: crate::table::name_of(path),
        scores: opened.scores,
        classes: opened.classes,
        labels,
        views,
    })
}

/// A file of scores, opened.
struct Opened {
    scores: NumberArray,
    classes: Option<Vec<String>>,
    labels: Option<RawLabels>,
    archive: Option<Archive>,
}

fn open(path: &Path, options: &ScoreOptions) -> Result<Opened, ScoreError> {
    let plain = |scores: NumberArray| Opened {
        scores,
        classes: None,
        labels: None,
        archive: None,
    };
    match format(path, &source::head(path, 4096)?)? {
        Format::Npy => Ok(plain(npy::read_numbers(path, options.memory_limit)?)),
        Format::Npz => {
            let mut archive = Archive::open(path)?;
            let name = match &options.logits {
                Some(name) => archive
                    .find(&[name])
                    .ok_or_else(|| missing(path, name, &archive))?,
                None => {
                    let only = match archive.names() {
                        [only] => Some(only.clone()),
                        _ => None,
                    };
                    let found = archive.find(&LOGITS).or(only);
                    found.ok_or_else(|| ScoreError::WhichArray {
                        file: path.to_owned(),
                        arrays: archive.names().to_vec(),
                    })?
                }
            };
            let scores = archive.numbers(&name, options.memory_limit)?;
            let wanted: Vec<&str> = match &options.labels {
                Some(name) => vec![name],
                None => LABELS.to_vec(),
            };
            let labels = match archive.find(&wanted) {
                Some(name) => Some(labels::from_archive(&mut archive, &name, options)?),
                None => None,
            };
            Ok(Opened {
                scores,
                classes: None,
                labels,
                archive: Some(archive),
            })
        }
        Format::Csv => csv_scores::read(path, options),
        Format::Parquet | Format::Idx => Err(ScoreError::Kind {
            file: path.to_owned(),
        }),
    }
}

fn missing(path: &Path, name: &str, archive: &Archive) -> ScoreError {
    ScoreError::NoArray {
        file: path.to_owned(),
        wanted: name.to_owned(),
        arrays: archive.names().to_vec(),
    }
}

/// All views, one after another.
fn views(
    path: &Path,
    opened: &mut Opened,
    options: &ScoreOptions,
    (samples, classes): (usize, usize),
) -> Result<Option<NumberArray>, ScoreError> {
    let mut wanted = options.views.clone();
    if wanted.is_empty() {
        wanted.extend(opened.archive.as_ref().and_then(|archive| archive.find(&VIEWS)));
    }
    let mut values = Vec::new();
    for name in &wanted {
        let (place, array) = view(path, opened.archive.as_mut(), name, options)?;
        let fits = match array.shape[..] {
            [n, c] | [_, n, c] => (n, c) == (samples, classes),
            _ => false,
        };
        if !fits {
            let expected = format!("[views, {samples}, {classes}] as the scores have it");
            return Err(ScoreError::shape(&place, &array, &expected));
        }
        let of = |row: usize| Place::row(&place, (row % samples) as u64 + 1);
        let before = values.len() / (samples * classes);
        let row = |row: usize| {
            format!(
                "class {} of view {}",
                row % classes,
                before + row / classes / samples + 1
            )
        };
        if let Some(at) = array.values.iter().position(|value| !value.is_finite()) {
            return Err(ScoreError::NotFinite {
                place: of(at / classes).column(&row(at)),
                value: array.values[at].to_string(),
            });
        }
        values.extend(array.values);
    }
    let count = values.len() / (samples * classes);
    Ok((count > 0).then_some(NumberArray {
        shape: vec![count, samples, classes],
        values,
    }))
}

/// An array of the archive, else a file.
fn view(
    path: &Path,
    archive: Option<&mut Archive>,
    name: &str,
    options: &ScoreOptions,
) -> Result<(PathBuf, NumberArray), ScoreError> {
    if let Some(archive) = archive
        && let Some(found) = archive.find(&[name])
    {
        return Ok((path.join(&found), archive.numbers(&found, options.memory_limit)?));
    }
    let file = beside(path, name)?;
    let alone = ScoreOptions {
        logits: None,
        labels: None,
        views: Vec::new(),
        memory_limit: options.memory_limit,
    };
    // Found by the names of views before those of scores where it is an archive.
    let scores = match format(&file, &source::head(&file, 4096)?)? {
        Format::Npz => {
            let mut archive = Archive::open(&file)?;
            match archive.find(&VIEWS) {
                Some(found) => archive.numbers(&found, options.memory_limit)?,
                None => open(&file, &alone)?.scores,
            }
        }
        _ => open(&file, &alone)?.scores,
    };
    Ok((file, scores))
}

/// The file called `name`: as a path, else beside `path`.
fn beside(path: &Path, name: &str) -> Result<PathBuf, ScoreError> {
    let file = crate::arrays::labels_file(path, name);
    if File::open(&file).is_ok() {
        return Ok(file);
    }
    Err(ScoreError::NoSuch {
        file: path.to_owned(),
        wanted: name.to_owned(),
    })
}

fn check_finite(
    array: &NumberArray,
    place: impl Fn(usize) -> Place,
    column: impl Fn(usize) -> String,
) -> Result<(), ScoreError> {
    let classes = array.shape[1];
    match array.values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(ScoreError::NotFinite {
            place: place(at / classes).column(&column(at % classes)),
            value: array.values[at].to_string(),
        }),
        None => Ok(()),
    }
}
