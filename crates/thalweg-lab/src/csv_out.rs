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

use crate::results::Comparison;

/// The first line.
pub const HEADER: &str = "noise,objective,seed,metric,value";

/// The comparison as CSV (RFC 4180, but with bare line feeds), header first.
pub fn csv(comparison: &Comparison) -> String {
    let mut out = format!("{HEADER}\n");
    for condition in &comparison.conditions {
        for entry in &condition.entries {
            let timing = std::iter::once(("seconds_per_epoch", &entry.seconds_per_epoch));
            let metrics = entry
                .metrics
                .iter()
                .map(|(name, summary)| (name.as_str(), summary));
            for (metric, summary) in metrics.chain(timing) {
                for (seed, value) in summary.values.iter().enumerate() {
                    let value = if value.is_finite() {
                        value.to_string()
                    } else {
                        String::new()
                    };
                    let (name, metric) = (cell(&entry.name), cell(metric));
                    writeln!(out, "{},{name},{seed},{metric},{value}", condition.noise)
                        .expect("writing to a string succeeds");
                }
            }
        }
    }
    out
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
    use crate::report::fixture::{large, small};

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
    fn text_is_quoted_where_it_must_be() {
        assert_eq!(cell("mae"), "mae");
        assert_eq!(cell("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
