//! A made-up language: the next word by a random tanh network of the three words before it, words by Zipf's law.

use thalweg_kernels::random::Stream;

pub(super) const WORDS: usize = 500;
pub(super) const CONTEXT: usize = 3;

/// Width of the teacher's embeddings.
const RANK: usize = 16;

/// Contexts with the words that follow them.
#[derive(Clone, Debug, Default)]
pub(super) struct Corpus {
    pub contexts: Vec<[u32; CONTEXT]>,
    pub targets: Vec<u32>,
}

/// A language's samples.
#[derive(Clone, Debug)]
pub(super) struct Language {
    pub train: Corpus,
    pub validation: Corpus,
    pub test: Corpus,
}

impl Language {
    /// `train` samples to train on, `judge` each to validate and test on.
    pub fn new(seed: u64, train: usize, judge: usize) -> Self {
        let teacher = Teacher::new(seed);
        let mut stream = Stream::new(seed, "language", 0);
        let [train, validation, test] = [train, judge, judge].map(|count| teacher.corpus(count, &mut stream));
        Self {
            train,
            validation,
            test,
        }
    }
}

/// `logits_k = 1.2 ⟨tanh(Σ_j A_j e_{c_j}), o_k⟩ − log(k + 1)` of normal embeddings e, o and maps A of variance 1/(3·16).
struct Teacher {
    embeddings: Vec<f32>,
    maps: Vec<f32>,
    outputs: Vec<f32>,
    /// Cumulative Zipf probabilities of context words.
    cumulative: Vec<f64>,
}

impl Teacher {
    fn new(seed: u64) -> Self {
        let mut stream = Stream::new(seed, "teacher", 0);
        let mut normal = |len: usize| {
            let mut out = vec![0.0; len];
            stream.fill_normal(&mut out);
            out
        };
        let cumulative = (1..=WORDS)
            .scan(0.0, |sum, rank| {
                *sum += 1.0 / rank as f64;
                Some(*sum)
            })
            .collect();
        Self {
            embeddings: normal(WORDS * RANK),
            maps: normal(CONTEXT * RANK * RANK),
            outputs: normal(WORDS * RANK),
            cumulative,
        }
    }

    fn corpus(&self, count: usize, stream: &mut Stream) -> Corpus {
        let mut corpus = Corpus::default();
        for _ in 0..count {
            let context = [(); CONTEXT].map(|()| draw(&self.cumulative, stream));
            corpus.targets.push(self.next(&context, stream));
            corpus.contexts.push(context);
        }
        corpus
    }

    fn next(&self, context: &[u32; CONTEXT], stream: &mut Stream) -> u32 {
        let spread = 1.0 / ((CONTEXT * RANK) as f32).sqrt();
        let mut hidden = [0.0_f32; RANK];
        for (map, &word) in self.maps.chunks_exact(RANK * RANK).zip(context) {
            let embedding = &self.embeddings[word as usize * RANK..(word as usize + 1) * RANK];
            for (sum, row) in hidden.iter_mut().zip(map.chunks_exact(RANK)) {
                *sum += spread * row.iter().zip(embedding).map(|(a, e)| a * e).sum::<f32>();
            }
        }
        let hidden = hidden.map(f32::tanh);
        let mut sum = 0.0;
        let cumulative: Vec<f64> = self
            .outputs
            .chunks_exact(RANK)
            .zip(1..)
            .map(|(output, rank)| {
                let along: f32 = output.iter().zip(&hidden).map(|(o, h)| o * h).sum();
                sum += (1.2 * f64::from(along)).exp() / f64::from(rank);
                sum
            })
            .collect();
        draw(&cumulative, stream)
    }
}

/// An index with the probability of its rise among cumulative weights.
fn draw(cumulative: &[f64], stream: &mut Stream) -> u32 {
    let total = cumulative.last().expect("there are words");
    let at = stream.uniform() * total;
    cumulative
        .partition_point(|&sum| sum <= at)
        .min(cumulative.len() - 1) as u32
}
