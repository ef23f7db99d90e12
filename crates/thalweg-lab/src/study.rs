//! A paper's claim as a runnable experiment that ends in a verdict, by a criterion fixed before anything ran.

use serde::{Deserialize, Serialize};

use crate::LabError;
use crate::pool::Pool;
use crate::statistics::Paired;

/// A study: its claim, and how it is run.
pub struct Study {
    /// Name on the command line; the paper's.
    pub slug: &'static str,
    /// The claim, in a sentence or two.
    pub claim: &'static str,
    /// Where the claim is made.
    pub source: &'static str,
    /// Paired repetitions that the criterion asks for.
    pub seeds: usize,
    /// Units of progress of a run, for a bar.
    pub steps: fn(&Scale) -> usize,
    /// Runs it.
    pub run: fn(&Scale, &Pool, &Advance) -> Result<Findings, LabError>,
}

/// Moves the bar on, for steps that are no trials.
pub type Advance<'a> = dyn Fn(usize) + Sync + 'a;

/// How large a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scale {
    /// As the criterion asks, with this many seeds.
    Full {
        /// Paired repetitions.
        seeds: usize,
    },
    /// Seconds, through the whole path; says nothing about the claim.
    Quick,
}

impl Scale {
    /// Paired repetitions.
    pub fn seeds(&self) -> usize {
        match self {
            Self::Full { seeds } => *seeds,
            Self::Quick => 2,
        }
    }

    /// `full` of something, or `quick` where it is to be over in seconds.
    pub fn pick<T>(&self, full: T, quick: T) -> T {
        match self {
            Self::Full { .. } => full,
            Self::Quick => quick,
        }
    }
}

/// What a study says of its claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The criterion is met.
    Holds,
    /// The opposite was seen.
    DoesNotHold,
    /// Neither was seen.
    Inconclusive,
}

impl Verdict {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::DoesNotHold => "does not hold",
            Self::Inconclusive => "inconclusive",
        }
    }

    /// Of several claims together: all must hold, and one that does not is enough.
    pub fn of_all(verdicts: impl IntoIterator<Item = Self>) -> Self {
        verdicts
            .into_iter()
            .fold(Self::Holds, |all, one| match (all, one) {
                (Self::DoesNotHold, _) | (_, Self::DoesNotHold) => Self::DoesNotHold,
                (Self::Inconclusive, _) | (_, Self::Inconclusive) => Self::Inconclusive,
                _ => Self::Holds,
            })
    }

    /// Of "the difference is above 0", by its 95% interval.
    pub fn above_zero(difference: &Paired) -> Self {
        if difference.low > 0.0 {
            Self::Holds
        } else if difference.high < 0.0 {
            Self::DoesNotHold
        } else {
            Self::Inconclusive
        }
    }

    /// Of "the difference is not below 0": only an interval below 0 speaks against it.
    pub fn not_below_zero(difference: &Paired) -> Self {
        if difference.high < 0.0 {
            Self::DoesNotHold
        } else if difference.high.is_nan() {
            Self::Inconclusive
        } else {
            Self::Holds
        }
    }
}

/// A paired difference of shares in percentage points, to two decimals: intervals often end close to 0.
pub fn points(difference: &Paired) -> String {
    let [mean, low, high] = [difference.mean, difference.low, difference.high].map(|share| 100.0 * share);
    let text = if low.is_nan() {
        format!("{mean:+.2} pp")
    } else {
        format!("{mean:+.2} pp [{low:+.2}, {high:+.2}]")
    };
    text.replace('-', "−")
}

/// One checkable part of a claim.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claim {
    /// What is claimed.
    pub text: String,
    /// When it counts as holding.
    pub criterion: String,
    /// The numbers seen.
    pub evidence: String,
    /// What they say; none for a quick run.
    pub verdict: Option<Verdict>,
    /// Whether the study's verdict rests on it, or it is told beside.
    pub weight: Weight,
}

/// What a claim counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// The study's verdict rests on it.
    Decisive,
    /// Told beside.
    Supporting,
}

/// A table of a study, as it is printed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Table {
    /// What it shows, with units.
    pub title: String,
    /// Column heads.
    pub columns: Vec<String>,
    /// Rows of cells.
    pub rows: Vec<Vec<String>>,
}

/// What a study found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Findings {
    /// The numbers.
    pub tables: Vec<Table>,
    /// The claims, one by one.
    pub claims: Vec<Claim>,
    /// The verdict on the decisive ones together; none for a quick run.
    pub verdict: Option<Verdict>,
}

impl Findings {
    /// Findings of a run of the given scale: a quick one loses its verdicts.
    pub fn new(scale: &Scale, tables: Vec<Table>, mut claims: Vec<Claim>) -> Self {
        if *scale == Scale::Quick {
            claims.iter_mut().for_each(|claim| claim.verdict = None);
        }
        let decisive = claims.iter().filter(|claim| claim.weight == Weight::Decisive);
        let verdict = decisive
            .map(|claim| claim.verdict)
            .collect::<Option<Vec<_>>>()
            .map(Verdict::of_all);
        Self {
            tables,
            claims,
            verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failing_part_fails_the_whole() {
        use Verdict::{DoesNotHold, Holds, Inconclusive};
        assert_eq!(Verdict::of_all([Holds, Holds]), Holds);
        assert_eq!(Verdict::of_all([Holds, Inconclusive]), Inconclusive);
        assert_eq!(Verdict::of_all([Inconclusive, DoesNotHold, Holds]), DoesNotHold);
    }

    #[test]
    fn intervals_decide() {
        let paired = |low, high| Paired {
            mean: 0.5 * (low + high),
            low,
            high,
            p: 0.5,
        };
        assert_eq!(Verdict::above_zero(&paired(0.1, 0.2)), Verdict::Holds);
        assert_eq!(Verdict::above_zero(&paired(-0.1, 0.2)), Verdict::Inconclusive);
        assert_eq!(Verdict::above_zero(&paired(-0.2, -0.1)), Verdict::DoesNotHold);
        assert_eq!(
            Verdict::above_zero(&paired(f64::NAN, f64::NAN)),
            Verdict::Inconclusive
        );
        assert_eq!(Verdict::not_below_zero(&paired(-0.1, 0.2)), Verdict::Holds);
        assert_eq!(
            Verdict::not_below_zero(&paired(f64::NAN, f64::NAN)),
            Verdict::Inconclusive
        );
    }
}
