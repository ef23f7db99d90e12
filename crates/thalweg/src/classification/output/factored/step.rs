//! The exact step.

use thalweg_kernels::matrix::{Matrix, Work, multiply};
use thalweg_kernels::spherical::{Member, Moments};

use super::inverse::{InverseUpkeep, Turn};
use super::linear::{Buffers, add, add_symmetric, dot};
use super::state::State;
use crate::classification::output::OutputError;
use crate::classification::spherical::SphericalMember;

/// Hidden vectors `[samples, d]`, and the same number of targets for each.
pub(super) struct Batch<'a> {
    pub hidden: &'a [f64],
    pub targets: &'a [u32],
    pub samples: usize,
}

impl Batch<'_> {
    /// Targets of a sample.
    fn each(&self) -> usize {
        self.targets.len() / self.samples
    }
}

/// What is descended, and how far.
pub(super) struct Descent {
    pub member: SphericalMember,
    /// Factor of each sample's gradient.
    pub scale: f64,
    pub learning_rate: f64,
    /// `1 − ηλ`, what weight decay leaves of the weights.
    pub keep: f64,
    pub upkeep: InverseUpkeep,
}

/// What a step found before it was made.
pub(super) struct Outcome {
    /// Loss of each sample.
    pub losses: Vec<f64>,
    /// Gradient of the hidden vectors `[samples, d]`.
    pub gradient: Vec<f64>,
    /// `s` of each sample.
    pub sum: Vec<f64>,
    /// `q` of each sample.
    pub sum_squares: Vec<f64>,
    /// Score of each target.
    pub target: Vec<f64>,
}

/// Derivatives of the scaled losses.
struct Slopes {
    /// By `s` of each sample.
    sum: Vec<f64>,
    /// By `q` of each sample.
    sum_squares: Vec<f64>,
    /// By the score of each target.
    target: Vec<f64>,
    /// The same, summed over the targets of each sample.
    targets: Vec<f64>,
}

impl State {
    /// One step of `W ← keep·W − η Σ_i ∂ℓ_i/∂W`, exact in exact arithmetic.
    ///
    /// With `A = 2 diag(∂ℓ/∂q) H` the gradient of W is `W Aᵀ H + 1 (∂ℓ/∂s)ᵀ H` and the rows `∂ℓ/∂o_c ⊗ h` of the targets: U
    /// takes in the first term, ω the second, V the last.
    ///
    /// # Errors
    /// When a loss is not finite; nothing is changed then.
    pub fn step(
        &mut self,
        batch: &Batch,
        descent: &Descent,
        buffers: &Buffers,
    ) -> Result<Outcome, OutputError> {
        let (d, m) = (self.width, batch.samples);
        let (h_gram, (turned, shifts)) = rayon::join(
            || {
                let (h, gram) = (Matrix::new(batch.hidden, m, d), Matrix::new(&self.gram, d, d));
                buffers.product(h, gram, m, d)
            },
            || self.turned(batch.hidden, buffers),
        );
        let (mut outcome, slopes) = self.forward(batch, descent, &h_gram, &turned, &shifts)?;

        let mut pull = buffers.copy(batch.hidden);
        for (row, &slope) in pull.chunks_exact_mut(d).zip(&slopes.sum_squares) {
            row.iter_mut().for_each(|x| *x *= 2.0 * slope);
        }
        let turn = Turn {
            hidden: batch.hidden,
            turned: &turned,
            pull: &pull,
            slopes: &slopes.sum_squares,
            learning_rate: descent.learning_rate,
            keep: descent.keep,
        };
        let (next, (gradient, gram)) = rayon::join(
            || turn.apply(&self.u, self.u_inverse.as_deref(), descent.upkeep, buffers),
            || {
                let rest = self.rest(batch, &slopes, buffers);
                // The gradient of H is A Q and the rest.
                let mut gradient = buffers.copy(&rest);
                for (i, (row, h_gram)) in gradient
                    .chunks_exact_mut(d)
                    .zip(h_gram.chunks_exact(d))
                    .enumerate()
                {
                    add(row, 2.0 * slopes.sum_squares[i], h_gram);
                }
                let gram = self.next_gram(batch, descent, &slopes, [&pull, &rest, &gradient], buffers);
                buffers.give([rest]);
                (gradient, gram)
            },
        );
        buffers.give([pull, h_gram, turned, std::mem::replace(&mut self.gram, gram)]);
        outcome.gradient = gradient;
        self.descend_shared(batch, descent, &slopes, &outcome.sum, &shifts);
        buffers.give([std::mem::replace(&mut self.u, next.u)]);
        // A target's row of W loses a multiple of h, which in V is one of h U⁻¹ with U as it is now.
        let directions = match next.inverse {
            Some(inverse) => {
                if let Some(before) = std::mem::replace(&mut self.u_inverse, inverse.kept) {
                    buffers.give([before]);
                }
                inverse.directions
            }
            None => {
                self.unfactorise();
                buffers.copy(batch.hidden)
            }
        };
        let each = batch.each();
        for (i, (&target, &slope)) in batch.targets.iter().zip(&slopes.target).enumerate() {
            let sample = i / each;
            let direction = &directions[sample * d..(sample + 1) * d];
            add(self.row_mut(target), -descent.learning_rate * slope, direction);
        }
        buffers.give([directions]);
        self.steps += 1;
        Ok(outcome)
    }

