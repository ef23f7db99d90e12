//! What is in a data set, at a glance; also of one that cannot be used yet, to see why.

use std::path::Path;

use serde::Serialize;

use crate::arrays::Arrays;
use crate::dataset::{Dataset, count_labels};
use crate::error::DataError;
use crate::open::{Raw, read};
use crate::options::ReadOptions;
use crate::table::{Content, Table, Target};

/// Bins of a histogram, and the most categories shown in one.
const BINS: usize = 16;

/// A summary of a data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Description {
    /// What the set is called.
    pub name: String,
    /// The number of samples.
    pub samples: usize,
    /// The shape of one sample, categories counted one-hot. Images are `[channels, height, width]`.
    pub feature_shape: Vec<usize>,
    /// The column of the classes, in a table.
    pub target: Option<String>,
    /// The classes.
    pub classes: Vec<Class>,
    /// How many times as large as the smallest class the largest is.
    pub imbalance_ratio: f64,
    /// The number of missing values.
    pub missing: usize,
    /// The number of features that are the same in all samples.
    pub constant_features: usize,
    /// Samples from here on are the published test part.
    pub published_test: Option<usize>,
    /// Licence and source, where they are known.
    pub licence: Option<String>,
    /// The columns of a table or the features of an array; of images, the channels.
    pub columns: Vec<Column>,
    /// What keeps the set from being used as it is.
    pub problems: Vec<Problem>,
}

/// A class and its size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Class {
    /// The name of the class.
    pub name: String,
    /// The number of its samples.
    pub count: usize,
}

/// A summary of the values of a column.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    /// The name of the column.
    pub name: String,
    /// The number of missing values.
    pub missing: usize,
    /// What its values are like.
    #[serde(flatten)]
    pub values: Values,
    /// A row of block characters: of numbers, how many fall to each of 16 equal parts of their range; of categories,
    /// how frequent the most frequent are, in falling order.
    pub histogram: String,
}

/// What the values of a column are like.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Values {
    /// There are none.
    None,
    /// Numbers.
    Numbers {
        /// The smallest.
        min: f64,
        /// Their mean.
        mean: f64,
        /// The largest.
        max: f64,
        /// Their standard deviation.
        std: f64,
    },
    /// Categories.
    Categories {
        /// How many there are.
        distinct: usize,
        /// The one that comes most often.
        most_frequent: String,
    },
}

/// Something that keeps a set from being used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Problem {
    /// What and where it is.
    pub message: String,
    /// What can be done about it.
    pub help: Option<String>,
}

impl From<DataError> for Problem {
    fn from(error: DataError) -> Self {
        Self {
            message: error.to_string(),
            help: error.help(),
        }
    }
}

/// Describes the data set at `path`, which is found as by [`open`](crate::open).
///
/// # Errors
/// When it cannot be read as a table or array. What only keeps it from being used is among the problems of the
/// description: missing values, useless columns, a single class.
pub fn describe(path: &Path, options: &ReadOptions) -> Result<Description, DataError> {
    Ok(match read(path, options)? {
        Raw::Table(table) => of_table(table, options),
        Raw::Arrays(arrays) => of_arrays(arrays, options),
        Raw::Embedded(dataset) => of_dataset(&dataset),
    })
}

/// Describes a data set in memory.
pub fn of_dataset(dataset: &Dataset) -> Description {
    let labels = match dataset.numbers {
        Some(_) => &[],
        None => &dataset.labels[..],
    };
    let mut description = of_features(
        &dataset.features,
        &dataset.feature_shape,
        &dataset.feature_names,
        &dataset.classes,
        labels,
    );
    if let Some(targets) = &dataset.numbers {
        let values = || targets.values.iter().map(|&value| value as f32);
        description.columns.push(numbers(targets.name.clone(), values));
        description.target = Some(targets.name.clone());
    }
    Description {
        name: dataset.name.clone(),
        samples: dataset.len(),
        missing: 0,
        published_test: dataset.published_test,
        licence: dataset.licence.clone(),
        problems: Vec::new(),
        ..description
    }
}

fn of_arrays(arrays: Arrays, options: &ReadOptions) -> Description {
    let problems = arrays.check(options).into_iter().map(Problem::from).collect();
    let features = &arrays.features;
    Description {
        published_test: arrays.published_test,
        problems,
        name: arrays.name,
        ..of_features(
            &features.values,
            &features.shape,
            &features.names(),
            &arrays.classes,
            &arrays.labels,
        )
    }
}

fn of_features(
    features: &[f32],
    shape: &[usize],
    names: &[String],
    classes: &[String],
    labels: &[u32],
) -> Description {
    let width = names.len();
    let values = |feature: usize| features.iter().skip(feature).step_by(width).copied();
    let columns: Vec<Column> = match *shape {
        [channels, height, side] => (0..channels)
            .map(|channel| {
                let name = if channels == 1 {
                    "pixels".into()
                } else {
                    format!("channel {}", channel + 1)
                };
                let pixels = height * side;
                let all = || {
                    features
                        .chunks_exact(width)
                        .flat_map(|sample| &sample[channel * pixels..][..pixels])
                };
                numbers(name, || all().copied())
            })
            .collect(),
        _ => (0..width)
            .map(|feature| numbers(names[feature].clone(), || values(feature)))
            .collect(),
    };
    let constant = |feature: &usize| {
        let first = values(*feature).next();
        values(*feature).all(|value| Some(value) == first)
    };
    let counts = count_labels(labels, classes.len());
    Description {
        name: String::new(),
        samples: labels.len(),
        feature_shape: shape.to_vec(),
        target: None,
        imbalance_ratio: imbalance_ratio(&counts),
        classes: named(classes, counts),
        missing: columns.iter().map(|column| column.missing).sum(),
        constant_features: (0..width).filter(constant).count(),
        published_test: None,
        licence: None,
        columns,
        problems: Vec::new(),
    }
}

