//! Renders the report of a recorded comparison again: `report comparison.json report.html`.

use std::error::Error;

use thalweg_lab::report;
use thalweg_lab::results::Comparison;

fn main() -> Result<(), Box<dyn Error>> {
    let [record, page] = <[String; 2]>::try_from(std::env::args().skip(1).collect::<Vec<_>>())
        .map_err(|_| "usage: report comparison.json report.html")?;
    let comparison: Comparison = serde_json::from_str(&std::fs::read_to_string(record)?)?;
    std::fs::write(page, report::html(&comparison))?;
    Ok(())
}
