//! The names under which sets of IDX files are published.

use std::path::{Path, PathBuf};

use crate::error::DataError;

/// A file of images and the file of their labels.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) images: PathBuf,
    pub(super) labels: PathBuf,
}

/// The labels beside a file of images: `train-images-idx3-ubyte` has `train-labels-idx1-ubyte`, either of them
/// compressed or not.
pub(super) fn labels_of(images: &Path) -> Result<PathBuf, DataError> {
    let name = images.file_name().unwrap_or_default().to_string_lossy();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    let labels = plain
        .replace("images", "labels")
        .replace("idx3", "idx1")
        .replace("idx4", "idx1");
    if labels == plain {
        return Err(DataError::NoLabels {
            file: images.to_owned(),
            tried: vec!["labels-idx1-ubyte".into()],
        });
    }
    let tried = [labels.clone(), format!("{labels}.gz")];
    let found = tried
        .iter()
        .map(|name| images.with_file_name(name))
        .find(|path| path.is_file());
    found.ok_or_else(|| DataError::NoLabels {
        file: images.to_owned(),
        tried: tried.to_vec(),
    })
}

/// The training pair and the test pair in a folder.
pub(super) fn parts_in(folder: &Path) -> Result<(Pair, Pair), DataError> {
    let mut names = Vec::new();
    for entry in folder.read_dir().map_err(DataError::io(folder))? {
        names.push(
            entry
                .map_err(DataError::io(folder))?
                .file_name()
                .to_string_lossy()
                .into_owned(),
        );
    }
    // A file and its compressed twin are the same: sorted, the plain one comes first.
    names.sort();
    names.dedup_by(|next, kept| next.strip_suffix(".gz") == Some(kept));
    let pair = |markers: &[&str]| {
        let images: Vec<&String> = names
            .iter()
            .filter(|name| name.contains("images") && name.contains("idx"))
            .filter(|name| markers.iter().any(|marker| name.contains(marker)))
            .collect();
        match images[..] {
            [images] => {
                let images = folder.join(images);
                Ok(Pair {
                    labels: labels_of(&images)?,
                    images,
                })
            }
            [] => Err(DataError::Unrecognised {
                file: folder.to_owned(),
                found: format!("a folder without {}-images-idx3-ubyte", markers[0]),
            }),
            _ => Err(DataError::Unrecognised {
                file: folder.to_owned(),
                found: format!("a folder with more than one set of {} images", markers[0]),
            }),
        }
    };
    Ok((pair(&["train"])?, pair(&["t10k", "test"])?))
}
