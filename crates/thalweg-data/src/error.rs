//! What can be wrong with a data set, said so that its owner can put it right.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::useless::Useless;

/// Where in a file something was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as its path was given.
    pub file: PathBuf,
    /// The line, counted from 1, in a text file.
    pub line: Option<u64>,
    /// The row or sample, counted from 1, in a file that has no lines.
    pub row: Option<u64>,
    /// The name of the column.
    pub column: Option<String>,
}

impl Place {
    pub(crate) fn line(file: &Path, line: u64) -> Self {
        Self {
            file: file.to_owned(),
            line: Some(line),
            row: None,
            column: None,
        }
    }

    pub(crate) fn row(file: &Path, row: u64) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            row: Some(row),
            column: None,
        }
    }

    pub(crate) fn column(self, name: &str) -> Self {
        Self {
            column: Some(name.to_owned()),
            ..self
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(row) = self.row {
            write!(f, ", row {row}")?;
        }
        if let Some(column) = &self.column {
            write!(f, ", column `{column}`")?;
        }
        Ok(())
    }
}

/// Why a data set cannot be used. The text says what is wrong and where; [`DataError::help`] says what to do.
#[derive(Debug, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "each field is what its name says, and the message above it spells it out"
)]
pub enum DataError {
    /// The file cannot be opened or read.
    #[error("{}: {source}", file.display())]
    Io { file: PathBuf, source: io::Error },

    /// There is nothing in the file, or nothing after its header.
    #[error("{}: {what}", file.display())]
    Empty { file: PathBuf, what: &'static str },

    /// No reader knows this kind of file.
    #[error("{}: {found}, not a data set", file.display())]
    Unrecognised { file: PathBuf, found: String },

    /// The file breaks the rules of its format.
    #[error("{}: not a valid {format} file: {reason}", file.display())]
    Malformed {
        file: PathBuf,
        format: &'static str,
        reason: String,
    },

    /// The format allows it, this library does not read it.
    #[error("{}: {what} cannot be read", file.display())]
    Unsupported {
        file: PathBuf,
        what: String,
        advice: String,
    },

    /// A header promises another amount of data than the file holds.
    #[error("{}: its header promises {promised} bytes of data, the file holds {held}", file.display())]
    SizeMismatch {
        file: PathBuf,
        promised: String,
        held: String,
    },

    /// The arrays would not fit the memory allowed for them.
    #[error("{}: needs {} of memory, and {} are allowed", file.display(), Bytes(*needed), Bytes(*limit))]
    TooLarge { file: PathBuf, needed: u64, limit: u64 },

    /// A byte of a text file does not belong to UTF-8.
    #[error("{place}, byte {offset}: not UTF-8 text (found byte 0x{byte:02X})")]
    NotUtf8 { place: Place, offset: u64, byte: u8 },

    /// Two columns have the same name.
    #[error("{}: columns {first} and {second} are both called `{name}`", file.display())]
    DuplicateHeader {
        file: PathBuf,
        name: String,
        first: usize,
        second: usize,
    },

    /// A row has more or fewer fields than the first one.
    #[error("{place}: {} where the first row has {expected}", plural(*found, "field"))]
    RaggedRow { place: Place, expected: u64, found: u64 },

    /// A row goes on for longer than any sensible row.
    #[error("{place}: a row longer than {} starts here", Bytes(*limit))]
    LongRow { place: Place, limit: u64 },

    /// A text among the numbers of a column.
    #[error("{place}: `{value}` is not a number, as {numbers} other values of the column are")]
    NotANumber {
        place: Place,
        value: String,
        numbers: usize,
    },

    /// An infinity, or a number beyond the range of 32-bit floating point.
    #[error("{place}: `{value}` is not a finite 32-bit number")]
    NotFinite { place: Place, value: String },

    /// Values are missing in feature columns.
    #[error("{}: {} of {rows} rows: {}", file.display(), plural(total(columns), "missing value"), by_column(columns))]
    MissingValues {
        file: PathBuf,
        columns: Vec<(String, usize)>,
        rows: usize,
    },

    /// Rows without a bag.
    #[error("{place}: the bag is missing{}", and_more(*count))]
    MissingBag { place: Place, count: usize },

    /// One column was named for both.
    #[error("{}: `{column}` cannot be both the target and the bag", file.display())]
    TargetIsBag { file: PathBuf, column: String },

    /// Bags were asked for where there are no columns.
    #[error("{}: bags are told by a column, and this is no table", file.display())]
    BagsWithoutTable { file: PathBuf },

    /// Fewer bags than a split has parts.
    #[error("a split into {needed} parts needs as many bags, and there {}", are(*bags))]
    FewBags { bags: usize, needed: usize },

    /// Rows without a class.
    #[error("{place}: the class is missing{}", and_more(*count))]
    MissingTarget { place: Place, count: usize },

    /// No column has the name or number asked for.
    #[error("{}: there is no column `{wanted}`; the columns are {}", file.display(), listed(columns))]
    NoSuchColumn {
        file: PathBuf,
        wanted: String,
        columns: Vec<String>,
    },

    /// Several columns could hold the classes.
    #[error("{}: any of {} could be the target column", file.display(), listed(candidates))]
    AmbiguousTarget { file: PathBuf, candidates: Vec<String> },

    /// A table with nothing beside its target.
    #[error("{}: only one column (`{column}`), and a target needs at least one other to be told from", file.display())]
    OneColumn { file: PathBuf, column: String },

    /// Columns that cannot help to tell classes apart, or would do so by accident.
    #[error("{}: {}", file.display(), reasons(columns))]
    UselessColumns {
        file: PathBuf,
        columns: Vec<(String, Useless)>,
    },

    /// Too many classes for the rows: a quantity or an identifier was taken for a class.
    #[error("{}: the target `{column}` has {classes} different values in {rows} rows: not classes", file.display())]
    ManyClasses {
        file: PathBuf,
        column: String,
        classes: usize,
        rows: usize,
    },

    /// A label that is no whole number.
    #[error("{place}: `{value}` is not a class: numbers of classes are whole")]
    NotAClass { place: Place, value: String },

    /// All samples are of the same class.
    #[error("{}: every sample is of the one class `{class}`", file.display())]
    OneClass { file: PathBuf, class: String },

    /// A class too rare to be in every part of a split.
    #[error("class `{class}` has {count} of the {needed} samples a split needs of each class")]
    SmallClass {
        class: String,
        count: usize,
        needed: usize,
    },

    /// Features were found, their labels were not.
    #[error("{}: no labels found (looked for {})", file.display(), listed(tried))]
    NoLabels { file: PathBuf, tried: Vec<String> },

    /// As many labels as samples are needed.
    #[error("{}: {samples} samples, but {labels} labels in {}", file.display(), labels_file.display())]
    LengthMismatch {
        file: PathBuf,
        samples: usize,
        labels_file: PathBuf,
        labels: usize,
    },
}

impl DataError {
    pub(crate) fn io(file: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io {
            file: file.to_owned(),
            source,
        }
    }

