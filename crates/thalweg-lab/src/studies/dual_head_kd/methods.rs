//! The comparison: labels alone, the teacher alone, both on one head, on two, and the methods of others.

use super::Lesson;
use crate::LabError;
use crate::pool::Pool;
use crate::statistics::{Paired, paired, summary};
use crate::study::{Claim, Scale, Table, Verdict, Weight, points};

pub struct Method {
    pub label: &'static str,
    pub objective: &'static str,
    settings: &'static [(&'static str, f64)],
}

const fn method(label: &'static str, objective: &'static str) -> Method {
    Method {
        label,
        objective,
        settings: &[],
    }
}

pub const METHODS: [Method; 11] = [
    method("CE", "cross_entropy"),
    method("BinaryKL only", "binary_kl"),
    method("one head, CE + BinaryKL", "ce_binary_kl"),
    method("one head, CE + BinaryKL-Norm", "ce_binary_kl_norm"),
    method("dual head, BinaryKL", "dual_head_kl"),
    method("dual head, BinaryKL-Norm", "dual_head_kl_norm"),
    method("dual head, BinaryKL, GA", "dual_head_kl_ga"),
    method("dual head, BinaryKL-Norm, GA", "dual_head_kl_norm_ga"),
    method("KD", "kd"),
    method("DKD", "dkd"),
    Method {
        label: "DIST",
        objective: "dist",
        // As its authors train on CIFAR-100.
        settings: &[("beta", 2.0), ("gamma", 2.0), ("temperature", 4.0)],
    },
];
pub const CE: usize = 0;
pub const ONE_HEAD: [usize; 2] = [2, 3];
pub const DUAL_HEAD: [usize; 2] = [4, 5];
const ALIGNED: [usize; 2] = [6, 7];
const OTHERS: [usize; 3] = [8, 9, 10];

/// A teacher and all methods for each seed.
pub fn steps(scale: &Scale) -> usize {
    scale.seeds() * (1 + METHODS.len())
}

pub struct Compared {
    /// Test accuracy by method and seed.
    pub accuracy: Vec<Vec<f64>>,
    teachers: Vec<f64>,
}

pub fn run(scale: &Scale, pool: &Pool, lessons: &[Lesson]) -> Result<Compared, LabError> {
    let trials = METHODS
        .iter()
        .flat_map(|method| lessons.iter().map(move |lesson| (method, lesson)))
        .map(|(method, lesson)| {
            let spec = lesson.student(scale, method.objective, method.settings)?;
            Ok((lesson.source(), spec))
        })
        .collect::<Result<Vec<_>, LabError>>()?;
    let outcomes = pool.run_each(&trials)?;
    let accuracy: Vec<f64> = outcomes
        .iter()
        .map(|outcome| outcome.metrics["accuracy"])
        .collect();
    Ok(Compared {
        accuracy: accuracy.chunks(lessons.len()).map(<[f64]>::to_vec).collect(),
        teachers: lessons.iter().map(Lesson::teacher_accuracy).collect(),
    })
}

impl Compared {
    fn difference(&self, method: usize, other: usize) -> Paired {
        paired(&self.accuracy[method], &self.accuracy[other])
    }

    pub fn table(&self) -> Table {
        let minus = |method: usize, other: usize| match method == other {
            true => "—".to_owned(),
            false => points(&self.difference(method, other)),
        };
        let row = |label: &str, values: &[f64], difference: String| {
            vec![
                label.to_owned(),
                format!("{:.1}", 100.0 * summary(values).mean),
                difference,
            ]
        };
        let teacher = row(
            "teacher",
            &self.teachers,
            points(&paired(&self.teachers, &self.accuracy[CE])),
        );
        let methods = METHODS.iter().enumerate();
        let methods =
            methods.map(|(index, method)| row(method.label, &self.accuracy[index], minus(index, CE)));
        Table {
            title: "A. Students 32-48-16-K after the last epoch: mean test accuracy in %".to_owned(),
            columns: ["method", "accuracy", "minus CE"].map(str::to_owned).to_vec(),
            rows: std::iter::once(teacher).chain(methods).collect(),
        }
    }

    pub fn claims(&self) -> Vec<Claim> {
        let criterion = "95% interval of the paired difference above 0";
        let above = |text: String, difference: &Paired, weight| Claim {
            text,
            criterion: criterion.to_owned(),
            evidence: points(difference),
            verdict: Some(Verdict::above_zero(difference)),
            weight,
        };
        let label = |method: usize| METHODS[method].label;
        let mut claims = Vec::new();
        for (dual, one) in DUAL_HEAD.into_iter().zip(ONE_HEAD) {
            for other in [CE, one] {
                let text = format!("{} beats {}", label(dual), label(other));
                claims.push(above(text, &self.difference(dual, other), Weight::Decisive));
            }
        }
        for (aligned, dual) in ALIGNED.into_iter().zip(DUAL_HEAD) {
            let text = format!("gradient alignment helps {}", label(dual));
            claims.push(above(text, &self.difference(aligned, dual), Weight::Supporting));
        }
        let rivals = OTHERS.map(|other| self.difference(DUAL_HEAD[1], other));
        claims.push(Claim {
            text: format!("{} beats KD, DKD and DIST", label(DUAL_HEAD[1])),
            criterion: format!("{criterion}, for each"),
            evidence: OTHERS
                .iter()
                .zip(&rivals)
                .map(|(&other, difference)| format!("{} {}", label(other), points(difference)))
                .collect::<Vec<_>>()
                .join("; "),
            verdict: Some(Verdict::of_all(rivals.iter().map(Verdict::above_zero))),
            weight: Weight::Supporting,
        });
        claims
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_stand_where_the_indices_say() {
        assert_eq!(METHODS[CE].objective, "cross_entropy");
        for group in [ONE_HEAD, DUAL_HEAD, ALIGNED] {
            let [plain, normalised] = group.map(|method| METHODS[method].label);
            assert_eq!(plain.replace("BinaryKL", "BinaryKL-Norm"), normalised);
        }
        assert_eq!(OTHERS.map(|method| METHODS[method].label), ["KD", "DKD", "DIST"]);
    }
}
