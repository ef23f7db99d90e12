//! `thalweg show`: all about one objective or quantity.

pub mod objective;
mod plot;
pub mod quantity;

use serde_json::json;
use thalweg::catalogue;
use thalweg::objective::Settings;
use thalweg::quantity::Quantity;

use crate::failure::UserError;
use crate::layout;

/// Show all about one objective or quantity
///
/// Of an objective: formula, parameters, when to use it and when not, the Rust that makes it, and for a loss of class
/// scores its curve. Of a quantity: what it takes, and a case to try it with.
#[derive(clap::Args)]
pub struct Args {
    /// Name, as `thalweg list` prints it
    name: String,
    /// Give a parameter of the objective another value
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
    let quantity = catalogue::quantity(&args.name);
    let Some(entry) = catalogue::objective(&args.name) else {
        let Some(quantity) = quantity else {
            return Err(unknown(&args.name).into());
        };
        if !args.settings.is_empty() {
            let help = "change the parameters in its case, and compute that with `thalweg eval`".to_owned();
            return Err(
                UserError::new(format!("{} is a quantity: nothing to --set", args.name))
                    .help(help)
                    .into(),
            );
        }
        if args.json {
            return layout::print_json(&quantity::json(quantity));
        }
        return layout::print(|out| quantity::page(out, quantity));
    };
    let settings: Settings = args.settings.into_iter().collect();
    entry.check(&settings).map_err(UserError::new)?;
    let objective = entry.build(&settings).ok();
    let curve = objective
        .as_ref()
        .and_then(|objective| objective.on_scores())
        .map(objective::curve);
    if args.json {
        let mut json = objective::json(entry);
        json["settings"] = json!(settings);
        json["rust"] = json!(entry.rust_with(&settings));
        json["margin_curve"] = json!(curve.map(|curve| objective::curve_json(&curve)));
        if let Some(quantity) = quantity {
            json["quantity"] = quantity::json(quantity);
        }
        return layout::print_json(&json);
    }
    // One name may be both, such as z_loss.
    layout::print(|out| {
        objective::page(out, entry, &settings, curve.as_deref())?;
        match quantity {
            Some(quantity) => {
                writeln!(out)?;
                quantity::page(out, quantity)
            }
            None => Ok(()),
        }
    })
}

fn unknown(name: &str) -> UserError {
    let names = catalogue::objectives().iter().map(|entry| entry.name);
    let names = names.chain(catalogue::quantities().iter().map(Quantity::name));
    let nearest = catalogue::nearest(name, names);
    UserError::unknown(
        "objective or quantity",
        name,
        &nearest,
        "`thalweg list` shows all",
    )
}