    pub(crate) fn malformed(file: &Path, format: &'static str, reason: impl Into<String>) -> Self {
        Self::Malformed {
            file: file.to_owned(),
            format,
            reason: reason.into(),
        }
    }

    /// What the owner of the data can do about it, where something can be said.
    pub fn help(&self) -> Option<String> {
        let say = |text: &str| Some(text.to_owned());
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Some(format!(
                "check the path; the built-in data sets are {}",
                listed(
                    &crate::embedded::list()
                        .iter()
                        .map(|set| set.name.to_owned())
                        .collect::<Vec<_>>()
                )
            )),
            Self::Io { .. } | Self::Empty { .. } => None,
            Self::Unrecognised { .. } => say(
                "read are CSV and TSV, Parquet, IDX (also .gz), NPY and NPZ files, and folders of IDX files",
            ),
            Self::Malformed { .. } | Self::SizeMismatch { .. } => {
                say("the file is damaged or cut short: fetch or write it again")
            }
            Self::Unsupported { advice, .. } => Some(advice.clone()),
            Self::TooLarge { needed, .. } => Some(format!(
                "allow more with `--memory {}`, or take fewer rows or columns",
                Bytes(*needed).to_string().replace(' ', "")
            )),
            Self::NotUtf8 { .. } => {
                say("save the file as UTF-8, for example with `iconv -f latin1 -t utf-8`")
            }
            Self::DuplicateHeader { .. } => say("rename one of the two"),
            Self::RaggedRow { .. } => {
                say("a field that holds the delimiter must be in double quotes; check the quotes above, too")
            }
            Self::LongRow { .. } => say("a double quote is probably left open there"),
            Self::NotANumber { .. } => say(
                "correct the value (a decimal sign is a point), or leave the field empty and fill it with `--impute mean`",
            ),
            Self::NotFinite { .. } => {
                say("correct the value, or leave the field empty and use `--impute median`")
            }
            Self::MissingValues { .. } => say(
                "fill them with `--impute mean` or `--impute median` (categories: the most frequent), or leave a column out with `--drop COLUMN`",
            ),
            Self::MissingTarget { .. } => {
                say("a row without a class teaches nothing: remove it, or choose another `--target`")
            }
            Self::MissingBag { .. } => {
                say("a row of no bag has no target: remove it, or choose another `--bag`")
            }
            Self::TargetIsBag { .. } => {
                say("name the column of the targets with `--target`, that of the bags with `--bag`")
            }
            Self::BagsWithoutTable { .. } => say(
                "save the samples as CSV or Parquet with a column of bags, or use `--bags-of N` for random ones",
            ),
            Self::FewBags { .. } => say(
                "bags are kept whole in the parts to train on, to tune by and to test on: more are needed",
            ),
            Self::NoSuchColumn { .. } => {
                say("a column is chosen by its name, or by its number counted from 1")
            }
            Self::AmbiguousTarget { candidates, .. } => candidates
                .first()
                .map(|first| format!("say which, for example `--target {}`", shell_word(first))),
            Self::OneColumn { .. } => say("fields are separated by comma, semicolon, tab or |"),
            Self::UselessColumns { columns, .. } => {
                let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
                Some(format!(
                    "leave out what is no feature: `--drop {}`",
                    shell_word(&names.join(","))
                ))
            }
            Self::ManyClasses { .. } | Self::NotAClass { .. } => {
                say("choose the column of the classes with `--target COLUMN`")
            }
            Self::OneClass { .. } => say(
                "telling classes apart needs two; choose the column of the classes with `--target COLUMN`",
            ),
            Self::SmallClass { .. } => say("add samples of the class, merge it with another, or remove it"),
            Self::NoLabels { .. } => say(
                "name the labels with `--target`: a file beside an IDX or NPY file, an array within an NPZ file",
            ),
            Self::LengthMismatch { .. } => {
                say("the labels belong to another file, or one of the two is incomplete")
            }
        }
    }
}

