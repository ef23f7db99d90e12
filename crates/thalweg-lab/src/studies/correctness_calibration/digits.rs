//! Part B: a small network trained on 60 digits, calibrators fitted to 840 others with three views each, and tested on
//! the rest: as they are, with noise, and shifted by a pixel.

use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData};
use thalweg::calibration::{CalibratorConfig, Logits, Method};
use thalweg::classification::CompSumLossConfig;
use thalweg::objective::Model;
use thalweg_kernels::random::Stream;

use super::views::{PIXELS, noisy, shifted, views};
use crate::LabError;
use crate::calibration::Measures;
use crate::model::{ModelSpec, Network};
use crate::pool::Pool;
use crate::statistics::{Paired, paired, summary};
use crate::study::{Advance, Claim, Scale, Table, Verdict, Weight};

const CLASSES: usize = 10;
const TRAINING: usize = 60;
const VALIDATION: usize = 840;
/// Full-batch steps of the classifier, and their rate.
const STEPS: usize = 200;
const RATE: f64 = 5e-3;
const NOISE: f64 = 0.25;

/// What happens to test digits.
#[derive(Clone, Copy, PartialEq)]
enum Condition {
    AsTrained,
    Noise,
    Shift,
}

impl Condition {
    const ALL: [Self; 3] = [Self::AsTrained, Self::Noise, Self::Shift];

    fn label(self) -> &'static str {
        match self {
            Self::AsTrained => "as trained on",
            Self::Noise => "noise of 0.25",
            Self::Shift => "shifted by a pixel",
        }
    }

    fn of(self, image: &[f64], random: &mut Stream) -> Vec<f64> {
        match self {
            Self::AsTrained => image.to_vec(),
            Self::Noise => noisy(image, NOISE, random),
            Self::Shift => shifted(image),
        }
    }
}

/// The measures of one seed, by condition; uncalibrated first, then each method in order.
type Run = [Vec<Measures>; 3];

fn one(scale: &Scale, seed: u64) -> Result<Run, LabError> {
    let digits = thalweg_data::digits();
    let mut order: Vec<usize> = (0..digits.len()).collect();
    Stream::new(seed, "digits", 0).shuffle(&mut order);
    let (training, rest) = order.split_at(TRAINING);
    let (validation, test) = rest.split_at(VALIDATION);
    let image = |&sample: &usize| -> Vec<f64> { digits.row(sample).iter().map(|&x| f64::from(x)).collect() };
    let labels = |samples: &[usize]| -> Vec<usize> {
        samples
            .iter()
            .map(|&sample| digits.labels[sample] as usize)
            .collect()
    };
    let images = |samples: &[usize]| samples.iter().map(image).collect::<Vec<_>>();
    let network = trained(&images(training), &labels(training), seed);
    let fitted_on = scored(&network, &images(validation), seed, "validation")?;
    let fitted_labels = labels(validation);
    let mut calibrators = Vec::new();
    for method in Method::ALL {
        let mut config = CalibratorConfig::new(method).with_seed(seed);
        config.steps = scale.pick(config.steps, 20);
        calibrators.push(config.fit(&fitted_on, &fitted_labels)?);
    }
    let judged_labels = labels(test);
    let judge = |condition: Condition| -> Result<Vec<Measures>, LabError> {
        let mut random = Stream::new(seed, condition.label(), 0);
        let changed: Vec<_> = images(test)
            .iter()
            .map(|image| condition.of(image, &mut random))
            .collect();
        let logits = scored(&network, &changed, seed, condition.label())?;
        let mut measures = vec![Measures::of(&logits.probabilities(), CLASSES, &judged_labels)?];
        for calibrator in &calibrators {
            measures.push(Measures::of(
                &calibrator.probabilities(&logits)?,
                CLASSES,
                &judged_labels,
            )?);
        }
        Ok(measures)
    };
    let [as_trained, noise, shift] = Condition::ALL.map(judge);
    Ok([as_trained?, noise?, shift?])
}

