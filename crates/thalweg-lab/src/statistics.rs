//! What may be said from a few seeds: Student intervals, paired differences, and Holm's correction for many of them.

use statrs::distribution::{ContinuousCDF, StudentsT};
use thalweg_kernels::random::Stream;

use crate::metrics::Direction;
use crate::results::{Difference, Finding, Summary};

/// Error probability of every interval and finding.
pub const LEVEL: f64 = 0.05;

/// Relative size below which a spread is rounding, not variation.
const ROUNDING: f64 = 1e-12;

/// Mean with its 95% Student interval. The ends are NaN for fewer than two values, or when one is not finite.
pub fn summary(values: &[f64]) -> Summary {
    let mean = mean(values);
    let half_width = half_width(values);
    Summary {
        mean,
        low: mean - half_width,
        high: mean + half_width,
        values: values.to_vec(),
    }
}

/// Resamples of a bootstrap.
const RESAMPLES: usize = 10_000;

/// Mean with its 95% percentile bootstrap interval. The ends are NaN for fewer than two values, or when one is not finite.
pub fn bootstrap(values: &[f64], random: &mut Stream) -> Summary {
    let finite = values.iter().all(|value| value.is_finite());
    let (low, high) = if values.len() < 2 || !finite {
        (f64::NAN, f64::NAN)
    } else {
        let mut drawn = || {
            let sum: f64 = (0..values.len())
                .map(|_| values[random.below(values.len())])
                .sum();
            sum / values.len() as f64
        };
        let mut means: Vec<f64> = (0..RESAMPLES).map(|_| drawn()).collect();
        means.sort_by(f64::total_cmp);
        let at = |share: f64| means[(share * (RESAMPLES - 1) as f64).round() as usize];
        (at(LEVEL / 2.0), at(1.0 - LEVEL / 2.0))
    };
    Summary {
        mean: mean(values),
        low,
        high,
        values: values.to_vec(),
    }
}

/// A paired comparison before correction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// Mean difference.
    pub mean: f64,
    /// Lower end of its 95% interval.
    pub low: f64,
    /// Upper end of its 95% interval.
    pub high: f64,
    /// Two-sided p-value.
    pub p: f64,
}

/// The paired two-sided t-test of `values` against `baseline`, which share their seeds.
///
/// - Equal values: difference 0, interval `[0, 0]`, p = 1.
/// - The same difference at every seed leaves the t-test no spread to judge it by, and its p of 0 would claim too much of
///   two seeds. The interval is then NaN and p the sign test's, `2^(1−n)`.
/// - Fewer than two seeds, or values that are not finite: interval and p are NaN.
///
/// # Panics
/// When the numbers of values differ.
pub fn paired(values: &[f64], baseline: &[f64]) -> Paired {
    assert_eq!(values.len(), baseline.len(), "paired values come in pairs");
    let differences: Vec<f64> = values.iter().zip(baseline).map(|(a, b)| a - b).collect();
    let mean = mean(&differences);
    let seeds = differences.len();
    if seeds < 2 || !mean.is_finite() {
        return Paired {
            mean,
            low: f64::NAN,
            high: f64::NAN,
            p: f64::NAN,
        };
    }
    let magnitude = values
        .iter()
        .chain(baseline)
        .fold(0.0_f64, |max, value| max.max(value.abs()));
    let rounding = ROUNDING * magnitude;
    if differences.iter().all(|difference| difference.abs() <= rounding) {
        return Paired {
            mean: 0.0,
            low: 0.0,
            high: 0.0,
            p: 1.0,
        };
    }
    if differences
        .iter()
        .all(|difference| (difference - mean).abs() <= rounding)
    {
        return Paired {
            mean,
            low: f64::NAN,
            high: f64::NAN,
            p: 2.0 * 0.5_f64.powf(seeds as f64),
        };
    }
    let half_width = half_width(&differences);
    let t = mean / standard_error(&differences);
    Paired {
        mean,
        low: mean - half_width,
        high: mean + half_width,
        p: (2.0 * student(seeds).cdf(-t.abs())).min(1.0),
    }
}

/// Holm's step-down correction. A p-value that is NaN stays so and does not count as a test.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).filter(|&i| !p_values[i].is_nan()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut corrected = vec![f64::NAN; p_values.len()];
    let mut largest = 0.0_f64;
    for (rank, &i) in order.iter().enumerate() {
        largest = largest.max(p_values[i] * (order.len() - rank) as f64).min(1.0);
        corrected[i] = largest;
    }
    corrected
}

/// Each of `objectives` against `baseline`, all paired by seed, corrected for being many.
///
/// # Panics
/// When the numbers of values differ.
pub fn differences(objectives: &[&[f64]], baseline: &[f64], direction: Direction) -> Vec<Difference> {
    let tests: Vec<Paired> = objectives.iter().map(|values| paired(values, baseline)).collect();
    let corrected = holm(&tests.iter().map(|test| test.p).collect::<Vec<_>>());
    tests
        .iter()
        .zip(corrected)
        .map(|(test, p_holm)| Difference {
            mean: test.mean,
            low: test.low,
            high: test.high,
            p: test.p,
            p_holm,
            finding: finding(test.mean, p_holm, direction),
        })
        .collect()
}

