//! Losses of a row of scores `h` and its target class `y` that need no more of the row than its softmax: value and
//! gradient in one pass, generic over the member.
//!
//! A member sees [`Row`], the statistics of one row, and answers with [`Coefficients`]: its loss and the three
//! numbers that make its gradient, `∂ℓ/∂h_k = softmax·p_k + target·1[k = y] + uniform`. A new loss costs its formula.
//! A member may also say how the scores of a row [enter](Entry) its softmax: by a temperature, and with a margin; how
//! much each [class weighs](ClassWeights) in what it spreads over all; and which rows do not count.

mod divergence;

pub use divergence::DivergenceFromUniform;

use crate::batch::{RowKernel, Rows};
use crate::dispatch;
use crate::lanes::{LANES, WIDEN, add_sum, exponentials, largest, sum, total};
use crate::real::Real;

/// What a member may know of a row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// `log p_y`, accurate also where `p_y` is within rounding of 1.
    pub log_p: f64,
    /// `p_y`.
    pub p: f64,
    /// `1 − p_y`, accurate also where it is tiny.
    pub rest: f64,
    /// `(1/classes) Σ_k w_k log p_k` with the [class weights](Member::class_weights) w, 1 where there are none; only
    /// where [`Member::NEEDS_MEAN`], else 0.
    pub mean_log_p: f64,
    /// `log Σ_k exp` of the scores as they [enter](Entry) the softmax.
    pub log_sum_exp: f64,
    /// The target class.
    pub target: usize,
    /// Number of classes.
    pub classes: usize,
    /// Its place in the batch.
    pub index: usize,
}

/// How scores enter the softmax of their row: `p = softmax(scale·(h_k + offset·1[k = y]))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// Inverse temperature, positive and finite.
    pub scale: f64,
    /// Added to the target's score: minus a margin, for one that the target must be ahead by.
    pub offset: f64,
}

impl Entry {
    /// The scores as they are.
    pub const PLAIN: Self = Self {
        scale: 1.0,
        offset: 0.0,
    };
}

/// Weights of the classes in what a member spreads over all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassWeights {
    each: Vec<f64>,
    mean: f64,
}

impl ClassWeights {
    /// One weight a class.
    pub fn new(each: Vec<f64>) -> Self {
        let mean = each.iter().sum::<f64>() / each.len() as f64;
        Self { each, mean }
    }

    /// The weight of each class.
    pub fn each(&self) -> &[f64] {
        &self.each
    }

    /// Their mean.
    pub fn mean(&self) -> f64 {
        self.mean
    }
}

/// A member's loss on one row, and its gradient `softmax·p_k + target·1[k = y] + uniform·w_k` with the
/// [class weights](Member::class_weights) w, 1 where there are none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// The loss.
    pub loss: f64,
    /// Factor of the softmax.
    pub softmax: f64,
    /// Added at the target class.
    pub target: f64,
    /// Added at every class, times its weight.
    pub uniform: f64,
}

impl Coefficients {
    /// Of a loss `φ(log p_y)` with derivative `slope = φ'`: the gradient is `φ'·(1[k = y] − p_k)`.
    pub fn of_log_p(loss: f64, slope: f64) -> Self {
        Self {
            loss,
            softmax: -slope,
            target: slope,
            uniform: 0.0,
        }
    }
}

/// One loss of the family.
pub trait Member: Sync {
    /// Whether the loss reads [`Row::mean_log_p`], which costs a sum over the row.
    const NEEDS_MEAN: bool = false;

    /// How the scores of the row at `index` of the batch enter its softmax.
    #[inline(always)]
    fn entry(&self, _index: usize) -> Entry {
        Entry::PLAIN
    }

    /// Weights of the classes in [`Row::mean_log_p`] and [`Coefficients::uniform`], as many as there are classes.
    #[inline(always)]
    fn class_weights(&self) -> Option<&ClassWeights> {
        None
    }

    /// Whether the row at `index` of the batch counts. One that does not is not read: its loss and gradient are 0.
    #[inline(always)]
    fn counts(&self, _index: usize) -> bool {
        true
    }

