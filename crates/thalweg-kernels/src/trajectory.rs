//! Divergence of the scores of a sample from what they were earlier in training, `w·KL(softmax(past/τ) ‖ softmax(now/τ))`,
//! added to a loss of the same scores: value and gradient, block by block while scores and gradient are in the cache. Past
//! scores are constants and are read where they are kept, row by row.

use crate::batch::{RowKernel, Rows};
use crate::dispatch;
use crate::pairs::SoftmaxPair;
use crate::real::Real;

/// Where the past scores of a row of the batch are.
pub trait PastRows: Sync {
    /// Writes the past scores of the row at `index` of the batch; false, and nothing that counts, where there are none. To
    /// be `#[inline(always)]`.
    fn read<F: Real>(&self, index: usize, out: &mut [F]) -> bool;
}

/// Past scores of every row of the batch, in its order.
#[derive(Clone, Copy, Debug)]
pub struct DensePast<'a, P>(pub &'a [P]);

impl<P: Real> PastRows for DensePast<'_, P> {
    #[inline(always)]
    fn read<F: Real>(&self, index: usize, out: &mut [F]) -> bool {
        let row = &self.0[index * out.len()..][..out.len()];
        for (out, &score) in out.iter_mut().zip(row) {
            *out = F::from_f64(score.to_f64());
        }
        true
    }
}

/// No loss to add the divergence to.
#[derive(Clone, Copy, Debug)]
pub struct NoLoss;

impl RowKernel for NoLoss {
    fn losses<F: Real>(&self, _: Rows<F>, losses: &mut [F]) {
        losses.fill(F::ZERO);
    }

    fn gradients<F: Real>(&self, _: Rows<F>, _: f64, losses: &mut [F], gradient: &mut [F]) {
        losses.fill(F::ZERO);
        gradient.fill(F::ZERO);
    }
}

/// A loss with the divergence from past scores added. A row without past scores has the loss alone, to the last bit.
#[derive(Clone, Copy, Debug)]
pub struct Trajectory<'a, B, P> {
    /// The loss.
    pub base: B,
    /// Past scores.
    pub past: &'a P,
    /// Factor w of the divergence.
    pub weight: f64,
    /// Temperature τ of both softmaxes, above 0.
    pub temperature: f64,
}

impl<B: RowKernel, P: PastRows> RowKernel for Trajectory<'_, B, P> {
    fn losses<F: Real>(&self, rows: Rows<F>, losses: &mut [F]) {
        self.base.losses(rows, losses);
        let (past, factors) = (self.past, self.factors());
        dispatch!([F: Real, P: PastRows] add_losses, (past: &P, factors: Factors, rows: Rows<F>, losses: &mut [F]));
    }

    fn gradients<F: Real>(&self, rows: Rows<F>, scale: f64, losses: &mut [F], gradient: &mut [F]) {
        self.base.gradients(rows, scale, losses, gradient);
        let (past, factors) = (self.past, self.factors());
        dispatch!([F: Real, P: PastRows] add_gradients, (
            past: &P,
            factors: Factors,
            rows: Rows<F>,
            scale: f64,
            losses: &mut [F],
            gradient: &mut [F],
        ));
    }
}

impl<B, P> Trajectory<'_, B, P> {
    fn factors(&self) -> Factors {
        Factors {
            weight: self.weight,
            scale: 1.0 / self.temperature,
        }
    }
}

#[derive(Clone, Copy)]
struct Factors {
    weight: f64,
    /// Inverse temperature.
    scale: f64,
}

/// What a row needs room for: its past scores, and the exponentials of both.
struct Scratch<F> {
    past: Vec<F>,
    now: Vec<F>,
    then: Vec<F>,
}

impl<F: Real> Scratch<F> {
    fn new(classes: usize) -> Self {
        let row = || vec![F::ZERO; classes];
        Self {
            past: row(),
            now: row(),
            then: row(),
        }
    }
}

#[inline(always)]
fn add_losses<F: Real, P: PastRows>(past: &P, factors: Factors, rows: Rows<F>, losses: &mut [F]) {
    let mut scratch = Scratch::new(rows.classes);
    let each = rows.scores.chunks_exact(rows.classes).zip(losses);
    for (index, (row, loss)) in (rows.first..).zip(each) {
        let Scratch {
            past: earlier,
            now,
            then,
        } = &mut scratch;
        if past.read(index, earlier) {
            let pair = SoftmaxPair::new((row, earlier), None, factors.scale, now, then);
            *loss += F::from_f64(factors.weight * pair.divergence);
        }
    }
}

