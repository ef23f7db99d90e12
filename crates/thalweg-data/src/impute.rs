//! Filling in missing values (NaN) of row-major matrices, column by column.

use crate::options::Impute;

/// What is to be filled in.
#[derive(Clone, Copy)]
pub(crate) enum Gap {
    /// Numbers, with a statistic of the column.
    Number(Impute),
    /// Indices of categories, with the most frequent (of equals, the first).
    Category,
}

/// Fills in the columns named in `gaps`. Each of them must have a value somewhere.
pub(crate) fn fill(cells: &mut [f32], width: usize, gaps: &[(usize, Gap)]) {
    for &(column, gap) in gaps {
        let present = || {
            cells
                .iter()
                .skip(column)
                .step_by(width)
                .copied()
                .filter(|cell| !cell.is_nan())
        };
        let value = match gap {
            Gap::Number(Impute::Mean) => mean(present()),
            Gap::Number(Impute::Median) => median(present().collect()),
            Gap::Category => most_frequent(present()),
        };
        for cell in cells
            .iter_mut()
            .skip(column)
            .step_by(width)
            .filter(|cell| cell.is_nan())
        {
            *cell = value;
        }
    }
}

fn mean(values: impl Iterator<Item = f32>) -> f32 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| {
        (sum + f64::from(value), count + 1.0)
    });
    (sum / count) as f32
}

fn median(mut values: Vec<f32>) -> f32 {
    let middle = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f32::total_cmp);
    let lower = below
        .iter()
        .copied()
        .max_by(f32::total_cmp)
        .filter(|_| even)
        .unwrap_or(upper);
    lower.midpoint(upper)
}

fn most_frequent(categories: impl Iterator<Item = f32>) -> f32 {
    let mut counts: Vec<u32> = Vec::new();
    for category in categories {
        let category = category as usize;
        counts.resize(counts.len().max(category + 1), 0);
        counts[category] += 1;
    }
    let most = counts.iter().max().copied();
    counts.iter().position(|&count| Some(count) == most).unwrap_or(0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_is_filled_with_its_own_statistic() {
        let gap = f32::NAN;
        #[rustfmt::skip]
        let mut cells = [
            1.0, 1.0, 2.0, gap,
            2.0, 2.0, gap, 5.0,
            9.0, 9.0, 0.0, 5.0,
            gap, gap, 2.0, 5.0,
        ];
        let gaps = [
            (0, Gap::Number(Impute::Mean)),
            (1, Gap::Number(Impute::Median)),
            (2, Gap::Category),
        ];
        fill(&mut cells, 4, &gaps);
        assert_eq!(cells[12..14], [4.0, 2.0]);
        assert_eq!(cells[6], 2.0);
        assert!(cells[3].is_nan());
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), 2.5);
    }
}
