//! Where a comparison is written: a folder of its own with `report.html`, `results.csv` and `comparison.json`. Each file
//! is whole or not there.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::pruning::Pruning;
use crate::results::Comparison;
use crate::{LabError, csv_out, report};

/// The files of a comparison.
#[derive(Clone, Debug)]
pub struct Written {
    /// The report, one HTML file.
    pub report: PathBuf,
    /// Every number, long form.
    pub csv: PathBuf,
    /// The record itself.
    pub json: PathBuf,
}

/// Writes a comparison into a new folder under `out`, named after the data and the time.
///
/// # Errors
/// When a file cannot be written.
pub fn write(comparison: &Comparison, out: &Path) -> Result<Written, LabError> {
    let folder = new_folder(&comparison.data.name, &comparison.started, out)?;
    files(
        &folder,
        comparison,
        report::html(comparison),
        csv_out::csv(comparison),
    )
}

/// The same of a comparison of ways to prune.
///
/// # Errors
/// When a file cannot be written.
pub fn write_pruning(found: &Pruning, out: &Path) -> Result<Written, LabError> {
    let folder = new_folder(&found.data.name, &found.started, out)?;
    files(
        &folder,
        found,
        report::pruning_html(found),
        csv_out::pruning(found),
    )
}

fn files(folder: &Path, record: &impl Serialize, report: String, csv: String) -> Result<Written, LabError> {
    let files = Written {
        report: folder.join("report.html"),
        csv: folder.join("results.csv"),
        json: folder.join("comparison.json"),
    };
    let json = serde_json::to_string_pretty(record).map_err(crate::store::StoreError::from)?;
    whole(&files.report, report)?;
    whole(&files.csv, csv)?;
    whole(&files.json, &json)?;
    Ok(files)
}

fn new_folder(name: &str, started: &str, out: &Path) -> Result<PathBuf, LabError> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = name.chars().map(plain).collect();
    let time: String = started.chars().filter(char::is_ascii_digit).collect();
    for number in 1.. {
        let suffix = if number == 1 {
            String::new()
        } else {
            format!("-{number}")
        };
        let folder = out.join(format!("{name}-{time}{suffix}"));
        match std::fs::create_dir_all(out).and_then(|()| std::fs::create_dir(&folder)) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(source) => return Err(LabError::Write { path: folder, source }),
        }
    }
    unreachable!("some number is free")
}

/// Writes a file that is whole or not there.
///
/// # Errors
/// When it cannot be written.
pub fn whole(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), LabError> {
    let failed = |source| LabError::Write {
        path: path.to_owned(),
        source,
    };
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .permissions(permissions())
        .tempfile_in(folder)
        .map_err(failed)?;
    file.write_all(bytes.as_ref()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Readable by others, as any file a program leaves behind; the process's mask still applies.
#[cfg(unix)]
fn permissions() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o666)
}

/// As the system gives them.
#[cfg(not(unix))]
fn permissions() -> std::fs::Permissions {
    std::fs::metadata(".")
        .map(|metadata| metadata.permissions())
        .expect("the working folder can be read")
}