    /// The loss and gradient of a row; the gradient is with respect to its scores, before they [enter](Self::entry).
    fn row(&self, row: Row) -> Coefficients;
}

/// The kernel of a member.
#[derive(Clone, Copy, Debug)]
pub struct OfSoftmax<'m, M>(pub &'m M);

impl<M: Member> RowKernel for OfSoftmax<'_, M> {
    fn losses<F: Real>(&self, rows: Rows<F>, losses: &mut [F]) {
        #[inline(always)]
        fn body<F: Real, M: Member>(member: &M, rows: Rows<F>, losses: &mut [F]) {
            let each = rows
                .scores
                .chunks_exact(rows.classes)
                .zip(rows.targets)
                .zip(losses);
            let mut scratch = [F::ZERO; WIDEN];
            for (index, ((row, &y), loss)) in (rows.first..).zip(each) {
                if !member.counts(index) {
                    *loss = F::ZERO;
                    continue;
                }
                let entered = Entered::new(row, y as usize, index, member.entry(index));
                let rest = entered.sum_of_others(&mut scratch);
                *loss = F::from_f64(coefficients(member, entered.statistics(member, rest)).loss);
            }
        }
        let member = self.0;
        check_weights(member, rows.classes);
        dispatch!([F: Real, M: Member] body, (member: &M, rows: Rows<F>, losses: &mut [F]));
    }

    fn gradients<F: Real>(&self, rows: Rows<F>, scale: f64, losses: &mut [F], gradient: &mut [F]) {
        let member = self.0;
        check_weights(member, rows.classes);
        dispatch!([F: Real, M: Member] gradient_block, (
            member: &M,
            rows: Rows<F>,
            scale: f64,
            losses: &mut [F],
            gradient: &mut [F],
        ));
    }
}

/// A member's answer, NaN for a row whose probabilities are no numbers: a member that caps or clamps would hide that.
#[inline(always)]
fn coefficients(member: &impl Member, row: Row) -> Coefficients {
    if row.log_p.is_nan() {
        return Coefficients {
            loss: f64::NAN,
            softmax: f64::NAN,
            target: f64::NAN,
            uniform: f64::NAN,
        };
    }
    member.row(row)
}

fn check_weights(member: &impl Member, classes: usize) {
    if let Some(weights) = member.class_weights() {
        let given = weights.each().len();
        assert_eq!(given, classes, "{given} class weights for {classes} classes");
    }
}

#[inline(always)]
fn gradient_block<F: Real, M: Member>(
    member: &M,
    rows: Rows<F>,
    scale: f64,
    losses: &mut [F],
    gradient: &mut [F],
) {
    let each = rows.scores.chunks_exact(rows.classes);
    let each = each.zip(gradient.chunks_exact_mut(rows.classes));
    for (index, (((row, gradient), &y), loss)) in (rows.first..).zip(each.zip(rows.targets).zip(losses)) {
        if !member.counts(index) {
            *loss = F::ZERO;
            gradient.fill(F::ZERO);
            continue;
        }
        let y = y as usize;
        let entered = Entered::new(row, y, index, member.entry(index));
        exponentials(row, entered.largest, entered.scale, gradient);
        gradient[y] = F::ZERO;
        let rest = sum([gradient], |[e]| e);
        let own = ((entered.own - entered.largest) * entered.scale).exp_below();
        gradient[y] = own;
        let statistics = entered.statistics(member, rest);
        let coefficients = coefficients(member, statistics);
        *loss = F::from_f64(coefficients.loss);
        // An infinite slope times a vanished probability would be no number.
        let bounded = |value: f64| F::from_f64(value.clamp(-F::MAX.to_f64(), F::MAX.to_f64()));
        let largest_slope = F::MAX.to_f64();
        let softmax_slope = coefficients.softmax.clamp(-largest_slope, largest_slope);
        let target_slope = coefficients.target.clamp(-largest_slope, largest_slope);
        let softmax = bounded(softmax_slope * scale / (rest + own.to_f64()));
        let uniform = bounded(coefficients.uniform * scale);
        let own_weight = match member.class_weights() {
            Some(weights) => {
                for (value, &weight) in gradient.iter_mut().zip(weights.each()) {
                    *value = *value * softmax + uniform * F::from_f64(weight);
                }
                weights.each()[y]
            }
            None => {
                for value in gradient.iter_mut() {
                    *value = *value * softmax + uniform;
                }
                1.0
            }
        };
        // p_y − 1 cancels for a confident row: write its gradient from 1 − p_y instead.
        let at_target = softmax_slope + target_slope - softmax_slope * statistics.rest;
        gradient[y] = bounded((at_target + coefficients.uniform * own_weight) * scale);
    }
}

