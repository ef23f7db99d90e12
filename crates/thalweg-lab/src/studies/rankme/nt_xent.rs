//! NT-Xent of two views, all other embeddings of the batch being negatives.

use burn::tensor::Tensor;
use thalweg::objective::{EmbeddedViews, Progress, ViewObjective};
use thalweg_kernels::random::Stream;

/// `−log exp(s_ip/τ) / Σ_{k≠i} exp(s_ik/τ)`, s the cosines of all embeddings of both views and p the other view; mean.
pub(super) struct NtXent {
    pub temperature: f64,
}

impl ViewObjective for NtXent {
    fn loss(&mut self, views: &EmbeddedViews, _: &Progress, _: &mut Stream) -> Tensor<1> {
        let inverse = 1.0 / self.temperature;
        let [x, y] = views.pair();
        let [x, y] = [x, y].map(|view| {
            let square = view.clone().square().sum_dim(1);
            view * (square + 1e-12).sqrt().recip()
        });
        let positive = (x.clone() * y.clone()).sum() * (2.0 * inverse);
        let all = Tensor::cat(vec![x, y], 0);
        let [count, _] = all.dims();
        let others = Tensor::<2>::eye(count, &all.device()) * -1.0 + 1.0;
        // No cosine is above 1: exponents are at most 0.
        let scaled = all.clone().matmul(all.transpose()) * inverse - inverse;
        let sums = (scaled.exp() * others).sum_dim(1).log().sum() + inverse * count as f64;
        (sums - positive) * (1.0 / count as f64)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn it_is_that_of_the_definition() {
        let device = Device::flex().autodiff();
        let embeddings = vec![
            Tensor::from_floats([[2.0, 0.0], [0.0, 1.0]], &device),
            Tensor::from_floats([[0.6, 0.8], [-3.0, 0.0]], &device),
        ];
        let views = EmbeddedViews {
            embeddings,
            ids: vec![0, 1],
            labels: None,
        };
        let progress = Progress {
            epoch: 0,
            epochs: 1,
            step: 0,
            steps: 1,
        };
        let found = NtXent { temperature: 0.5 }.loss(&views, &progress, &mut Stream::new(0, "", 0));
        let rows = [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [-1.0, 0.0]];
        let cosine = |i: usize, k: usize| -> f64 {
            rows[i]
                .iter()
                .zip(&rows[k])
                .map(|(a, b): (&f64, &f64)| a * b)
                .sum()
        };
        let each = (0..4).map(|i| {
            let sum: f64 = (0..4)
                .filter(|&k| k != i)
                .map(|k| (2.0 * cosine(i, k)).exp())
                .sum();
            sum.ln() - 2.0 * cosine(i, (i + 2) % 4)
        });
        let expected = each.sum::<f64>() / 4.0;
        assert!((found.into_scalar::<f64>() - expected).abs() < 1e-6);
    }
}
