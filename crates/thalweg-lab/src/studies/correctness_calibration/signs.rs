//! Part A: every distribution over three classes on a grid, and which way each loss drives the temperature.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use thalweg::Reduction;
use thalweg::calibration::{
    CorrectnessAwareLossConfig, TemperatureScaledBrierLossConfig, TemperatureScaledCrossEntropyConfig,
};

use crate::study::{Claim, Scale, Table, Verdict, Weight};

/// Gradients nearer to 0 are rounding.
const ROUNDING: f64 = 1e-14;

/// Mistakes by how far the predicted class is ahead of the true one.
const MARGINS: [(&str, f64, f64); 4] = [
    ("all mistakes", 0.0, 1.0),
    ("ahead by up to 0.1", 0.0, 0.1),
    ("by 0.1 to 0.3", 0.1, 0.3),
    ("by more than 0.3", 0.3, 1.0),
];

/// A distribution of which class 0 is the true one.
struct Triple {
    p: [f64; 3],
}

impl Triple {
    /// By how much the predicted class is ahead of the true one; negative for a correct prediction.
    fn margin(&self) -> f64 {
        self.p[1].max(self.p[2]) - self.p[0]
    }
}

/// All triples of multiples of `1/steps` above 0 without a tie at the top.
fn grid(steps: usize) -> Vec<Triple> {
    let share = |count: usize| count as f64 / steps as f64;
    (1..steps - 1)
        .flat_map(|a| (1..steps - a).map(move |b| (a, b, steps - a - b)))
        .filter(|&(a, b, c)| a != b.max(c))
        .map(|(a, b, c)| Triple {
            p: [share(a), share(b), share(c)],
        })
        .collect()
}

/// `∂ℓ/∂T` at T = 1 of each triple.
fn slopes(triples: &[Triple], loss: impl Fn(Tensor<2>, Tensor<1>, Tensor<1, Int>) -> Tensor<1>) -> Vec<f64> {
    let (device, samples) = (Device::flex().autodiff(), triples.len());
    let logits: Vec<f64> = triples.iter().flat_map(|triple| triple.p.map(f64::ln)).collect();
    let logits = Tensor::<2>::from_data(TensorData::new(logits, [samples, 3]), (&device, DType::F64));
    let ones = TensorData::new(vec![1.0; samples], [samples]);
    let temperatures = Tensor::<1>::from_data(ones, (&device, DType::F64)).require_grad();
    let gradients = loss(logits, temperatures.clone(), Tensor::zeros([samples], &device)).backward();
    let slopes = temperatures
        .grad(&gradients)
        .expect("the loss depends on the temperatures");
    slopes
        .into_data()
        .try_into_vec_as::<f64>()
        .expect("gradients are floats")
}

pub(super) fn run(scale: &Scale) -> (Table, Vec<Claim>) {
    let triples = grid(scale.pick(100, 20));
    let aware = CorrectnessAwareLossConfig::new()
        .with_reduction(Reduction::Sum)
        .init();
    let entropy = TemperatureScaledCrossEntropyConfig::new()
        .with_reduction(Reduction::Sum)
        .init();
    let brier = TemperatureScaledBrierLossConfig::new()
        .with_reduction(Reduction::Sum)
        .init();
    let losses = [
        (
            "correctness-aware",
            slopes(&triples, |z, t, y| aware.forward(z, t, y)),
        ),
        (
            "cross-entropy",
            slopes(&triples, |z, t, y| entropy.forward(z, t, y)),
        ),
        ("Brier", slopes(&triples, |z, t, y| brier.forward(z, t, y))),
    ];
    // Descent raises the temperature of a mistake where the slope is not above 0.
    let sharpened = |slopes: &[f64], low: f64, high: f64| {
        let each = triples.iter().zip(slopes);
        let mistakes =
            each.filter(|(triple, _)| triple.margin() > low + 1e-12 && triple.margin() <= high + 1e-12);
        let slopes: Vec<f64> = mistakes.map(|(_, &slope)| slope).collect();
        let wrong = slopes.iter().filter(|&&slope| slope > ROUNDING).count();
        (wrong, slopes.len())
    };
    let softened = |slopes: &[f64]| {
        let each = triples.iter().zip(slopes);
        let correct = each.filter(|(triple, slope)| triple.margin() < 0.0 && **slope < -ROUNDING);
        correct.count()
    };
    let rows = MARGINS.iter().map(|&(label, low, high)| {
        let cells = losses.iter().map(|(_, slopes)| {
            let (wrong, all) = sharpened(slopes, low, high);
            format!(
                "{wrong} of {all} ({:.1} %)",
                100.0 * wrong as f64 / all.max(1) as f64
            )
        });
        std::iter::once(label.to_owned()).chain(cells).collect()
    });
    let columns = losses.iter().map(|(name, _)| (*name).to_owned());
    let table = Table {
        title: "A. Three classes on a grid: mistakes on which descending the loss lowers the temperature, and so \
                sharpens the wrong class"
            .to_owned(),
        columns: std::iter::once("predicted class".to_owned()).chain(columns).collect(),
        rows: rows.collect(),
    };
    let (aware, entropy) = (&losses[0].1, &losses[1].1);
    let (aware_wrong, mistakes) = sharpened(aware, 0.0, 1.0);
    let (entropy_wrong, _) = sharpened(entropy, 0.0, 1.0);
    let verdict = |holds| {
        Some(if holds {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        })
    };
    let claims = vec![
        Claim {
            text: "the correctness-aware loss never lowers the temperature of a mistake nor raises that of a correct \
                   prediction"
                .to_owned(),
            criterion: "no sign error on the grid".to_owned(),
            evidence: format!(
                "{aware_wrong} of {mistakes} mistakes, {} of {} correct ones",
                softened(aware),
                triples.len() - mistakes
            ),
            verdict: verdict(aware_wrong == 0 && softened(aware) == 0),
            weight: Weight::Decisive,
        },
        Claim {
            text: "cross-entropy sharpens narrow mistakes".to_owned(),
            criterion: "sign errors on the grid".to_owned(),
            evidence: format!("{entropy_wrong} of {mistakes} mistakes"),
            verdict: verdict(entropy_wrong > 0),
            weight: Weight::Decisive,
        },
    ];
    (table, claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_is_of_distributions_without_ties() {
        let triples = grid(20);
        // 171 compositions of 20 into three parts.
        let ties = (1..19).flat_map(|a| (1..20 - a).map(move |b| (a, b, 20 - a - b)));
        let ties = ties.filter(|&(a, b, c)| a == b.max(c)).count();
        assert_eq!(triples.len(), 171 - ties);
        assert!(
            triples
                .iter()
                .all(|triple| (triple.p.iter().sum::<f64>() - 1.0).abs() < 1e-12)
        );
    }

    #[test]
    fn slopes_are_the_closed_form() {
        let triples = grid(20);
        let loss = TemperatureScaledCrossEntropyConfig::new()
            .with_reduction(Reduction::Sum)
            .init();
        for (triple, slope) in triples
            .iter()
            .zip(slopes(&triples, |z, t, y| loss.forward(z, t, y)))
        {
            let mean: f64 = triple.p.iter().map(|p| p * p.ln()).sum();
            assert!((slope - (triple.p[0].ln() - mean)).abs() < 1e-12);
        }
    }
}
