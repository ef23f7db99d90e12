//! Parts to train on, to choose by, and to report.

use thalweg_kernels::random::Stream;

use crate::dataset::{Dataset, indices_by_class};
use crate::error::DataError;

/// Which parts of the samples are set aside; the rest is trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fractions {
    /// For tuning.
    pub validation: f64,
    /// For the final report.
    pub test: f64,
}

/// Indices of samples, ascending, each sample in one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// To train on.
    pub train: Vec<usize>,
    /// To tune and to choose by.
    pub validation: Vec<usize>,
    /// To read once, at the end.
    pub test: Vec<usize>,
}

/// Splits samples at random so that each class is divided in the same proportions; every part that is asked for gets
/// at least one sample of every class.
///
/// # Errors
/// [`DataError::SmallClass`] when a class has fewer samples than there are parts.
///
/// # Panics
/// When the fractions are negative or leave nothing to train on.
pub fn stratified(
    labels: &[u32],
    classes: &[String],
    fractions: Fractions,
    seed: u64,
) -> Result<Split, DataError> {
    let Fractions { validation, test } = fractions;
    assert!(
        validation >= 0.0 && test >= 0.0 && validation + test < 1.0,
        "fractions {validation} and {test} leave nothing to train on"
    );
    let mut split = Split {
        train: Vec::new(),
        validation: Vec::new(),
        test: Vec::new(),
    };
    let needed = 1 + usize::from(validation > 0.0) + usize::from(test > 0.0);
    for (class, mut indices) in indices_by_class(labels, classes.len()).into_iter().enumerate() {
        let count = indices.len();
        if count < needed {
            return Err(DataError::SmallClass {
                class: classes[class].clone(),
                count,
                needed,
            });
        }
        Stream::new(seed, "split", class as u64).shuffle(&mut indices);
        let size = |fraction: f64, most: usize| match fraction {
            0.0 => 0,
            _ => ((fraction * count as f64).round() as usize).clamp(1, most),
        };
        // At least one sample remains for each part that is cut off later.
        let test = size(test, count + 1 - needed);
        let validation = size(validation, count - test - 1);
        split.test.extend(indices.drain(..test));
        split.validation.extend(indices.drain(..validation));
        split.train.extend(indices);
    }
    for part in [&mut split.train, &mut split.validation, &mut split.test] {
        part.sort_unstable();
    }
    Ok(split)
}

/// Splits `count` things at random; every part that is asked for gets at least one.
///
/// # Errors
/// [`DataError::FewBags`] when there are fewer than parts.
///
/// # Panics
/// When the fractions are negative or leave nothing to train on.
pub fn random(count: usize, fractions: Fractions, seed: u64) -> Result<Split, DataError> {
    let Fractions { validation, test } = fractions;
    let needed = 1 + usize::from(validation > 0.0) + usize::from(test > 0.0);
    if count < needed {
        return Err(DataError::FewBags { bags: count, needed });
    }
    stratified(&vec![0; count], &[String::new()], fractions, seed)
}

/// Splits a data set, keeping to its published test part if it has one; then only the validation part is cut off the
/// rest.
///
/// # Errors
/// As [`stratified`].
///
/// # Panics
/// As [`stratified`].
pub fn of_dataset(dataset: &Dataset, fractions: Fractions, seed: u64) -> Result<Split, DataError> {
    let Some(first) = dataset.published_test else {
        return stratified(&dataset.labels, &dataset.classes, fractions, seed);
    };
    let fractions = Fractions {
        test: 0.0,
        ..fractions
    };
    let split = stratified(&dataset.labels[..first], &dataset.classes, fractions, seed)?;
    Ok(Split {
        test: (first..dataset.len()).collect(),
        ..split
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::count_labels;
    use proptest::prelude::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|class| format!("class {class}")).collect()
    }

    #[test]
    fn proportions_hold_in_every_class() {
        let labels: Vec<u32> = [vec![0; 100], vec![1; 50], vec![2; 10]].concat();
        let fractions = Fractions {
            validation: 0.2,
            test: 0.1,
        };
        let split = stratified(&labels, &names(3), fractions, 4).unwrap();
        let counts = |part: &[usize]| count_labels(&part.iter().map(|&i| labels[i]).collect::<Vec<_>>(), 3);
        assert_eq!(counts(&split.train), [70, 35, 7]);
        assert_eq!(counts(&split.validation), [20, 10, 2]);
        assert_eq!(counts(&split.test), [10, 5, 1]);
        assert_ne!(split, stratified(&labels, &names(3), fractions, 5).unwrap());
    }

    #[test]
    fn a_class_too_small_is_named() {
        let error = stratified(
            &[0, 0, 0, 1, 1],
            &names(2),
            Fractions {
                validation: 0.2,
                test: 0.2,
            },
            0,
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "class `class 1` has 2 of the 3 samples a split needs of each class"
        );
        assert!(
            stratified(
                &[0, 0, 0, 1, 1],
                &names(2),
                Fractions {
                    validation: 0.0,
                    test: 0.2
                },
                0
            )
            .is_ok()
        );
    }

    #[test]
    fn the_published_test_part_is_kept() {
        let mut set = crate::digits();
        set.published_test = Some(1500);
        let split = of_dataset(
            &set,
            Fractions {
                validation: 0.1,
                test: 0.5,
            },
            0,
        )
        .unwrap();
        assert_eq!(split.test, (1500..1797).collect::<Vec<_>>());
        assert!((140..=160).contains(&split.validation.len()));
        assert_eq!(split.train.len() + split.validation.len(), 1500);
    }

    proptest! {
        #[test]
        fn every_sample_is_in_one_part_and_every_class_in_every_part(
            counts in proptest::collection::vec(3usize..40, 1..5),
            validation in 0.01..0.49, test in 0.01..0.49, seed: u64,
        ) {
            let labels: Vec<u32> =
                counts.iter().enumerate().flat_map(|(class, &count)| vec![class as u32; count]).collect();
            let split = stratified(&labels, &names(counts.len()), Fractions { validation, test }, seed).unwrap();
            let mut all: Vec<usize> = Vec::new();
            for part in [&split.train, &split.validation, &split.test] {
                let found = count_labels(&part.iter().map(|&i| labels[i]).collect::<Vec<_>>(), counts.len());
                prop_assert!(found.iter().all(|&count| count > 0));
                all.extend(part);
            }
            all.sort_unstable();
            prop_assert_eq!(all, (0..labels.len()).collect::<Vec<_>>());
        }
    }
}
