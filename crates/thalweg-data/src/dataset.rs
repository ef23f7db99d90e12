//! A data set in memory: a matrix of features and a target for each of its rows.

use xxhash_rust::xxh3::Xxh3;

/// Labelled samples. Every feature is finite and every label is below the number of classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// What the set is called: the name of its file or folder.
    pub name: String,
    /// The features, row-major, `[len, width]`.
    pub features: Vec<f32>,
    /// The class of each sample, as an index into `classes`; all 0 where targets are numbers.
    pub labels: Vec<u32>,
    /// The names of the classes, in numeric order if they are numbers and in alphabetic order otherwise; none where
    /// targets are numbers.
    pub classes: Vec<String>,
    /// The targets where they are numbers.
    pub numbers: Option<Numbers>,
    /// Which samples belong together, where a column says so.
    pub bags: Option<BagColumn>,
    /// The names of the features, `width` of them.
    pub feature_names: Vec<String>,
    /// The shape of one sample; its product is `width`. Images are `[channels, height, width]`.
    pub feature_shape: Vec<usize>,
    /// Samples from here on are the test part as published, if the set comes with one.
    pub published_test: Option<usize>,
    /// Licence and source, where they are known.
    pub licence: Option<String>,
}

/// Targets that are numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    /// The name of their column.
    pub name: String,
    /// By sample: its own, or the mean of its bag where nothing else is known.
    pub values: Vec<f64>,
}

impl Numbers {
    /// Whether all are from 0 to 1, so that they may be shares.
    pub fn are_shares(&self) -> bool {
        self.values.iter().all(|value| (0.0..=1.0).contains(value))
    }
}

/// Bags of samples, each with at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct BagColumn {
    /// The bag of each sample, as an index into `names`.
    pub index: Vec<u32>,
    /// The names of the bags, in order.
    pub names: Vec<String>,
}

impl Dataset {
    /// The number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no samples. No reader returns such a set.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The number of features of a sample.
    pub fn width(&self) -> usize {
        self.feature_shape.iter().product()
    }

    /// The features of sample `index`.
    ///
    /// # Panics
    /// When `index` is not below [`Dataset::len`].
    pub fn row(&self, index: usize) -> &[f32] {
        let width = self.width();
        &self.features[index * width..][..width]
    }

    /// How many samples each class has; nothing where targets are numbers.
    pub fn class_counts(&self) -> Vec<usize> {
        if self.numbers.is_some() {
            return Vec::new();
        }
        count_labels(&self.labels, self.classes.len())
    }

    /// A hash of all that training can see (features, labels, names and shape; neither name nor licence of the
    /// set), as 32 hexadecimal digits. The same on every machine and in every version.
    pub fn fingerprint(&self) -> String {
        let mut hash = Xxh3::new();
        let number = |value: usize, hash: &mut Xxh3| hash.update(&(value as u64).to_le_bytes());
        for names in [&self.classes, &self.feature_names] {
            number(names.len(), &mut hash);
            for name in names {
                number(name.len(), &mut hash);
                hash.update(name.as_bytes());
            }
        }
        number(self.feature_shape.len(), &mut hash);
        for &side in &self.feature_shape {
            number(side, &mut hash);
        }
        number(self.published_test.map_or(0, |first| first + 1), &mut hash);
        number(self.labels.len(), &mut hash);
        update_words(&mut hash, self.labels.iter().copied());
        update_words(&mut hash, self.features.iter().map(|value| value.to_bits()));
        if let Some(numbers) = &self.numbers {
            for value in &numbers.values {
                hash.update(&value.to_bits().to_le_bytes());
            }
        }
        if let Some(bags) = &self.bags {
            update_words(&mut hash, bags.index.iter().copied());
        }
        format!("{:032x}", hash.digest128())
    }
}

/// How many of `labels` fall to each of `classes` classes.
pub(crate) fn count_labels(labels: &[u32], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for &label in labels {
        counts[label as usize] += 1;
    }
    counts
}

/// The indices of the samples of each class, ascending.
pub(crate) fn indices_by_class(labels: &[u32], classes: usize) -> Vec<Vec<usize>> {
    let mut indices = vec![Vec::new(); classes];
    for (index, &label) in labels.iter().enumerate() {
        indices[label as usize].push(index);
    }
    indices
}

fn update_words(hash: &mut Xxh3, words: impl Iterator<Item = u32>) {
    let mut buffer = [0; 4096];
    let mut filled = 0;
    for word in words {
        buffer[filled..filled + 4].copy_from_slice(&word.to_le_bytes());
        filled += 4;
        if filled == buffer.len() {
            hash.update(&buffer);
            filled = 0;
        }
    }
    hash.update(&buffer[..filled]);
}

#[cfg(test)]
mod tests {
    use crate::digits;

    #[test]
    fn the_fingerprint_sees_content_and_not_the_name() {
        let original = digits();
        let fingerprint = original.fingerprint();
        let mut renamed = original.clone();
        renamed.name = "other".into();
        assert_eq!(renamed.fingerprint(), fingerprint);

        let mut changed = vec![original.clone(); 7];
        changed[0].features[1234] += 1e-3;
        changed[1].labels.swap(0, 1);
        changed[2].classes[3] = "three".into();
        changed[3].published_test = Some(0);
        changed[4].feature_shape = vec![64];
        changed[5].numbers = Some(super::Numbers {
            name: "y".into(),
            values: vec![0.5; original.len()],
        });
        changed[6].bags = Some(super::BagColumn {
            index: vec![0; original.len()],
            names: vec!["all".into()],
        });
        for set in changed {
            assert_ne!(set.fingerprint(), fingerprint);
        }
    }
}
