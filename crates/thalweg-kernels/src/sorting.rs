//! Relaxed sorting networks: numbers sorted by comparators that swap their wires in part, so that the result has a gradient.
//!
//! A comparator of wires a and b, a to receive the smaller, makes of them `αa + (1−α)b` and `(1−α)a + αb` with
//! `α = F(β(b − a))`, the probability that they are in order. The whole is `sorted = x·P` with a doubly stochastic P, whose
//! `P_ir` is the mass of input i at rank r.
//!
//! P is never formed. What a loss asks of it is `P·V` for a few indicators V over the ranks, and that is V sent through the
//! network from its end to its start: `O(n)` a layer for each indicator, and as much again for the gradient.
//!
//! Sources: Petersen, Borgelt, Kuehne, Deussen, "Monotonic differentiable sorting networks", ICLR 2022; Shvetsova, Petersen,
//! Kukleva, Schiele, Kuehne, "Learning by sorting", ICCV 2023.

mod network;
mod swap;

pub use network::{Comparator, Network, SortingNetwork};
pub use swap::{Distribution, RelaxedSwap, Swap};

/// A network of relaxed comparators.
#[derive(Clone, Debug)]
pub struct RelaxedSort {
    network: SortingNetwork,
    swap: RelaxedSwap,
}

/// What a pass through the network leaves for the passes after it.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    swaps: Vec<Swap>,
}

/// What indicators leave on their way back to the inputs.
#[derive(Clone, Debug, Default)]
pub struct MassTape {
    /// Differences of the two wires at each comparator, last comparator first.
    gaps: Vec<f64>,
    indicators: usize,
}

impl RelaxedSort {
    /// A network whose comparators swap so.
    pub fn new(network: SortingNetwork, swap: RelaxedSwap) -> Self {
        Self { network, swap }
    }

    /// How many numbers it sorts.
    pub fn wires(&self) -> usize {
        self.network.wires()
    }

    /// Sorts `x` in place, in ascending order as far as the swaps go.
    ///
    /// # Panics
    /// When there are more or fewer numbers than wires.
    pub fn sort(&self, x: &mut [f64]) -> Tape {
        assert_eq!(x.len(), self.wires(), "a number for each wire");
        let mut tape = Tape {
            swaps: Vec::with_capacity(self.network.comparators().len()),
        };
        for &Comparator { low, high, .. } in self.network.comparators() {
            let (a, b) = (x[low], x[high]);
            let swap = self.swap.of(b - a);
            (x[low], x[high]) = swap.mix(a, b);
            tape.swaps.push(swap);
        }
        tape
    }

    /// Turns indicators over the ranks `[n, indicators]` into masses of the inputs, `P·V`, in place.
    ///
    /// # Panics
    /// When there are not as many rows as wires.
    pub fn masses(&self, tape: &Tape, values: &mut [f64]) -> MassTape {
        let indicators = values.len() / self.wires();
        assert_eq!(values.len(), indicators * self.wires(), "indicators of each rank");
        let mut gaps = Vec::with_capacity(tape.swaps.len() * indicators);
        let comparators = self.network.comparators().iter().zip(&tape.swaps);
        for (&Comparator { low, high, .. }, swap) in comparators.rev() {
            for each in 0..indicators {
                let (a, b) = (low * indicators + each, high * indicators + each);
                gaps.push(values[a] - values[b]);
                (values[a], values[b]) = swap.mix(values[a], values[b]);
            }
        }
        MassTape { gaps, indicators }
    }

    /// The gradient by the inputs, from those by the sorted numbers and by the masses. Both are overwritten: the first with
    /// the result.
    ///
    /// # Panics
    /// When the sizes are not those of the passes before.
    pub fn reverse(&self, tape: &Tape, by_sorted: &mut [f64], of_masses: Option<(&MassTape, &mut [f64])>) {
        assert_eq!(by_sorted.len(), self.wires(), "a derivative for each wire");
        let by_order = of_masses.map(|(masses, by_masses)| self.by_order(tape, masses, by_masses));
        let comparators = self.network.comparators().iter().zip(&tape.swaps).enumerate();
        for (at, (&Comparator { low, high, .. }, swap)) in comparators.rev() {
            let (by_min, by_max) = (by_sorted[low], by_sorted[high]);
            let by_order = by_order.as_ref().map_or(0.0, |by_order| by_order[at]);
            let turn = swap.slope * (by_order - (by_min - by_max) * swap.difference);
            let (a, b) = swap.mix(by_min, by_max);
            (by_sorted[low], by_sorted[high]) = (a - turn, b + turn);
        }
    }