fn are(bags: usize) -> String {
    match bags {
        1 => "is 1".to_owned(),
        bags => format!("are {bags}"),
    }
}

/// A number of bytes as people say it.
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
        if self.0 < 1024 {
            return write!(f, "{} bytes", self.0);
        }
        let mut amount = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while amount >= 1000.0 && unit + 1 < UNITS.len() {
            amount /= 1024.0;
            unit += 1;
        }
        // Rounded up: what is asked for must be enough.
        write!(f, "{} {}", (amount * 10.0).ceil() / 10.0, UNITS[unit])
    }
}

/// A text as one word of a command line.
pub(crate) fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-.,:/=+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

const SHOWN: usize = 8;

fn shortened(items: impl ExactSizeIterator<Item = String>, separator: &str) -> String {
    let more = items.len().saturating_sub(SHOWN);
    let mut shown = items.take(SHOWN).collect::<Vec<_>>().join(separator);
    if more > 0 {
        shown += &format!("{separator}and {more} more");
    }
    shown
}

fn listed(names: &[String]) -> String {
    shortened(names.iter().map(|name| format!("`{name}`")), ", ")
}

fn by_column(columns: &[(String, usize)]) -> String {
    shortened(
        columns.iter().map(|(name, count)| format!("{count} in `{name}`")),
        ", ",
    )
}

fn reasons(columns: &[(String, Useless)]) -> String {
    shortened(
        columns.iter().map(|(name, why)| format!("column `{name}` {why}")),
        "; ",
    )
}

fn total(columns: &[(String, usize)]) -> u64 {
    columns.iter().map(|(_, count)| *count as u64).sum()
}

fn plural(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

fn and_more(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        _ => format!(", here and in {}", plural(count as u64 - 1, "more row")),
    }
}
