//! α-ReQ: the exponent of the power law `λ_k ≈ exp(c) k^−α` that the eigenvalues of a covariance follow.
//!
//! A line is fitted to `log λ_k` over `log k`, k counted from 1 and within a range: the first eigenvalues belong to no law
//! and spoil it, the last are rounding. Good representations are said to have α near 1. Nothing is fitted well where an
//! embedding has collapsed; [RankMe](super::RankMe) does not fit anything.
//!
//! Sources: Ghosh, Mondal, Agrawal, Richards, "Investigating power laws in deep representation learning", 2022 (arXiv
//! 2202.05808); the weighted fit is that of Stringer et al., Nature 2019.

use std::ops::RangeInclusive;

use super::DiagnosticError;
use super::embeddings::refuse;
use crate::quantity::{Outputs, Quantity};

/// How the line is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerLawFit {
    /// Least squares.
    LeastSquares,
    /// Least squares with weights 1/k, so that every octave counts alike.
    Stringer,
    /// The median of the slopes over windows of a tenth of the range, one from each of its numbers.
    RobustMedian,
}

/// A fitted power law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowerLaw {
    /// The exponent α.
    pub alpha: f64,
    /// The logarithm c of the law at k = 1; none where only slopes were fitted.
    pub intercept: Option<f64>,
}

/// Eigenvalues, descending, and the numbers of those a law is fitted to.
#[derive(Clone, Debug)]
pub struct SpectrumFit<'a> {
    /// The eigenvalues.
    pub eigenvalues: &'a [f64],
    /// The numbers, from 1.
    pub range: RangeInclusive<usize>,
}

/// Fits a power law to eigenvalues within a range of their numbers.
///
/// # Errors
/// When the range does not start at 1 or above or holds too few numbers for the fit, there are fewer eigenvalues than it
/// reads, or one it reads is not positive.
pub fn alpha_req(spectrum: &SpectrumFit, fit: PowerLawFit) -> Result<PowerLaw, DiagnosticError> {
    let (start, end) = (*spectrum.range.start(), *spectrum.range.end());
    match fit {
        PowerLawFit::LeastSquares => Ok(line(&logarithms(spectrum, end, 2)?, |_| 1.0)),
        PowerLawFit::Stringer => Ok(line(&logarithms(spectrum, end, 2)?, |k| 1.0 / k as f64)),
        PowerLawFit::RobustMedian => {
            let window = end.saturating_sub(start) / 10 + 1;
            let points = logarithms(spectrum, end + window, 11)?;
            let windows = points.windows(window).take(end - start + 1);
            let mut slopes: Vec<f64> = windows.map(|points| line(points, |_| 1.0).alpha).collect();
            Ok(PowerLaw {
                alpha: median(&mut slopes),
                intercept: None,
            })
        }
    }
}

/// A point of the fit: k, log k and log λ.
type Point = (usize, f64, f64);

/// The points from the start of the range up to number `last`.
fn logarithms(spectrum: &SpectrumFit, last: usize, least: usize) -> Result<Vec<Point>, DiagnosticError> {
    let (start, end) = (*spectrum.range.start(), *spectrum.range.end());
    if start < 1 || end + 1 < start + least {
        return Err(DiagnosticError::Range { start, end, least });
    }
    let count = spectrum.eigenvalues.len();
    if last > count {
        return Err(DiagnosticError::TooFewEigenvalues { count, needed: last });
    }
    (start..=last)
        .map(|k| {
            let value = spectrum.eigenvalues[k - 1];
            if value > 0.0 && value.is_finite() {
                Ok((k, (k as f64).ln(), value.ln()))
            } else {
                Err(DiagnosticError::Eigenvalue { at: k, value })
            }
        })
        .collect()
}

