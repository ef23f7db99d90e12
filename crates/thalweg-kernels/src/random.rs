//! Random streams derived by name: one seed in, as many independent counter-based streams as there are names.
//!
//! A stream depends on the seed, its name and its index only, never on the order in which streams are made or on
//! the number of threads.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_seeder::Seeder;

/// A deterministic stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream called `name` under `seed`, number `index` (an epoch, a fold, a sample: 0 where there is one only).
    pub fn new(seed: u64, name: &str, index: u64) -> Self {
        Self(ChaCha8Rng::from_seed(
            Seeder::from(format!("{seed}/{name}/{index}")).make_seed(),
        ))
    }

    /// Stream number `index` of as many as there are numbers beside this one, from its beginning, wherever this one stands.
    /// The key is shared, so that making one costs next to nothing: for a stream a sample. Number 0 is this stream itself.
    #[must_use]
    pub fn beside(&self, index: u64) -> Self {
        let mut other = self.0.clone();
        other.set_stream(index);
        other.set_word_pos(0);
        Self(other)
    }

    /// A number in `[0, 1)`.
    pub fn uniform(&mut self) -> f64 {
        self.0.random()
    }

    /// An integer in `0..bound`.
    ///
    /// # Panics
    /// When `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0.random_range(0..bound)
    }

    /// Fills `out` with numbers uniform in `[low, high)`.
    pub fn fill_uniform(&mut self, low: f32, high: f32, out: &mut [f32]) {
        for value in out {
            *value = low + (high - low) * self.0.random::<f32>();
        }
    }

    /// Fills `out` with standard normal numbers (Box and Muller, both of each pair).
    pub fn fill_normal(&mut self, out: &mut [f32]) {
        for pair in out.chunks_mut(2) {
            let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
            let (sin, cos) = (std::f64::consts::TAU * self.uniform()).sin_cos();
            pair[0] = (radius * cos) as f32;
            if let Some(second) = pair.get_mut(1) {
                *second = (radius * sin) as f32;
            }
        }
    }

    /// Puts `items` in random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// The raw generator, for use with `rand` distributions.
    pub fn rng(&mut self) -> &mut impl Rng {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_seed_name_and_index_only() {
        let draw = |seed, name, index| Stream::new(seed, name, index).uniform();
        assert_eq!(draw(1, "noise", 0), draw(1, "noise", 0));
        let all = [
            draw(1, "noise", 0),
            draw(2, "noise", 0),
            draw(1, "split", 0),
            draw(1, "noise", 1),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b));
        }
    }

    #[test]
    fn the_first_numbers_of_a_stream_never_change() {
        // A changed generator would silently change every recorded result.
        let mut stream = Stream::new(7, "pinned", 3);
        let drawn: Vec<usize> = (0..6).map(|_| stream.below(1000)).collect();
        assert_eq!(drawn, [700, 743, 796, 799, 288, 249]);
    }

    #[test]
    fn streams_beside_one_depend_on_their_number_only() {
        let mut root = Stream::new(5, "root", 0);
        let draw = |root: &Stream, index| root.beside(index).uniform();
        let (first, second, own) = (draw(&root, 1), draw(&root, 2), draw(&root, 0));
        assert_eq!(root.uniform(), own);
        assert!(first != second && first != own);
        assert_eq!([draw(&root, 1), draw(&root, 2)], [first, second]);
        assert_ne!(draw(&Stream::new(5, "root", 1), 1), first);
    }

    #[test]
    fn normal_numbers_have_mean_zero_and_variance_one() {
        let mut out = vec![0.0; 100_001];
        Stream::new(0, "normal", 0).fill_normal(&mut out);
        let mean = out.iter().map(|&x| f64::from(x)).sum::<f64>() / out.len() as f64;
        let variance = out.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / out.len() as f64;
        assert!(
            mean.abs() < 0.01 && (variance - 1.0).abs() < 0.015,
            "mean {mean}, variance {variance}"
        );
    }

    #[test]
    fn shuffling_keeps_every_item() {
        let mut items: Vec<usize> = (0..100).collect();
        Stream::new(3, "shuffle", 0).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
