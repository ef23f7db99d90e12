//! The exact part: entropies of the relative penalties `r_j = exp(s_j/τ) / Σ_k exp(s_k/τ)` of fixed negatives.

use thalweg_kernels::random::Stream;

use crate::study::{Advance, Claim, Table, Verdict, Weight};

pub(super) const STEPS: usize = 1;

const TEMPERATURES: [f64; 8] = [0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];
const ANCHORS: usize = 200;
const NEGATIVES: usize = 199;

pub(super) fn run(advance: &Advance) -> (Table, Claim) {
    let mut stream = Stream::new(0, "fixed similarities", 0);
    let mut similarities = vec![0.0_f32; ANCHORS * NEGATIVES];
    stream.fill_uniform(-1.0, 1.0, &mut similarities);
    let of_temperature = |temperature: f64| -> Vec<f64> {
        let rows = similarities.chunks_exact(NEGATIVES);
        rows.map(|row| entropy(row, temperature)).collect()
    };
    let entropies = TEMPERATURES.map(of_temperature);
    advance(STEPS);
    let rises = entropies
        .windows(2)
        .all(|pair| pair[0].iter().zip(&pair[1]).all(|(low, high)| low < high));
    let rows = TEMPERATURES
        .iter()
        .zip(&entropies)
        .map(|(temperature, entropies)| {
            let mean = entropies.iter().sum::<f64>() / ANCHORS as f64;
            vec![
                temperature.to_string(),
                format!("{mean:.3}"),
                format!("{:.1}", mean.exp()),
            ]
        });
    let table = Table {
        title: format!(
            "B. Relative penalties of {NEGATIVES} fixed negatives: entropy (nats), and as a number of negatives"
        ),
        columns: ["τ", "entropy", "negatives"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
    };
    let claim = Claim {
        text: "the lower the temperature, the fewer negatives share the penalty".to_owned(),
        criterion:
            "the entropy of the relative penalties rises from each temperature to the next, for every anchor"
                .to_owned(),
        evidence: format!("{} anchors, {} temperatures", ANCHORS, TEMPERATURES.len()),
        verdict: Some(if rises {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        }),
        weight: Weight::Decisive,
    };
    (table, claim)
}

/// In nats, of the softmax of `row/τ`.
fn entropy(row: &[f32], temperature: f64) -> f64 {
    let exponents: Vec<f64> = row.iter().map(|&value| f64::from(value) / temperature).collect();
    let largest = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = exponents.iter().map(|exponent| (exponent - largest).exp()).sum();
    let mean: f64 = exponents
        .iter()
        .map(|exponent| (exponent - largest).exp() / sum * (exponent - largest))
        .sum();
    sum.ln() - mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_the_entropy() {
        let row = [0.9, 0.9, 0.1, -0.5];
        assert!((entropy(&row, 1e-3) - 2.0_f64.ln()).abs() < 1e-12);
        assert!((entropy(&row, 1e6) - 4.0_f64.ln()).abs() < 1e-9);
    }
}
