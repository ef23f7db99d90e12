//! `thalweg show`: all about one objective, optimiser or quantity.

pub mod objective;
pub mod optimizer;
mod page;
mod plot;
pub mod quantity;

use std::io;

use serde_json::json;
use thalweg::catalogue;
use thalweg::objective::Settings;
use thalweg::quantity::Quantity;

use crate::failure::UserError;
use crate::layout;

/// Show all about one objective, optimiser or quantity
///
/// Of an objective: formula, parameters, when to use it and when not, the Rust that makes it, and for a loss of class
/// scores its curve; of an optimiser the same. Of a quantity: what it takes, and a case to try it with.
#[derive(clap::Args)]
pub struct Args {
    /// Name, as `thalweg list` prints it
    name: String,
    /// Give a parameter of the objective or optimiser another value
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, f64)>,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

fn setting(text: &str) -> Result<(String, f64), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as tau=1.5")?;
    let value = value
        .trim()
        .parse()
        .map_err(|_| format!("`{value}` is not a number"))?;
    Ok((name.trim().to_owned(), value))
}

/// # Errors
/// When nothing is called so, a setting is refused, or writing fails.
pub fn run(args: Args) -> miette::Result<()> {
    let name = &args.name;
    let objective = catalogue::objective(name);
    let optimizer = catalogue::optimizer(name);
    let quantity = catalogue::quantity(name);
    let settings: Settings = args.settings.into_iter().collect();
    match (objective, optimizer, quantity) {
        (Some(objective), _, _) => objective.check(&settings).map_err(UserError::new)?,
        (_, Some(optimizer), _) => drop(optimizer.build(&settings).map_err(UserError::new)?),
        (_, _, Some(_)) if settings.is_empty() => {}
        (_, _, Some(_)) => {
            let help = "change the parameters in its case, and compute that with `thalweg eval`".to_owned();
            let problem = format!("{name} is a quantity: nothing to --set");
            return Err(UserError::new(problem).help(help).into());
        }
        (None, None, None) => return Err(unknown(name).into()),
    }
    let built = objective.and_then(|entry| entry.build(&settings).ok());
    let curve = built
        .as_ref()
        .and_then(|objective| objective.on_scores())
        .map(objective::curve);
    // What is set are parameters of the first that has the name.
    let of_optimizer = match objective {
        None => settings.clone(),
        Some(_) => Settings::new(),
    };
    if args.json {
        let mut found = Vec::new();
        if let Some(entry) = objective {
            let mut json = objective::json(entry);
            json["settings"] = json!(settings);
            json["rust"] = json!(entry.rust_with(&settings));
            json["margin_curve"] = json!(curve.map(|curve| objective::curve_json(&curve)));
            found.push(("objective", json));
        }
        if let Some(entry) = optimizer {
            let mut json = optimizer::json(entry);
            json["settings"] = json!(of_optimizer);
            json["rust"] = json!(entry.rust_with(&of_optimizer));
            found.push(("optimizer", json));
        }
        found.extend(quantity.map(|quantity| ("quantity", quantity::json(quantity))));
        // One name may be several, such as z_loss: the others are named in the first.
        let mut found = found.into_iter();
        let (_, mut first) = found.next().expect("something is called so");
        for (kind, json) in found {
            first[kind] = json;
        }
        return layout::print_json(&first);
    }
    layout::print(|out| {
        let mut begun = false;
        let mut gap = |out: &mut dyn io::Write| {
            if std::mem::replace(&mut begun, true) {
                writeln!(out)?;
            }
            Ok::<(), io::Error>(())
        };
        if let Some(entry) = objective {
            gap(out)?;
            objective::page(out, entry, &settings, curve.as_deref())?;
        }
        if let Some(entry) = optimizer {
            gap(out)?;
            optimizer::page(out, entry, &of_optimizer)?;
        }
        if let Some(quantity) = quantity {
            gap(out)?;
            quantity::page(out, quantity)?;
        }
        Ok(())
    })
}

fn unknown(name: &str) -> UserError {
    let names = catalogue::objectives().iter().map(|entry| entry.name);
    let names = names.chain(catalogue::optimizers().iter().map(|entry| entry.name));
    let names = names.chain(catalogue::quantities().iter().map(Quantity::name));
    let nearest = catalogue::nearest(name, names);
    UserError::unknown(
        "objective, optimiser or quantity",
        name,
        &nearest,
        "`thalweg list` shows all",
    )
}
