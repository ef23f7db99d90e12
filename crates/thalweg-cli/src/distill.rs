//! `thalweg distill`: how should a small model learn from a large one?

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use thalweg::catalogue;
use thalweg::objective::Settings;
use thalweg_data::Dataset;
use thalweg_lab::LabError;
use thalweg_lab::distillation::{Method, Plan, Teacher, teacher_trial};
use thalweg_lab::model::{AuxiliaryHeadSpec, ModelSpec};
use thalweg_lab::output;
use thalweg_lab::trial::TrialSpec;

use crate::compare::{table, versions};
use crate::failure::UserError;
use crate::layout;
use crate::read_args::{ReadArgs, refusal};
use crate::run_args::{RunArgs, command_line, failed, interruption};

/// Compare ways for a small network to learn from a larger one
///
/// The teacher is trained here on all but the test split, or read from a safetensors file: a perceptron (NAME.weight and
/// NAME.bias in order, as PyTorch saves them) on the features as they are read, or a tensor `logits` [samples, classes] of
/// any model at all. Every method then trains the same student from the same weights and batches once per seed, with its
/// paper's parameters, and is judged after the last epoch, by its main head; differences to cross-entropy are paired by
/// seed.
#[derive(clap::Args)]
pub struct Args {
    /// CSV, TSV, Parquet, IDX, NPY or NPZ file, or a folder of IDX files [default: the embedded digits]
    path: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
    /// Read the teacher from a safetensors file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["teacher_hidden", "teacher_epochs"])]
    teacher: Option<PathBuf>,
    /// Widths of the hidden layers of a teacher trained here
    #[arg(
        long,
        value_name = "WIDTH,..",
        value_delimiter = ',',
        default_value = "256,256"
    )]
    teacher_hidden: Vec<usize>,
    /// Passes of the teacher over the training split [default: by its size]
    #[arg(long, value_name = "N")]
    teacher_epochs: Option<usize>,
    /// Write the teacher as a safetensors file
    #[arg(long, value_name = "FILE")]
    save_teacher: Option<PathBuf>,
    /// Widths of the hidden layers of the student
    #[arg(long, value_name = "WIDTH,..", value_delimiter = ',', default_value = "48,16")]
    hidden: Vec<usize>,
    /// Methods to compare [default: cross-entropy and all of the family distillation]
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    methods: Vec<String>,
    /// The second head of dual-head students
    #[arg(long, value_enum, default_value = "linear")]
    head: HeadChoice,
    /// Weight α of BinaryKL and BinaryKL-Norm [default: 1]
    #[arg(long, value_name = "WEIGHT")]
    alpha: Option<f64>,
    /// Temperature of every method that has one [default: each method's own]
    #[arg(long, value_name = "T")]
    temperature: Option<f64>,
    /// Other parameters of a method; `thalweg show METHOD` tells them
    #[arg(long, value_name = "METHOD.NAME=VALUE,..", value_delimiter = ',')]
    set: Vec<Setting>,
    /// Paired repetitions
    #[arg(long, value_name = "N", default_value_t = 10)]
    seeds: usize,
    /// Passes of a student over the training split [default: by its size]
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Samples in a batch
    #[arg(long, value_name = "N", default_value_t = 64)]
    batch_size: usize,
    /// Learning rate of students; it falls tenfold at .62, .75 and .87 of the epochs
    #[arg(long, value_name = "RATE", default_value_t = 0.05)]
    learning_rate: f64,
    /// Weight decay of students
    #[arg(long, value_name = "RATE", default_value_t = 5e-4)]
    weight_decay: f64,
    /// Metric to rank by
    #[arg(long, default_value = "accuracy")]
    metric: String,
    #[command(flatten)]
    run: RunArgs,
    /// Print the whole comparison as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum HeadChoice {
    Linear,
    Nonlinear,
}

/// A parameter of one method.
#[derive(Clone)]
struct Setting {
    method: String,
    name: String,
    value: f64,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || format!("`{text}` sets nothing; write for example dkd.beta=2");
        let (place, value) = text.split_once('=').ok_or_else(wanted)?;
        let (method, name) = place.split_once('.').ok_or_else(wanted)?;
        Ok(Self {
            method: method.to_owned(),
            name: name.to_owned(),
            value: value.parse().map_err(|_| wanted())?,
        })
    }
}

