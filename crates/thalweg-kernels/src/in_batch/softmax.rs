//! Softmaxes of anchors over their candidates: the statistics of each, and from a slope each the gradient.

use std::ops::Range;

use super::blocks::{Grid, Parts, Tile};
use super::lanes::{Fall, both_slopes, column_sums, left_out, row_slopes, row_sums};
use super::statistics::{Slope, Statistics, Sums};
use super::{Anchors, Own, Pairs};
use crate::dispatch;
use crate::real::Real;

/// The statistics of each anchor: of the set or the queries, and of the other side where it has anchors too.
///
/// # Panics
/// When the sizes disagree or a positive is no candidate.
pub fn softmax_statistics<F: Real>(pairs: &Pairs<F>, width: usize) -> [Vec<Statistics>; 2] {
    let grid = pairs.grid(width);
    let directions = Directions::new(pairs, &grid);
    let mut found = directions
        .of
        .map(|anchors| vec![Statistics::NONE; anchors.map_or(0, |anchors| anchors.temperatures.len())]);
    let parts = found.each_mut().map(|found| grid.parts(found, 1));
    let scales = directions.of.map(scales::<F>);
    grid.sweep(|tile| {
        directions.take_in(Along::Rows, 0, tile, &scales[0], &parts[0]);
        if let Some(side) = directions.columns
            && !(grid.is_within() && tile.is_diagonal())
        {
            directions.take_in(Along::Columns, side, tile, &scales[side], &parts[side]);
        }
    });
    drop(parts);
    found
}

/// The gradient by the vectors of each side (by those of the set, and none, within one set), from the statistics of the same
/// pairs and a slope of each anchor.
///
/// # Panics
/// When the sizes disagree or a positive is no candidate.
pub fn softmax_gradients<F: Real>(
    pairs: &Pairs<F>,
    width: usize,
    statistics: &[Vec<Statistics>; 2],
    slopes: &[Vec<Slope>; 2],
) -> [Vec<F>; 2] {
    let grid = pairs.grid(width);
    let directions = Directions::new(pairs, &grid);
    let falls = [0, 1].map(|side| Falls::<F>::new(directions.of[side], &statistics[side], &slopes[side]));
    let [rows, columns] = grid.counts();
    let columns = if grid.is_within() { 0 } else { columns };
    let mut gradients = [rows, columns].map(|count| vec![F::ZERO; count * width]);
    let parts = gradients.each_mut().map(|gradient| grid.parts(gradient, width));
    let across = &parts[usize::from(!grid.is_within())];
    grid.sweep(|tile| {
        let special = directions.special(tile);
        let rows = falls[0].part(&tile.rows);
        let (scores, width) = (&mut *tile.scores, tile.columns.len());
        match directions.columns {
            Some(side) => {
                let columns = falls[side].part(&tile.columns);
                dispatch!([F: Real] both_slopes, (scores: &mut [F], rows: Fall<F>, columns: Fall<F>));
            }
            None => dispatch!([F: Real] row_slopes, (scores: &mut [F], width: usize, rows: Fall<F>)),
        }
        for (at, score) in special {
            let (row, column) = (tile.rows.start + at / width, tile.columns.start + at % width);
            let slope = |side: usize, anchor, candidate| {
                directions.slope(
                    side,
                    anchor,
                    candidate,
                    falls[side].at(anchor, score),
                    &slopes[side][anchor],
                )
            };
            let of_column = directions.columns.map_or(0.0, |side| slope(side, column, row));
            tile.scores[at] = F::from_f64(slope(0, row, column) + of_column);
        }
        grid.multiply_on(tile, &parts[0], across);
    });
    drop(parts);
    gradients
}

impl<'a, F: Real> Pairs<'a, F> {
    fn grid(&self, width: usize) -> Grid<'a, F> {
        match *self {
            Self::Within { vectors, .. } => Grid::within(vectors, width),
            Self::Across { queries, keys, .. } => Grid::across([queries, keys], width),
            Self::Both { sides, .. } => Grid::across(sides, width),
        }
    }
}

/// The anchors of both sides.
struct Directions<'a> {
    of: [Option<Anchors<'a>>; 2],
    /// The side whose anchors the columns are, where they are anchors: within one set that of the rows.
    columns: Option<usize>,
    own: Own,
}

/// Where the anchors of a block are.
#[derive(Clone, Copy)]
enum Along {
    Rows,
    Columns,
}

/// A candidate of a block that is no other for its anchor: its positive or itself.
struct Special {
    anchor: usize,
    candidate: usize,
    /// Place in the block.
    at: usize,
}

impl<'a> Directions<'a> {
    fn new<F: Real>(pairs: &Pairs<'a, F>, grid: &Grid<F>) -> Self {
        let (of, columns, own) = match *pairs {
            Pairs::Within { anchors, .. } => ([Some(anchors), None], Some(0), Own::Excluded),
            Pairs::Across { anchors, own, .. } => ([Some(anchors), None], None, own),
            Pairs::Both { anchors, .. } => (anchors.map(Some), Some(1), Own::Counted),
        };
        let counts = grid.counts();
        for (side, anchors) in of.iter().enumerate() {
            let Some(anchors) = anchors else { continue };
            let (count, candidates) = (counts[side], counts[1 - side]);
            let given = anchors.temperatures.len();
            assert_eq!(given, count, "{given} temperatures for {count} anchors");
            let Some(positives) = anchors.positives else {
                continue;
            };
            let given = positives.len();
            assert_eq!(given, count, "{given} positives for {count} anchors");
            if let Some(at) = positives.iter().position(|&p| p as usize >= candidates) {
                panic!(
                    "positive {} of anchor {at} is not in 0..{candidates}",
                    positives[at]
                );
            }
        }
        Self { of, columns, own }
    }