#[inline(always)]
fn add_gradients<F: Real, P: PastRows>(
    past: &P,
    factors: Factors,
    rows: Rows<F>,
    scale: f64,
    losses: &mut [F],
    gradient: &mut [F],
) {
    let mut scratch = Scratch::new(rows.classes);
    let slope = factors.weight * factors.scale * scale;
    let each = rows.scores.chunks_exact(rows.classes).zip(losses);
    let each = each.zip(gradient.chunks_exact_mut(rows.classes));
    for (index, ((row, loss), gradient)) in (rows.first..).zip(each) {
        let Scratch {
            past: earlier,
            now,
            then,
        } = &mut scratch;
        if past.read(index, earlier) {
            let pair = SoftmaxPair::new((row, earlier), None, factors.scale, now, then);
            *loss += F::from_f64(factors.weight * pair.divergence);
            pair.combine((slope, slope), now, then);
            for (slope, &own) in gradient.iter_mut().zip(&*now) {
                *slope += own;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{forward, forward_backward};
    use crate::random::Stream;
    use crate::rowwise::{Coefficients, Member, OfSoftmax, Row};

    #[derive(Clone, Copy)]
    struct CrossEntropy;

    impl Member for CrossEntropy {
        fn row(&self, row: Row) -> Coefficients {
            Coefficients::of_log_p(-row.log_p, -1.0)
        }
    }

    /// Past scores of the rows with an even number.
    struct Even<'a>(DensePast<'a, f64>);

    impl PastRows for Even<'_> {
        #[inline(always)]
        fn read<F: Real>(&self, index: usize, out: &mut [F]) -> bool {
            index.is_multiple_of(2) && self.0.read(index, out)
        }
    }

    fn scores(count: usize, name: &str) -> Vec<f64> {
        let mut values = vec![0.0; count];
        Stream::new(0, name, 0).fill_uniform(-3.0, 3.0, &mut values);
        values.into_iter().map(f64::from).collect()
    }

    fn softmax(row: &[f64], temperature: f64) -> Vec<f64> {
        let exps: Vec<f64> = row.iter().map(|score| (score / temperature).exp()).collect();
        let total: f64 = exps.iter().sum();
        exps.into_iter().map(|e| e / total).collect()
    }

    #[test]
    fn the_divergence_is_added_where_there_is_a_past() {
        let (rows, classes, temperature, weight) = (900, 40, 2.0, 0.7);
        let (now, past) = (scores(rows * classes, "now"), scores(rows * classes, "past"));
        let targets: Vec<u32> = (0..rows as u32).map(|row| row % classes as u32).collect();
        let loss = OfSoftmax(&CrossEntropy);
        let run = |past: &Even| {
            let kernel = Trajectory {
                base: loss,
                past,
                weight,
                temperature,
            };
            let (mut losses, mut gradient) = (vec![0.0; rows], vec![0.0; rows * classes]);
            forward_backward(&kernel, &now, &targets, classes, 0.5, &mut losses, &mut gradient);
            let mut alone = vec![0.0; rows];
            forward(&kernel, &now, &targets, classes, &mut alone);
            assert_eq!(alone, losses);
            (losses, gradient)
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let (losses, gradient) = pool.install(|| run(&Even(DensePast(&past))));
        assert_eq!((losses.clone(), gradient.clone()), run(&Even(DensePast(&past))));
        let (mut base, mut base_gradient) = (vec![0.0; rows], vec![0.0; rows * classes]);
        forward_backward(&loss, &now, &targets, classes, 0.5, &mut base, &mut base_gradient);
        for row in 0..rows {
            let at = row * classes..(row + 1) * classes;
            if row % 2 == 1 {
                assert_eq!(losses[row], base[row]);
                assert_eq!(gradient[at.clone()], base_gradient[at]);
                continue;
            }
            let (p, q) = (
                softmax(&past[at.clone()], temperature),
                softmax(&now[at.clone()], temperature),
            );
            let divergence: f64 = p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum();
            assert!((losses[row] - base[row] - weight * divergence).abs() < 1e-12);
            for (k, place) in at.enumerate() {
                let slope = weight / temperature * 0.5 * (q[k] - p[k]);
                assert!((gradient[place] - base_gradient[place] - slope).abs() < 1e-14);
            }
        }
    }

    #[test]
    fn equal_rows_and_single_classes_add_nothing() {
        let now = scores(12, "now");
        for classes in [1, 4] {
            let rows = now.len() / classes;
            let kernel = Trajectory {
                base: NoLoss,
                past: &DensePast(&now),
                weight: 3.0,
                temperature: 5.0,
            };
            let (mut losses, mut gradient) = (vec![f64::NAN; rows], vec![f64::NAN; now.len()]);
            forward_backward(
                &kernel,
                &now,
                &vec![0; rows],
                classes,
                1.0,
                &mut losses,
                &mut gradient,
            );
            assert!(losses.iter().chain(&gradient).all(|&x| x == 0.0));
        }
    }
}
