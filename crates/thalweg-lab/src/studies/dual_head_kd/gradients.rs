//! Along the training of a student with one head: how far the gradients of cross-entropy and of BinaryKL agree, for the head
//! and for the features under it, exactly, after every epoch, over batches of 64 as they train; and how far features and head
//! have collapsed in the end.

use burn::tensor::Device;
use thalweg::distillation::{HeadLoss, LinearHead, NeuralCollapse, cosine, neural_collapse};
use thalweg::objective::DualHead;
use thalweg_kernels::random::Stream;

use super::Lesson;
use super::methods::{METHODS, ONE_HEAD};
use crate::LabError;
use crate::model::Network;
use crate::pool::Pool;
use crate::statistics::{Paired, paired, summary};
use crate::study::{Advance, Claim, Scale, Table, Verdict, Weight};
use crate::trial::{Prepared, train};

const BATCH: usize = 64;
const TEMPERATURE: f64 = 2.0;
const LOSSES: [HeadLoss; 2] = [
    HeadLoss::BinaryKl {
        temperature: TEMPERATURE,
    },
    HeadLoss::BinaryKlNorm {
        temperature: TEMPERATURE,
    },
];

/// A student for each of the two losses and each seed.
pub fn steps(scale: &Scale) -> usize {
    ONE_HEAD.len() * scale.seeds()
}

/// Mean cosines of an epoch.
#[derive(Clone, Copy)]
struct Cosines {
    head: f64,
    features: f64,
}

/// Some of the epochs of a course.
type Stretch = fn(&[Cosines]) -> &[Cosines];

pub fn run(
    scale: &Scale,
    pool: &Pool,
    lessons: &[Lesson],
    advance: &Advance,
) -> Result<([Table; 2], Vec<Claim>), LabError> {
    let students = pool.try_map(steps(scale), |index| {
        let (loss, lesson) = (index / lessons.len(), &lessons[index % lessons.len()]);
        let spec = lesson.student(scale, METHODS[ONE_HEAD[loss]].objective, &[])?;
        let mut course = Vec::with_capacity(spec.epochs);
        let trained = train(&spec, lesson.source(), pool.interrupted, &mut |(
            network,
            prepared,
        )| {
            course.push(after_epoch(lesson, network, prepared, LOSSES[loss]));
        })?;
        advance(1);
        let Some(trained) = trained else { return Ok(None) };
        let collapse = collapse(&trained.network, &trained.prepared)?;
        Ok(Some((course, collapse)))
    })?;
    let (courses, collapses): (Vec<_>, Vec<_>) = students.into_iter().unzip();
    let (mut rows, mut claims) = (Vec::new(), Vec::new());
    for (loss, courses) in courses.chunks(lessons.len()).enumerate() {
        let label = METHODS[ONE_HEAD[loss]].label;
        let mean = |of: fn(&Cosines) -> f64, epochs: Stretch| -> Vec<f64> {
            let course = |course: &Vec<Cosines>| {
                let chosen = epochs(course);
                chosen.iter().map(of).sum::<f64>() / chosen.len() as f64
            };
            courses.iter().map(course).collect()
        };
        let stretches: [(&str, Stretch); 3] = [
            ("first 10", |course| &course[..course.len().min(10)]),
            ("last 10", |course| &course[course.len().saturating_sub(10)..]),
            ("all", |course| course),
        ];
        for (stretch, epochs) in stretches {
            let (head, features) = (mean(|c| c.head, epochs), mean(|c| c.features, epochs));
            let number = |value: f64| format!("{value:+.3}").replace('-', "−");
            rows.push(vec![
                label.to_owned(),
                stretch.to_owned(),
                number(summary(&head).mean),
                number(summary(&features).mean),
            ]);
        }
        let difference = paired(&mean(|c| c.features, |all| all), &mean(|c| c.head, |all| all));
        claims.push(claim(label, &difference));
    }
    let table = Table {
        title: "B. Mean cosine of the gradients of the two losses on one head, by epochs".to_owned(),
        columns: ["student", "epochs", "of the head", "of the features"]
            .map(str::to_owned)
            .to_vec(),
        rows,
    };
    Ok(([table, collapse_table(&collapses, lessons.len())], claims))
}

