//! Metrics of predictions whose targets are known as means of bags.

use std::collections::BTreeMap;

use thalweg::aggregate::{Bags, PointLoss};

/// Root mean square and mean absolute error of bag means and, for shares, their cross-entropy in nats. Predictions
/// `[samples, columns]` and means `[bags, columns]` are in the same units.
pub fn of_bags(
    predictions: &[f64],
    means: &[f64],
    bags: &Bags,
    point_loss: PointLoss,
) -> BTreeMap<String, f64> {
    let columns = means.len() / bags.len();
    let predicted = bags.means(predictions, columns);
    let gaps = || predicted.iter().zip(means).map(|(f, y)| f - y);
    let count = means.len() as f64;
    let mut metrics = BTreeMap::from([
        (
            "bag_rmse".to_owned(),
            (gaps().map(|gap| gap * gap).sum::<f64>() / count).sqrt(),
        ),
        ("bag_mae".to_owned(), gaps().map(f64::abs).sum::<f64>() / count),
    ]);
    if point_loss == PointLoss::CrossEntropy {
        let pairs = predicted.iter().zip(means);
        let total: f64 = match columns {
            1 => pairs
                .map(|(p, y)| surprise(*y, *p) + surprise(1.0 - y, 1.0 - p))
                .sum(),
            _ => pairs.map(|(p, y)| surprise(*y, *p)).sum(),
        };
        metrics.insert("bag_cross_entropy".to_owned(), total / bags.len() as f64);
    }
    metrics
}

/// `−y log p`; a probability that underflowed counts as the smallest there is.
fn surprise(share: f64, probability: f64) -> f64 {
    if share == 0.0 {
        return 0.0;
    }
    -share * probability.max(f64::MIN_POSITIVE).ln()
}

/// Root mean square error of single predictions, and the share of the variance they explain.
pub fn of_numbers(predictions: &[f64], targets: &[f64]) -> BTreeMap<String, f64> {
    let count = targets.len() as f64;
    let mean = targets.iter().sum::<f64>() / count;
    let squares = predictions.iter().zip(targets).map(|(f, y)| (f - y).powi(2));
    let error = squares.sum::<f64>() / count;
    let variance = targets.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / count;
    BTreeMap::from([
        ("rmse".to_owned(), error.sqrt()),
        ("r2".to_owned(), 1.0 - error / variance),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let bags = Bags::new(vec![0, 0, 1]).unwrap();
        let found = of_bags(&[0.2, 0.4, 0.9], &[0.5, 1.0], &bags, PointLoss::CrossEntropy);
        assert!((found["bag_mae"] - 0.15).abs() < 1e-12);
        assert!((found["bag_rmse"] - (0.025_f64).sqrt()).abs() < 1e-12);
        let expected = 0.5 * (-0.5 * (0.3_f64.ln() + 0.7_f64.ln()) - 0.9_f64.ln());
        assert!((found["bag_cross_entropy"] - expected).abs() < 1e-12);
        let squared = of_bags(&[2.0, 4.0, 9.0], &[3.0, 7.0], &bags, PointLoss::Squared);
        assert_eq!(squared.len(), 2);
        assert!((squared["bag_rmse"] - 2.0_f64.sqrt()).abs() < 1e-12);
        let numbers = of_numbers(&[1.0, 2.0, 3.0], &[1.0, 2.0, 6.0]);
        assert!((numbers["rmse"] - 3.0_f64.sqrt()).abs() < 1e-12);
        assert!((numbers["r2"] - (1.0 - 9.0 / 14.0)).abs() < 1e-12);
    }
}
