//! A queue of the latest keys of samples: first in, first out.

use serde::{Deserialize, Serialize};

/// A ring of keys in single precision, each with the number of its sample. It is serializable: a checkpoint without it is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyQueue {
    capacity: usize,
    /// Numbers of a key; 0 before the first came.
    width: usize,
    /// Row-major, in the order of places, not of age.
    keys: Vec<f32>,
    /// The sample of each key.
    samples: Vec<usize>,
    /// The place of the oldest key, once all are taken: where the next one goes.
    next: usize,
}

impl KeyQueue {
    /// An empty queue for so many keys, at least one.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            width: 0,
            keys: Vec::new(),
            samples: Vec::new(),
            next: 0,
        }
    }

    /// Keys in the queue.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Puts in the keys `[samples, width]` of samples, in order; the oldest leave where there is no room.
    ///
    /// # Panics
    /// When there are not as many keys as samples, or they are not as wide as those before.
    pub fn push(&mut self, keys: &[f32], samples: &[usize], width: usize) {
        assert_eq!(keys.len(), samples.len() * width, "a key for each sample");
        if self.is_empty() {
            self.width = width;
        }
        assert_eq!(width, self.width, "keys are as wide as those before");
        for (key, &sample) in keys.chunks_exact(width).zip(samples) {
            if self.len() < self.capacity {
                self.keys.extend_from_slice(key);
                self.samples.push(sample);
            } else {
                self.keys[self.next * width..][..width].copy_from_slice(key);
                self.samples[self.next] = sample;
                self.next = (self.next + 1) % self.capacity;
            }
        }
    }

    /// The keys of all samples but these, row-major.
    pub fn of_others(&self, samples: &[usize]) -> impl Iterator<Item = f32> {
        let mut own = samples.to_vec();
        own.sort_unstable();
        let keys = self.keys.chunks_exact(self.width.max(1)).zip(&self.samples);
        let others = keys.filter(move |(_, sample)| own.binary_search(sample).is_err());
        others.flat_map(|(key, _)| key.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_is_a_queue(
            capacity in 1_usize..9,
            batches in prop::collection::vec(prop::collection::vec(0_usize..6, 0..12), 0..8),
        ) {
            let mut queue = KeyQueue::new(capacity);
            let mut expected = VecDeque::new();
            let mut number = 0.0;
            for batch in &batches {
                let mut keys = Vec::new();
                for &sample in batch {
                    number += 1.0;
                    keys.extend([number, -number]);
                    expected.push_back((sample, number));
                    if expected.len() > capacity {
                        expected.pop_front();
                    }
                }
                queue.push(&keys, batch, 2);
                // Saved and restored, it is the same.
                queue = serde_json::from_str(&serde_json::to_string(&queue).unwrap()).unwrap();
                prop_assert_eq!(queue.len(), expected.len());
                let mut found: Vec<f32> = queue.of_others(&[3, 1]).filter(|key| *key > 0.0).collect();
                found.sort_by(f32::total_cmp);
                let others = expected.iter().filter(|(sample, _)| ![1, 3].contains(sample));
                prop_assert_eq!(found, others.map(|(_, key)| *key).collect::<Vec<f32>>());
            }
        }
    }
}
