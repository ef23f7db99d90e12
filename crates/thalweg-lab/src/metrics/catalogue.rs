//! The metrics there are: what each is called, which way is better, and how its values are written.

use thalweg::objective::Task;

/// A metric of a model on a test split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name on the command line and in records.
    pub name: &'static str,
    /// Name for readers.
    pub title: &'static str,
    /// What it measures, in a clause.
    pub meaning: &'static str,
    /// Unit of its values as written; empty for a pure number.
    pub unit: &'static str,
    /// Which way is better.
    pub direction: Direction,
    /// How its values are written.
    pub format: Format,
    /// What is judged by it.
    pub task: Task,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// More is better.
    HigherIsBetter,
    /// Less is better.
    LowerIsBetter,
}

/// How the values of a metric are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A share of one, written in hundredths.
    Percent,
    /// A number as it is.
    Number,
}

/// Scores within which a prediction counts for `top_3_accuracy`.
pub const TOP_K: usize = 3;

/// Every metric a comparison may report, in the order of its tables.
pub const CATALOGUE: &[Metric] = &[
    share(
        "accuracy",
        "accuracy",
        "samples whose highest score is their class",
    ),
    share(
        "balanced_accuracy",
        "balanced accuracy",
        "mean over the classes of the share found",
    ),
    share(
        "top_3_accuracy",
        "top-3 accuracy",
        "samples whose class is among the three highest scores",
    ),
    share(
        "macro_f1",
        "macro F1",
        "mean over the classes of the harmonic mean of precision and recall",
    ),
    share(
        "auroc",
        "AUROC",
        "chance that a sample of a class scores higher on it than one of another class, mean over the classes",
    ),
    share("robust_accuracy", "robust accuracy", "accuracy under attack"),
    cost(
        "nll",
        "negative log-likelihood",
        "minus the mean log probability of the true class",
        "nats",
    ),
    cost(
        "brier",
        "Brier score",
        "squared distance between probabilities and truth, summed over the classes",
        "",
    ),
    cost(
        "bag_cross_entropy",
        "cross-entropy of bags",
        "cross-entropy of the mean predicted shares of a bag to its own",
        "nats",
    ),
    cost(
        "bag_rmse",
        "RMS error of bags",
        "root mean square error of the mean prediction of a bag",
        "",
    ),
    cost(
        "bag_mae",
        "absolute error of bags",
        "mean absolute error of the mean prediction of a bag",
        "",
    ),
    cost(
        "rmse",
        "RMS error",
        "root mean square error of single predictions",
        "",
    ),
    more(
        "r2",
        "R²",
        "share of the variance that single predictions explain",
    ),
    cost(
        "ece_equal_width",
        "ECE, equal width",
        "gap between confidence and accuracy, over 15 bins of equal width",
        "",
    ),
    cost(
        "ece_equal_mass",
        "ECE, equal mass",
        "gap between confidence and accuracy, over 15 bins of equally many samples",
        "",
    ),
    cost(
        "constraint_distance",
        "distance to the constraint",
        "how far the weights, times their decay, are from the set that the optimiser confines them to",
        "",
    ),
    share(
        "probe_accuracy",
        "probe accuracy",
        "samples that a logistic classifier of the features takes for what they are",
    )
    .of(Task::SelfSupervised),
    share(
        "knn_accuracy",
        "20-NN accuracy",
        "samples that their 20 nearest neighbours by features take for what they are",
    )
    .of(Task::SelfSupervised),
    share(
        "view_probe_accuracy",
        "probe accuracy on views",
        "the same of the probe on views of the samples",
    )
    .of(Task::SelfSupervised),
    share(
        "view_knn_accuracy",
        "20-NN accuracy on views",
        "the same of the neighbours on views of the samples",
    )
    .of(Task::SelfSupervised),
    more(
        "rankme",
        "RankMe",
        "effective number of dimensions of the embeddings",
    )
    .of(Task::SelfSupervised),
    cost(
        "alignment",
        "alignment",
        "mean squared distance of two views on the unit sphere",
        "",
    )
    .of(Task::SelfSupervised),
    cost(
        "uniformity",
        "uniformity",
        "logarithm of the mean Gaussian potential of pairs on the unit sphere",
        "",
    )
    .of(Task::SelfSupervised),
    share(
        "episode_accuracy",
        "episode accuracy",
        "queries whose nearest prototype is their class, mean over episodes of classes not trained on",
    )
    .of(Task::FewShot),
    Metric {
        direction: Direction::LowerIsBetter,
        ..share(
            "episode_half_width",
            "interval over episodes",
            "half the width of the 95% interval of that mean over a trial's episodes",
        )
    }
    .of(Task::FewShot),
    more(
        "icnn_score",
        "ICNN score",
        "how much nearer an episode's samples are to their own class, as trained on",
    )
    .of(Task::FewShot),
    more(
        "original_icnn_score",
        "original ICNN score",
        "the same as first defined, with the spread of distances",
    )
    .of(Task::FewShot),
    share(
        "tar_at_far_0.01",
        "TAR at FAR 1%",
        "pairs of one class accepted where 1 in 100 pairs of two is",
    )
    .of(Task::Verification),
    share(
        "tar_at_far_0.001",
        "TAR at FAR 0.1%",
        "pairs of one class accepted where 1 in 1000 pairs of two is",
    )
    .of(Task::Verification),
    share(
        "tar_at_far_0.1",
        "TAR at FAR 10%",
        "pairs of one class accepted where 1 in 10 pairs of two is",
    )
    .of(Task::Verification),
    share(
        "auc",
        "AUC of pairs",
        "chance that a pair of one class is more similar than a pair of two",
    )
    .of(Task::Verification),
    share(
        "verification_accuracy",
        "verification accuracy",
        "pairs told rightly at the best threshold, those of one class and of two weighing the same",
    )
    .of(Task::Verification),
    share(
        "rank_1",
        "rank-1 identification",
        "samples whose most similar other sample is of their class",
    )
    .of(Task::Verification),
    Metric {
        direction: Direction::LowerIsBetter,
        ..share(
            "violation_rate",
            "violation rate",
            "pairs of a positive and a negative pair in which the negative is not less similar",
        )
    }
    .of(Task::Verification),
];