    /// Takes the scores of a block into the statistics of its anchors, which are of `side`.
    fn take_in<F: Real>(
        &self,
        along: Along,
        side: usize,
        tile: &mut Tile<F>,
        scales: &[F],
        found: &Parts<Statistics>,
    ) {
        let special = self.special_along(along, side, tile);
        let anchors = match along {
            Along::Rows => &tile.rows,
            Along::Columns => &tile.columns,
        };
        let mut found = found.of(anchors);
        for special in &special {
            if self.is_positive(side, special.anchor, special.candidate) {
                found[special.anchor - anchors.start].positive = tile.scores[special.at].to_f64();
            }
        }
        let kept: Vec<F> = special
            .iter()
            .map(|special| std::mem::replace(&mut tile.scores[special.at], left_out()))
            .collect();
        let scales = &scales[anchors.clone()];
        let mut sums = vec![Sums::NONE; anchors.len()];
        let (scores, width, out) = (&*tile.scores, tile.columns.len(), &mut sums[..]);
        match along {
            Along::Rows => {
                dispatch!([F: Real] row_sums, (scores: &[F], width: usize, scales: &[F], out: &mut [Sums]));
            }
            Along::Columns => {
                dispatch!([F: Real] column_sums, (scores: &[F], scales: &[F], out: &mut [Sums]));
            }
        }
        for ((found, sums), scale) in found.iter_mut().zip(sums).zip(scales) {
            found.add(sums, scale.to_f64());
        }
        for (special, score) in special.iter().zip(kept) {
            tile.scores[special.at] = score;
        }
    }

    fn is_positive(&self, side: usize, anchor: usize, candidate: usize) -> bool {
        let positives = self.of[side].and_then(|anchors| anchors.positives);
        positives.is_some_and(|positives| positives[anchor] as usize == candidate)
    }

    fn special_along<F>(&self, along: Along, side: usize, tile: &Tile<F>) -> Vec<Special> {
        let (anchors, candidates) = match along {
            Along::Rows => (&tile.rows, &tile.columns),
            Along::Columns => (&tile.columns, &tile.rows),
        };
        let positives = self.of[side].and_then(|anchors| anchors.positives);
        let mut special = Vec::new();
        for anchor in anchors.clone() {
            let positive = positives.map(|positives| positives[anchor] as usize);
            let own = (self.own == Own::Excluded && positive != Some(anchor)).then_some(anchor);
            for candidate in positive.into_iter().chain(own) {
                if candidates.contains(&candidate) {
                    let (row, column) = match along {
                        Along::Rows => (anchor, candidate),
                        Along::Columns => (candidate, anchor),
                    };
                    let at = (row - tile.rows.start) * tile.columns.len() + column - tile.columns.start;
                    special.push(Special {
                        anchor,
                        candidate,
                        at,
                    });
                }
            }
        }
        special
    }

    /// Place and score of all that is special for an anchor of either side.
    fn special<F: Real>(&self, tile: &Tile<F>) -> Vec<(usize, F)> {
        let mut special = self.special_along(Along::Rows, 0, tile);
        if let Some(side) = self.columns {
            special.extend(self.special_along(Along::Columns, side, tile));
        }
        special
            .iter()
            .map(|special| (special.at, tile.scores[special.at]))
            .collect()
    }

    /// The slope of the anchor's loss by the score of a candidate, `fall` where that is one of the others.
    fn slope(&self, side: usize, anchor: usize, candidate: usize, fall: f64, slope: &Slope) -> f64 {
        if self.is_positive(side, anchor, candidate) {
            slope.positive
        } else if self.own == Own::Excluded && anchor == candidate {
            0.0
        } else {
            fall
        }
    }
}

/// Inverse temperatures.
fn scales<F: Real>(anchors: Option<Anchors>) -> Vec<F> {
    let temperatures = anchors.map_or(&[][..], |anchors| anchors.temperatures);
    temperatures
        .iter()
        .map(|&temperature| F::from_f64(1.0 / temperature))
        .collect()
}

/// A [`Fall`] of all anchors of a side.
struct Falls<F> {
    tops: Vec<F>,
    scales: Vec<F>,
    factors: Vec<F>,
}

impl<F: Real> Falls<F> {
    fn new(anchors: Option<Anchors>, statistics: &[Statistics], slopes: &[Slope]) -> Self {
        let scales = scales::<F>(anchors);
        assert_eq!(statistics.len(), scales.len(), "statistics of each anchor");
        assert_eq!(slopes.len(), scales.len(), "a slope of each anchor");
        let share = |(slope, statistics): (&Slope, &Statistics)| F::from_f64(slope.others / statistics.sum);
        Self {
            tops: statistics
                .iter()
                .map(|statistics| F::from_f64(statistics.top))
                .collect(),
            scales,
            factors: slopes.iter().zip(statistics).map(share).collect(),
        }
    }

    fn part(&self, anchors: &Range<usize>) -> Fall<'_, F> {
        Fall {
            tops: &self.tops[anchors.clone()],
            scales: &self.scales[anchors.clone()],
            factors: &self.factors[anchors.clone()],
        }
    }

    fn at(&self, anchor: usize, score: F) -> f64 {
        let exponential = ((score - self.tops[anchor]) * self.scales[anchor]).exp_lane();
        (exponential * self.factors[anchor]).to_f64()
    }
}