    /// Statistics, losses and slopes.
    fn forward(
        &self,
        batch: &Batch,
        descent: &Descent,
        h_gram: &[f64],
        turned: &[f64],
        shifts: &[f64],
    ) -> Result<(Outcome, Slopes), OutputError> {
        let (d, m, each) = (self.width, batch.samples, batch.each());
        let rows = || batch.hidden.chunks_exact(d);
        let target_scores = batch.targets.iter().enumerate().map(|(i, &target)| {
            let sample = i / each;
            dot(&turned[sample * d..(sample + 1) * d], self.row(target)) + shifts[sample]
        });
        let mut outcome = Outcome {
            losses: Vec::with_capacity(m),
            gradient: Vec::new(),
            sum: rows().map(|h| dot(h, &self.row_sum)).collect(),
            sum_squares: rows()
                .zip(h_gram.chunks_exact(d))
                .map(|(h, hq)| dot(h, hq))
                .collect(),
            target: target_scores.collect(),
        };
        let mut slopes = Slopes {
            sum: vec![0.0; m],
            sum_squares: vec![0.0; m],
            target: Vec::with_capacity(m * each),
            targets: vec![0.0; m],
        };
        let share = 1.0 / each as f64;
        let scale = descent.scale * share;
        for (i, scores) in outcome.target.chunks_exact(each).enumerate() {
            let mut loss = 0.0;
            for &score in scores {
                let moments = Moments {
                    targets: each as f64,
                    ..Moments::of_sums(self.classes, outcome.sum[i], outcome.sum_squares[i], score)
                };
                let own = descent.member.slopes(&moments);
                loss += own.loss * share;
                slopes.sum[i] += own.by_sum(moments.mean) * scale;
                slopes.sum_squares[i] += own.by_sum_squares() * scale;
                slopes.target.push(own.target * scale);
                slopes.targets[i] += own.target * scale;
            }
            if !loss.is_finite() {
                return Err(OutputError::NotFinite { sample: i, loss });
            }
            outcome.losses.push(loss);
        }
        Ok((outcome, slopes))
    }

    /// Z `[samples, d]`: the gradient of H by the targets' scores and by `s`.
    fn rest(&self, batch: &Batch, slopes: &Slopes, buffers: &Buffers) -> Vec<f64> {
        let (d, m, each) = (self.width, batch.samples, batch.each());
        let mut own = buffers.take(m * d);
        own.fill(0.0);
        for (i, (&target, &slope)) in batch.targets.iter().zip(&slopes.target).enumerate() {
            let sample = i / each;
            add(&mut own[sample * d..(sample + 1) * d], slope, self.row(target));
        }
        let mut rest = buffers.product(Matrix::new(&own, m, d), Matrix::new(&self.u, d, d), m, d);
        buffers.give([own]);
        for (i, row) in rest.chunks_exact_mut(d).enumerate() {
            add(row, slopes.targets[i], &self.omega);
            add(row, slopes.sum[i], &self.row_sum);
        }
        rest
    }

