//! `results.csv`: a comparison in long form, one row per noise level, objective, seed and metric.
//!
//! | column | meaning |
//! |---|---|
//! | `noise` | share of training labels replaced |
//! | `objective` | name in the catalogue, of an optimiser where optimisers are compared |
//! | `seed` | number of the paired repetition, from 0: equal numbers share splits, initial weights and batches |
//! | `metric` | a metric's name, or `seconds_per_epoch` |
//! | `value` | its value, with as many digits as tell it from every other; shares are of one, not per cent; empty where undefined |

use std::fmt::Write;

use crate::pruning::Pruning;
use crate::results::{Comparison, Summary};

/// The first line.
pub const HEADER: &str = "noise,objective,seed,metric,value";

/// The first line of a comparison of ways to prune: what weights were ranked by (`dense` before pruning), steps, the share
/// that was to be 0, and the rest as above.
pub const PRUNING_HEADER: &str = "method,recomputations,sparsity,seed,metric,value";

/// The comparison as CSV (RFC 4180, but with bare line feeds), header first.
pub fn csv(comparison: &Comparison) -> String {
    let mut out = format!("{HEADER}\n");
    for condition in &comparison.conditions {
        for entry in &condition.entries {
            let start = format!("{},{}", condition.noise, cell(&entry.name));
            let timing = std::iter::once(("seconds_per_epoch", &entry.seconds_per_epoch));
            let metrics = entry
                .metrics
                .iter()
                .map(|(name, summary)| (name.as_str(), summary));
            rows(&mut out, &start, metrics.chain(timing));
        }
    }
    out
}

/// The same of a comparison of ways to prune.
pub fn pruning(found: &Pruning) -> String {
    let mut out = format!("{PRUNING_HEADER}\n");
    let before = format!("dense,0,{}", found.protocol.sparsity_before);
    let named = |(name, summary)| (String::as_str(name), summary);
    rows(&mut out, &before, found.dense.iter().map(named));
    for way in &found.ways {
        for point in &way.points {
            let start = format!("{},{},{}", way.method, way.recomputations, point.sparsity);
            rows(&mut out, &start, point.metrics.iter().map(named));
        }
    }
    out
}

/// A row for each metric and seed.
fn rows<'a>(out: &mut String, start: &str, metrics: impl Iterator<Item = (&'a str, &'a Summary)>) {
    for (metric, summary) in metrics {
        for (seed, value) in summary.values.iter().enumerate() {
            let value = if value.is_finite() {
                value.to_string()
            } else {
                String::new()
            };
            writeln!(out, "{start},{seed},{},{value}", cell(metric)).expect("writing to a string succeeds");
        }
    }
}

fn cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{self, large, small};

    #[test]
    fn every_value_has_a_row() {
        let comparison = large();
        let text = csv(&comparison);
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some(HEADER));
        // Nine metrics of the scores, and the time.
        assert_eq!(lines.count(), 3 * 7 * 8 * 10);
        let entry = &comparison.conditions[1].entries[2];
        let value = entry.metrics["nll"].values[5];
        assert!(text.contains(&format!("\n0.2,{},5,nll,{value}\n", entry.name)));
    }

    #[test]
    fn what_is_undefined_is_empty() {
        let text = csv(&small());
        assert!(text.lines().any(|line| line.ends_with(",auroc,")), "{text}");
        assert!(!text.contains("NaN"));
    }

    #[test]
    fn every_way_to_prune_has_its_rows() {
        let found = fixture::pruning(3);
        let text = pruning(&found);
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some(PRUNING_HEADER));
        // Five metrics, three ways to two sparsities and the network before.
        assert_eq!(lines.count(), 3 * 5 * (3 * 2 + 1));
        let value = found.ways[2].points[1].accuracy().values[1];
        assert!(text.contains(&format!("\nm_fac,8,0.9,1,accuracy,{value}\n")));
        assert!(text.contains("\nmagnitude,1,0.7,0,predicted_loss_increase,\n"));
    }

    #[test]
    fn text_is_quoted_where_it_must_be() {
        assert_eq!(cell("mae"), "mae");
        assert_eq!(cell("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
