//! Episodes, drawn under a stream.

use burn::tensor::{Device, Int, Tensor, TensorData};
use thalweg::objective::{EmbeddedEpisode, EpisodeShape};
use thalweg_kernels::random::Stream;

use super::{Classes, Part};

/// An episode's samples: the support, class after class, then the queries likewise.
pub(super) struct Episode {
    shape: EpisodeShape,
    inputs: Vec<f32>,
    width: usize,
}

impl Episode {
    /// Number `index` of a part.
    pub fn draw(classes: &Classes, part: Part, index: usize) -> Self {
        let trial = classes.trial;
        let name = match part {
            Part::Base => "training episodes",
            Part::Validation => "validation episodes",
            Part::Novel => "test episodes",
        };
        let mut random = Stream::new(trial.seed, name, index as u64);
        let shape = trial.shape(part);
        let of_part = classes.of(part);
        let chosen = distinct(of_part.len(), shape.ways, &mut random);
        let samples: Vec<Vec<usize>> = chosen
            .into_iter()
            .map(|class| {
                let rows = &of_part[class];
                let places = distinct(rows.len(), shape.shots + shape.queries, &mut random);
                places.into_iter().map(|place| rows[place]).collect()
            })
            .collect();
        let width = classes.dataset.width();
        let mut inputs = Vec::with_capacity(shape.ways * (shape.shots + shape.queries) * width);
        let support = samples.iter().flat_map(|rows| &rows[..shape.shots]);
        for &row in support.chain(samples.iter().flat_map(|rows| &rows[shape.shots..])) {
            inputs.extend_from_slice(classes.dataset.row(row));
        }
        if let Some(scaler) = &classes.scaler {
            scaler.apply(&mut inputs);
        }
        if trial.noise > 0.0 {
            let mut noise = vec![0.0; inputs.len()];
            random.fill_normal(&mut noise);
            for (input, noise) in inputs.iter_mut().zip(noise) {
                *input += trial.noise * noise;
            }
        }
        Self { shape, inputs, width }
    }

    /// The inputs `[samples, features]`.
    pub fn inputs(&self, device: &Device) -> Tensor<2> {
        let shape = [self.inputs.len() / self.width, self.width];
        Tensor::from_data(TensorData::new(self.inputs.clone(), shape), device)
    }

    /// The class of every sample.
    pub fn labels(&self, device: &Device) -> Tensor<1, Int> {
        let EpisodeShape { shots, queries, .. } = self.shape;
        let labels = [self.labels_of(shots), self.labels_of(queries)].concat();
        Tensor::from_ints(labels.as_slice(), device)
    }

    /// The class of every query.
    pub fn query_labels(&self) -> Vec<i32> {
        self.labels_of(self.shape.queries)
    }

    fn labels_of(&self, each: usize) -> Vec<i32> {
        let ways = 0..self.shape.ways as i32;
        ways.flat_map(|way| std::iter::repeat_n(way, each)).collect()
    }

    /// With the embeddings of its inputs.
    pub fn embedded(&self, embeddings: &Tensor<2>) -> EmbeddedEpisode {
        let EpisodeShape { ways, shots, queries } = self.shape;
        let labels = self.query_labels();
        EmbeddedEpisode {
            support: embeddings.clone().narrow(0, 0, ways * shots),
            query: embeddings.clone().narrow(0, ways * shots, ways * queries),
            query_labels: Tensor::from_ints(labels.as_slice(), &embeddings.device()),
            ways,
            shots,
        }
    }
}

/// So many different ones of `0..all`, in random order.
fn distinct(all: usize, count: usize, random: &mut Stream) -> Vec<usize> {
    let mut items: Vec<usize> = (0..all).collect();
    for place in 0..count {
        items.swap(place, place + random.below(all - place));
    }
    items.truncate(count);
    items
}