    /// `keep² Q − η keep (Hᵀ G + Gᵀ H) + η² Hᵀ M H`, with G the gradient of H and `M = (∂ℓ/∂O)(∂ℓ/∂O)ᵀ`.
    fn next_gram(
        &self,
        batch: &Batch,
        descent: &Descent,
        slopes: &Slopes,
        [pull, rest, gradient]: [&[f64]; 3],
        buffers: &Buffers,
    ) -> Vec<f64> {
        let (d, m) = (self.width, batch.samples);
        let h = Matrix::new(batch.hidden, m, d);
        // M is P + Pᵀ with P = A (A Q/2 + Z)ᵀ and half of what the targets and s add; A Q/2 + Z is (G + Z)/2.
        let mut middle = buffers.copy(rest);
        middle
            .iter_mut()
            .zip(gradient)
            .for_each(|(z, g)| *z = 0.5 * (*z + g));
        let (a, to) = (Matrix::new(pull, m, d), Matrix::new(&middle, m, d));
        let half = buffers.product(a, to.transposed(), m, m);
        let mut outer = buffers.take(m * m);
        outer.fill(0.0);
        add_symmetric(&mut outer, 0.0, 1.0, &half, m);
        for i in 0..m {
            for j in 0..m {
                outer[i * m + j] += slopes.sum[i] * (self.classes as f64 * slopes.sum[j] + slopes.targets[j])
                    + slopes.targets[i] * slopes.sum[j];
            }
        }
        add_shared_targets(&mut outer, batch, &slopes.target);

        let mut x = buffers.copy(gradient);
        let of_outer = Matrix::new(&outer, m, m);
        multiply(
            Work::Shared,
            &mut x,
            descent.keep,
            -0.5 * descent.learning_rate,
            of_outer,
            h,
        );
        let change = buffers.product(h.transposed(), Matrix::new(&x, m, d), d, d);
        let mut gram = buffers.copy(&self.gram);
        let kept = descent.keep * descent.keep;
        add_symmetric(&mut gram, kept, -descent.learning_rate, &change, d);
        buffers.give([middle, half, outer, x, change]);
        gram
    }

    /// `ω ← keep ω − η Hᵀ (2 ∂ℓ/∂q·(H ω) + ∂ℓ/∂s)` and `w̄ ← keep w̄ − η Hᵀ (2 ∂ℓ/∂q·s + D ∂ℓ/∂s + Σ ∂ℓ/∂o_c)`.
    fn descend_shared(
        &mut self,
        batch: &Batch,
        descent: &Descent,
        slopes: &Slopes,
        sums: &[f64],
        shifts: &[f64],
    ) {
        self.omega.iter_mut().for_each(|x| *x *= descent.keep);
        self.row_sum.iter_mut().for_each(|x| *x *= descent.keep);
        for (i, h) in batch.hidden.chunks_exact(self.width).enumerate() {
            let turn = 2.0 * slopes.sum_squares[i];
            let of_omega = turn * shifts[i] + slopes.sum[i];
            add(&mut self.omega, -descent.learning_rate * of_omega, h);
            let of_all = turn * sums[i] + self.classes as f64 * slopes.sum[i] + slopes.targets[i];
            add(&mut self.row_sum, -descent.learning_rate * of_all, h);
        }
    }
}

/// Adds the product of the slopes of every two targets that are the same class, at their samples.
fn add_shared_targets(outer: &mut [f64], batch: &Batch, slopes: &[f64]) {
    let each = batch.each();
    let mut order: Vec<usize> = (0..batch.targets.len()).collect();
    order.sort_unstable_by_key(|&i| batch.targets[i]);
    for same in order.chunk_by(|&i, &j| batch.targets[i] == batch.targets[j]) {
        for &i in same {
            for &j in same {
                outer[(i / each) * batch.samples + j / each] += slopes[i] * slopes[j];
            }
        }
    }
}