/// The weighted line of least squares through two points or more.
fn line(points: &[Point], weight: impl Fn(usize) -> f64) -> PowerLaw {
    let sum = |of: &dyn Fn(&Point) -> f64| {
        points
            .iter()
            .map(|point| weight(point.0) * of(point))
            .sum::<f64>()
    };
    let total = sum(&|_| 1.0);
    let (x, y) = (sum(&|point| point.1) / total, sum(&|point| point.2) / total);
    let slope = sum(&|point| (point.1 - x) * (point.2 - y)) / sum(&|point| (point.1 - x).powi(2));
    PowerLaw {
        alpha: -slope,
        intercept: Some(y - slope * x),
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        0.5 * (values[middle - 1] + values[middle])
    } else {
        values[middle]
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "alpha_req",
            "exponent of the power law of eigenvalues over their numbers from start to end, counted from 1",
        )
        .required_param("start")
        .required_param("end")
        .param("fit", "least_squares")
        .input("eigenvalues", "[R]")
        .with_example("start", 2.0)
        .with_example("end", 4.0)
        .with_example("eigenvalues", vec![2.0, 0.9, 0.7, 0.4, 0.3])
        .eval(|case| {
            let fit = case.choice(
                "fit",
                &[
                    ("least_squares", PowerLawFit::LeastSquares),
                    ("stringer", PowerLawFit::Stringer),
                    ("robust_median", PowerLawFit::RobustMedian),
                ],
            )?;
            let (start, end) = (case.count("start", 1)?, case.count("end", 1)?);
            let spectrum = SpectrumFit {
                eigenvalues: &case.array("eigenvalues").data,
                range: start..=end,
            };
            match alpha_req(&spectrum, fit) {
                Ok(law) => {
                    let outputs = Outputs::new().with("alpha", law.alpha);
                    Ok(match law.intercept {
                        Some(intercept) => outputs.with("intercept", intercept),
                        None => outputs,
                    })
                }
                Err(DiagnosticError::Range { least, .. }) => {
                    case.refuse_param("end", &format!("at least `start` + {}", least - 1))
                }
                Err(error) => refuse(case, ("eigenvalues", "eigenvalues"), &error),
            }
        }),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FITS: [PowerLawFit; 3] = [
        PowerLawFit::LeastSquares,
        PowerLawFit::Stringer,
        PowerLawFit::RobustMedian,
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn an_exact_law_is_found(alpha in 0.0_f64..3.0, scale in -5.0_f64..5.0, start in 1_usize..20, span in 10_usize..30) {
            let eigenvalues: Vec<f64> = (1..=60).map(|k| (scale - alpha * f64::from(k).ln()).exp()).collect();
            let spectrum = SpectrumFit { eigenvalues: &eigenvalues, range: start..=start + span };
            for fit in FITS {
                let law = alpha_req(&spectrum, fit).unwrap();
                prop_assert!((law.alpha - alpha).abs() < 1e-10, "{fit:?}: {law:?}");
                prop_assert!(law.intercept.is_none_or(|c| (c - scale).abs() < 1e-10));
            }
        }
    }

    #[test]
    fn the_first_eigenvalue_spoils_a_fit_that_reads_it() {
        let mut eigenvalues: Vec<f64> = (1..=40).map(|k| 1.0 / f64::from(k)).collect();
        eigenvalues[0] = 50.0;
        let alpha = |range| {
            let spectrum = SpectrumFit {
                eigenvalues: &eigenvalues,
                range,
            };
            alpha_req(&spectrum, PowerLawFit::LeastSquares).unwrap().alpha
        };
        assert!((alpha(2..=40) - 1.0).abs() < 1e-12 && (alpha(1..=40) - 1.0).abs() > 0.1);
    }

    #[test]
    fn what_cannot_be_fitted_is_named() {
        let refused =
            |eigenvalues: &[f64], range, fit| alpha_req(&SpectrumFit { eigenvalues, range }, fit).err();
        let least = PowerLawFit::LeastSquares;
        assert_eq!(
            refused(&[2.0, 1.0, 0.0, 1.0], 1..=4, least),
            Some(DiagnosticError::Eigenvalue { at: 3, value: 0.0 })
        );
        assert_eq!(
            refused(&[2.0, 1.0], 1..=3, least),
            Some(DiagnosticError::TooFewEigenvalues { count: 2, needed: 3 })
        );
        for range in [0..=3, 2..=2, RangeInclusive::new(3, 1)] {
            assert!(matches!(
                refused(&[1.0; 9], range, least),
                Some(DiagnosticError::Range { .. })
            ));
        }
        assert_eq!(
            refused(&[1.0; 12], 1..=11, PowerLawFit::RobustMedian),
            Some(DiagnosticError::TooFewEigenvalues {
                count: 12,
                needed: 13
            })
        );
        assert!(matches!(
            refused(&[1.0; 40], 1..=10, PowerLawFit::RobustMedian),
            Some(DiagnosticError::Range { least: 11, .. })
        ));
    }
}
