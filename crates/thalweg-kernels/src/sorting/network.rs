//! Which wires a sorting network compares.

use serde::{Deserialize, Serialize};

/// How a network is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// n layers that compare neighbours, in turns from the first wire and from the second.
    OddEven,
    /// Batcher's: `k(k+1)/2` layers for `n <= 2^k` wires.
    Bitonic,
}

impl Network {
    /// Both.
    pub const ALL: [Self; 2] = [Self::OddEven, Self::Bitonic];
}

/// A comparison of two wires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparator {
    /// Its layer; those of one layer share no wire.
    pub layer: usize,
    /// The wire that receives the smaller number.
    pub low: usize,
    /// The wire that receives the larger one.
    pub high: usize,
}

/// Comparators in the order in which numbers meet them.
#[derive(Clone, Debug)]
pub struct SortingNetwork {
    wires: usize,
    layers: usize,
    comparators: Vec<Comparator>,
}

impl SortingNetwork {
    /// A network of so many wires.
    pub fn new(network: Network, wires: usize) -> Self {
        match network {
            Network::OddEven => Self::odd_even(wires),
            Network::Bitonic => Self::bitonic(wires),
        }
    }

    fn odd_even(wires: usize) -> Self {
        let layer = |layer: usize| {
            (layer % 2..wires.saturating_sub(1))
                .step_by(2)
                .map(move |low| Comparator {
                    layer,
                    low,
                    high: low + 1,
                })
        };
        Self {
            wires,
            layers: wires,
            comparators: (0..wires).flat_map(layer).collect(),
        }
    }

    /// Where n is no power of 2 the first wires of the next one are left out, with every comparator that touches them: as if
    /// they held the smallest numbers.
    fn bitonic(wires: usize) -> Self {
        let all = wires.next_power_of_two();
        let missing = all - wires;
        let mut comparators = Vec::new();
        let mut layers = 0;
        for block in 0..all.ilog2() {
            for stride in (0..=block).rev().map(|power| 1 << power) {
                for wire in (0..all).filter(|wire| wire & stride == 0) {
                    let descending = (wire >> (block + 1)) % 2 == 1;
                    let (low, high) = if descending {
                        (wire + stride, wire)
                    } else {
                        (wire, wire + stride)
                    };
                    if low.min(high) >= missing {
                        comparators.push(Comparator {
                            layer: layers,
                            low: low - missing,
                            high: high - missing,
                        });
                    }
                }
                layers += 1;
            }
        }
        Self {
            wires,
            layers,
            comparators,
        }
    }

    /// How many numbers it sorts.
    pub fn wires(&self) -> usize {
        self.wires
    }

    /// How many layers it has, empty ones too.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// Layer by layer.
    pub fn comparators(&self) -> &[Comparator] {
        &self.comparators
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_sorts_all_zeros_and_ones() {
        // What sorts these sorts everything.
        for network in Network::ALL {
            for wires in 1..17_usize {
                let sorting = SortingNetwork::new(network, wires);
                for pattern in 0..1_u32 << wires {
                    let mut sorted = pattern;
                    for comparator in sorting.comparators() {
                        let (low, high) = (sorted >> comparator.low & 1, sorted >> comparator.high & 1);
                        if low > high {
                            sorted ^= 1 << comparator.low | 1 << comparator.high;
                        }
                    }
                    let ones = pattern.count_ones();
                    let expected = ((1_u64 << ones) - 1) << (wires as u32 - ones);
                    assert_eq!(
                        u64::from(sorted),
                        expected,
                        "{network:?}, {wires} wires, {pattern:b}"
                    );
                }
            }
        }
    }

    #[test]
    fn comparators_of_a_layer_share_no_wire() {
        for network in Network::ALL {
            for wires in 1..20 {
                let sorting = SortingNetwork::new(network, wires);
                for layer in 0..sorting.layers() {
                    let mut used = vec![false; wires];
                    let of_layer = sorting.comparators().iter().filter(|c| c.layer == layer);
                    for wire in of_layer.flat_map(|c| [c.low, c.high]) {
                        assert!(!std::mem::replace(&mut used[wire], true));
                    }
                }
            }
        }
    }
}
