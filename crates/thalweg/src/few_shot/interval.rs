//! The accuracy over episodes, as few-shot papers report it.

use serde::{Deserialize, Serialize};

use crate::quantity::{Outputs, Quantity};

/// Mean ± half width.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpisodeInterval {
    /// Mean over episodes.
    pub mean: f64,
    /// Half the width of the 95% interval of that mean, `1.96·σ/√E`, σ the standard deviation over E (not E − 1). It says how
    /// many episodes were enough for this encoder; not how much another training would differ.
    pub half_width: f64,
}

/// The mean of one number of each episode with its 95% interval.
///
/// # Panics
/// When there is no episode.
pub fn episode_interval(values: &[f64]) -> EpisodeInterval {
    assert!(!values.is_empty(), "without episodes there is no mean over them");
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    EpisodeInterval {
        mean,
        half_width: 1.96 * (variance / count).sqrt(),
    }
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "episode_confidence_interval",
            "mean accuracy over episodes, and half the width of its 95% interval",
        )
        .input("accuracy", "[E]")
        .eval(|case| {
            case.not_empty("accuracy")?;
            case.finite("accuracy")?;
            let interval = episode_interval(&case.array("accuracy").data);
            Ok(Outputs::new()
                .with("mean", interval.mean)
                .with("half_width", interval.half_width))
        }),
    ]
}
