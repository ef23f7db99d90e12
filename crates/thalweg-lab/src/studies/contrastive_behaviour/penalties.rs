//! The exact part: entropies of the relative penalties of the fixed negatives of a batch.

use thalweg::contrastive::relative_penalty;
use thalweg_kernels::random::Stream;

use crate::study::{Advance, Claim, Table, Verdict, Weight};

pub(super) const STEPS: usize = 1;

const TEMPERATURES: [f64; 8] = [0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];
const ANCHORS: usize = 200;
const NEGATIVES: usize = ANCHORS - 1;

pub(super) fn run(advance: &Advance) -> (Table, Claim) {
    let mut stream = Stream::new(0, "fixed similarities", 0);
    let mut similarities = vec![0.0_f32; ANCHORS * ANCHORS];
    stream.fill_uniform(-1.0, 1.0, &mut similarities);
    let similarities: Vec<f64> = similarities.into_iter().map(f64::from).collect();
    let of_temperature = |temperature: f64| -> Vec<f64> {
        let rows = similarities.chunks_exact(ANCHORS).enumerate();
        rows.map(|(anchor, row)| relative_penalty(row, anchor, temperature).1)
            .collect()
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
