//! `thalweg compare`: which objective should this data be trained with?

mod embeddings;
pub mod table;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use miette::Report;
use thalweg::catalogue;
use thalweg::objective::Task;
use thalweg::robustness::Norm;
use thalweg_data::{Dataset, ReadOptions};
use thalweg_lab::comparison::{Mover, Plan};
use thalweg_lab::model::ModelSpec;
use thalweg_lab::output;
use thalweg_lab::trial::{AttackSet, AttackSpec, BagForming, ImbalanceKind, NoiseKind};

use crate::failure::UserError;
use crate::layout;
use crate::read_args::{ReadArgs, refusal};
use crate::run_args::{RunArgs, command_line, failed, interruption};

/// Compare training objectives, or optimisers, on data
///
/// Every objective (with --optimizers: every optimiser) gets the same number of tuning trials on a validation split, then is trained once per seed and judged
/// once on the test split; differences to the baseline are paired by seed. Without a path: the embedded digits with 30%
/// of the training labels replaced.
#[derive(clap::Args)]
pub struct Args {
    /// CSV, TSV, Parquet, IDX, NPY or NPZ file, or a folder of IDX files [default: the embedded digits]
    path: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
    /// Column of bag names: of the targets, only the mean of each bag is used to train and to tune
    #[arg(long, value_name = "COL", conflicts_with = "bags_of")]
    bag: Option<String>,
    /// Form random bags of so many samples, and use only the mean target of each
    #[arg(long, value_name = "N")]
    bags_of: Option<usize>,
    /// What to train for, and so which objectives there are and how they are judged
    #[arg(long, value_enum, default_value = "classification")]
    task: TaskChoice,
    /// Objectives to compare [default: all of the family, or of the task]
    #[arg(
        long,
        value_name = "NAME,..",
        value_delimiter = ',',
        conflicts_with = "family"
    )]
    objectives: Vec<String>,
    /// Compare a whole family; cross-entropy takes part as the baseline [default: classification, or aggregate for bags]
    #[arg(long, value_name = "FAMILY")]
    family: Option<String>,
    /// Shares of training and validation labels to replace [default: 0, or 0.3 for the embedded digits]
    #[arg(long, value_name = "RATE,..", value_delimiter = ',')]
    noise: Vec<f64>,
    /// What replaces a label
    #[arg(long, value_enum, default_value = "uniform")]
    noise_kind: NoiseChoice,
    /// Thin out classes until the largest is this many times the smallest
    #[arg(long, value_name = "RATIO")]
    imbalance: Option<f64>,
    /// Sizes of the classes between
    #[arg(long, value_enum, default_value = "exponential")]
    imbalance_kind: ImbalanceChoice,
    /// Take images as rows of numbers: each pixel brought to mean 0 and variance 1, as the columns of a table
    #[arg(long)]
    flatten: bool,
    /// The network
    #[arg(long, value_enum, default_value = "mlp")]
    model: ModelChoice,
    /// Widths of the hidden layers of mlp [default: 64, or 128 for over 256 features]
    #[arg(long, value_name = "WIDTH,..", value_delimiter = ',')]
    hidden: Vec<usize>,
    /// Paired repetitions
    #[arg(long, value_name = "N", default_value_t = 10)]
    seeds: usize,
    /// Passes over the training split, each of 100 episodes for few-shot [default: by its size]
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Samples in a batch [default: 64; 200 for ssl, 128 for verification]
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
    /// What moves the weights: adam, at a constant rate, or an optimiser of `thalweg list`, along a cosine schedule
    #[arg(long, value_name = "NAME", default_value = "adam")]
    optimizer: String,
    /// Compare optimisers instead, or all of them: each tuned, along a cosine schedule, on one objective [default: cross_entropy]
    #[arg(
        long,
        value_name = "NAME,..|all",
        value_delimiter = ',',
        conflicts_with_all = ["optimizer", "family", "bag", "bags_of"]
    )]
    optimizers: Vec<String>,
    /// Weight decay, decoupled or part of the gradient as the optimiser has it [default: 0; tuned with --optimizers]
    #[arg(long, value_name = "X")]
    weight_decay: Option<f64>,
    /// Sets of parameters tried for each objective, on up to three validation splits; 0 trains with the defaults
    #[arg(long, value_name = "N", default_value_t = 8)]
    tune: usize,
    /// Classes of a test episode of few-shot [default: 5, or as many as there are new classes]
    #[arg(long, value_name = "N")]
    ways: Option<usize>,
    /// Labelled samples of each class of an episode of few-shot [default: 5]
    #[arg(long, value_name = "K")]
    shots: Option<usize>,
    /// Metric to rank by [default: accuracy, of a probe for ssl, or an error of bag means where targets are numbers]
    #[arg(long)]
    metric: Option<String>,
    /// Also measure robust accuracy: l_inf:RADIUS or l_2:RADIUS, in units of the model's inputs
    #[arg(long, value_name = "NORM:RADIUS")]
    attack: Option<Attack>,
    #[command(flatten)]
    run: RunArgs,
    /// Print the whole comparison as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    /// What `thalweg` does without a command.
    pub fn unnamed() -> Self {
        #[derive(clap::Parser)]
        struct Defaults {
            #[command(flatten)]
            args: Args,
        }
        <Defaults as clap::Parser>::parse_from(["thalweg"]).args
    }
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum TaskChoice {
    /// To score classes
    Classification,
    /// Self-supervised: to embed samples without labels
    Ssl,
    /// To embed samples so that a few labelled ones of new classes are enough
    FewShot,
    /// To embed samples so that those of new classes can be told to be the same
    Verification,
}

