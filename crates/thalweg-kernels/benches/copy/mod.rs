//! A kernel beside copying as many bytes, which is the least that memory allows.

use std::time::{Duration, Instant};

use rayon::prelude::*;

const ROUNDS: usize = 21;

/// How it is measured.
pub fn conditions() -> String {
    format!("{} threads, {ROUNDS} rounds", rayon::current_num_threads())
}

/// Copying, half of the bytes being read and half written.
pub struct Copy {
    from: Vec<u64>,
    to: Vec<u64>,
}

impl Copy {
    /// Of at most so many bytes.
    pub fn of(most_bytes: usize) -> Self {
        let words = most_bytes / 2 / size_of::<u64>();
        Self {
            from: vec![1; words],
            to: vec![2; words],
        }
    }

    fn run(&mut self, bytes: usize) {
        let words = bytes / 2 / size_of::<u64>();
        let piece = words.div_ceil(rayon::current_num_threads());
        let pieces = self.to[..words].par_chunks_mut(piece);
        pieces
            .zip(self.from[..words].par_chunks(piece))
            .for_each(|(to, from)| to.copy_from_slice(from));
    }

    /// Prints how long `kernel` takes, which moves `bytes`, and a copy that moves as many.
    pub fn beside(&mut self, name: &str, bytes: usize, mut kernel: impl FnMut()) {
        let timed = |run: &mut dyn FnMut()| {
            let started = Instant::now();
            run();
            started.elapsed()
        };
        let (mut own, mut copies) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            own.push(timed(&mut kernel));
            copies.push(timed(&mut || self.run(bytes)));
        }
        let (own, copies) = (sorted(own), sorted(copies));
        let (middle, ratio) = (ROUNDS / 2, |at: usize| {
            own[at].as_secs_f64() / copies[at].as_secs_f64()
        });
        println!(
            "{name:<22} {:>6.2} ({:>6.2}) ms, {:>3} MB, {:>4.1} GB/s, {:.2} ({:.2}) times a copy of as many bytes",
            1e3 * own[middle].as_secs_f64(),
            1e3 * own[0].as_secs_f64(),
            bytes / 1_000_000,
            bytes as f64 / own[middle].as_secs_f64() / 1e9,
            ratio(middle),
            ratio(0),
        );
    }
}

fn sorted(mut times: Vec<Duration>) -> Vec<Duration> {
    times.sort_unstable();
    times
}
