//! Picking a run by a score instead of by labels: what is lost, and how well the score orders the runs.

use super::DiagnosticError;
use super::embeddings::refuse;
use crate::quantity::{Outputs, Quantity};

/// Which scores are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preferred {
    /// High ones.
    Highest,
    /// Low ones.
    Lowest,
}

/// What a selection by score brings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selection {
    /// The run of the best score, the first of several, counted from 0.
    pub selected: usize,
    /// Its accuracy.
    pub selected_accuracy: f64,
    /// The best accuracy of any.
    pub oracle_accuracy: f64,
    /// The latter minus the former.
    pub regret: f64,
    /// Rank correlation of scores and accuracies, as they are: negative where low scores go with high accuracies.
    pub spearman: f64,
    /// Kendall's τ_b of the same.
    pub kendall: f64,
}

/// Selects among runs of the given scores and accuracies.
///
/// # Errors
/// When there is none, or numbers differ.
pub fn select_by_score(
    scores: &[f64],
    accuracies: &[f64],
    preferred: Preferred,
) -> Result<Selection, DiagnosticError> {
    if scores.is_empty() {
        return Err(DiagnosticError::Empty);
    }
    if scores.len() != accuracies.len() {
        return Err(DiagnosticError::Count {
            found: accuracies.len(),
            expected: scores.len(),
        });
    }
    let better = |a: f64, b: f64| match preferred {
        Preferred::Highest => a > b,
        Preferred::Lowest => a < b,
    };
    let selected = (1..scores.len()).fold(0, |best, run| {
        if better(scores[run], scores[best]) {
            run
        } else {
            best
        }
    });
    let oracle_accuracy = accuracies.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Ok(Selection {
        selected,
        selected_accuracy: accuracies[selected],
        oracle_accuracy,
        regret: oracle_accuracy - accuracies[selected],
        spearman: spearman(scores, accuracies),
        kendall: kendall(scores, accuracies),
    })
}

/// Spearman's rank correlation, equal numbers sharing their ranks; NaN where one side is constant.
///
/// # Panics
/// When the numbers of values differ.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "correlated values come in pairs");
    let (a, b) = (ranks(a), ranks(b));
    let middle = 0.5 * (a.len() as f64 + 1.0);
    let product =
        |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle)).sum() };
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

/// Ranks from 1, equal numbers sharing the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let (mut ranks, mut before) = (vec![0.0; values.len()], 0);
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let shared = before as f64 + 0.5 * (group.len() as f64 + 1.0);
        group.iter().for_each(|&i| ranks[i] = shared);
        before += group.len();
    }
    ranks
}

/// Kendall's τ_b, corrected for ties; NaN where one side is constant.
///
/// # Panics
/// When the numbers of values differ.
pub fn kendall(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "correlated values come in pairs");
    let order = |x: f64, y: f64| f64::from(i8::from(x > y) - i8::from(x < y));
    let (mut agreement, mut untied_a, mut untied_b) = (0.0, 0.0_f64, 0.0);
    for i in 0..a.len() {
        for j in 0..i {
            let (of_a, of_b) = (order(a[i], a[j]), order(b[i], b[j]));
            agreement += of_a * of_b;
            untied_a += of_a.abs();
            untied_b += of_b.abs();
        }
    }
    agreement / (untied_a * untied_b).sqrt()
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "select_by_score",
            "the run that a score selects, what it loses to selection by labels, and rank correlations",
        )
        .param("maximize", true)
        .input("score", "[M]")
        .input("accuracy", "[M]")
        .eval(|case| {
            let preferred = if case.flag("maximize")? {
                Preferred::Highest
            } else {
                Preferred::Lowest
            };
            let (scores, accuracies) = (&case.array("score").data, &case.array("accuracy").data);
            match select_by_score(scores, accuracies, preferred) {
                Ok(selection) => Ok(Outputs::new()
                    .with("selected", selection.selected as f64)
                    .with("selected_accuracy", selection.selected_accuracy)
                    .with("oracle_accuracy", selection.oracle_accuracy)
                    .with("regret", selection.regret)
                    .with("spearman", selection.spearman)
                    .with("kendall", selection.kendall)),
                Err(error) => refuse(case, ("score", "scores"), &error),
            }
        }),
    ]
}

#[cfg(test)]
mod tests {
    //! Correlations are SciPy's.

    use super::*;

    const SCORES: [f64; 6] = [1.0, 2.0, 2.0, 4.0, 5.0, 3.0];
    const ACCURACIES: [f64; 6] = [0.2, 0.3, 0.5, 0.5, 0.4, 0.5];

    #[test]
    fn ties_share_their_ranks() {
        assert_eq!(ranks(&SCORES), [1.0, 2.5, 2.5, 5.0, 6.0, 4.0]);
        assert!((spearman(&SCORES, &ACCURACIES) - 0.492_832_882_906_957_9).abs() < 1e-12);
        assert!((kendall(&SCORES, &ACCURACIES) - 0.385_758_374_905_230_4).abs() < 1e-12);
    }

    #[test]
    fn orders_that_agree_and_disagree() {
        let up = [1.0, 2.0, 3.0, 7.0];
        let down = up.map(|x| -x);
        for correlation in [spearman, kendall] {
            assert!((correlation(&up, &up) - 1.0).abs() < 1e-15);
            assert!((correlation(&up, &down) + 1.0).abs() < 1e-15);
            assert!(correlation(&up, &[1.0; 4]).is_nan());
        }
    }

    #[test]
    fn the_first_of_the_best_is_taken() {
        let high = select_by_score(&[1.0, 3.0, 3.0], &[0.9, 0.5, 0.7], Preferred::Highest).unwrap();
        assert_eq!(
            (high.selected, high.selected_accuracy, high.oracle_accuracy),
            (1, 0.5, 0.9)
        );
        assert!((high.regret - 0.4).abs() < 1e-15);
        let low = select_by_score(&[1.0, 3.0, 3.0], &[0.9, 0.5, 0.7], Preferred::Lowest).unwrap();
        assert_eq!((low.selected, low.regret), (0, 0.0));
    }

    #[test]
    fn what_has_no_selection_is_named() {
        assert_eq!(
            select_by_score(&[], &[], Preferred::Highest),
            Err(DiagnosticError::Empty)
        );
        let counts = DiagnosticError::Count {
            found: 2,
            expected: 1,
        };
        assert_eq!(
            select_by_score(&[1.0], &[1.0, 2.0], Preferred::Highest),
            Err(counts)
        );
        let one = select_by_score(&[1.0], &[0.5], Preferred::Highest).unwrap();
        assert!(one.spearman.is_nan() && one.regret == 0.0);
    }
}
