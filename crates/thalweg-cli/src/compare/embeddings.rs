//! The plan of a comparison of objectives of embeddings.

use std::time::SystemTime;

use thalweg::catalogue;
use thalweg::objective::Task;
use thalweg_lab::representation::{Episodes, Plan};

use super::{Args, versions};
use crate::failure::UserError;
use crate::run_args::command_line;

/// # Errors
/// When an option is given that means nothing here.
pub fn plan(args: &Args) -> miette::Result<Plan> {
    let task = Task::from(args.task);
    let of_classifiers = [
        ("--noise", !args.noise.is_empty()),
        ("--imbalance", args.imbalance.is_some()),
        ("--bag", args.bag.is_some()),
        ("--bags-of", args.bags_of.is_some()),
        ("--hidden", !args.hidden.is_empty()),
        ("--attack", args.attack.is_some()),
        ("--family", args.family.is_some()),
        ("--weight-decay", args.weight_decay.is_some()),
        ("--batch-size", task == Task::FewShot && args.batch_size.is_some()),
    ];
    if task != Task::FewShot {
        refuse_episodes(args)?;
    }
    if let Some((option, _)) = of_classifiers.iter().find(|(_, given)| *given) {
        let problem = format!("{option} has no meaning for --task {}", task.name());
        return Err(UserError::new(problem)
            .help("leave it away, or compare classifiers with --task classification".to_owned())
            .into());
    }
    let objectives = if args.objectives.is_empty() {
        let of_task = catalogue::objectives_for(task).map(|entry| entry.name.to_owned());
        of_task.collect()
    } else {
        args.objectives.clone()
    };
    Ok(Plan {
        task,
        objectives,
        seeds: args.seeds,
        epochs: args.epochs,
        batch_size: args.batch_size,
        tries: args.tune,
        episodes: Episodes {
            ways: args.ways,
            shots: args.shots,
        },
        metric: args.metric.clone(),
        command: command_line(),
        started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        versions: versions(),
    })
}

/// # Errors
/// When episodes are described where there are none.
pub fn refuse_episodes(args: &Args) -> miette::Result<()> {
    let given = [("--ways", args.ways.is_some()), ("--shots", args.shots.is_some())];
    match given.iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(
            UserError::new(format!("{option} has a meaning for episodes only"))
                .help("compare few-shot objectives with --task few-shot".to_owned())
                .into(),
        ),
        None => Ok(()),
    }
}