/// A 64-128-10 network after full-batch Adam on cross-entropy.
fn trained(images: &[Vec<f64>], labels: &[usize], seed: u64) -> Network {
    let device = Device::flex().autodiff();
    let mut network = Network::new(&ModelSpec::mlp(vec![128]), &[PIXELS], CLASSES, seed, &device);
    let mut optimizer = AdamConfig::new().init();
    let loss = CompSumLossConfig::new()
        .init()
        .expect("cross-entropy has no bad value");
    let targets: Vec<i64> = labels.iter().map(|&label| label as i64).collect();
    let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [labels.len()]), &device);
    for _ in 0..STEPS {
        let value = loss.forward(network.forward(inputs(images, &device)), targets.clone());
        let gradients = GradientsParams::from_grads(value.backward(), &network);
        network = optimizer.step(RATE, network, gradients);
    }
    network
}

fn inputs(images: &[Vec<f64>], device: &Device) -> Tensor<2> {
    let pixels: Vec<f32> = images.iter().flatten().map(|&x| x as f32).collect();
    Tensor::from_data(TensorData::new(pixels, [images.len(), PIXELS]), device)
}

/// Logits of images and of three views of each.
fn scored(network: &Network, images: &[Vec<f64>], seed: u64, name: &str) -> Result<Logits, LabError> {
    let scores = |images: &[Vec<f64>]| -> Vec<f64> {
        let scores = network.frozen(inputs(images, &Device::flex()));
        scores
            .into_data()
            .try_into_vec_as::<f64>()
            .expect("scores are floats")
    };
    let mut random = Stream::new(seed, &format!("views, {name}"), 0);
    let mut changed: [Vec<Vec<f64>>; 3] = Default::default();
    for image in images {
        for (all, view) in changed.iter_mut().zip(views(image, &mut random)) {
            all.push(view);
        }
    }
    let views: Vec<f64> = changed.iter().flat_map(|images| scores(images)).collect();
    Ok(Logits::new(scores(images), CLASSES)?.with_views(&views)?)
}

/// All seeds.
struct Runs(Vec<Run>);

/// A number of [`Measures`].
type Of = fn(&Measures) -> f64;

const SHOWN: [(&str, Of); 6] = [
    ("ECE25", |m| m.ece_25),
    ("KS", |m| m.ks),
    ("Brier", |m| m.brier),
    ("AUROC", |m| m.auroc),
    ("NLL", |m| m.nll),
    ("accuracy", |m| m.accuracy),
];

impl Runs {
    /// A number of each seed; of the uncalibrated probabilities without a method.
    fn values(&self, condition: Condition, method: Option<Method>, of: Of) -> Vec<f64> {
        let index = method.map_or(0, |method| {
            1 + Method::ALL.iter().position(|m| *m == method).expect("one of all")
        });
        self.0
            .iter()
            .map(|run| of(&run[condition as usize][index]))
            .collect()
    }

    /// By how much `method` is above `other`, seed by seed.
    fn difference(&self, condition: Condition, method: Method, other: Method, of: Of) -> Paired {
        paired(
            &self.values(condition, Some(method), of),
            &self.values(condition, Some(other), of),
        )
    }
}

const BALANCED: Method = Method::CorrectnessAwareBalanced;

pub(super) fn run(
    scale: &Scale,
    pool: &Pool,
    advance: &Advance,
) -> Result<(Vec<Table>, Vec<Claim>), LabError> {
    let runs = pool.map(scale.seeds(), |seed| {
        let run = one(scale, seed as u64);
        advance(1);
        run
    })?;
    let runs = Runs(runs.into_iter().collect::<Result<_, _>>()?);
    let mut claims = Vec::new();
    for (name, of) in [SHOWN[0], SHOWN[2]] {
        for rival in [Method::CrossEntropyNetwork, Method::Temperature] {
            claims.push(lower(
                &runs,
                Condition::Shift,
                rival,
                (name, of),
                Weight::Decisive,
            ));
        }
    }
    claims.push(no_worse_ranking(&runs));
    for condition in [Condition::AsTrained, Condition::Noise] {
        let rival = Method::CrossEntropyNetwork;
        claims.push(lower(&runs, condition, rival, SHOWN[0], Weight::Supporting));
    }
    let means = Condition::ALL.into_iter().zip(["B", "C", "D"]);
    let means = means.map(|(condition, letter)| table(&runs, condition, letter));
    Ok((means.chain([difference_table(&runs)]).collect(), claims))
}

