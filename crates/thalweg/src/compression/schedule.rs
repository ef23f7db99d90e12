//! How sparse a network is made step by step.

use crate::ConfigError;
use crate::config::require;

/// Sparsities after each of `recomputations` equal parts of the way from `start` to `target`:
/// `1 − (1 − start)·f^j` with `f = ((1 − target)/(1 − start))^(1/recomputations)`. Each part removes the same share of the
/// weights that are left before it.
///
/// # Errors
/// When a sparsity is not in `[0, 1]` (`start` below 1), the target is below the start, or there is no part.
pub fn sparsity_schedule(start: f64, target: f64, recomputations: usize) -> Result<Vec<f64>, ConfigError> {
    let objective = "sparsity_schedule";
    require(objective, "start", start, "at least 0 and below 1", |start| {
        (0.0..1.0).contains(&start)
    })?;
    require(
        objective,
        "target",
        target,
        "at least the start and at most 1",
        |target| (start..=1.0).contains(&target),
    )?;
    let parts = recomputations as f64;
    require(objective, "recomputations", parts, "at least 1", |parts| {
        parts >= 1.0
    })?;
    let left = (1.0 - target) / (1.0 - start);
    let after = |part: usize| 1.0 - (1.0 - start) * left.powf(part as f64 / parts);
    Ok((1..=recomputations).map(after).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_removes_the_same_share_and_the_last_arrives() {
        let found = sparsity_schedule(0.5, 0.9375, 3).unwrap();
        for (found, expected) in found.iter().zip([0.75, 0.875, 0.9375]) {
            assert!((found - expected).abs() < 1e-15);
        }
        assert_eq!(sparsity_schedule(0.25, 0.25, 2).unwrap(), [0.25; 2]);
        assert_eq!(sparsity_schedule(0.0, 1.0, 2).unwrap(), [1.0; 2]);
    }

    #[test]
    fn there_is_no_way_back() {
        for (start, target, parts) in [
            (0.5, 0.4, 1),
            (1.0, 1.0, 1),
            (0.0, 1.1, 1),
            (-0.1, 0.5, 1),
            (0.0, 0.5, 0),
        ] {
            assert!(sparsity_schedule(start, target, parts).is_err());
        }
    }
}