/// A row with its target, as it enters its softmax.
struct Entered<'a, F> {
    row: &'a [F],
    y: usize,
    index: usize,
    entry: Entry,
    /// The entry's scale, in the type of the scores.
    scale: F,
    /// The target's score with its offset.
    own: F,
    /// The largest score, the target's with its offset.
    largest: F,
}

impl<'a, F: Real> Entered<'a, F> {
    #[inline(always)]
    fn new(row: &'a [F], y: usize, index: usize, entry: Entry) -> Self {
        let (own, largest) = if entry.offset == 0.0 {
            (row[y], largest(row))
        } else {
            let own = row[y] + F::from_f64(entry.offset);
            let others = largest(&row[..y]).larger(largest(&row[y + 1..]));
            (own, own.larger(others))
        };
        let scale = F::from_f64(entry.scale);
        Self {
            row,
            y,
            index,
            entry,
            scale,
            own,
            largest,
        }
    }

    /// `Σ_{k≠y}` of the exponentials, by pieces of the length of `scratch`.
    #[inline(always)]
    fn sum_of_others(&self, scratch: &mut [F; WIDEN]) -> f64 {
        let mut wide = [0.0; LANES];
        let mut start = 0;
        for piece in self.row.chunks(WIDEN) {
            let exps = &mut scratch[..piece.len()];
            exponentials(piece, self.largest, self.scale, exps);
            if let Some(own) = self.y.checked_sub(start).and_then(|at| exps.get_mut(at)) {
                *own = F::ZERO;
            }
            add_sum(&mut wide, [exps], |[e]| e);
            start += WIDEN;
        }
        total(wide)
    }

    /// The statistics, given `rest = Σ_{k≠y}` of the exponentials.
    #[inline(always)]
    fn statistics<M: Member>(&self, member: &M, rest: f64) -> Row {
        let Entry { scale, offset } = self.entry;
        let below = (self.own - self.largest).to_f64() * scale;
        // With u = Σ_{k≠y} exp(z_k − z_y): log p_y = −log(1 + u), 1 − p_y = u / (1 + u).
        let own = below.exp_below();
        let all = own + rest;
        let log_total = all.ln();
        let log_p = if own >= rest {
            -(rest / own).ln_1p()
        } else {
            below - log_total
        };
        let mean_log_p = match member.class_weights() {
            _ if !M::NEEDS_MEAN => 0.0,
            Some(weights) => {
                let sum = self.weighted_sum(weights.each()) + weights.each()[self.y] * offset;
                sum * scale / self.row.len() as f64 - weights.mean() * log_total
            }
            None => {
                let mean = (sum([self.row], |[score]| score) + offset) / self.row.len() as f64;
                (mean - self.largest.to_f64()) * scale - log_total
            }
        };
        Row {
            log_p,
            p: own / all,
            rest: rest / all,
            mean_log_p,
            log_sum_exp: self.largest.to_f64() * scale + log_total,
            target: self.y,
            classes: self.row.len(),
            index: self.index,
        }
    }

    /// `Σ_k w_k (h_k − largest)`.
    #[inline(always)]
    fn weighted_sum(&self, weights: &[f64]) -> f64 {
        let mut wide = [0.0; LANES];
        for (scores, weights) in self.row.chunks(LANES).zip(weights.chunks(LANES)) {
            for ((wide, &score), &weight) in wide.iter_mut().zip(scores).zip(weights) {
                *wide += (score - self.largest).to_f64() * weight;
            }
        }
        total(wide)
    }
}

#[cfg(test)]
mod tests;