fn of_table(mut table: Table, options: &ReadOptions) -> Description {
    let problems: Vec<Problem> = table
        .check(options.impute)
        .into_iter()
        .map(Problem::from)
        .collect();
    let columns: Vec<Column> = (0..table.columns.len())
        .map(|index| {
            let column = &table.columns[index];
            let summary = match &column.content {
                Content::Numbers => numbers(column.name.clone(), || table.values(index)),
                Content::Categories(names) => categories(column.name.clone(), names, || table.present(index)),
            };
            Column {
                missing: column.missing,
                ..summary
            }
        })
        .collect();
    let width = |column: &crate::table::Column| match &column.content {
        Content::Numbers => 1,
        Content::Categories(categories) => categories.len(),
    };
    let labelled: Vec<u32> = table
        .target
        .labels
        .iter()
        .copied()
        .filter(|&label| label != Target::MISSING)
        .collect();
    let counts = count_labels(&labelled, table.target.classes.len());
    let is_constant = |column: &&Column| match &column.values {
        Values::None => true,
        Values::Numbers { min, max, .. } => min == max,
        Values::Categories { distinct, .. } => *distinct == 1,
    };
    Description {
        name: crate::table::name_of(&table.file),
        samples: table.rows(),
        feature_shape: vec![table.columns.iter().map(width).sum()],
        imbalance_ratio: imbalance_ratio(&counts),
        classes: named(&table.target.classes, counts),
        target: Some(table.target.name),
        missing: columns.iter().map(|column| column.missing).sum(),
        constant_features: columns.iter().filter(is_constant).count(),
        published_test: None,
        licence: None,
        columns,
        problems,
    }
}

fn named(classes: &[String], counts: Vec<usize>) -> Vec<Class> {
    classes
        .iter()
        .zip(counts)
        .map(|(name, count)| Class {
            name: name.clone(),
            count,
        })
        .collect()
}

fn imbalance_ratio(counts: &[usize]) -> f64 {
    let (most, least) = (counts.iter().max(), counts.iter().min());
    most.zip(least)
        .map_or(1.0, |(&most, &least)| most as f64 / least.max(1) as f64)
}

fn numbers<I: Iterator<Item = f32>>(name: String, values: impl Fn() -> I) -> Column {
    let missing = values().filter(|value| value.is_nan()).count();
    let finite = || values().filter(|value| value.is_finite()).map(f64::from);
    let (mut count, mut sum) = (0.0, 0.0);
    let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in finite() {
        count += 1.0;
        sum += value;
        min = min.min(value);
        max = max.max(value);
    }
    if count == 0.0 {
        return Column {
            name,
            missing,
            values: Values::None,
            histogram: String::new(),
        };
    }
    let mean = sum / count;
    let mut squares = 0.0;
    let mut bins = [0; BINS];
    for value in finite() {
        squares += (value - mean) * (value - mean);
        let bin = (value - min) / (max - min) * BINS as f64;
        // Constant columns have no range (NaN, taken as the first bin), and the largest value ends the last bin.
        bins[(bin as usize).min(BINS - 1)] += 1;
    }
    let values = Values::Numbers {
        min,
        mean,
        max,
        std: (squares / count).sqrt(),
    };
    Column {
        name,
        missing,
        values,
        histogram: blocks(&bins),
    }
}

fn categories<I: Iterator<Item = f32>>(name: String, names: &[String], values: impl Fn() -> I) -> Column {
    let mut counts = vec![0; names.len()];
    for value in values() {
        counts[value as usize] += 1;
    }
    let most = counts.iter().max();
    let most_frequent = counts
        .iter()
        .position(|count| Some(count) == most)
        .map(|index| names[index].clone());
    counts.sort_unstable_by(|a, b| b.cmp(a));
    counts.truncate(BINS);
    let distinct = names.len();
    let values = Values::Categories {
        distinct,
        most_frequent: most_frequent.unwrap_or_default(),
    };
    Column {
        name,
        missing: 0,
        values,
        histogram: blocks(&counts),
    }
}

/// A bar for each count. What is there at all is seen: only zero is blank.
fn blocks(counts: &[usize]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.iter().copied().max().unwrap_or(0);
    let bar = |&count: &usize| match count {
        0 => ' ',
        _ => BARS[(count * BARS.len()).div_ceil(most) - 1],
    };
    counts.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_show_shares_of_the_largest_bin() {
        assert_eq!(blocks(&[0, 1, 50, 100, 1000]), " ▁▁▁█");
        assert_eq!(blocks(&[8, 7, 4, 1]), "█▇▄▁");
        assert_eq!(blocks(&[]), "");
    }

    #[test]
    fn the_digits_are_described() {
        let description = of_dataset(&crate::digits());
        assert_eq!(
            (description.samples, &description.feature_shape[..]),
            (1797, &[1, 8, 8][..])
        );
        assert_eq!(
            description.classes[3],
            Class {
                name: "3".into(),
                count: 183
            }
        );
        assert!((description.imbalance_ratio - 183.0 / 174.0).abs() < 1e-12);
        assert_eq!(description.constant_features, 3);
        let [pixels] = &description.columns[..] else {
            panic!("one channel")
        };
        assert_eq!(pixels.histogram.chars().count(), BINS);
        assert!(matches!(
            pixels.values,
            Values::Numbers {
                min: 0.0,
                max: 1.0,
                ..
            }
        ));
    }
}
