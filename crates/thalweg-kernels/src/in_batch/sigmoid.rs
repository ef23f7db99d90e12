//! Every pair by itself: `softplus(−y_ij (⟨a_i, b_j⟩·scale + bias))`, y = 1 for the pair of equal numbers and −1 else.

use super::blocks::{Grid, Tile};
use super::lanes::left_out;
use crate::dispatch;
use crate::real::Real;

/// How a score becomes a logit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sigmoid {
    /// Factor of the score, an inverse temperature.
    pub scale: f64,
    /// Added to it.
    pub bias: f64,
}

/// The sum of the losses of all pairs and its derivatives.
#[derive(Clone, Debug, PartialEq)]
pub struct SigmoidLoss<F> {
    /// The sum.
    pub loss: f64,
    /// By the vectors of either side.
    pub gradients: [Vec<F>; 2],
    /// By the scale and the bias.
    pub sigmoid: Sigmoid,
}

/// The sum over all pairs of the two sides, `[count, width]` each, times `weight`.
///
/// # Panics
/// When the sizes disagree.
pub fn sigmoid_loss<F: Real>(
    sides: [&[F]; 2],
    width: usize,
    sigmoid: Sigmoid,
    weight: f64,
) -> SigmoidLoss<F> {
    let grid = Grid::across(sides, width);
    let [count, others] = grid.counts();
    assert_eq!(count, others, "{count} vectors are paired with {others}");
    let mut gradients = sides.map(|side| vec![F::ZERO; side.len()]);
    // One a block of rows, so that the sum has one order.
    let mut totals = vec![Totals::default(); count];
    let parts = gradients.each_mut().map(|gradient| grid.parts(gradient, width));
    let of_rows = grid.parts(&mut totals, 1);
    grid.sweep(|tile| {
        let own: Vec<(usize, f64)> = own_places(tile)
            .map(|at| (at, std::mem::replace(&mut tile.scores[at], left_out()).to_f64()))
            .collect();
        let mut found = Totals::default();
        let (scores, columns, out) = (&mut *tile.scores, tile.columns.len(), &mut found);
        dispatch!([F: Real] push_apart, (
            scores: &mut [F],
            columns: usize,
            sigmoid: Sigmoid,
            weight: f64,
            out: &mut Totals,
        ));
        for (at, score) in own {
            let behind = -(score * sigmoid.scale + sigmoid.bias);
            let unlikely = logistic(behind);
            found.loss += behind.max(0.0) + (-behind.abs()).exp().ln_1p();
            found.by_scale -= unlikely * score;
            found.by_bias -= unlikely;
            tile.scores[at] = F::from_f64(-unlikely * sigmoid.scale * weight);
        }
        of_rows.of(&tile.rows)[0].add(found);
        grid.multiply_on(tile, &parts[0], &parts[1]);
    });
    drop((parts, of_rows));
    let mut total = Totals::default();
    totals.into_iter().for_each(|part| total.add(part));
    SigmoidLoss {
        loss: total.loss * weight,
        gradients,
        sigmoid: Sigmoid {
            scale: total.by_scale * weight,
            bias: total.by_bias * weight,
        },
    }
}

/// Places in a block of the pairs of equal numbers.
fn own_places<F>(tile: &Tile<F>) -> impl Iterator<Item = usize> + use<F> {
    let (rows, columns) = (tile.rows.clone(), tile.columns.clone());
    let first = rows.start.max(columns.start);
    let last = rows.end.min(columns.end);
    (first..last).map(move |own| (own - rows.start) * columns.len() + own - columns.start)
}

fn logistic(z: f64) -> f64 {
    if z > 0.0 {
        1.0 / (1.0 + (-z).exp())
    } else {
        let odds = z.exp();
        odds / (1.0 + odds)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    loss: f64,
    by_scale: f64,
    by_bias: f64,
}

impl Totals {
    fn add(&mut self, more: Self) {
        self.loss += more.loss;
        self.by_scale += more.by_scale;
        self.by_bias += more.by_bias;
    }
}

const LANES: usize = 16;

/// From scores of pairs that do not belong together to their slopes, with the sums of their losses and derivatives.
#[inline(always)]
fn push_apart<F: Real>(scores: &mut [F], columns: usize, sigmoid: Sigmoid, weight: f64, out: &mut Totals) {
    let numbers = [sigmoid.scale, sigmoid.bias, sigmoid.scale * weight].map(F::from_f64);
    for row in scores.chunks_exact_mut(columns) {
        let mut sums = Sums {
            linear: [F::ZERO; LANES],
            factor: [1.0; LANES],
            by_scale: [F::ZERO; LANES],
            by_bias: [F::ZERO; LANES],
        };
        let (chunks, tail) = row.as_chunks_mut::<LANES>();
        for chunk in chunks {
            sums.add(chunk, numbers);
        }
        sums.add(tail, numbers);
        let total = |lanes: &[F; LANES]| lanes.iter().map(|lane| lane.to_f64()).sum::<f64>();
        out.loss += total(&sums.linear) + sums.factor.iter().map(|factor| factor.ln()).sum::<f64>();
        out.by_scale += total(&sums.by_scale);
        out.by_bias += total(&sums.by_bias);
    }
}

struct Sums<F> {
    linear: [F; LANES],
    /// Products of `1 + exp(−|z|)`, at most 16 of them a block: a row costs a few logarithms.
    factor: [f64; LANES],
    by_scale: [F; LANES],
    by_bias: [F; LANES],
}

impl<F: Real> Sums<F> {
    /// At most as many scores as there are lanes.
    #[inline(always)]
    fn add(&mut self, scores: &mut [F], [scale, bias, slope]: [F; 3]) {
        let sums = self.linear.iter_mut().zip(&mut self.factor);
        let sums = sums.zip(self.by_scale.iter_mut().zip(&mut self.by_bias));
        for (score, ((linear, factor), (by_scale, by_bias))) in scores.iter_mut().zip(sums) {
            let z = *score * scale + bias;
            let odds = (-z.abs()).exp_lane();
            let inverse = F::ONE / (F::ONE + odds);
            let likely = if z > F::ZERO { inverse } else { odds * inverse };
            *linear += z.larger(F::ZERO);
            *factor *= 1.0 + odds.to_f64();
            *by_scale += likely * *score;
            *by_bias += likely;
            *score = likely * slope;
        }
    }
}
