//! A random direction for each sample, uniform on the unit sphere, keyed by the number of the sample: drawn where it is used,
//! and drawn again where its gradient is, so that no matrix of them is ever held for long.

use rayon::prelude::*;

use crate::random::Stream;
use crate::real::Real;

/// Elements that one task takes, unless a row is longer.
const BLOCK: usize = 1 << 12;

/// The directions of a step: each sample's is drawn from the stream of its number beside `root`.
#[derive(Clone, Debug)]
pub struct Directions<'a> {
    /// The stream of the step.
    pub root: &'a Stream,
    /// The number of each row's sample.
    pub samples: &'a [usize],
    /// Numbers of a direction, at least 1.
    pub width: usize,
}

impl Directions<'_> {
    /// `⟨row, direction⟩` of each row of `[samples, width]`.
    ///
    /// # Panics
    /// When there are not as many rows as samples.
    pub fn along<F: Real>(&self, rows: &[F]) -> Vec<f64> {
        let count = self.samples.len();
        assert_eq!(
            rows.len(),
            count * self.width,
            "a row for each of {count} samples"
        );
        let each = (BLOCK / self.width).max(1);
        let blocks = rows
            .par_chunks(each * self.width)
            .zip(self.samples.par_chunks(each));
        let along = blocks.flat_map_iter(|(rows, samples)| {
            let mut normal = vec![0.0; self.width];
            let rows = rows.chunks_exact(self.width).zip(samples);
            rows.map(move |(row, &sample)| {
                let inverse = self.draw(sample, &mut normal);
                let pairs = row.iter().zip(&normal);
                inverse * pairs.map(|(x, &w)| x.to_f64() * f64::from(w)).sum::<f64>()
            })
        });
        along.collect()
    }

    /// `scale` times the direction of each sample, `[samples, width]`.
    pub fn scaled<F: Real>(&self, scale: f64) -> Vec<F> {
        let mut rows = vec![F::ZERO; self.samples.len() * self.width];
        let each = (BLOCK / self.width).max(1);
        let blocks = rows
            .par_chunks_mut(each * self.width)
            .zip(self.samples.par_chunks(each));
        blocks.for_each(|(rows, samples)| {
            let mut normal = vec![0.0; self.width];
            for (row, &sample) in rows.chunks_exact_mut(self.width).zip(samples) {
                let factor = scale * self.draw(sample, &mut normal);
                for (x, &w) in row.iter_mut().zip(&normal) {
                    *x = F::from_f64(factor * f64::from(w));
                }
            }
        });
        rows
    }

    /// Normal numbers of a sample's direction, and one over their length.
    fn draw(&self, sample: usize, normal: &mut [f32]) -> f64 {
        self.root.beside(sample as u64).fill_normal(normal);
        let squares: f64 = normal.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        1.0 / squares.sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_depends_on_stream_and_sample_only() {
        let (root, next) = (Stream::new(1, "step", 0), Stream::new(1, "step", 1));
        let of = |root: &Stream, samples: &[usize]| -> Vec<f64> {
            let width = 5;
            Directions { root, samples, width }.scaled(1.0)
        };
        let both = of(&root, &[7, 3]);
        assert_eq!(of(&root, &[3, 7]), [&both[5..], &both[..5]].concat());
        assert_ne!(of(&next, &[7, 3]), both);
        for row in both.chunks_exact(5) {
            assert!((row.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn rows_are_measured_along_the_directions_that_are_handed_out() {
        let root = Stream::new(2, "step", 0);
        let samples: Vec<usize> = (0..3000).rev().collect();
        let directions = Directions {
            root: &root,
            samples: &samples,
            width: 3,
        };
        let drawn: Vec<f64> = directions.scaled(2.0);
        let rows: Vec<f32> = drawn.iter().map(|&x| x as f32).collect();
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let along = directions.along(&rows);
        assert!(along.iter().all(|length| (length - 2.0).abs() < 1e-6));
        assert_eq!(one.install(|| directions.along(&rows)), along);
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        assert!(mean.abs() < 0.05, "{mean}");
    }
}
