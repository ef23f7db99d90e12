//! Rows of logits, one a sample, as a history keeps them.

use burn::tensor::f16;
use thalweg_kernels::real::Real;

use super::PastOutputs;

/// The largest magnitude of half precision.
const LARGEST_HALF: f64 = 65504.0;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rows {
    Single(Vec<f32>),
    Double(Vec<f64>),
    /// Half precision, as bits.
    Half(Vec<u16>),
    Top(Top),
}

/// The largest logits of each row, and the level of the others.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Top {
    /// Classes `[samples, kept]`, in falling order of their logits.
    pub classes: Vec<u32>,
    /// Logits `[samples, kept + 1]`, that of the others last.
    pub logits: Vec<f32>,
    /// Classes of a row that are kept.
    pub kept: usize,
}

impl Rows {
    /// None yet, to be of that kind.
    pub fn new<F: Real>(kind: PastOutputs, classes: usize) -> Self {
        match kind {
            PastOutputs::Full if size_of::<F>() == size_of::<f64>() => Self::Double(Vec::new()),
            PastOutputs::Full => Self::Single(Vec::new()),
            PastOutputs::Half => Self::Half(Vec::new()),
            PastOutputs::Top { kept } => Self::Top(Top {
                classes: Vec::new(),
                logits: Vec::new(),
                kept: kept.min(classes),
            }),
        }
    }

    /// Makes room for so many samples.
    pub fn grow(&mut self, samples: usize, classes: usize) {
        match self {
            Self::Single(rows) => rows.resize(samples * classes, 0.0),
            Self::Double(rows) => rows.resize(samples * classes, 0.0),
            Self::Half(rows) => rows.resize(samples * classes, 0),
            Self::Top(Top {
                classes,
                logits,
                kept,
            }) => {
                classes.resize(samples * *kept, 0);
                logits.resize(samples * (*kept + 1), 0.0);
            }
        }
    }

    /// Keeps the row of a sample; all its logits are finite.
    pub fn write<F: Real>(&mut self, sample: usize, row: &[F], temperature: f64) {
        let place = sample * row.len()..(sample + 1) * row.len();
        let each = row.iter().map(|logit| logit.to_f64());
        match self {
            Self::Single(rows) => {
                for (kept, logit) in rows[place].iter_mut().zip(each) {
                    *kept = logit as f32;
                }
            }
            Self::Double(rows) => {
                for (kept, logit) in rows[place].iter_mut().zip(each) {
                    *kept = logit;
                }
            }
            Self::Half(rows) => {
                let top = each.clone().fold(f64::NEG_INFINITY, f64::max);
                for (kept, logit) in rows[place].iter_mut().zip(each) {
                    *kept = f16::from_f64((logit - top).max(-LARGEST_HALF)).to_bits();
                }
            }
            Self::Top(rows) => rows.write(sample, row, temperature),
        }
    }

    /// The row of a sample.
    #[inline(always)]
    pub fn read<F: Real>(&self, sample: usize, out: &mut [F]) {
        let place = sample * out.len()..(sample + 1) * out.len();
        match self {
            Self::Single(rows) => {
                for (out, &kept) in out.iter_mut().zip(&rows[place]) {
                    *out = F::from_f64(f64::from(kept));
                }
            }
            Self::Double(rows) => {
                for (out, &kept) in out.iter_mut().zip(&rows[place]) {
                    *out = F::from_f64(kept);
                }
            }
            Self::Half(rows) => {
                for (out, &kept) in out.iter_mut().zip(&rows[place]) {
                    *out = F::from_f64(f16::from_bits(kept).to_f64());
                }
            }
            Self::Top(rows) => rows.read(sample, out),
        }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Single(rows) => size_of_val(&rows[..]),
            Self::Double(rows) => size_of_val(&rows[..]),
            Self::Half(rows) => size_of_val(&rows[..]),
            Self::Top(rows) => size_of_val(&rows.classes[..]) + size_of_val(&rows.logits[..]),
        }
    }
}

impl Top {
    fn write<F: Real>(&mut self, sample: usize, row: &[F], temperature: f64) {
        let classes = &mut self.classes[sample * self.kept..][..self.kept];
        let (levels, others) =
            self.logits[sample * (self.kept + 1)..][..self.kept + 1].split_at_mut(self.kept);
        // Insertion into the few kept: rows are longer than what is kept of them.
        let mut filled = 0;
        for (class, logit) in row.iter().enumerate() {
            let logit = logit.to_f64() as f32;
            let mut at = filled;
            while at > 0 && levels[at - 1] < logit {
                at -= 1;
            }
            if at == self.kept {
                continue;
            }
            filled = (filled + 1).min(self.kept);
            levels[at..filled].rotate_right(1);
            classes[at..filled].rotate_right(1);
            (levels[at], classes[at]) = (logit, class as u32);
        }
        others[0] = level_of_others(row, classes, temperature) as f32;
    }

    #[inline(always)]
    fn read<F: Real>(&self, sample: usize, out: &mut [F]) {
        let logits = &self.logits[sample * (self.kept + 1)..][..self.kept + 1];
        out.fill(F::from_f64(f64::from(logits[self.kept])));
        let classes = &self.classes[sample * self.kept..][..self.kept];
        for (&class, &logit) in classes.iter().zip(logits) {
            out[class as usize] = F::from_f64(f64::from(logit));
        }
    }
}

/// The logit that each class but those kept has when they share their probability evenly: `τ log mean exp(z/τ)` over them. 0
/// where there are none.
fn level_of_others<F: Real>(row: &[F], kept: &[u32], temperature: f64) -> f64 {
    let others = || {
        let logits = row.iter().enumerate();
        let left = logits.filter(|(class, _)| !kept.contains(&(*class as u32)));
        left.map(|(_, logit)| logit.to_f64())
    };
    let top = others().fold(f64::NEG_INFINITY, f64::max);
    if top == f64::NEG_INFINITY {
        return 0.0;
    }
    let (sum, count) = others().fold((0.0, 0.0), |(sum, count), logit| {
        (sum + ((logit - top) / temperature).exp(), count + 1.0)
    });
    top + temperature * (sum / count).ln()
}