impl From<TaskChoice> for Task {
    fn from(choice: TaskChoice) -> Self {
        match choice {
            TaskChoice::Classification => Self::Classification,
            TaskChoice::Ssl => Self::SelfSupervised,
            TaskChoice::FewShot => Self::FewShot,
            TaskChoice::Verification => Self::Verification,
        }
    }
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum NoiseChoice {
    Uniform,
    ClassDependent,
    Pair,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum ImbalanceChoice {
    Exponential,
    Step,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum ModelChoice {
    Linear,
    Mlp,
    Cnn,
}

/// Samples in a batch, unless told otherwise.
const BATCH: usize = 64;
/// Steps of the attack that measures robust accuracy.
const ATTACK_STEPS: usize = 20;
/// Label noise of the comparison that runs without arguments.
const SHOWN_NOISE: f64 = 0.3;

#[derive(Clone, Copy)]
struct Attack(AttackSpec);

impl FromStr for Attack {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || format!("`{text}` is no attack; write for example l_inf:0.1 or l_2:0.5");
        let (norm, radius) = text.split_once(':').ok_or_else(wanted)?;
        let norm = match norm {
            "l_inf" | "linf" => Norm::LInf,
            "l_2" | "l2" => Norm::L2,
            _ => return Err(wanted()),
        };
        let epsilon: f64 = radius.parse().map_err(|_| wanted())?;
        if !(epsilon > 0.0 && epsilon.is_finite()) {
            return Err(wanted());
        }
        Ok(Self(AttackSpec {
            norm,
            epsilon,
            steps: ATTACK_STEPS,
            worst_of: AttackSet::CrossEntropy,
        }))
    }
}

/// # Errors
/// When the data or the plan is at fault, a trial fails, or the run is interrupted.
pub fn run(args: Args) -> miette::Result<()> {
    let mut dataset = match &args.path {
        Some(path) => {
            let options = ReadOptions {
                bag: args.bag.clone(),
                ..args.read.options()
            };
            thalweg_data::open(path, &options).map_err(|error| refusal(&error))?
        }
        None if args.bag.is_some() => {
            return Err(
                UserError::new("--bag names a column of a table, and no path is given")
                    .help(
                        "give a CSV or Parquet file, or use --bags-of N for random bags of the digits"
                            .to_owned(),
                    )
                    .into(),
            );
        }
        None => thalweg_data::digits(),
    };
    if args.flatten {
        dataset.feature_shape = vec![dataset.width()];
    }
    let dataset = Arc::new(dataset);
    let interrupted = interruption()?;
    let comparison = if args.task == TaskChoice::Classification {
        embeddings::refuse_episodes(&args)?;
        let plan = plan(&args, &dataset)?;
        let checked = plan.check(&dataset).map_err(failed)?;
        let watched = args
            .run
            .watch(checked.trials(), &interrupted, |pool, _| checked.run(pool));
        watched?.0
    } else {
        let plan = embeddings::plan(&args)?;
        let checked = plan.check(&dataset).map_err(failed)?;
        let watched = args
            .run
            .watch(checked.trials(), &interrupted, |pool, _| checked.run(pool));
        watched?.0
    };
    let written = output::write(&comparison, &args.run.out).map_err(failed)?;
    if args.json {
        let value = serde_json::to_value(&comparison).map_err(|error| UserError::new(error.to_string()))?;
        return layout::print_json(&value);
    }
    layout::print(|out| table::write(out, &comparison, &written))
}

fn plan(args: &Args, dataset: &Dataset) -> miette::Result<Plan> {
    let bags = args.bags_of.map(BagForming::Random);
    let bags = bags.or(args.bag.as_ref().map(|_| BagForming::Column));
    let noise = match (&args.noise[..], &args.path) {
        ([], _) if bags.is_some() => vec![0.0],
        ([], None) => vec![SHOWN_NOISE],
        ([], Some(_)) => vec![0.0],
        (rates, _) => {
            let mut rates = rates.to_vec();
            rates.sort_by(f64::total_cmp);
            rates.dedup();
            rates
        }
    };
    Ok(Plan {
        objectives: objectives(args)?,
        noise,
        noise_kind: match args.noise_kind {
            NoiseChoice::Uniform => NoiseKind::Uniform,
            NoiseChoice::ClassDependent => NoiseKind::ClassDependent,
            NoiseChoice::Pair => NoiseKind::Pair,
        },
        imbalance: args.imbalance.map(|ratio| {
            let kind = match args.imbalance_kind {
                ImbalanceChoice::Exponential => ImbalanceKind::Exponential,
                ImbalanceChoice::Step => ImbalanceKind::Step,
            };
            (ratio, kind)
        }),
        model: match args.model {
            ModelChoice::Linear => ModelSpec::Linear,
            ModelChoice::Mlp if args.hidden.is_empty() => {
                ModelSpec::mlp(vec![if dataset.width() > 256 { 128 } else { 64 }])
            }
            ModelChoice::Mlp => ModelSpec::mlp(args.hidden.clone()),
            ModelChoice::Cnn => ModelSpec::Cnn,
        },
        seeds: args.seeds,
        epochs: args.epochs,
        batch_size: args.batch_size.unwrap_or(BATCH),
        optimizers: optimizers(args)?,
        optimizer: match args.optimizer.as_str() {
            "adam" => Mover::adam(),
            name => Mover::along_cosine(known_optimizer(name)?),
        },
        weight_decay: args.weight_decay,
        tries: args.tune,
        bags,
        metric: args.metric.clone(),
        attack: args.attack.map(|Attack(attack)| attack),
        command: command_line(),
        started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        versions: versions(),
    })
}

/// What a comparison is made with.
pub fn versions() -> Vec<(String, String)> {
    [
        ("thalweg", env!("CARGO_PKG_VERSION")),
        ("burn", thalweg::BURN_VERSION),
    ]
    .map(|(name, version)| (name.to_owned(), version.to_owned()))
    .to_vec()
}

/// The optimisers to compare, if any.
fn optimizers(args: &Args) -> miette::Result<Vec<String>> {
    let all = || catalogue::optimizers().iter().map(|entry| entry.name.to_owned());
    if args.optimizers == ["all"] {
        return Ok(all().collect());
    }
    let named = args.optimizers.iter().map(|name| known_optimizer(name));
    named.map(|name| Ok(name?.to_owned())).collect()
}

/// The optimiser's name in the catalogue.
fn known_optimizer(name: &str) -> miette::Result<&'static str> {
    let Some(entry) = catalogue::optimizer(name) else {
        let names: Vec<_> = catalogue::optimizers().iter().map(|entry| entry.name).collect();
        let nearest = catalogue::nearest(name, names.iter().copied());
        let all = format!("the optimisers are {}", names.join(", "));
        return Err(Report::from(UserError::unknown(
            "optimiser",
            name,
            &nearest,
            &all,
        )));
    };
    Ok(entry.name)
}

/// The objectives by name, or those of the family, cross-entropy first as the baseline of habit.
fn objectives(args: &Args) -> miette::Result<Vec<String>> {
    if !args.objectives.is_empty() {
        return Ok(args.objectives.clone());
    }
    if !args.optimizers.is_empty() {
        return Ok(vec!["cross_entropy".to_owned()]);
    }
    let in_bags = args.bag.is_some() || args.bags_of.is_some();
    let family = match &args.family {
        Some(family) => family,
        None if in_bags => "aggregate",
        None => "classification",
    };
    let of_family: Vec<_> = catalogue::objectives()
        .iter()
        .filter(|entry| entry.family == family)
        .map(|entry| entry.name)
        .collect();
    if of_family.is_empty() {
        let families = catalogue::families();
        let nearest = catalogue::nearest(family, families.iter().copied());
        let all = format!("the families are {}", families.join(", "));
        return Err(Report::from(UserError::unknown("family", family, &nearest, &all)));
    }
    let habit = ["cross_entropy"]
        .into_iter()
        .filter(|habit| !in_bags && !of_family.contains(habit));
    Ok(habit
        .chain(of_family.iter().copied())
        .map(str::to_owned)
        .collect())
}

/// A path as the user would type it.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
