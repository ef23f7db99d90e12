//! What a model said of each training sample in past epochs.
//!
//! A ring of `lag + 1` slots: in epoch e logits go to slot `e mod (lag + 1)` under the sample's number, and those of epoch
//! `e − lag` are in slot `(e − lag) mod (lag + 1)`, the one that is written next. Every slot knows in which epoch it was
//! written for each sample, so that a sample that was left out then has no past now. Logits that are no numbers are not kept.
//!
//! Memory: `samples·classes·(lag + 1)` numbers of the logits' own type, half of that in half precision (of f32), and
//! `2·kept + 1` numbers a sample and slot where only the largest are kept.

mod rows;
mod saved;

pub use saved::HistoryError;

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use thalweg_kernels::real::Real;
use thalweg_kernels::trajectory::PastRows;

use crate::bridge::{CpuFloats, Floats};
use crate::classification::rowwise::host_scores;
use rows::Rows;

/// How past logits are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PastOutputs {
    /// As they are.
    #[default]
    Full,
    /// In half precision, relative to the largest of their row: a softmax does not know the difference. Logits more than
    /// 65504 below it are kept as 65504 below it.
    Half,
    /// The largest so many in single precision, and one level for all other classes, which share what probability they had
    /// at the temperature of the loss evenly among them.
    Top {
        /// Classes kept as they are, at least 1.
        kept: usize,
    },
}

/// The slots of an epoch: where its logits go, and where those of `lag` epochs ago are. Both are below `lag + 1`, also before
/// there is a past.
pub fn slots(epoch: usize, lag: usize) -> (usize, usize) {
    (epoch % (lag + 1), (epoch + 1) % (lag + 1))
}

/// Past logits of all samples, by their numbers.
#[derive(Clone, Debug)]
pub struct OutputHistory {
    lag: usize,
    kept: PastOutputs,
    temperature: f64,
    /// 0 before the first logits.
    classes: usize,
    slots: Vec<Slot>,
}

#[derive(Clone, Debug)]
struct Slot {
    /// One more than the epoch each sample was last written in; 0: never.
    written: Vec<u64>,
    rows: Rows,
}

impl OutputHistory {
    /// A history that reaches `lag` epochs back. The temperature is the loss's, at which probabilities are shared where not
    /// all classes are kept.
    pub fn new(lag: usize, kept: PastOutputs, temperature: f64) -> Self {
        Self {
            lag,
            kept,
            temperature,
            classes: 0,
            slots: Vec::new(),
        }
    }

    /// Keeps the logits `[batch, classes]` of samples in an epoch.
    ///
    /// # Panics
    /// When there are not as many samples as rows, or earlier logits were of another number of classes.
    pub fn record(&mut self, epoch: usize, ids: &[usize], logits: &Tensor<2>) {
        let [batch, classes] = logits.dims();
        assert_eq!(
            ids.len(),
            batch,
            "{} sample numbers for logits [{batch}, {classes}]",
            ids.len()
        );
        match CpuFloats::of(logits) {
            Some(memory) => match memory.floats() {
                Floats::F32(rows) => self.record_rows(epoch, ids, rows, classes),
                Floats::F64(rows) => self.record_rows(epoch, ids, rows, classes),
            },
            None => self.record_rows(epoch, ids, &host_scores(logits), classes),
        }
    }

    fn record_rows<F: Real>(&mut self, epoch: usize, ids: &[usize], rows: &[F], classes: usize) {
        if self.slots.is_empty() {
            self.classes = classes;
            let slot = Slot {
                written: Vec::new(),
                rows: Rows::new::<F>(self.kept, classes),
            };
            self.slots = vec![slot; self.lag + 1];
        }
        assert_eq!(
            classes, self.classes,
            "logits of {classes} classes after logits of {}",
            self.classes
        );
        let slot = &mut self.slots[slots(epoch, self.lag).0];
        let samples = ids.iter().map(|id| id + 1).max().unwrap_or(0);
        if samples > slot.written.len() {
            slot.written.resize(samples, 0);
            slot.rows.grow(samples, classes);
        }
        for (&id, row) in ids.iter().zip(rows.chunks_exact(classes)) {
            if row.iter().all(|logit| logit.to_f64().is_finite()) {
                slot.rows.write(id, row, self.temperature);
                slot.written[id] = epoch as u64 + 1;
            }
        }
    }

    /// What was said of samples `lag` epochs before `epoch`. Call it after their logits of this epoch are [kept](Self::record)
    /// or before: they are in another slot, unless the lag is 0.
    pub fn recalled<'a>(&'a self, epoch: usize, ids: &'a [usize]) -> Recalled<'a> {
        Recalled {
            slot: self.slots.get(slots(epoch, self.lag).1),
            written: (epoch + 1).checked_sub(self.lag).map_or(0, |epoch| epoch as u64),
            ids,
        }
    }

    /// Bytes of memory that it holds.
    pub fn bytes(&self) -> usize {
        let slot = |slot: &Slot| slot.written.len() * size_of::<u64>() + slot.rows.bytes();
        self.slots.iter().map(slot).sum()
    }
}

/// Past logits of a batch, as a kernel reads them.
#[derive(Clone, Copy, Debug)]
pub struct Recalled<'a> {
    slot: Option<&'a Slot>,
    /// What the slot is to say that it was written in; 0: nothing can have been.
    written: u64,
    ids: &'a [usize],
}

impl PastRows for Recalled<'_> {
    #[inline(always)]
    fn read<F: Real>(&self, index: usize, out: &mut [F]) -> bool {
        let id = self.ids[index];
        match self.slot {
            Some(slot) if self.written > 0 && slot.written.get(id) == Some(&self.written) => {
                slot.rows.read(id, out);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
