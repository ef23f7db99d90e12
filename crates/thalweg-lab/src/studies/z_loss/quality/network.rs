//! The word model: three embeddings of 32 numbers, 64 ReLUs, scores; trained by Adam. Written on plain slices, since the
//! study trains more than a hundred of them; the loss is the library's.

use burn::tensor::{Device, Int, Tensor, TensorData};
use thalweg::classification::LogitLoss;
use thalweg_kernels::matrix::{Matrix, Work, multiply};
use thalweg_kernels::random::Stream;

use super::language::{CONTEXT, Corpus, Language, WORDS};

const EMBEDDING: usize = 32;
const INPUTS: usize = CONTEXT * EMBEDDING;
const HIDDEN: usize = 64;
const BATCH: usize = 200;
const RATE: f32 = 3e-3;

/// Sizes of the parameters: embeddings, hidden weights and biases, output weights and biases.
const SIZES: [usize; 5] = [WORDS * EMBEDDING, INPUTS * HIDDEN, HIDDEN, HIDDEN * WORDS, WORDS];

pub(super) struct Network {
    parameters: [Vec<f32>; 5],
}

/// What a forward pass leaves for the backward one.
struct Activations {
    inputs: Vec<f32>,
    hidden: Vec<f32>,
    scores: Vec<f32>,
}

/// Trains a network on the language, with weights and order by the seed.
pub(super) fn train(language: &Language, loss: &LogitLoss, epochs: usize, seed: u64) -> Network {
    let mut network = Network::new(seed);
    let mut adam = Adam::new();
    let corpus = &language.train;
    let device = Device::flex().autodiff();
    for epoch in 0..epochs {
        let mut order: Vec<usize> = (0..corpus.targets.len()).collect();
        Stream::new(seed, "batches", epoch as u64).shuffle(&mut order);
        for batch in order.chunks(BATCH) {
            let contexts: Vec<_> = batch.iter().map(|&at| corpus.contexts[at]).collect();
            let targets: Vec<i64> = batch.iter().map(|&at| i64::from(corpus.targets[at])).collect();
            let Activations {
                inputs,
                hidden,
                scores,
            } = network.forward(&contexts);
            let shape = [batch.len(), WORDS];
            let scores = Tensor::<2>::from_data(TensorData::new(scores, shape), &device).require_grad();
            let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [batch.len()]), &device);
            let of_scores = loss.forward(scores.clone(), targets).backward();
            let errors = scores.grad(&of_scores).expect("the loss depends on the scores");
            let errors = errors
                .into_data()
                .try_into_vec_as::<f32>()
                .expect("gradients are floats");
            let gradients = network.backward(&contexts, &inputs, &hidden, &errors);
            adam.step(&mut network.parameters, &gradients);
        }
    }
    network
}

impl Network {
    /// Embeddings standard normal; the other weights uniform in `±1/√fan_in`.
    fn new(seed: u64) -> Self {
        let mut parameters = SIZES.map(|size| vec![0.0; size]);
        let mut stream = Stream::new(seed, "weights", 0);
        stream.fill_normal(&mut parameters[0]);
        let fan_in = [INPUTS, INPUTS, HIDDEN, HIDDEN];
        for (values, inputs) in parameters[1..].iter_mut().zip(fan_in) {
            let bound = 1.0 / (inputs as f32).sqrt();
            stream.fill_uniform(-bound, bound, values);
        }
        Self { parameters }
    }

    fn forward(&self, contexts: &[[u32; CONTEXT]]) -> Activations {
        let [
            embeddings,
            hidden_weights,
            hidden_biases,
            output_weights,
            output_biases,
        ] = &self.parameters;
        let batch = contexts.len();
        let row = |&word: &u32| &embeddings[word as usize * EMBEDDING..(word as usize + 1) * EMBEDDING];
        let inputs: Vec<f32> = contexts.iter().flatten().flat_map(row).copied().collect();
        let mut hidden = hidden_biases.repeat(batch);
        let weights = Matrix::new(hidden_weights, INPUTS, HIDDEN);
        multiply(
            Work::Alone,
            &mut hidden,
            1.0,
            1.0,
            Matrix::new(&inputs, batch, INPUTS),
            weights,
        );
        hidden.iter_mut().for_each(|x| *x = x.max(0.0));
        let mut scores = output_biases.repeat(batch);
        let weights = Matrix::new(output_weights, HIDDEN, WORDS);
        multiply(
            Work::Alone,
            &mut scores,
            1.0,
            1.0,
            Matrix::new(&hidden, batch, HIDDEN),
            weights,
        );
        Activations {
            inputs,
            hidden,
            scores,
        }
    }