fn lower(runs: &Runs, condition: Condition, rival: Method, (name, of): (&str, Of), weight: Weight) -> Claim {
    let gain = runs.difference(condition, rival, BALANCED, of);
    Claim {
        text: format!(
            "{}: {BALANCED} has a lower {name} than {rival}",
            condition.label()
        ),
        criterion: "95% interval of the paired difference above 0".to_owned(),
        evidence: difference(&gain),
        verdict: Some(Verdict::above_zero(&gain)),
        weight,
    }
}

fn no_worse_ranking(runs: &Runs) -> Claim {
    let gain = runs.difference(Condition::Shift, BALANCED, Method::CrossEntropyNetwork, |m| {
        m.auroc
    });
    Claim {
        text: format!(
            "{}: confidence of {BALANCED} tells right from wrong no worse than that of {}",
            Condition::Shift.label(),
            Method::CrossEntropyNetwork
        ),
        criterion: "95% interval of the paired difference in AUROC not below 0".to_owned(),
        evidence: difference(&gain),
        verdict: Some(Verdict::not_below_zero(&gain)),
        weight: Weight::Decisive,
    }
}

fn difference(gain: &Paired) -> String {
    format!("{:+.4} [{:+.4}, {:+.4}]", gain.mean, gain.low, gain.high).replace('-', "−")
}

fn table(runs: &Runs, condition: Condition, letter: &str) -> Table {
    let methods = std::iter::once(None).chain(Method::ALL.into_iter().map(Some));
    let rows = methods.map(|method| {
        let name = method.map_or("uncalibrated", Method::name);
        let cells = SHOWN.iter().map(|&(_, of)| {
            let values = runs.values(condition, method, of);
            format!("{:.3}", summary(&values).mean)
        });
        std::iter::once(name.to_owned()).chain(cells).collect()
    });
    let columns = SHOWN.iter().map(|(name, _)| (*name).to_owned());
    Table {
        title: format!("{letter}. Digits, {}: means over the seeds", condition.label()),
        columns: std::iter::once("method".to_owned()).chain(columns).collect(),
        rows: rows.collect(),
    }
}

/// Balanced correctness-aware calibration against its rivals, seed by seed.
fn difference_table(runs: &Runs) -> Table {
    const RIVALS: [(&str, Method); 4] = [
        ("temperature", Method::Temperature),
        ("cross-entropy", Method::CrossEntropyNetwork),
        ("Brier", Method::BrierNetwork),
        ("correctness-aware", Method::CorrectnessAware),
    ];
    let rows = RIVALS.iter().flat_map(|&(name, rival)| {
        SHOWN[..4].iter().map(move |&(measure, of)| {
            let cells = Condition::ALL.map(|condition| {
                let Paired { mean, high, .. } = runs.difference(condition, BALANCED, rival, of);
                format!("{mean:+.3} ± {:.3}", high - mean).replace('-', "−")
            });
            let names = [name, measure].map(str::to_owned);
            names.into_iter().chain(cells).collect()
        })
    });
    let columns = ["minus", "measure"].into_iter();
    let columns = columns
        .chain(["as trained on", "noise", "shift"])
        .map(str::to_owned);
    Table {
        title: format!(
            "E. {BALANCED} minus its rivals: paired difference ± half the width of its 95% interval"
        ),
        columns: columns.collect(),
        rows: rows.collect(),
    }
}
