//! Opening bytes as a file of a given name.

use std::path::PathBuf;

use thalweg_data::describe::describe;
use thalweg_data::{Impute, ReadOptions, open};

/// Reads and describes what is at `name` once `files` are written, in a folder of this process.
pub fn read(name: &str, target: Option<&str>, files: &[(&str, &[u8])]) {
    let folder: PathBuf = std::env::temp_dir().join(format!("thalweg-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    let options = ReadOptions {
        target: target.map(str::to_owned),
        impute: Some(Impute::Median),
        memory_limit: 1 << 20,
        ..ReadOptions::default()
    };
    let path = folder.join(name);
    if let Ok(set) = open(&path, &options) {
        assert_eq!(set.features.len(), set.len() * set.width());
        assert!(set.features.iter().all(|value| value.is_finite()));
    }
    let _ = describe(&path, &options);
}
