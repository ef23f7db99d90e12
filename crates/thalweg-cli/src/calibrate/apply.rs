//! Applying a saved calibrator.

use std::fmt::Write;
use std::path::Path;

use serde_json::json;
use thalweg::calibration::{CalibrationError, Calibrator};
use thalweg_data::write_npy;
use thalweg_lab::calibration::Measures;
use thalweg_lab::output;

use super::{Args, logits, read, table, views_missing};
use crate::failure::UserError;
use crate::layout;
use crate::run_args::failed;

pub fn run(args: &Args, file: &Path) -> miette::Result<()> {
    let bytes =
        std::fs::read(file).map_err(|error| UserError::new(format!("{}: {error}", file.display())))?;
    let calibrator = Calibrator::from_bytes(&bytes)
        .map_err(|error| UserError::new(format!("{}: {error}", file.display())))?;
    let set = read(args)?;
    let logits = logits(args, &set)?;
    if args.out.is_none() && set.labels.is_none() {
        return Err(
            UserError::new("neither probabilities nor labels were asked about")
                .help(
                    "write the probabilities with `--out FILE.npy`, or judge the calibrator with `--labels`"
                        .to_owned(),
                )
                .into(),
        );
    }
    let probabilities = calibrator.probabilities(&logits).map_err(|error| match error {
        CalibrationError::ViewsMissing { .. } => views_missing(&error),
        other => UserError::new(format!("{}: {other}", file.display())).into(),
    })?;
    let shape = [logits.samples(), logits.classes()];
    if let Some(out) = &args.out {
        let bytes = encoded(out, shape, &probabilities, set.classes.as_deref())?;
        output::whole(out, bytes).map_err(failed)?;
    }
    let judged = set.labels.map(|labels| {
        let measures = |probabilities: &[f64]| Measures::of(probabilities, shape[1], &labels);
        Ok::<_, CalibrationError>((measures(&logits.probabilities())?, measures(&probabilities)?))
    });
    let judged = judged.transpose().map_err(|error| failed(error.into()))?;
    if args.json {
        let (before, after) = judged.unzip();
        return layout::print_json(&json!({
            "method": calibrator.method(),
            "fitted_samples": calibrator.samples(),
            "samples": shape[0],
            "classes": shape[1],
            "out": args.out,
            "before": before,
            "after": after,
        }));
    }
    layout::print(|out| {
        if let Some((before, after)) = &judged {
            table::applied(out, &calibrator, shape[0], before, after)?;
        }
        if let Some(file) = &args.out {
            writeln!(
                out,
                "Probabilities [{}, {}]: {}",
                shape[0],
                shape[1],
                file.display()
            )?;
        }
        Ok(())
    })
}

/// Probabilities in the format that the file's name asks for.
fn encoded(
    out: &Path,
    shape: [usize; 2],
    probabilities: &[f64],
    classes: Option<&[String]>,
) -> miette::Result<Vec<u8>> {
    let extension = out.extension().and_then(|extension| extension.to_str());
    match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("npy") => {
            let mut bytes = Vec::new();
            write_npy(&mut bytes, &shape, probabilities).expect("writing to memory succeeds");
            Ok(bytes)
        }
        Some("csv") => {
            let numbered = || (0..shape[1]).map(|class| class.to_string()).collect();
            let names: Vec<String> =
                classes.map_or_else(numbered, |names| names.iter().map(|name| quoted(name)).collect());
            let mut text = names.join(",") + "\n";
            for row in probabilities.chunks_exact(shape[1]) {
                for (class, p) in row.iter().enumerate() {
                    let separator = if class == 0 { "" } else { "," };
                    write!(text, "{separator}{p}").expect("writing to memory succeeds");
                }
                text.push('\n');
            }
            Ok(text.into_bytes())
        }
        _ => Err(UserError::new(format!(
            "{}: probabilities are written as .npy or .csv",
            out.display()
        ))
        .into()),
    }
}

fn quoted(name: &str) -> String {
    if name.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.to_owned()
    }
}
