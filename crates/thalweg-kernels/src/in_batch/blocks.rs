//! Square blocks of scores, visited in rounds in which no two of them share a row block or a column block.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

use rayon::prelude::*;

use crate::matrix::{Matrix, Work, multiply};
use crate::real::Real;

/// Vectors of a block at most: a block of f32 scores then takes 256 KiB, which stays in the second-level cache.
const LARGEST: usize = 256;
/// Vectors of a block at least.
const SMALLEST: usize = 64;
/// Blocks that a small batch is cut into, so that there is something to share.
const FEW: usize = 8;

/// Two sets of vectors, or one with itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid<'a, F> {
    rows: &'a [F],
    columns: &'a [F],
    width: usize,
    /// Whether both are one set; then each unordered pair of blocks is visited once.
    same: bool,
    block: usize,
}

/// Scores of a block of rows with a block of columns.
pub(super) struct Tile<'t, F> {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    /// `[rows, columns]`.
    pub scores: &'t mut [F],
}

impl<F> Tile<'_, F> {
    /// Whether it lies on the diagonal of one set with itself.
    pub fn is_diagonal(&self) -> bool {
        self.rows == self.columns
    }
}

impl<'a, F: Real> Grid<'a, F> {
    /// Of one set with itself.
    pub fn within(vectors: &'a [F], width: usize) -> Self {
        Self {
            same: true,
            ..Self::across([vectors, vectors], width)
        }
    }

    /// Of two sets.
    ///
    /// # Panics
    /// When a side is no whole number of vectors.
    pub fn across([rows, columns]: [&'a [F]; 2], width: usize) -> Self {
        assert!(width > 0, "vectors have at least one component");
        for side in [rows, columns] {
            assert!(
                side.len().is_multiple_of(width),
                "{} numbers are no vectors of width {width}",
                side.len()
            );
        }
        let most = rows.len().max(columns.len()) / width;
        let block = most
            .div_ceil(FEW)
            .next_multiple_of(SMALLEST)
            .clamp(SMALLEST, LARGEST);
        Self {
            rows,
            columns,
            width,
            same: false,
            block,
        }
    }

    /// Vectors of both sides.
    pub fn counts(&self) -> [usize; 2] {
        [self.rows.len() / self.width, self.columns.len() / self.width]
    }

    /// Whether both sides are one set.
    pub fn is_within(&self) -> bool {
        self.same
    }

    /// `values`, `width` for each of a side's vectors, as one part for each block.
    pub fn parts<'v, T>(&self, values: &'v mut [T], width: usize) -> Parts<'v, T> {
        Parts {
            block: self.block,
            parts: values.chunks_mut(self.block * width).map(Mutex::new).collect(),
        }
    }

    /// Visits all blocks. Within one set the diagonal ones hold both orders of a pair, the others one.
    pub fn sweep(&self, visit: impl Fn(&mut Tile<F>) + Sync) {
        let counts = self.counts();
        let blocks = counts.map(|count| count.div_ceil(self.block));
        let rounds = blocks[0].max(blocks[1]);
        let kept = Mutex::new(Vec::<Vec<F>>::new());
        let memory = || kept.lock().expect("no panic while it is held");
        for round in 0..rounds {
            let met: Vec<[usize; 2]> = (0..rounds)
                .map(|row| [row, (round + rounds - row) % rounds])
                .filter(|[row, column]| *row < blocks[0] && *column < blocks[1])
                .filter(|[row, column]| !self.same || row <= column)
                .collect();
            met.into_par_iter().for_each(|at| {
                let [rows, columns] = [0, 1].map(|side| {
                    let first = at[side] * self.block;
                    first..(first + self.block).min(counts[side])
                });
                let mut scores = memory().pop().unwrap_or_default();
                scores.resize(rows.len() * columns.len(), F::ZERO);
                let [a, b] = [self.row_vectors(&rows), self.column_vectors(&columns)];
                multiply(Work::Alone, &mut scores, F::ZERO, F::ONE, a, b.transposed());
                visit(&mut Tile {
                    rows,
                    columns,
                    scores: &mut scores,
                });
                memory().push(scores);
            });
        }
    }

    /// The vectors of some rows.
    pub fn row_vectors(&self, rows: &Range<usize>) -> Matrix<'a, F> {
        self.vectors(self.rows, rows)
    }

    /// The vectors of some columns.
    pub fn column_vectors(&self, columns: &Range<usize>) -> Matrix<'a, F> {
        self.vectors(self.columns, columns)
    }

    fn vectors(&self, side: &'a [F], range: &Range<usize>) -> Matrix<'a, F> {
        let within = range.start * self.width..range.end * self.width;
        Matrix::new(&side[within], range.len(), self.width)
    }

    /// Adds `slopes · columns` to the rows' gradient and `slopesᵀ · rows` to the columns', where they are another part.
    pub fn multiply_on(&self, tile: &Tile<F>, rows: &Parts<F>, columns: &Parts<F>) {
        let slopes = Matrix::new(tile.scores, tile.rows.len(), tile.columns.len());
        multiply(
            Work::Alone,
            &mut rows.of(&tile.rows),
            F::ONE,
            F::ONE,
            slopes,
            self.column_vectors(&tile.columns),
        );
        if !(self.same && tile.is_diagonal()) {
            multiply(
                Work::Alone,
                &mut columns.of(&tile.columns),
                F::ONE,
                F::ONE,
                slopes.transposed(),
                self.row_vectors(&tile.rows),
            );
        }
    }
}

/// What belongs to each vector of a side, one part for each block. A part has one visitor at a time, so that no lock waits.
pub(super) struct Parts<'v, T> {
    block: usize,
    parts: Vec<Mutex<&'v mut [T]>>,
}

impl<'v, T> Parts<'v, T> {
    /// The part of the block that starts where `range` does.
    pub fn of(&self, range: &Range<usize>) -> MutexGuard<'_, &'v mut [T]> {
        self.parts[range.start / self.block]
            .lock()
            .expect("no visitor panics")
    }
}
