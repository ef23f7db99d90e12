//! What the runs say of the negatives that losses see.

use super::premise::{Filtered, Part};
use super::runs::{NOISE, Negatives, Run, Runs, Setting};
use crate::statistics::{Paired, paired, summary};
use crate::study::{Claim, Table, Verdict, Weight, points};

const TAR: [&str; 2] = ["tar_at_far_0.001", "tar_at_far_0.01"];

pub(super) fn judge(runs: &Runs) -> (Vec<Table>, Vec<Claim>) {
    let settings = Setting::all();
    let claims = settings.iter().zip(&runs.0).flat_map(|((name, setting), runs)| {
        let weight = if setting.noisy {
            Weight::Supporting
        } else {
            Weight::Decisive
        };
        [mismatch(name, runs, weight), hardness(name, runs, weight)]
    });
    let mut claims: Vec<Claim> = claims.collect();
    claims.sort_by_key(|claim| claim.weight == Weight::Supporting);
    (vec![premises(runs), rates(runs), filter(runs)], claims)
}

fn difference(runs: &[Run], number: impl Fn(&Run) -> [f64; 2]) -> Paired {
    let (a, b): (Vec<f64>, Vec<f64>) = runs.iter().map(number).map(|[a, b]| (a, b)).unzip();
    paired(&a, &b)
}

fn mismatch(setting: &str, runs: &[Run], weight: Weight) -> Claim {
    let excess = difference(runs, |run| run.premise.distance);
    Claim {
        text: format!(
            "{setting} labels: similarities with other classes' weights are further from those of all negative pairs than \
             similarities of a batch's negative pairs are"
        ),
        criterion: "95% interval of the paired difference of Wasserstein distances above 0".to_owned(),
        evidence: format!("{:+.3} [{:+.3}, {:+.3}]", excess.mean, excess.low, excess.high).replace('-', "−"),
        verdict: Some(Verdict::above_zero(&excess)),
        weight,
    }
}

fn hardness(setting: &str, runs: &[Run], weight: Weight) -> Claim {
    let excess = difference(runs, |run| {
        let [classes, pairs] = run.premise.hard;
        [pairs, classes]
    });
    Claim {
        text: format!(
            "{setting} labels: hard negatives, above the 99.9% quantile of all, are more frequent among a batch's pairs than \
             among similarities with other classes' weights"
        ),
        criterion: "95% interval of the paired difference of shares above 0".to_owned(),
        evidence: points(&excess),
        verdict: Some(Verdict::above_zero(&excess)),
        weight,
    }
}

fn mean_of(runs: &[Run], number: impl Fn(&Run) -> f64) -> f64 {
    summary(&runs.iter().map(number).collect::<Vec<_>>()).mean
}

fn premises(runs: &Runs) -> Table {
    let settings = Setting::all();
    let rows = settings.iter().zip(&runs.0).map(|((name, _), runs)| {
        let distances = [0, 1].map(|kind| format!("{:.3}", mean_of(runs, |run| run.premise.distance[kind])));
        let shares = [0, 1].map(|kind| format!("{:.3}", 100.0 * mean_of(runs, |run| run.premise.hard[kind])));
        std::iter::once(name.clone())
            .chain(distances)
            .chain(shares)
            .collect()
    });
    Table {
        title: "A. Negatives that a step of the head alone sees, beside all negative pairs of the training set: Wasserstein \
                distance of similarities, and share in % of hard ones (0.1 % of all pairs are); means over the seeds"
            .to_owned(),
        columns: ["head, labels", "W1, classes", "W1, pairs", "hard, classes", "hard, pairs"]
            .map(str::to_owned)
            .to_vec(),
        rows: rows.collect(),
    }
}

fn rates(runs: &Runs) -> Table {
    let settings = Setting::all();
    let rows = settings.iter().zip(&runs.0).flat_map(|((name, _), runs)| {
        Negatives::ALL.iter().enumerate().map(move |(at, negatives)| {
            let values = |at: usize, metric: &str| -> Vec<f64> {
                runs.iter().map(|run| run.judged[at].metrics[metric]).collect()
            };
            let numbers = TAR.map(|metric| {
                let found = summary(&values(at, metric));
                let [mean, low, high] = [found.mean, found.low, found.high].map(|share| 100.0 * share);
                format!("{mean:.1} [{low:.1}, {high:.1}]")
            });
            let gain = match negatives {
                Negatives::Classes => "—".to_owned(),
                _ => points(&paired(&values(at, TAR[1]), &values(0, TAR[1]))),
            };
            let violations = format!("{:.2}", 100.0 * summary(&values(at, "violation_rate")).mean);
            let head = [name.clone(), negatives.words().to_owned()];
            head.into_iter()
                .chain(numbers)
                .chain([gain, violations])
                .collect()
        })
    });
    Table {
        title: "B. Unseen identities, all pairs: TAR in % with 95% intervals over the seeds, the paired gain over the head alone at \
                FAR 1 %, and WDFS violations in %. No pass mark: the paper's gain is one of tens of thousands of classes"
            .to_owned(),
        columns: ["head, labels", "negatives", "TAR at 0.1 %", "TAR at 1 %", "gain at 1 %", "violations"]
            .map(str::to_owned)
            .to_vec(),
        rows: rows.collect(),
    }
}

fn filter(runs: &Runs) -> Table {
    let settings = Setting::all();
    let rows = settings.iter().zip(&runs.0).map(|((name, _), runs)| {
        let mut all = Filtered::default();
        runs.iter().for_each(|run| all.add(run.filtered));
        let pairs = (all.below.pairs + all.above.pairs + all.kept.pairs) as f64;
        let percent = |share: f64| {
            if share.is_nan() {
                "—".to_owned()
            } else {
                format!("{:.3}", 100.0 * share)
            }
        };
        let share = |part: Part| percent(part.pairs as f64 / pairs);
        let truly = |part: Part| percent(part.of_one_identity as f64 / part.pairs as f64);
        vec![
            name.clone(),
            share(all.below),
            share(all.above),
            truly(all.below),
            truly(all.above),
            truly(all.kept),
        ]
    });
    Table {
        title: format!(
            "C. The filter (whiskers of 1.5) after training with it: share in % of an epoch's in-batch negatives that it removes \
             below and above, and how many in % of those removed and of those kept are of one identity in truth ({} % of \
             noisy labels are wrong)",
            100.0 * NOISE
        ),
        columns: [
            "head, labels",
            "below",
            "above",
            "true, below",
            "true, above",
            "true, kept",
        ]
        .map(str::to_owned)
        .to_vec(),
        rows: rows.collect(),
    }
}