    /// Gradients of all parameters, of those of the scores.
    fn backward(
        &self,
        contexts: &[[u32; CONTEXT]],
        inputs: &[f32],
        hidden: &[f32],
        errors: &[f32],
    ) -> [Vec<f32>; 5] {
        let batch = contexts.len();
        let mut gradients = SIZES.map(|size| vec![0.0; size]);
        let [
            of_embeddings,
            of_hidden,
            of_hidden_biases,
            of_output,
            of_output_biases,
        ] = &mut gradients;
        let error_rows = Matrix::new(errors, batch, WORDS);
        let hidden_rows = Matrix::new(hidden, batch, HIDDEN);
        multiply(
            Work::Alone,
            of_output,
            0.0,
            1.0,
            hidden_rows.transposed(),
            error_rows,
        );
        add_rows(of_output_biases, errors);
        let mut back = vec![0.0; batch * HIDDEN];
        let weights = Matrix::new(&self.parameters[3], HIDDEN, WORDS);
        multiply(Work::Alone, &mut back, 0.0, 1.0, error_rows, weights.transposed());
        for (back, &active) in back.iter_mut().zip(hidden) {
            if active <= 0.0 {
                *back = 0.0;
            }
        }
        let back_rows = Matrix::new(&back, batch, HIDDEN);
        let input_rows = Matrix::new(inputs, batch, INPUTS);
        multiply(
            Work::Alone,
            of_hidden,
            0.0,
            1.0,
            input_rows.transposed(),
            back_rows,
        );
        add_rows(of_hidden_biases, &back);
        let mut of_inputs = vec![0.0; batch * INPUTS];
        let weights = Matrix::new(&self.parameters[1], INPUTS, HIDDEN);
        multiply(
            Work::Alone,
            &mut of_inputs,
            0.0,
            1.0,
            back_rows,
            weights.transposed(),
        );
        for (&word, slope) in contexts.iter().flatten().zip(of_inputs.chunks_exact(EMBEDDING)) {
            add_rows(
                &mut of_embeddings[word as usize * EMBEDDING..(word as usize + 1) * EMBEDDING],
                slope,
            );
        }
        gradients
    }

    /// Share of samples whose word is not among the first k, for each k.
    pub fn top_k_errors<const N: usize>(&self, corpus: &Corpus, depths: [usize; N]) -> [f64; N] {
        let mut errors = [0; N];
        for (contexts, targets) in corpus.contexts.chunks(BATCH).zip(corpus.targets.chunks(BATCH)) {
            let scores = self.forward(contexts).scores;
            for (row, &target) in scores.chunks_exact(WORDS).zip(targets) {
                let own = row[target as usize];
                // A network that has diverged ranks its targets last.
                let not_below = row.iter().filter(|&&score| score > own || score.is_nan()).count();
                let rank = if own.is_nan() { WORDS } else { 1 + not_below };
                for (errors, &k) in errors.iter_mut().zip(&depths) {
                    *errors += usize::from(rank > k);
                }
            }
        }
        errors.map(|count| count as f64 / corpus.targets.len() as f64)
    }
}

fn add_rows(sum: &mut [f32], rows: &[f32]) {
    for row in rows.chunks_exact(sum.len()) {
        for (sum, x) in sum.iter_mut().zip(row) {
            *sum += x;
        }
    }
}

/// Adam with the usual decays.
struct Adam {
    first: [Vec<f32>; 5],
    second: [Vec<f32>; 5],
    steps: i32,
}

impl Adam {
    fn new() -> Self {
        Self {
            first: SIZES.map(|size| vec![0.0; size]),
            second: SIZES.map(|size| vec![0.0; size]),
            steps: 0,
        }
    }

    fn step(&mut self, parameters: &mut [Vec<f32>; 5], gradients: &[Vec<f32>; 5]) {
        const DECAY: [f32; 2] = [0.9, 0.999];
        self.steps += 1;
        let [first_share, second_share] = DECAY.map(|decay| 1.0 / (1.0 - decay.powi(self.steps)));
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((values, slopes), (first, second)) in parameters.iter_mut().zip(gradients).zip(moments) {
            let moments = first.iter_mut().zip(second);
            for ((value, &slope), (first, second)) in values.iter_mut().zip(slopes).zip(moments) {
                *first = DECAY[0] * *first + (1.0 - DECAY[0]) * slope;
                *second = DECAY[1] * *second + (1.0 - DECAY[1]) * slope * slope;
                *value -= RATE * *first * first_share / ((*second * second_share).sqrt() + 1e-8);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_numeric() {
        let mut network = Network::new(1);
        let contexts = [[0, 3, 3], [499, 1, 0]];
        let mut slopes = vec![0.0; 2 * WORDS];
        Stream::new(2, "slopes", 0).fill_normal(&mut slopes);
        let value = |network: &Network| -> f64 {
            let scores = network.forward(&contexts).scores;
            scores.iter().zip(&slopes).map(|(o, s)| f64::from(o * s)).sum()
        };
        let at = network.forward(&contexts);
        let gradients = network.backward(&contexts, &at.inputs, &at.hidden, &slopes);
        for (part, index) in [
            (0, 3 * EMBEDDING + 5),
            (1, 700),
            (2, 11),
            (3, 12 * WORDS + 7),
            (4, 499),
        ] {
            let (start, step) = (network.parameters[part][index], 1e-2);
            network.parameters[part][index] = start + step;
            let above = value(&network);
            network.parameters[part][index] = start - step;
            let below = value(&network);
            network.parameters[part][index] = start;
            let numeric = (above - below) / f64::from(2.0 * step);
            let found = f64::from(gradients[part][index]);
            assert!(
                (found - numeric).abs() < 1e-2 * (1.0 + numeric.abs()),
                "{part}: {found}, numeric {numeric}"
            );
        }
    }
}
