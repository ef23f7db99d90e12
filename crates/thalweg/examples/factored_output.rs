//! A word model over 50,000 words whose output layer costs the same for any number of them:
//! `cargo run --release --example factored_output`.
//!
//! The language is made up: each word has a topic, a sentence mostly stays with the topic of its first word, and within a
//! topic words follow Zipf's law. The model sees three words and ranks all for the fourth. Embeddings are looked up row by
//! row, the hidden layer is burn's under Adam, the output layer descends by itself.

use std::error::Error;
use std::time::Instant;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use thalweg::classification::output::{EmbeddingRows, FactoredOutput, FactoredOutputConfig, OutputLayer};
use thalweg::classification::spherical::SphericalMember;
use thalweg_kernels::random::Stream;

const WORDS: usize = 50_000;
const TOPICS: usize = 50;
const CONTEXT: usize = 3;
const EMBEDDING: usize = 32;
const WIDTH: usize = 64;
const BATCH: usize = 128;
const STEPS: usize = 3000;

#[derive(Module, Debug)]
struct Network {
    hidden: Linear,
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex().autodiff();
    let mut embeddings = EmbeddingRows::new(WORDS, EMBEDDING, 0);
    let mut network = Network {
        hidden: LinearConfig::new(CONTEXT * EMBEDDING, WIDTH).init(&device),
    };
    let mut adam = AdamConfig::new().init();
    let config = FactoredOutputConfig::new(WORDS, WIDTH)
        .with_member(SphericalMember::ZLoss { a: 0.1, b: 20.0 })
        .with_bias(Some(1.0));
    let mut output = config.init(0)?;

    let mut stream = Stream::new(0, "sentences", 0);
    let held_out = sentences(&mut Stream::new(1, "sentences", 0), 1000);
    let judge = |embeddings: &EmbeddingRows, network: &Network, output: &FactoredOutput| {
        let found = embeddings.look_up(&held_out.0, &device);
        let hidden = relu(network.hidden.forward(found));
        output.ranks(hidden, held_out.1.clone())
    };
    let started = Instant::now();
    for step in 0..=STEPS {
        if step % 1000 == 0 {
            let ranks = judge(&embeddings, &network, &output)?;
            println!(
                "step {step:>4}: top-100 error {:.3}, mean reciprocal rank {:.4}, {:.1} s",
                ranks.top_k_error(100),
                ranks.mean_reciprocal_rank(),
                started.elapsed().as_secs_f64()
            );
        }
        let (context, targets) = sentences(&mut stream, BATCH);
        let found = embeddings.look_up(&context, &device);
        let hidden = relu(network.hidden.forward(found.clone()));
        let gradients = output.train(hidden, targets, 10.0)?.backward();
        let of_found = found
            .grad(&gradients)
            .expect("the loss depends on the embeddings");
        embeddings.descend(&context, of_found, 1.0);
        let gradients = GradientsParams::from_grads(gradients, &network);
        network = adam.step(1e-3, network, gradients);
    }

    let path = std::env::temp_dir().join("factored_output.safetensors");
    output.save(&path)?;
    let loaded = config.load(&path)?;
    std::fs::remove_file(&path)?;
    let same = judge(&embeddings, &network, &loaded)? == judge(&embeddings, &network, &output)?;
    println!(
        "saved and loaded: {}; drift of the running statistics {:.1e}",
        if same { "the same ranks" } else { "other ranks" },
        loaded.drift().gram
    );
    Ok(())
}

/// Contexts `[count, 3]` and the words after them.
fn sentences(stream: &mut Stream, count: usize) -> (Tensor<2, Int>, Tensor<1, Int>) {
    let (mut contexts, mut targets) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let topic = stream.below(TOPICS);
        let mut word = || {
            let topic = if stream.uniform() < 0.8 {
                topic
            } else {
                stream.below(TOPICS)
            };
            let rank = ((WORDS / TOPICS) as f64).powf(stream.uniform()) as usize - 1;
            (rank * TOPICS + topic) as i64
        };
        contexts.extend([word(), word(), word()]);
        targets.push(word());
    }
    let device = Device::flex();
    (
        Tensor::from_data(TensorData::new(contexts, [count, CONTEXT]), &device),
        Tensor::from_data(TensorData::new(targets, [count]), &device),
    )
}
