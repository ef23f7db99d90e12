//! `thalweg prune`: which weights of a trained network can it do without?

mod table;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use thalweg::catalogue;
use thalweg::compression::Saliency;
use thalweg_data::Dataset;
use thalweg_lab::model::ModelSpec;
use thalweg_lab::output;
use thalweg_lab::pruning::{METHODS, Model, Origin, Plan};

use crate::compare::versions;
use crate::failure::UserError;
use crate::layout;
use crate::read_args::{ReadArgs, refusal};
use crate::run_args::{RunArgs, command_line, failed, interruption};

/// Compare ways to remove weights of a trained network
///
/// The network is trained here, once per seed, on all but the test split, or read from a safetensors file: a perceptron
/// (NAME.weight and NAME.bias in order, as PyTorch saves them) on the features as they are read. Every method then prunes
/// copies of it to every sparsity, at once and in several steps with gradients anew at each, and is judged on the test split;
/// differences to pruning by magnitude are paired by seed.
#[derive(clap::Args)]
#[command(after_long_help = METHODS_HELP)]
pub struct Args {
    /// CSV, TSV, Parquet, IDX, NPY or NPZ file, or a folder of IDX files [default: the embedded digits]
    path: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
    /// Read the network from a safetensors file; its seeds then choose gradient samples only
    #[arg(long, value_name = "FILE", conflicts_with_all = ["hidden", "epochs"])]
    model: Option<PathBuf>,
    /// Widths of the hidden layers of a network trained here
    #[arg(long, value_name = "WIDTH,..", value_delimiter = ',', default_value = "40")]
    hidden: Vec<usize>,
    /// Passes of a network trained here over the training split [default: by its size]
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Samples in a batch
    #[arg(long, value_name = "N", default_value_t = 64)]
    batch_size: usize,
    /// Learning rate of Adam, in training and fine-tuning
    #[arg(long, value_name = "RATE", default_value_t = 3e-3)]
    learning_rate: f64,
    /// Shares of the weights that are to be 0
    #[arg(
        long,
        value_name = "SHARE,..",
        value_delimiter = ',',
        default_value = "0.5,0.7,0.8,0.9"
    )]
    sparsity: Vec<f64>,
    /// What weights are ranked by [default: all]
    #[arg(long, value_name = "METHOD,..", value_delimiter = ',')]
    methods: Vec<String>,
    /// Steps of gradual pruning; 1 to prune at once only
    #[arg(long, value_name = "N", default_value_t = 8)]
    recomputations: usize,
    /// Passes over the training split after each gradual step, removed weights staying 0; as many in all after pruning at once
    #[arg(long, value_name = "N", default_value_t = 0)]
    finetune: usize,
    /// Training samples whose gradients a step takes
    #[arg(long, value_name = "N", default_value_t = 512)]
    gradients: usize,
    /// Dampening of the Fisher information
    #[arg(long, value_name = "X", default_value_t = 1e-5)]
    dampening: f64,
    /// Consecutive weights among which curvature is looked at [default: 128 for woodfisher, all for m_fac]
    #[arg(long, value_name = "N")]
    block_size: Option<usize>,
    /// Move the weights that stay for all that go together, not for each by itself
    #[arg(long)]
    joint: bool,
    /// Paired repetitions
    #[arg(long, value_name = "N", default_value_t = 5)]
    seeds: usize,
    /// Write the network of the first seed, pruned by the best way to the highest sparsity, as a safetensors file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    #[command(flatten)]
    run: RunArgs,
    /// Print the whole comparison as JSON
    #[arg(long)]
    json: bool,
}

const METHODS_HELP: &str = "\
Methods
  magnitude        |w|; no other weight is moved
  diagonal_fisher  w² F_qq / 2; no other weight is moved
  woodfisher       w² / (2 [F⁻¹]_qq), explicit inverses of blocks
  m_fac            the same of all weights at once, without any matrix of them

F is the empirical Fisher information of the cross-entropy, damped. The last two
move the weights that stay to make up for those that go (Optimal Brain Surgeon).
Biases are not pruned.

Examples
  thalweg prune
  thalweg prune data.csv --target kind --sparsity 0.8,0.95 --finetune 2
  thalweg prune --model net.safetensors --methods m_fac --sparsity 0.9 --save small.safetensors";

/// # Errors
/// When the data, the network or the plan is at fault, a trial fails, or the run is interrupted.
pub fn run(args: Args) -> miette::Result<()> {
    let dataset = Arc::new(match &args.path {
        Some(path) => thalweg_data::open(path, &args.read.options()).map_err(|error| refusal(&error))?,
        None => thalweg_data::digits(),
    });
    let plan = plan(&args, &dataset)?;
    let checked = plan.check(&dataset).map_err(failed)?;
    let interrupted = interruption()?;
    let saved = usize::from(args.save.is_some());
    let (found, _) = args
        .run
        .watch(checked.trials() + saved, &interrupted, |pool, advance| {
            let found = checked.run(pool)?;
            if let Some(path) = &args.save {
                let network = checked.best_network(&found, pool)?;
                output::whole(path, network.to_bytes())?;
                advance(1);
            }
            Ok(found)
        })?;
    let written = output::write_pruning(&found, &args.run.out).map_err(failed)?;
    if args.json {
        let value = serde_json::to_value(&found).map_err(|error| UserError::new(error.to_string()))?;
        return layout::print_json(&value);
    }
    layout::print(|out| table::write(out, &found, &written, args.save.as_deref()))
}

fn plan(args: &Args, dataset: &Dataset) -> miette::Result<Plan> {
    if args.hidden.contains(&0) {
        return Err(UserError::new("a hidden layer has a width of at least one").into());
    }
    let origin = match &args.model {
        None => Origin::Trained,
        Some(path) => {
            let model = Model::open(path, dataset).map_err(|error| failed(error.into()))?;
            Origin::Read(Box::new(model))
        }
    };
    Ok(Plan {
        origin,
        model: ModelSpec::mlp(args.hidden.clone()),
        epochs: args.epochs,
        batch_size: args.batch_size,
        learning_rate: args.learning_rate,
        methods: methods(args)?,
        sparsities: args.sparsity.clone(),
        recomputations: args.recomputations,
        finetune: args.finetune,
        gradients: args.gradients,
        dampening: args.dampening,
        block_size: args.block_size,
        joint: args.joint,
        seeds: args.seeds,
        command: command_line(),
        started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        versions: versions(),
    })
}

fn methods(args: &Args) -> miette::Result<Vec<Saliency>> {
    if args.methods.is_empty() || args.methods == ["all"] {
        return Ok(METHODS.map(|(_, saliency)| saliency).to_vec());
    }
    let named = args.methods.iter().map(|wanted| {
        let found = METHODS.iter().find(|(name, _)| name == wanted);
        found.map(|(_, saliency)| *saliency).ok_or_else(|| {
            let names = METHODS.map(|(name, _)| name);
            let nearest = catalogue::nearest(wanted, names);
            let all = format!("the methods are {}", names.join(", "));
            UserError::unknown("method", wanted, &nearest, &all).into()
        })
    });
    named.collect()
}
