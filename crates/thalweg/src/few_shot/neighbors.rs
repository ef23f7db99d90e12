//! The nearest targets of each point, nearest first, and whether they are of its class.

use super::distances::{ROOT_EPSILON, SquaredDistances};

/// What becomes of the nearest target of each point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum NearestTarget {
    /// It is left out. Where the targets are the points themselves it is the point, and has to be; among other targets it is the
    /// most telling neighbour, and leaving it out is what the authors' code does.
    Dropped,
    /// It counts.
    Kept,
}

/// Targets that are too few for a score of neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooFewTargets {
    /// Fewer than the score can do with.
    #[error("{targets} targets are too few for neighbours to be told apart; at least {least} are needed")]
    Targets {
        /// How many there are.
        targets: usize,
        /// How many it needs.
        least: usize,
    },
    /// Fewer than the neighbours asked for.
    #[error(
        "{targets} targets have no {neighbors} nearest beside the one itself; neighbors is at most {}",
        targets - 1
    )]
    Neighbors {
        /// How many targets there are.
        targets: usize,
        /// How many neighbours were asked for.
        neighbors: usize,
    },
}

/// A neighbour of a point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Neighbor {
    pub target: usize,
    pub distance: f64,
    pub same_class: bool,
}

/// The nearest targets of all points.
pub(super) struct Neighbors {
    all: Vec<Neighbor>,
    per_point: usize,
}

impl Neighbors {
    /// The `per_point` nearest targets of each point beside the one that is dropped, equally near ones in their order.
    ///
    /// # Panics
    /// When there are fewer targets, or not as many labels as points.
    pub fn find(
        distances: &SquaredDistances,
        labels: &[u32],
        target_labels: &[u32],
        per_point: usize,
        nearest: NearestTarget,
    ) -> Self {
        assert_eq!(labels.len(), distances.rows().len(), "a label for each point");
        assert_eq!(
            target_labels.len(),
            distances.targets(),
            "a label for each target"
        );
        let dropped = usize::from(nearest == NearestTarget::Dropped);
        // Exact copies of a point are as near as the point itself: it is not always the first.
        let drops_itself = dropped == 1 && distances.are_within();
        let taken = if drops_itself {
            per_point
        } else {
            per_point + dropped
        };
        let mut all = Vec::with_capacity(labels.len() * per_point);
        let mut order = Vec::with_capacity(distances.targets());
        for (point, (squares, label)) in distances.rows().zip(labels).enumerate() {
            order.clear();
            let targets = squares.iter().enumerate();
            let others = targets.filter(|(target, _)| !drops_itself || *target != point);
            order.extend(others.map(|(target, square)| Neighbor {
                target,
                distance: (square + ROOT_EPSILON).sqrt(),
                same_class: target_labels[target] == *label,
            }));
            let nearer = |a: &Neighbor, b: &Neighbor| {
                let by_distance = a.distance.total_cmp(&b.distance);
                by_distance.then(a.target.cmp(&b.target))
            };
            if taken < order.len() {
                order.select_nth_unstable_by(taken, nearer);
            }
            let nearest = &mut order[..taken];
            nearest.sort_unstable_by(nearer);
            all.extend_from_slice(&nearest[taken - per_point..]);
        }
        Self { all, per_point }
    }

    /// The neighbours of each point.
    pub fn of_points(&self) -> impl ExactSizeIterator<Item = &[Neighbor]> {
        self.all.chunks_exact(self.per_point)
    }
}