const fn share(name: &'static str, title: &'static str, meaning: &'static str) -> Metric {
    Metric {
        name,
        title,
        meaning,
        unit: "%",
        direction: Direction::HigherIsBetter,
        format: Format::Percent,
        task: Task::Classification,
    }
}

const fn cost(name: &'static str, title: &'static str, meaning: &'static str, unit: &'static str) -> Metric {
    Metric {
        name,
        title,
        meaning,
        unit,
        direction: Direction::LowerIsBetter,
        format: Format::Number,
        task: Task::Classification,
    }
}

const fn more(name: &'static str, title: &'static str, meaning: &'static str) -> Metric {
    Metric {
        direction: Direction::HigherIsBetter,
        ..cost(name, title, meaning, "")
    }
}

/// The metric called `name`.
pub fn find(name: &str) -> Option<&'static Metric> {
    CATALOGUE.iter().find(|metric| metric.name == name)
}

impl Metric {
    const fn of(self, task: Task) -> Self {
        Self { task, ..self }
    }

    /// Whether more is better.
    pub fn higher_is_better(&self) -> bool {
        self.direction == Direction::HigherIsBetter
    }
}

impl Direction {
    /// `difference`, turned so that positive is better.
    pub fn gain(self, difference: f64) -> f64 {
        match self {
            Self::HigherIsBetter => difference,
            Self::LowerIsBetter => -difference,
        }
    }
}

impl Format {
    /// The value as written, without its unit: `94.3` for 0.943 of [`Format::Percent`]; a dash for what is not finite.
    pub fn value(self, value: f64) -> String {
        self.written(value, "−", "")
    }

    /// A difference as written, always with its sign.
    pub fn difference(self, value: f64) -> String {
        self.written(value, "−", "+")
    }

    /// The unit of a difference: percentage points are not per cent.
    pub fn difference_unit(self) -> &'static str {
        match self {
            Self::Percent => "pp",
            Self::Number => "",
        }
    }

    /// The value on the scale it is written in.
    pub fn scaled(self, value: f64) -> f64 {
        match self {
            Self::Percent => 100.0 * value,
            Self::Number => value,
        }
    }

    fn written(self, value: f64, minus: &str, plus: &str) -> String {
        if !value.is_finite() {
            return "—".to_owned();
        }
        let decimals = match self {
            Self::Percent => 1,
            Self::Number if value.abs() >= 100.0 => 1,
            Self::Number => 3,
        };
        let digits = format!("{:.decimals$}", self.scaled(value).abs());
        let is_zero = digits.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        let sign = match () {
            () if is_zero => "",
            () if value < 0.0 => minus,
            () => plus,
        };
        format!("{sign}{digits}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for metric in CATALOGUE {
            assert_eq!(find(metric.name), Some(metric));
        }
        assert_eq!(find("loss of face"), None);
    }

    #[test]
    fn numbers_are_written_for_readers() {
        assert_eq!(Format::Percent.value(0.9432), "94.3");
        assert_eq!(Format::Percent.difference(0.0123), "+1.2");
        assert_eq!(Format::Percent.difference(-0.0123), "−1.2");
        assert_eq!(Format::Percent.difference(-0.0001), "0.0");
        assert_eq!(Format::Number.value(0.12345), "0.123");
        assert_eq!(Format::Number.value(1234.56), "1234.6");
        assert_eq!(Format::Number.value(f64::NAN), "—");
        assert_eq!(Format::Percent.difference(f64::INFINITY), "—");
    }
}
