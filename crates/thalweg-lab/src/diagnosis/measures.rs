//! The findings as lines of a table, in the terminal and in the report alike.

use super::{ALPHA, Diagnosis, Found, T};

/// A measure, its value, and what belongs beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Name.
    pub name: &'static str,
    /// Value; none where it is not defined.
    pub value: Option<f64>,
    /// Its settings, or why there is none.
    pub detail: String,
    /// What it is, in a sentence.
    pub meaning: &'static str,
}

fn reading(
    name: &'static str,
    value: impl Into<Option<f64>>,
    detail: String,
    meaning: &'static str,
) -> Reading {
    Reading {
        name,
        value: value.into(),
        detail,
        meaning,
    }
}

impl Diagnosis {
    /// Every measure, in order.
    pub fn readings(&self) -> Vec<Reading> {
        let most = self.samples.min(self.width);
        let mut readings = vec![
            reading(
                "RankMe",
                self.rankme,
                format!("of {most}; ε = {:e}", self.epsilon),
                "Dimensions in use: the exponential of the entropy of the singular values' shares. Embeddings are neither \
                 centred nor normalised.",
            ),
            reading(
                "effective rank",
                self.effective_rank,
                format!("of {most}"),
                "The same without ε.",
            ),
            reading(
                "numerical rank",
                self.numerical_rank as f64,
                format!("σ above {:.1e} of the largest", self.rank_tolerance),
                "Singular values that are more than rounding of the numbers in the file. It saturates.",
            ),
        ];
        readings.push(match &self.alpha_req {
            Found::Value(law) => {
                let robust = law
                    .robust_median
                    .map_or(String::new(), |alpha| format!(", median {alpha:.3}"));
                let detail = format!(
                    "variances {} to {}; weighted {:.3}{robust}",
                    law.start, law.end, law.stringer
                );
                reading("α-ReQ", law.least_squares, detail, ALPHA_REQ)
            }
            Found::Undefined { undefined: reason } => reading("α-ReQ", None, reason.clone(), ALPHA_REQ),
        });
        readings.push(match &self.uniformity {
            Found::Value(found) => {
                let of = if found.samples + self.zero_samples < self.samples {
                    "random "
                } else {
                    ""
                };
                let detail = format!("t = {T}; all pairs of {} {of}samples", found.samples);
                reading("uniformity", found.value, detail, UNIFORMITY)
            }
            Found::Undefined { undefined: reason } => reading("uniformity", None, reason.clone(), UNIFORMITY),
        });
        if let Some(alignment) = &self.alignment {
            readings.push(reading(
                "alignment",
                alignment.value,
                format!("exponent {ALPHA}; with {}", alignment.view),
                "Mean squared distance of the two views of a sample on the unit sphere. Lower is closer.",
            ));
        }
        let Some(labelled) = &self.labelled else {
            return readings;
        };
        let tolerance = match labelled.joint {
            Some(joint) => format!("all pairs of a class; joint {joint:.4}"),
            None => "no two samples are of the same class".to_owned(),
        };
        readings.push(reading(
            "tolerance",
            labelled.tolerance,
            tolerance,
            "Mean inner product of samples of the same class on the unit sphere. Higher is closer. Joint: over all pairs, 0 \
             for those of two classes.",
        ));
        match &labelled.collapse {
            Found::Value(found) => readings.extend([
                reading(
                    "NC1 variability",
                    found.variability,
                    "0 under collapse".to_owned(),
                    NC1,
                ),
                reading(
                    "NC2 equal lengths",
                    found.equinorm,
                    "0 under collapse".to_owned(),
                    NC2_LENGTHS,
                ),
                reading(
                    "NC2 equal angles",
                    found.equiangular,
                    "0 under collapse".to_owned(),
                    NC2_ANGLES,
                ),
            ]),
            Found::Undefined { undefined: reason } => {
                readings.push(reading("NC1 variability", None, reason.clone(), NC1));
            }
        }
        readings
    }
}

const ALPHA_REQ: &str = "Exponent of the power law that the variances follow, by least squares, by weights 1/k, and as the \
                         median over windows. Near 1 is said to be good; it depends on the range.";
const UNIFORMITY: &str = "Logarithm of the mean of exp(−t ‖x − y‖²) on the unit sphere. Lower is more even.";
const NC1: &str = "Neural collapse: variance within classes relative to that between them.";
const NC2_LENGTHS: &str =
    "Neural collapse: spread of the lengths of the centred class means, relative to their mean.";
const NC2_ANGLES: &str =
    "Neural collapse: mean gap between the cosines of class means and those of a simplex.";