/// # Errors
/// When the data, the teacher or the plan is at fault, a trial fails, or the run is interrupted.
pub fn run(args: Args) -> miette::Result<()> {
    let dataset = Arc::new(match &args.path {
        Some(path) => thalweg_data::open(path, &args.read.options()).map_err(|error| refusal(&error))?,
        None => thalweg_data::digits(),
    });
    let plan = plan(&args)?;
    let checked = plan.check(&dataset).map_err(failed)?;
    let origin = Origin::of(&args, &dataset)?;
    let interrupted = interruption()?;
    let steps = origin.steps() + checked.trials();
    let (comparison, _) = args.run.watch(steps, &interrupted, |pool, advance| {
        let teacher = origin.teacher(&dataset, &interrupted, &|| advance(1))?;
        if let Some(path) = &args.save_teacher {
            teacher.save(path)?;
        }
        checked.run(&teacher, pool)
    })?;
    let written = output::write(&comparison, &args.run.out).map_err(failed)?;
    if args.json {
        let value = serde_json::to_value(&comparison).map_err(|error| UserError::new(error.to_string()))?;
        return layout::print_json(&value);
    }
    layout::print(|out| table::write(out, &comparison, &written))
}

/// Where the teacher comes from.
enum Origin {
    Read(Box<Teacher>),
    Trained(Box<TrialSpec>),
}

impl Origin {
    fn of(args: &Args, dataset: &Dataset) -> miette::Result<Self> {
        if let Some(path) = &args.teacher {
            let teacher = Teacher::open(path, dataset).map_err(|error| failed(error.into()))?;
            return Ok(Self::Read(Box::new(teacher)));
        }
        if args.teacher_epochs == Some(0) || args.teacher_hidden.contains(&0) {
            return Err(UserError::new("a teacher needs an epoch and hidden layers of at least one").into());
        }
        let model = ModelSpec::mlp(args.teacher_hidden.clone());
        let spec = teacher_trial(dataset, model, args.teacher_epochs, args.batch_size);
        Ok(Self::Trained(Box::new(spec)))
    }

    /// Steps of the bar: epochs.
    fn steps(&self) -> usize {
        match self {
            Self::Read(_) => 0,
            Self::Trained(spec) => spec.epochs,
        }
    }

    fn teacher(
        self,
        dataset: &Arc<Dataset>,
        interrupted: &AtomicBool,
        advance: &dyn Fn(),
    ) -> Result<Teacher, LabError> {
        match self {
            Self::Read(teacher) => Ok(*teacher),
            Self::Trained(spec) => {
                Teacher::train(&spec, dataset, interrupted, advance)?.ok_or(LabError::Interrupted)
            }
        }
    }
}

fn plan(args: &Args) -> miette::Result<Plan> {
    if args.hidden.contains(&0) {
        return Err(UserError::new("a hidden layer has a width of at least one").into());
    }
    Ok(Plan {
        methods: methods(args)?,
        student: ModelSpec::mlp(args.hidden.clone()),
        auxiliary_head: match args.head {
            HeadChoice::Linear => AuxiliaryHeadSpec::Linear,
            HeadChoice::Nonlinear => AuxiliaryHeadSpec::NonLinear,
        },
        seeds: args.seeds,
        epochs: args.epochs,
        batch_size: args.batch_size,
        learning_rate: args.learning_rate,
        weight_decay: args.weight_decay,
        metric: args.metric.clone(),
        command: command_line(),
        started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        versions: versions(),
    })
}

/// The methods with their settings: those of `--set` count before `--alpha` and `--temperature`.
fn methods(args: &Args) -> miette::Result<Vec<Method>> {
    let family = || {
        catalogue::objectives()
            .iter()
            .filter(|entry| entry.family == "distillation")
    };
    let mut names = args.methods.clone();
    if names.is_empty() {
        names = std::iter::once("cross_entropy")
            .chain(family().map(|entry| entry.name))
            .map(str::to_owned)
            .collect();
    }
    if let Some(unused) = args.set.iter().find(|setting| !names.contains(&setting.method)) {
        let nearest = catalogue::nearest(&unused.method, names.iter().map(String::as_str));
        let all = format!("the methods are {}", names.join(", "));
        return Err(UserError::unknown("method", &unused.method, &nearest, &all).into());
    }
    let of_binary = |name: &str| {
        ["binary_kl", "dual_head_kl", "ce_binary_kl"]
            .iter()
            .any(|stem| name.starts_with(stem))
    };
    Ok(names
        .into_iter()
        .map(|objective| {
            let mut settings = Settings::new();
            let has = |name: &str| {
                let entry = family().find(|entry| entry.name == objective);
                entry.is_some_and(|entry| entry.parameters.iter().any(|parameter| parameter.name == name))
            };
            if let Some(alpha) = args.alpha.filter(|_| of_binary(&objective)) {
                settings.insert("alpha".to_owned(), alpha);
            }
            if let Some(temperature) = args.temperature.filter(|_| has("temperature")) {
                settings.insert("temperature".to_owned(), temperature);
            }
            let own = args.set.iter().filter(|setting| setting.method == objective);
            settings.extend(own.map(|setting| (setting.name.clone(), setting.value)));
            Method { objective, settings }
        })
        .collect())
}
