//! Transposition in tiles, so that each cache line is read and written once.

use rayon::prelude::*;

use super::Work;
use crate::real::Real;

/// Side of a tile: as many single-precision numbers as a cache line holds.
const TILE: usize = 16;

/// Rows of the output that a task writes.
const TASK: usize = 64;

/// Turns rows that begin `stride` elements apart in `source` into columns: element `(i, j)` of the row-major `out`, which has
/// `rows` rows, becomes `source[j·stride + i]`.
///
/// # Panics
/// When `out` is not whole rows, or the source ends before its last row does.
pub fn transpose<F: Real>(work: Work, source: &[F], stride: usize, out: &mut [F], rows: usize) {
    if out.is_empty() {
        return;
    }
    let columns = out.len() / rows;
    assert_eq!(out.len(), rows * columns, "{} elements in {rows} rows", out.len());
    assert!(
        source.len() >= (columns - 1) * stride + rows,
        "{} elements end before row {columns} of {rows} elements, {stride} apart",
        source.len()
    );
    match work {
        Work::Alone => strip(source, stride, 0, out, columns),
        Work::Shared => {
            let strips = out.par_chunks_mut(TASK * columns).enumerate();
            strips.for_each(|(task, out)| strip(source, stride, task * TASK, out, columns));
        }
    }
}

/// Rows `first..` of the output, as many as `out` holds.
fn strip<F: Real>(source: &[F], stride: usize, first: usize, out: &mut [F], columns: usize) {
    for (band, out) in out.chunks_mut(TILE * columns).enumerate() {
        let top = first + band * TILE;
        let height = out.len() / columns;
        for left in (0..columns).step_by(TILE) {
            let width = TILE.min(columns - left);
            let mut tile = [[F::ZERO; TILE]; TILE];
            for (j, line) in tile.iter_mut().enumerate().take(width) {
                let start = (left + j) * stride + top;
                line[..height].copy_from_slice(&source[start..start + height]);
            }
            for (i, row) in out.chunks_exact_mut(columns).enumerate() {
                for (out, line) in row[left..left + width].iter_mut().zip(&tile) {
                    *out = line[i];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn rows_become_columns(rows in 1_usize..150, columns in 1_usize..50, gap in 0_usize..3) {
            let stride = rows + gap;
            let source: Vec<f64> = (0..columns * stride).map(|i| i as f64).collect();
            for work in [Work::Alone, Work::Shared] {
                let mut out = vec![f64::NAN; rows * columns];
                transpose(work, &source, stride, &mut out, rows);
                for (i, row) in out.chunks_exact(columns).enumerate() {
                    for (j, &found) in row.iter().enumerate() {
                        prop_assert_eq!(found, source[j * stride + i]);
                    }
                }
            }
        }
    }
}