/// Collapse on the training samples.
fn collapse(network: &Network, prepared: &Prepared) -> Result<NeuralCollapse, LabError> {
    let features = features(network, prepared, &prepared.train.rows);
    let labels: Vec<usize> = prepared
        .train
        .labels
        .iter()
        .map(|&label| label as usize)
        .collect();
    let layers = network.linear_layers();
    let head = layers.last().expect("a student has a head");
    neural_collapse(&features, &labels, &wide(&head.weight), head.outputs())
        .map_err(|problem| LabError::Plan(format!("the features or head of a student {problem}")))
}

fn collapse_table(collapses: &[NeuralCollapse], seeds: usize) -> Table {
    let rows = collapses.chunks(seeds).enumerate().map(|(loss, collapses)| {
        let mean = |of: fn(&NeuralCollapse) -> f64| {
            let values: Vec<f64> = collapses.iter().map(of).collect();
            format!("{:.3}", summary(&values).mean)
        };
        vec![
            METHODS[ONE_HEAD[loss]].label.to_owned(),
            mean(|metrics| metrics.variability),
            mean(|metrics| metrics.equinorm),
            mean(|metrics| metrics.equiangular),
            mean(|metrics| metrics.self_duality),
        ]
    });
    Table {
        title: "The same students after the last epoch: collapse of features and head, 0 where full"
            .to_owned(),
        columns: ["student", "NC1", "NC2 lengths", "NC2 angles", "NC3"]
            .map(str::to_owned)
            .to_vec(),
        rows: rows.collect(),
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// What the head of a student sees of some samples, row-major.
fn features(network: &Network, prepared: &Prepared, rows: &[usize]) -> Vec<f64> {
    let device = Device::flex().autodiff();
    let features = network.features(prepared.inputs(rows, &device));
    let features = features.without_autodiff().into_data();
    features.try_into_vec_as::<f64>().expect("features are floats")
}

fn claim(label: &str, difference: &Paired) -> Claim {
    let Paired { mean, low, high, .. } = difference;
    Claim {
        text: format!("{label}: the gradients agree less in the head than in the features"),
        criterion: "95% interval of features minus head, mean cosines over all epochs, above 0".to_owned(),
        evidence: format!("{mean:+.3} [{low:+.3}, {high:+.3}]").replace('-', "−"),
        verdict: Some(Verdict::above_zero(difference)),
        weight: Weight::Supporting,
    }
}

/// Mean cosines over the batches of a pass; a batch in which one gradient vanishes has none.
fn after_epoch(lesson: &Lesson, network: &Network, prepared: &Prepared, loss: HeadLoss) -> Cosines {
    let layers = network.linear_layers();
    let head = layers.last().expect("a student has a head");
    let (weight, bias) = (wide(&head.weight), wide(&head.bias));
    let mut order: Vec<usize> = (0..prepared.train.rows.len()).collect();
    Stream::new(lesson.seed, "gradient batches", 0).shuffle(&mut order);
    let (mut sums, mut count) = (
        Cosines {
            head: 0.0,
            features: 0.0,
        },
        0.0,
    );
    for ids in order.chunks(BATCH) {
        let rows: Vec<usize> = ids.iter().map(|&id| prepared.train.rows[id]).collect();
        let labels: Vec<usize> = ids.iter().map(|&id| prepared.train.labels[id] as usize).collect();
        let features = features(network, prepared, &rows);
        let teacher: Vec<f64> = rows
            .iter()
            .flat_map(|&row| wide(lesson.teacher.row(row)))
            .collect();
        let at = LinearHead {
            features: &features,
            weight: &weight,
            bias: &bias,
            labels: &labels,
            teacher_logits: &teacher,
        };
        let (labelled, taught) = (at.gradients(HeadLoss::CrossEntropy), at.gradients(loss));
        let of_head = cosine(&labelled.weight(), &taught.weight());
        let of_features = cosine(&labelled.features, &taught.features);
        if let (Some(head), Some(features)) = (of_head, of_features) {
            sums.head += head;
            sums.features += features;
            count += 1.0;
        }
    }
    Cosines {
        head: sums.head / count,
        features: sums.features / count,
    }
}
