//! Which column of a table is the target, which are features, and which are left out.

use std::collections::HashMap;
use std::path::Path;

use crate::error::DataError;
use crate::options::ReadOptions;

/// Names that mark the column of the classes.
const TARGET_NAMES: [&str; 5] = ["target", "label", "labels", "class", "y"];

/// What each column of a table is for.
pub(crate) struct Plan {
    pub(crate) roles: Vec<Role>,
    pub(crate) features: Vec<String>,
    pub(crate) target: String,
    pub(crate) bag: Option<String>,
}

/// What a column is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The feature of this number.
    Feature(usize),
    Target,
    Bag,
    Dropped,
}

impl Plan {
    pub(crate) fn new(file: &Path, names: &[String], options: &ReadOptions) -> Result<Self, DataError> {
        let mut first = HashMap::new();
        for (index, name) in names.iter().enumerate() {
            if let Some(earlier) = first.insert(name.as_str(), index) {
                return Err(DataError::DuplicateHeader {
                    file: file.to_owned(),
                    name: name.clone(),
                    first: earlier + 1,
                    second: index + 1,
                });
            }
        }
        let mut dropped = vec![false; names.len()];
        for wanted in &options.drop {
            dropped[find(file, names, wanted)?] = true;
        }
        let bag = match &options.bag {
            Some(wanted) => Some(find(file, names, wanted)?),
            None => None,
        };
        let taken: Vec<bool> = (0..names.len())
            .map(|index| dropped[index] || bag == Some(index))
            .collect();
        let target = match &options.target {
            Some(wanted) => find(file, names, wanted)?,
            None => default_target(file, names, &taken)?,
        };
        if bag == Some(target) {
            return Err(DataError::TargetIsBag {
                file: file.to_owned(),
                column: names[target].clone(),
            });
        }
        let mut features = Vec::new();
        let roles = (0..names.len())
            .map(|index| {
                if index == target {
                    Role::Target
                } else if bag == Some(index) {
                    Role::Bag
                } else if dropped[index] {
                    Role::Dropped
                } else {
                    features.push(names[index].clone());
                    Role::Feature(features.len() - 1)
                }
            })
            .collect();
        if features.is_empty() {
            return Err(DataError::OneColumn {
                file: file.to_owned(),
                column: names[target].clone(),
            });
        }
        Ok(Self {
            roles,
            features,
            target: names[target].clone(),
            bag: bag.map(|index| names[index].clone()),
        })
    }
}

fn find(file: &Path, names: &[String], wanted: &str) -> Result<usize, DataError> {
    let by_name = || names.iter().position(|name| name == wanted);
    let by_number = || {
        wanted
            .parse::<usize>()
            .ok()?
            .checked_sub(1)
            .filter(|&index| index < names.len())
    };
    by_name()
        .or_else(by_number)
        .ok_or_else(|| DataError::NoSuchColumn {
            file: file.to_owned(),
            wanted: wanted.to_owned(),
            columns: names.to_vec(),
        })
}

fn default_target(file: &Path, names: &[String], dropped: &[bool]) -> Result<usize, DataError> {
    let eligible = || (0..names.len()).filter(|&index| !dropped[index]);
    let named: Vec<usize> = eligible()
        .filter(|&index| {
            TARGET_NAMES
                .iter()
                .any(|name| names[index].eq_ignore_ascii_case(name))
        })
        .collect();
    match named[..] {
        [] => eligible().next_back().ok_or_else(|| DataError::Empty {
            file: file.to_owned(),
            what: "no column is left",
        }),
        [index] => Ok(index),
        _ => Err(DataError::AmbiguousTarget {
            file: file.to_owned(),
            candidates: named.iter().map(|&index| names[index].clone()).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(names: &[&str], target: Option<&str>, drop: &[&str]) -> Result<Plan, DataError> {
        let options = ReadOptions {
            target: target.map(str::to_owned),
            drop: drop.iter().map(|&name| name.to_owned()).collect(),
            ..ReadOptions::default()
        };
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        Plan::new(Path::new("t.csv"), &names, &options)
    }

    #[test]
    fn the_target_is_found_by_name_number_custom_and_position() {
        assert_eq!(plan(&["a", "b", "c"], Some("b"), &[]).unwrap().target, "b");
        assert_eq!(plan(&["a", "b", "c"], Some("1"), &[]).unwrap().target, "a");
        assert_eq!(plan(&["3", "2", "1"], Some("1"), &[]).unwrap().target, "1");
        assert_eq!(plan(&["a", "Label", "c"], None, &[]).unwrap().target, "Label");
        assert_eq!(plan(&["a", "b", "c"], None, &[]).unwrap().target, "c");
        assert_eq!(plan(&["a", "b", "c"], None, &["c"]).unwrap().target, "b");
    }

    #[test]
    fn a_bag_column_is_neither_feature_nor_target() {
        let names: Vec<String> = ["a", "b", "y", "group"].map(str::to_owned).to_vec();
        let plan = |target: Option<&str>| {
            let options = ReadOptions {
                target: target.map(str::to_owned),
                bag: Some("group".to_owned()),
                ..ReadOptions::default()
            };
            Plan::new(Path::new("t.csv"), &names, &options)
        };
        let found = plan(None).unwrap();
        assert_eq!((found.features.len(), found.target.as_str()), (2, "y"));
        assert!(matches!(plan(Some("group")), Err(DataError::TargetIsBag { .. })));
    }

    #[test]
    fn doubtful_targets_are_refused() {
        assert!(matches!(
            plan(&["y", "a", "class"], None, &[]),
            Err(DataError::AmbiguousTarget { candidates, .. }) if candidates == ["y", "class"]
        ));
        assert!(matches!(
            plan(&["a", "b"], Some("3"), &[]),
            Err(DataError::NoSuchColumn { .. })
        ));
        assert!(matches!(
            plan(&["a", "b"], Some("0"), &[]),
            Err(DataError::NoSuchColumn { .. })
        ));
        assert!(matches!(
            plan(&["a"], None, &[]),
            Err(DataError::OneColumn { .. })
        ));
        assert!(matches!(
            plan(&["a", "b", "a"], None, &[]),
            Err(DataError::DuplicateHeader {
                first: 1,
                second: 3,
                ..
            })
        ));
    }
}