    /// Derivatives of what depends on the masses by each comparator's α.
    fn by_order(&self, tape: &Tape, masses: &MassTape, by_masses: &mut [f64]) -> Vec<f64> {
        let indicators = masses.indicators;
        assert_eq!(
            by_masses.len(),
            indicators * self.wires(),
            "a derivative for each mass"
        );
        let gaps = masses.gaps.chunks_exact(indicators.max(1)).rev();
        let comparators = self.network.comparators().iter().zip(&tape.swaps);
        let mut found = Vec::with_capacity(tape.swaps.len());
        for ((&Comparator { low, high, .. }, swap), gaps) in comparators.zip(gaps) {
            let mut by_order = 0.0;
            for (each, gap) in gaps.iter().enumerate() {
                let (a, b) = (low * indicators + each, high * indicators + each);
                by_order += (by_masses[a] - by_masses[b]) * gap;
                (by_masses[a], by_masses[b]) = swap.mix(by_masses[a], by_masses[b]);
            }
            found.push(by_order);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::random::Stream;

    fn relaxed(network: Network, wires: usize, distribution: Distribution, steepness: f64) -> RelaxedSort {
        RelaxedSort::new(
            SortingNetwork::new(network, wires),
            RelaxedSwap::new(distribution, steepness, 0.25),
        )
    }

    fn drawn(count: usize, seed: u64) -> Vec<f64> {
        let mut stream = Stream::new(seed, "sorting", 0);
        (0..count).map(|_| 4.0 * stream.uniform() - 2.0).collect()
    }

    fn permutation(sort: &RelaxedSort, x: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let n = x.len();
        let mut sorted = x.to_vec();
        let tape = sort.sort(&mut sorted);
        let mut p: Vec<f64> = (0..n * n)
            .map(|at| f64::from(u8::from(at / n == at % n)))
            .collect();
        sort.masses(&tape, &mut p);
        (sorted, p)
    }

    fn any_sort() -> impl Strategy<Value = (Network, Distribution)> {
        (
            prop::sample::select(Network::ALL.to_vec()),
            prop::sample::select(Distribution::ALL.to_vec()),
        )
    }

    /// `Σ_r c_r sorted_r + Σ_ij w_ij P_ij²` for the first two ranks, and its gradient.
    fn value_and_gradient(sort: &RelaxedSort, x: &[f64]) -> (f64, Vec<f64>) {
        let n = x.len();
        let mut sorted = x.to_vec();
        let tape = sort.sort(&mut sorted);
        let mut masses: Vec<f64> = (0..2 * n)
            .map(|at| f64::from(u8::from(at / 2 == at % 2)))
            .collect();
        let trail = sort.masses(&tape, &mut masses);
        let weight = |at: usize| 0.3 + (at % 5) as f64;
        let value = sorted.iter().enumerate().map(|(r, s)| weight(r) * s).sum::<f64>()
            + masses
                .iter()
                .enumerate()
                .map(|(at, p)| weight(at + 1) * p * p)
                .sum::<f64>();
        let mut gradient: Vec<f64> = (0..n).map(weight).collect();
        let mut by_masses: Vec<f64> = masses
            .iter()
            .enumerate()
            .map(|(at, p)| 2.0 * weight(at + 1) * p)
            .collect();
        sort.reverse(&tape, &mut gradient, Some((&trail, &mut by_masses)));
        (value, gradient)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn masses_are_those_of_a_doubly_stochastic_matrix_that_sorts(
            (network, distribution) in any_sort(), n in 2_usize..17, steepness in 0.5_f64..40.0, seed in 0_u64..1000, shift in -5.0_f64..5.0,
        ) {
            let sort = relaxed(network, n, distribution, steepness);
            let x = drawn(n, seed);
            let (sorted, p) = permutation(&sort, &x);
            for i in 0..n {
                let row: f64 = p[i * n..(i + 1) * n].iter().sum();
                let column: f64 = (0..n).map(|j| p[j * n + i]).sum();
                prop_assert!((row - 1.0).abs() < 1e-12 && (column - 1.0).abs() < 1e-12);
                let product: f64 = (0..n).map(|j| x[j] * p[j * n + i]).sum();
                prop_assert!((product - sorted[i]).abs() < 1e-12);
            }
            prop_assert!((sorted.iter().sum::<f64>() - x.iter().sum::<f64>()).abs() < 1e-12);
            let shifted: Vec<f64> = x.iter().map(|x| x + shift).collect();
            let (moved, q) = permutation(&sort, &shifted);
            prop_assert!(moved.iter().zip(&sorted).all(|(a, b)| (a - b - shift).abs() < 1e-8));
            prop_assert!(p.iter().zip(&q).all(|(a, b)| (a - b).abs() < 1e-8));
        }

        #[test]
        fn the_gradient_is_the_slope((network, distribution) in any_sort(), n in 2_usize..12, steepness in 0.3_f64..3.0, seed in 0_u64..1000) {
            let sort = relaxed(network, n, distribution, steepness);
            let mut x = drawn(n, seed);
            let (_, gradient) = value_and_gradient(&sort, &x);
            // The optimal distribution has a corner, the phi variant of the logistic a pole at 0.
            let near = |d: f64| (d.abs() * steepness - 0.25).abs() < 1e-3 || d.abs() < 1e-2;
            let mut wires = x.clone();
            let met = sort.sort(&mut wires);
            prop_assume!(!met.swaps.iter().any(|swap| near(swap.difference)));
            for at in 0..n {
                let centre = x[at];
                let mut beside = |offset: f64| { x[at] = centre + offset; value_and_gradient(&sort, &x).0 };
                let numeric = (beside(1e-6) - beside(-1e-6)) / 2e-6;
                x[at] = centre;
                prop_assert!((numeric - gradient[at]).abs() < 1e-6 * (1.0 + numeric.abs()), "{numeric} {}", gradient[at]);
            }
        }

        #[test]
        fn without_end_the_steepness_sorts(network in prop::sample::select(Network::ALL.to_vec()), distribution in prop::sample::select(Distribution::ALL.to_vec()), n in 1_usize..17, seed in 0_u64..1000) {
            let x: Vec<f64> = drawn(n, seed).iter().map(|x| (x * 100.0).round() / 100.0).collect();
            let (sorted, p) = permutation(&relaxed(network, n, distribution, 1e15), &x);
            let mut expected = x.clone();
            expected.sort_by(f64::total_cmp);
            prop_assert!(sorted.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9), "{sorted:?} {expected:?}");
            let distinct = expected.windows(2).all(|pair| pair[0] < pair[1]);
            prop_assert!(!distinct || p.iter().all(|p| p.abs() < 1e-9 || (p - 1.0).abs() < 1e-9));
        }

        #[test]
        fn monotone_distributions_never_move_a_rank_backwards(network in prop::sample::select(Network::ALL.to_vec()), n in 2_usize..12, steepness in 0.1_f64..50.0, seed in 0_u64..1000) {
            for distribution in [Distribution::Cauchy, Distribution::Reciprocal, Distribution::Optimal] {
                let sort = relaxed(network, n, distribution, steepness);
                let tape = sort.sort(&mut drawn(n, seed));
                for rank in 0..n {
                    let mut gradient = vec![0.0; n];
                    gradient[rank] = 1.0;
                    sort.reverse(&tape, &mut gradient, None);
                    prop_assert!(gradient.iter().all(|slope| *slope >= -1e-15), "{gradient:?}");
                }
            }
        }
    }

    #[test]
    fn logistic_and_gaussian_ranks_may_move_backwards() {
        for distribution in [Distribution::Logistic, Distribution::Gaussian] {
            let sort = relaxed(Network::OddEven, 2, distribution, 1.0);
            let tape = sort.sort(&mut [0.0, 4.0]);
            let mut gradient = [1.0, 0.0];
            sort.reverse(&tape, &mut gradient, None);
            assert!(gradient[1] < 0.0, "{distribution:?}: {gradient:?}");
        }
    }
}
