//! The confusion matrix of an objective, as a table shaded like a heat map.

use crate::results::Entry;

use super::text;

/// With more classes than this a matrix cannot be read, and only the most frequent mistakes are told.
const READABLE: usize = 25;

/// Mistakes listed below a matrix.
const MISTAKES: usize = 5;

/// Which class was taken for which.
pub struct Confusion {
    /// What the table shows.
    pub caption: String,
    /// Class names, in label order.
    pub classes: Vec<String>,
    /// A row per true class; none when there are too many to read.
    pub rows: Vec<Row>,
    /// The most frequent mistakes, most frequent first.
    pub mistakes: Vec<Mistake>,
}

/// A true class.
pub struct Row {
    /// Its name.
    pub class: String,
    /// A cell per predicted class.
    pub cells: Vec<Cell>,
    /// Share predicted correctly.
    pub recall: String,
}

/// A true and a predicted class.
pub struct Cell {
    /// Samples.
    pub count: u64,
    /// Class for the style sheet: `hit`, `miss` or `none`.
    pub kind: &'static str,
    /// Strength of the shade, per cent.
    pub shade: u32,
    /// The cell in words.
    pub tip: String,
}

/// A true class taken for another.
pub struct Mistake {
    /// True class.
    pub class: String,
    /// Predicted class.
    pub taken_for: String,
    /// Samples.
    pub count: String,
    /// Their share of the true class.
    pub share: String,
}

impl Confusion {
    /// Of `entry` on samples of `classes`; none where the entry has no counts.
    pub fn of(entry: &Entry, classes: &[String]) -> Option<Self> {
        let matrix = &entry.confusion;
        if matrix.is_empty() || matrix.len() != classes.len() {
            return None;
        }
        let total = |class: usize| matrix[class].iter().sum::<u64>();
        let share =
            |class: usize, predicted: usize| matrix[class][predicted] as f64 / total(class).max(1) as f64;
        let percent = |share: f64| format!("{:.1}", 100.0 * share);
        let cell = |class: usize, predicted: usize| {
            let count = matrix[class][predicted];
            Cell {
                count,
                kind: match count {
                    0 => "none",
                    _ if class == predicted => "hit",
                    _ => "miss",
                },
                // The root shows rare mistakes too; more than 60% would hide the number.
                shade: (60.0 * share(class, predicted).sqrt()).round() as u32,
                tip: format!(
                    "{} of {} samples of {} predicted {} ({} %)",
                    text::count(count),
                    text::count(total(class)),
                    classes[class],
                    classes[predicted],
                    percent(share(class, predicted))
                ),
            }
        };
        let row = |class: usize| Row {
            class: classes[class].clone(),
            cells: (0..classes.len())
                .map(|predicted| cell(class, predicted))
                .collect(),
            recall: if total(class) == 0 {
                "—".to_owned()
            } else {
                percent(share(class, class))
            },
        };
        let rows = if classes.len() <= READABLE {
            (0..classes.len()).map(row).collect()
        } else {
            Vec::new()
        };

        let pairs = (0..classes.len()).flat_map(|class| (0..classes.len()).map(move |other| (class, other)));
        let mut mistakes: Vec<_> = pairs.filter(|&(a, b)| a != b && matrix[a][b] > 0).collect();
        mistakes.sort_by_key(|&(a, b)| std::cmp::Reverse(matrix[a][b]));
        mistakes.truncate(if rows.is_empty() { READABLE } else { MISTAKES });
        Some(Self {
            caption: entry.name.clone(),
            classes: classes.to_vec(),
            rows,
            mistakes: mistakes
                .into_iter()
                .map(|(class, other)| Mistake {
                    class: classes[class].clone(),
                    taken_for: classes[other].clone(),
                    count: text::count(matrix[class][other]),
                    share: percent(share(class, other)),
                })
                .collect(),
        })
    }
}
