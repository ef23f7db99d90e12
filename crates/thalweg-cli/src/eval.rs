//! `thalweg eval`: one door to every quantity.

use std::io::Read;
use std::panic;
use std::path::PathBuf;

use thalweg::quantity::document::{self, Document};

use crate::failure::UserError;
use crate::layout;

/// Compute named quantities of given arrays
///
/// Every case is answered, in order and in double precision; one in error spoils no other. The exit code is 0 as long as
/// there is a document to answer.
#[derive(clap::Args)]
#[command(after_long_help = PROTOCOL)]
pub struct Args {
    /// File with the cases; `-` reads the standard input
    file: PathBuf,
}

const PROTOCOL: &str = r#"Reads
  {"cases": [{"id": .., "quantity": .., "params": {..}, "inputs": {..}}, ..]}
and prints
  {"cases": [{"id": .., "outputs": {..}} or {"id": .., "error": ".."}, ..]}

An array is {"shape": [..], "data": [flat, row-major]}; NaN and the infinities
are "nan", "inf" and "-inf". `thalweg show QUANTITY` prints a case to start from."#;

/// # Errors
/// When the file cannot be read or is no document of cases.
pub fn run(args: Args) -> miette::Result<()> {
    let is_stdin = args.file.as_os_str() == "-";
    let (name, bytes) = if is_stdin {
        let mut bytes = Vec::new();
        (
            "standard input".to_owned(),
            std::io::stdin().read_to_end(&mut bytes).map(|_| bytes),
        )
    } else {
        (args.file.display().to_string(), std::fs::read(&args.file))
    };
    let bytes = bytes.map_err(|error| UserError::new(format!("{name}: {error}")))?;
    let document = Document::parse(&bytes).map_err(|error| {
        UserError::new(format!("{name}, {error}")).help(
            "a document is JSON of the form {\"cases\": [{\"id\": .., \"quantity\": .., \"params\": {..}, \"inputs\": {..}}]}, with \
             NaN and infinities as the texts \"nan\", \"inf\" and \"-inf\"; `thalweg show QUANTITY` prints one to start from"
                .to_owned(),
        )
    })?;

    // A panic within a quantity is the error of its case: what the hook would print is in there.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let answers = document.evaluate();
    panic::set_hook(hook);
    layout::print(|out| document::write(&answers, out))
}
