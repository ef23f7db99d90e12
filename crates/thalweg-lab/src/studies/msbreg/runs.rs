//! Digits under every method, in every setting.

use thalweg::diagnostics::Embeddings;

use super::methods::{Method, Setting};
use crate::LabError;
use crate::pool::Pool;
use crate::self_supervised::{
    Encoder, EncoderSpec, Samples, Scored, SelfSupervised, ViewedSamples, judge, train, unit, untrained,
};
use crate::studies::digit_views::DigitViews;
use crate::study::{Advance, Scale};

/// What a run ends with.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub scored: Scored,
    /// Of the embeddings of test samples, at length 1.
    pub effective_rank: f64,
    /// Mean cosine of two different ones.
    pub cosine: f64,
}

/// All runs.
pub(super) struct Runs {
    pub epochs: usize,
    pub untrained: Vec<Scored>,
    /// By seed.
    of_seeds: Vec<Vec<(Setting, Method, Run)>>,
}

impl Runs {
    /// A number of each seed's run of a method in a setting.
    pub fn of(&self, setting: Setting, method: Method, number: fn(&Run) -> f64) -> Vec<f64> {
        let of_seed = |runs: &Vec<(Setting, Method, Run)>| {
            let run = runs.iter().find(|(s, m, _)| (*s, *m) == (setting, method));
            number(&run.expect("it was run").2)
        };
        self.of_seeds.iter().map(of_seed).collect()
    }
}

fn runs() -> Vec<(Setting, Method)> {
    let of_setting = |setting: Setting| setting.methods().into_iter().map(move |method| (setting, method));
    Setting::ALL.into_iter().flat_map(of_setting).collect()
}

pub(super) fn steps(scale: &Scale) -> usize {
    scale.seeds() * (1 + runs().len())
}

pub(super) fn run(scale: &Scale, pool: &Pool, advance: &Advance) -> Result<Runs, LabError> {
    let epochs = scale.pick(40, 2);
    let digits = DigitViews::new(scale.seeds(), epochs)?;
    // A seed at a time, so that its methods share their views and no more are in memory than are needed.
    let of_seed = |seed: usize| {
        let (training, test) = &digits.splits[seed];
        let plain = &digits.trials[seed];
        let before = untrained(plain, training, test);
        advance(1);
        let mut found = Vec::new();
        for setting in Setting::ALL {
            let trial = trial(plain, setting);
            let viewed = ViewedSamples::new(&trial, training)?;
            for method in setting.methods() {
                let mut objective = method.objective(setting)?;
                let Some(trained) = train(&viewed, objective.as_mut(), pool.interrupted) else {
                    return Ok(None);
                };
                let scored = judge(&trial, &trained.encoder, training, test);
                let (effective_rank, cosine) = spread(&trained.encoder, test, trial.encoder.embedding);
                let run = Run {
                    scored,
                    effective_rank,
                    cosine,
                };
                found.push((setting, method, run));
                advance(1);
            }
        }
        Ok(Some((before, found)))
    };
    let (untrained, of_seeds) = pool.try_map(scale.seeds(), of_seed)?.into_iter().unzip();
    Ok(Runs {
        epochs,
        untrained,
        of_seeds,
    })
}

fn trial(plain: &SelfSupervised, setting: Setting) -> SelfSupervised {
    SelfSupervised {
        encoder: EncoderSpec {
            normalization: setting.normalization,
            ..plain.encoder
        },
        views_per_sample: setting.views,
        epochs: setting.epochs(plain.epochs),
        ..plain.clone()
    }
}

/// Effective rank of embeddings at length 1, not centred, and the mean cosine of two different ones; no numbers where one has
/// no direction.
fn spread(encoder: &Encoder, samples: &Samples, width: usize) -> (f64, f64) {
    let (_, embeddings) = encoder.encoded(samples);
    let units = unit(&embeddings, width);
    let rank = Embeddings::new(&units, width).and_then(|embeddings| embeddings.effective_rank());
    let mut sum = vec![0.0; width];
    for row in units.chunks_exact(width) {
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    let count = samples.len() as f64;
    let squares: f64 = sum.iter().map(|value| value * value).sum();
    match rank {
        Ok(rank) => (rank, (squares - count) / (count * (count - 1.0))),
        Err(_) => (f64::NAN, f64::NAN),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn spread_of_an_encoder() {
        let digits = thalweg_data::digits();
        let samples = Samples::of(&digits, &(0..50).collect::<Vec<_>>());
        let encoder = Encoder::new(EncoderSpec::default(), 64, 0, &Device::flex());
        let (rank, cosine) = spread(&encoder, &samples, 32);
        let (_, embeddings) = encoder.encoded(&samples);
        let units = unit(&embeddings, 32);
        let rows: Vec<&[f64]> = units.chunks(32).collect();
        let mut mean = 0.0;
        for (i, a) in rows.iter().enumerate() {
            for b in &rows[..i] {
                mean += a.iter().zip(*b).map(|(x, y)| x * y).sum::<f64>() / (50.0 * 49.0 / 2.0);
            }
        }
        assert!((cosine - mean).abs() < 1e-12, "{cosine} {mean}");
        assert!((1.0..=32.0).contains(&rank));
    }
}
