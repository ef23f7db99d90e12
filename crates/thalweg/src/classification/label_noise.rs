//! Wrong labels from given random numbers, as the literature on noise-robust losses puts them in.
//!
//! Source: Zhu, Ying, Yang, ICML 2023 (arXiv 2112.14869), section 6.

use crate::quantity::{Outputs, Quantity};

/// What a label becomes when noise falls on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// A class drawn uniformly from all, which may be its own.
    Uniform,
    /// The next class, the first after the last.
    ClassDependent,
}

/// Labels where noise fell, and whether it did: where the uniform number is below `level`.
///
/// # Panics
/// When the lengths differ.
pub fn inject_label_noise(
    labels: &[usize],
    replacement: Replacement,
    level: f64,
    classes: usize,
    uniforms: &[f64],
    random_classes: &[usize],
) -> (Vec<usize>, Vec<bool>) {
    assert!(
        labels.len() == uniforms.len() && labels.len() == random_classes.len(),
        "every label has its random numbers"
    );
    let flipped: Vec<bool> = uniforms.iter().map(|&uniform| uniform < level).collect();
    let each = labels.iter().zip(&flipped).zip(random_classes);
    let noisy = each.map(|((&label, &flipped), &random)| match replacement {
        _ if !flipped => label,
        Replacement::Uniform => random,
        Replacement::ClassDependent => (label + 1) % classes,
    });
    (noisy.collect(), flipped)
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "inject_label_noise",
            "labels replaced where a uniform number is below the level, and where that was",
        )
        .param("kind", "uniform")
        .param("level", 0.6)
        .required_param("n_classes")
        .input("labels", "[N]")
        .input("uniforms", "[N]")
        .input("random_classes", "[N]")
        .eval(|case| {
            let kinds = [
                ("uniform", Replacement::Uniform),
                ("class_dependent", Replacement::ClassDependent),
            ];
            let (kind, level) = (case.choice("kind", &kinds)?, case.param("level")?);
            if !(0.0..=1.0).contains(&level) {
                return case.refuse_param("level", "within 0 and 1");
            }
            let classes = case.count("n_classes", 2)?;
            let (noisy, flipped) = inject_label_noise(
                &case.class_indices("labels", classes)?,
                kind,
                level,
                classes,
                &case.array("uniforms").data,
                &case.class_indices("random_classes", classes)?,
            );
            let numbers =
                |labels: Vec<usize>| labels.into_iter().map(|label| label as f64).collect::<Vec<_>>();
            let flipped = flipped.into_iter().map(usize::from).collect();
            Ok(Outputs::new()
                .with("labels", numbers(noisy))
                .with("flipped", numbers(flipped)))
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_labels_below_the_level_change() {
        let run = |kind| inject_label_noise(&[0, 2, 1], kind, 0.5, 3, &[0.1, 0.4, 0.5], &[0, 1, 2]);
        let flipped = vec![true, true, false];
        assert_eq!(run(Replacement::Uniform), (vec![0, 1, 1], flipped.clone()));
        assert_eq!(run(Replacement::ClassDependent), (vec![1, 0, 1], flipped));
    }
}
