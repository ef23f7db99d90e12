//! Everything the library has, in one explicit list a family.

mod nearest;
mod search;

pub use nearest::nearest;
pub use search::Search;

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use crate::objective::{ObjectiveEntry, Task};
use crate::optimizer::OptimizerEntry;
use crate::quantity::Quantity;
use crate::{
    aggregate, calibration, classification, compression, contrastive, curvature, diagnostics, distillation,
    few_shot, flatness, metric_learning, optimizer, robustness, self_supervised, verification,
};

/// All objectives, families in order.
pub fn objectives() -> &'static [ObjectiveEntry] {
    static OBJECTIVES: OnceLock<Vec<ObjectiveEntry>> = OnceLock::new();
    OBJECTIVES.get_or_init(|| {
        [
            classification::objectives(),
            robustness::objectives(),
            flatness::objectives(),
            aggregate::objectives(),
            distillation::objectives(),
            contrastive::objectives(),
            self_supervised::objectives(),
            few_shot::objectives(),
            verification::objectives(),
            metric_learning::objectives(),
        ]
        .concat()
    })
}

/// The objectives that train for `task`, families in order.
pub fn objectives_for(task: Task) -> impl Iterator<Item = &'static ObjectiveEntry> {
    objectives()
        .iter()
        .filter(move |entry| entry.tasks().contains(&task))
}

/// The objective called `name`.
pub fn objective(name: &str) -> Option<&'static ObjectiveEntry> {
    objectives().iter().find(|entry| entry.name == name)
}

/// All optimisers.
pub fn optimizers() -> &'static [OptimizerEntry] {
    static OPTIMIZERS: OnceLock<Vec<OptimizerEntry>> = OnceLock::new();
    OPTIMIZERS.get_or_init(optimizer::optimizers)
}

/// The optimiser called `name`, whether its words are joined by underscores or hyphens.
pub fn optimizer(name: &str) -> Option<&'static OptimizerEntry> {
    let name = name.replace('-', "_");
    optimizers().iter().find(|entry| entry.name == name)
}

/// All quantities, families in order.
pub fn quantities() -> &'static [Quantity] {
    static QUANTITIES: OnceLock<Vec<Quantity>> = OnceLock::new();
    QUANTITIES.get_or_init(|| {
        [
            ("classification", classification::quantities()),
            ("robustness", robustness::quantities()),
            ("flatness", flatness::quantities()),
            ("aggregate", aggregate::quantities()),
            ("calibration", calibration::quantities()),
            ("distillation", distillation::quantities()),
            ("contrastive", contrastive::quantities()),
            ("metric_learning", metric_learning::quantities()),
            ("diagnostics", diagnostics::quantities()),
            ("self_supervised", self_supervised::quantities()),
            ("optimizer", optimizer::quantities()),
            ("few_shot", few_shot::quantities()),
            ("verification", verification::quantities()),
            ("curvature", curvature::quantities()),
            ("compression", compression::quantities()),
        ]
        .into_iter()
        .flat_map(|(family, quantities)| quantities.into_iter().map(move |q| q.in_family(family)))
        .collect()
    })
}

/// All families, in order.
pub fn families() -> Vec<&'static str> {
    let of_quantities = quantities().iter().map(Quantity::family);
    let mut families: Vec<_> = objectives()
        .iter()
        .map(|entry| entry.family)
        .chain(of_quantities)
        .collect();
    let mut seen = HashSet::new();
    families.retain(|family| seen.insert(*family));
    families
}

/// The quantity called `name`.
pub fn quantity(name: &str) -> Option<&'static Quantity> {
    static BY_NAME: OnceLock<HashMap<&'static str, &'static Quantity>> = OnceLock::new();
    let by_name = BY_NAME.get_or_init(|| {
        quantities()
            .iter()
            .map(|quantity| (quantity.name(), quantity))
            .collect()
    });
    by_name.get(name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_tables_they_stand_in() {
        for entry in objectives() {
            assert!(entry.name.len() <= 25, "{}", entry.name);
        }
    }

    #[test]
    fn names_are_unique() {
        let names: HashSet<_> = objectives().iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), objectives().len());
        let names: HashSet<_> = quantities().iter().map(Quantity::name).collect();
        assert_eq!(names.len(), quantities().len());
    }

    #[test]
    fn every_objective_builds_over_the_whole_of_its_ranges() {
        for entry in objectives() {
            entry.check(&entry.defaults()).unwrap();
            for position in [0.0, 0.5, 1.0] {
                let settings = entry
                    .parameters
                    .iter()
                    .map(|p| (p.name.to_owned(), p.at(position)))
                    .collect();
                entry
                    .check(&settings)
                    .unwrap_or_else(|error| panic!("{}: {error}", entry.name));
                let rust = entry.rust_with(&settings);
                assert!(!rust.contains('{'), "{}: {rust}", entry.name);
            }
            for parameter in &entry.parameters {
                assert!(
                    (parameter.range.0..=parameter.range.1).contains(&parameter.default),
                    "{}",
                    entry.name
                );
            }
        }
    }

    #[test]
    fn every_optimizer_builds_over_the_whole_of_its_ranges() {
        let mut names = HashSet::new();
        for entry in optimizers() {
            assert!(
                names.insert(entry.name) && entry.name.len() <= 25,
                "{}",
                entry.name
            );
            let (low, high) = entry.learning_rate.range;
            assert!(
                (low..=high).contains(&entry.learning_rate.default),
                "{}",
                entry.name
            );
            assert!(
                entry.kernel.is_none() || entry.has("weight_decay"),
                "{}",
                entry.name
            );
            assert!(
                entry.objective.is_none_or(|name| objective(name).is_some()),
                "{}",
                entry.name
            );
            for position in [0.0, 0.5, 1.0] {
                let settings = entry
                    .parameters
                    .iter()
                    .map(|p| (p.name.to_owned(), p.at(position)))
                    .collect();
                assert!(entry.build(&settings).is_ok(), "{}", entry.name);
                let rust = entry.rust_with(&settings);
                for parameter in &entry.parameters {
                    assert!(!rust.contains(&format!("{{{}}}", parameter.name)), "{rust}");
                    assert!(
                        (parameter.range.0..=parameter.range.1).contains(&parameter.default),
                        "{}",
                        entry.name
                    );
                }
            }
        }
        assert_eq!(optimizer("lion-k-huber").unwrap().name, "lion_k_huber");
        let settings = [("tua".to_owned(), 1.0)].into();
        let error = optimizer("lion").unwrap().build(&settings).err().unwrap();
        assert_eq!(
            error.to_string(),
            "lion has no parameter `tua`; it has `weight_decay`"
        );
    }

    #[test]
    fn an_unknown_setting_is_named() {
        let settings = [("tua".to_owned(), 1.0)].into();
        let error = objective("comp_sum").unwrap().build(&settings).err().unwrap();
        assert_eq!(error.to_string(), "comp_sum has no parameter `tua`; it has `tau`");
    }
}
