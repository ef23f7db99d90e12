//! Linear problems drawn at random, and how far estimates are from the truth.

use thalweg::aggregate::{AggregateLinear, Bags, LabelPrivacy, Setting};
use thalweg_kernels::random::Stream;

/// Samples of a simulated problem.
pub(super) const SAMPLES: usize = 600;

/// Responses `y = x·θ₀ + ε` of Gaussian features.
pub(super) struct Problem {
    x: Vec<f64>,
    y: Vec<f64>,
    truth: Vec<f64>,
    /// Order in which samples are put into bags.
    order: Vec<usize>,
    uniforms: Stream,
}

impl Problem {
    pub(super) fn draw(setting: Setting, seed: u64) -> Self {
        let features = (setting.psi * SAMPLES as f64).round() as usize;
        let mut stream = Stream::new(seed, "linear problem", features as u64);
        let mut normal = |count: usize| -> Vec<f64> {
            let mut values = vec![0.0; count];
            stream.fill_normal(&mut values);
            values.into_iter().map(f64::from).collect()
        };
        let mut truth = normal(features);
        let length = truth.iter().map(|t| t * t).sum::<f64>().sqrt();
        truth
            .iter_mut()
            .for_each(|t| *t *= setting.signal.sqrt() / length);
        let x = normal(SAMPLES * features);
        let noise = normal(SAMPLES);
        let y = x
            .chunks_exact(features)
            .zip(noise)
            .map(|(row, noise)| dot(row, &truth) + setting.noise_variance.sqrt() * noise)
            .collect();
        let mut order: Vec<usize> = (0..SAMPLES).collect();
        Stream::new(seed, "bags", 0).shuffle(&mut order);
        Self {
            x,
            y,
            truth,
            order,
            uniforms: Stream::new(seed, "laplace", 0),
        }
    }

    /// The estimators from bags of so many samples, of which there are a whole number.
    pub(super) fn in_bags(&mut self, size: usize, privacy: Option<LabelPrivacy>) -> Estimators<'_> {
        let count = SAMPLES / size;
        let mut index = vec![0; SAMPLES];
        for (place, &sample) in self.order.iter().enumerate() {
            index[sample] = (place / size).min(count - 1);
        }
        let bags = Bags::new(index).expect("every bag has a sample");
        let means = match privacy {
            None => bags.means(&self.y, 1),
            Some(mechanism) => {
                let uniforms: Vec<f64> = (0..count).map(|_| open_uniform(&mut self.uniforms)).collect();
                mechanism.release(&self.y, &bags, &uniforms)
            }
        };
        Estimators {
            linear: AggregateLinear::new(&self.x, self.truth.len(), &means, &bags),
            truth: &self.truth,
        }
    }
}

/// Uniform in (−1/2, 1/2), both ends left out.
fn open_uniform(stream: &mut Stream) -> f64 {
    loop {
        let uniform = stream.uniform() - 0.5;
        if uniform > -0.5 {
            return uniform;
        }
    }
}

pub(super) struct Estimators<'a> {
    linear: AggregateLinear,
    truth: &'a [f64],
}

impl Estimators<'_> {
    /// `‖θ̂ − θ₀‖²` at ρ.
    pub(super) fn error(&self, rho: f64) -> f64 {
        let theta = self.linear.estimate(rho).expect("ρ is in its range");
        theta.iter().zip(self.truth).map(|(a, b)| (a - b).powi(2)).sum()
    }
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