fn finding(difference: f64, p_holm: f64, direction: Direction) -> Finding {
    if p_holm.is_nan() || p_holm >= LEVEL {
        Finding::NoDifferenceSeen
    } else if direction.gain(difference) > 0.0 {
        Finding::Better
    } else {
        Finding::Worse
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn standard_error(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let n = values.len() as f64;
    (squares / (n - 1.0) / n).sqrt()
}

/// Of the 95% interval of the mean; NaN for fewer than two values.
fn half_width(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return f64::NAN;
    }
    student(values.len()).inverse_cdf(1.0 - LEVEL / 2.0) * standard_error(values)
}

fn student(values: usize) -> StudentsT {
    StudentsT::new(0.0, 1.0, values as f64 - 1.0).expect("two values or more leave a degree of freedom")
}

#[cfg(test)]
mod tests {
    //! Expected values are SciPy's and, for Holm's correction, statsmodels'.

    use super::*;

    const A: [f64; 5] = [0.91, 0.93, 0.92, 0.95, 0.90];
    const B: [f64; 5] = [0.90, 0.90, 0.915, 0.93, 0.905];

    fn close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-9, "{actual}, expected {expected}");
    }

    #[test]
    fn student_intervals_agree_with_scipy() {
        let five = summary(&A);
        close(five.mean, 0.922);
        close(five.low, 0.898_116_116_119_000_2);
        close(five.high, 0.945_883_883_880_999_9);
        let two = summary(&[0.4, 0.6]);
        close(two.low, -0.770_620_473_617_469_1);
        close(two.high, 1.770_620_473_617_469);
    }

    #[test]
    fn the_bootstrap_interval_is_near_that_of_the_normal() {
        let mut values = vec![0.0; 400];
        Stream::new(0, "values", 0).fill_normal(&mut values);
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        let found = bootstrap(&values, &mut Stream::new(0, "bootstrap", 0));
        let exact = summary(&values);
        assert_eq!(found.mean, exact.mean);
        assert!((found.low - exact.low).abs() < 0.01 && (found.high - exact.high).abs() < 0.01);
        assert_eq!(
            bootstrap(&values, &mut Stream::new(0, "bootstrap", 0)).low,
            found.low
        );
        assert!(
            bootstrap(&[0.5], &mut Stream::new(0, "bootstrap", 0))
                .low
                .is_nan()
        );
        assert!(
            bootstrap(&[0.5, f64::NAN], &mut Stream::new(0, "bootstrap", 0))
                .high
                .is_nan()
        );
    }

    #[test]
    fn the_paired_test_agrees_with_scipy() {
        let test = paired(&A, &B);
        close(test.mean, 0.012);
        close(test.low, -0.004_773_956_924_633_281);
        close(test.high, 0.028_773_956_924_633_255);
        close(test.p, 0.117_954_732_342_742_12);
    }

    #[test]
    fn holm_agrees_with_statsmodels() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005, 0.2, 0.04]);
        for (actual, expected) in corrected.into_iter().zip([0.05, 0.12, 0.12, 0.03, 0.2, 0.12]) {
            close(actual, expected);
        }
        let with_gap = holm(&[0.03, f64::NAN, 0.02]);
        close(with_gap[0], 0.04);
        assert!(with_gap[1].is_nan());
        close(with_gap[2], 0.04);
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn one_seed_has_a_mean_and_no_interval() {
        let one = summary(&[0.9]);
        assert_eq!(one.mean, 0.9);
        assert!(one.low.is_nan() && one.high.is_nan());
        let test = paired(&[0.9], &[0.8]);
        assert!(test.mean > 0.0 && test.low.is_nan() && test.p.is_nan());
        let found = differences(&[&[0.9]], &[0.8], Direction::HigherIsBetter);
        assert_eq!(found[0].finding, Finding::NoDifferenceSeen);
        assert!(summary(&[]).mean.is_nan());
    }

    #[test]
    fn equal_values_do_not_differ() {
        let test = paired(&A, &A);
        assert_eq!((test.mean, test.low, test.high, test.p), (0.0, 0.0, 0.0, 1.0));
    }

    #[test]
    fn a_constant_difference_counts_as_much_as_its_signs() {
        let shifted: Vec<f64> = A.iter().map(|value| value + 0.1).collect();
        let test = paired(&shifted, &A);
        close(test.mean, 0.1);
        close(test.p, 0.0625);
        assert!(test.low.is_nan(), "no spread, no interval");
        let two = differences(&[&[0.9, 0.8]], &[0.8, 0.7], Direction::HigherIsBetter);
        assert_eq!(
            two[0].finding,
            Finding::NoDifferenceSeen,
            "two seeds cannot show it"
        );
    }

    #[test]
    fn findings_follow_the_direction_of_the_metric() {
        let baseline = [0.50, 0.52, 0.49, 0.51, 0.50, 0.53];
        let higher = [0.60, 0.63, 0.59, 0.60, 0.61, 0.62];
        let lower = [0.40, 0.43, 0.39, 0.40, 0.41, 0.42];
        let same = [0.51, 0.51, 0.50, 0.50, 0.51, 0.52];
        let found = |direction| -> Vec<Finding> {
            differences(&[&higher, &lower, &same], &baseline, direction)
                .iter()
                .map(|difference| difference.finding)
                .collect()
        };
        use Finding::{Better, NoDifferenceSeen, Worse};
        assert_eq!(
            found(Direction::HigherIsBetter),
            [Better, Worse, NoDifferenceSeen]
        );
        assert_eq!(found(Direction::LowerIsBetter), [Worse, Better, NoDifferenceSeen]);
    }

    #[test]
    fn a_value_that_is_not_finite_is_not_hidden() {
        assert!(summary(&[0.5, f64::NAN]).mean.is_nan());
        assert!(paired(&[0.5, f64::NAN], &[0.5, 0.5]).p.is_nan());
    }
}
