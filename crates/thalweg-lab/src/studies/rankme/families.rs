//! What the scores say of the runs of each family: rank correlation with the accuracy of a probe, and what selecting by
//! them loses.

use thalweg::diagnostics::{Preferred, select_by_score};
use thalweg_kernels::random::Stream;

use super::runs::{Run, Runs, Setting};
use crate::results::Summary;
use crate::self_supervised::Scored;
use crate::statistics::{bootstrap, summary};
use crate::study::{Claim, Table, Verdict, Weight};

/// Runs whose selection is measured against this share of the loss of the median run.
const SHARE: f64 = 1.0 / 3.0;

/// A number to select by, high ones first.
struct Score {
    label: &'static str,
    of: fn(&Run) -> f64,
}

/// Minus the distance of α from 1; a spectrum that cannot be fitted comes last.
fn near_one(alpha: Option<f64>) -> f64 {
    alpha.map_or(f64::NEG_INFINITY, |alpha| -(alpha - 1.0).abs())
}

const SCORES: [Score; 4] = [
    Score {
        label: "RankMe of embeddings",
        of: |run| run.embeddings.rankme,
    },
    Score {
        label: "RankMe of features",
        of: |run| run.features.rankme,
    },
    Score {
        label: "|α − 1| of embeddings",
        of: |run| near_one(run.embeddings.alpha),
    },
    Score {
        label: "|α − 1| of features",
        of: |run| near_one(run.features.alpha),
    },
];

/// What a score says of a family, seed by seed.
struct Selected {
    spearman: Vec<f64>,
    kendall: Vec<f64>,
    regret: Vec<f64>,
}

/// A family of runs.
struct Family<'a> {
    label: &'static str,
    /// Of each seed.
    runs: Vec<Vec<&'a Run>>,
}

impl Family<'_> {
    fn of<'a>(label: &'static str, runs: &'a Runs, belongs: fn(&Setting) -> bool) -> Family<'a> {
        let of_seed = |runs: &'a Vec<Run>| runs.iter().filter(|run| belongs(&run.setting)).collect();
        Family {
            label,
            runs: runs.of_seeds.iter().map(of_seed).collect(),
        }
    }

    fn selected(&self, score: &Score) -> Selected {
        let each = self.runs.iter().map(|runs| {
            let scores: Vec<f64> = runs.iter().map(|run| (score.of)(run)).collect();
            select_by_score(&scores, &accuracies(runs), Preferred::Highest).expect("a family has runs")
        });
        let each: Vec<_> = each.collect();
        Selected {
            spearman: each.iter().map(|selection| selection.spearman).collect(),
            kendall: each.iter().map(|selection| selection.kendall).collect(),
            regret: each.iter().map(|selection| selection.regret).collect(),
        }
    }

    /// What is lost by a run at a given share of the way from the worst to the best, by seed.
    fn regret_at(&self, share: f64) -> Vec<f64> {
        let of_seed = |runs: &Vec<&Run>| {
            let mut accuracies = accuracies(runs);
            accuracies.sort_by(f64::total_cmp);
            let place = share * (accuracies.len() - 1) as f64;
            let between = 0.5 * (accuracies[place.floor() as usize] + accuracies[place.ceil() as usize]);
            accuracies[accuracies.len() - 1] - between
        };
        self.runs.iter().map(of_seed).collect()
    }
}

fn accuracies(runs: &[&Run]) -> Vec<f64> {
    runs.iter().map(|run| run.scored.clean.probe).collect()
}

fn interval(values: &[f64]) -> Summary {
    bootstrap(values, &mut Stream::new(0, "rankme bootstrap", 0))
}

pub(super) fn judge(runs: &Runs) -> (Vec<Table>, Vec<Claim>) {
    let vicreg = Family::of("VICReg", runs, |setting| {
        matches!(setting, Setting::VicReg { .. })
    });
    let nt_xent = Family::of("NT-Xent", runs, |setting| {
        matches!(setting, Setting::NtXent { .. })
    });
    let rank = vicreg.selected(&SCORES[0]);
    let mut claims = vec![
        correlates("VICReg", &SCORES[0], &rank, Weight::Decisive),
        loses_little(&vicreg, &rank, Weight::Decisive),
    ];
    claims.extend(
        SCORES[1..]
            .iter()
            .map(|score| correlates("VICReg", score, &vicreg.selected(score), Weight::Supporting)),
    );
    let rank = nt_xent.selected(&SCORES[0]);
    claims.push(correlates("NT-Xent", &SCORES[0], &rank, Weight::Supporting));
    claims.push(loses_little(&nt_xent, &rank, Weight::Supporting));
    let tables = vec![
        selection_table(&[&vicreg, &nt_xent]),
        vicreg_table(runs),
        nt_xent_table(runs),
    ];
    (tables, claims)
}

fn correlates(family: &str, score: &Score, selected: &Selected, weight: Weight) -> Claim {
    let found = interval(&selected.spearman);
    Claim {
        text: format!(
            "{family}: {} orders runs as their probes' accuracy does",
            score.label
        ),
        criterion: "95% bootstrap interval of the mean Spearman correlation over seeds above 0".to_owned(),
        evidence: correlation(&found),
        verdict: Some(if found.low > 0.0 {
            Verdict::Holds
        } else if found.high < 0.0 {
            Verdict::DoesNotHold
        } else {
            Verdict::Inconclusive
        }),
        weight,
    }
}

fn loses_little(family: &Family, selected: &Selected, weight: Weight) -> Claim {
    let (own, median) = (
        summary(&selected.regret).mean,
        summary(&family.regret_at(0.5)).mean,
    );
    Claim {
        text: format!("{}: selecting by RankMe of embeddings loses little", family.label),
        criterion: "mean regret at most 1/3 of that of the median run".to_owned(),
        evidence: format!(
            "{:.2} pp, {:.2} pp of the median run",
            100.0 * own,
            100.0 * median
        ),
        verdict: Some(if own <= SHARE * median {
            Verdict::Holds
        } else {
            Verdict::DoesNotHold
        }),
        weight,
    }
}

fn correlation(found: &Summary) -> String {
    format!("{:+.2} [{:+.2}, {:+.2}]", found.mean, found.low, found.high).replace('-', "−")
}

fn selection_table(families: &[&Family]) -> Table {
    let pp = |values: &[f64]| format!("{:.2}", 100.0 * summary(values).mean);
    let rows = families.iter().flat_map(|family| {
        let of_scores = SCORES.iter().map(|score| {
            let selected = family.selected(score);
            vec![
                family.label.to_owned(),
                score.label.to_owned(),
                correlation(&interval(&selected.spearman)),
                format!("{:+.2}", summary(&selected.kendall).mean).replace('-', "−"),
                pp(&selected.regret),
            ]
        });
        let of_places = [("median run", 0.5), ("worst run", 0.0)].map(|(label, share)| {
            let regret = pp(&family.regret_at(share));
            [family.label, label, "—", "—", &regret]
                .map(str::to_owned)
                .to_vec()
        });
        of_scores.chain(of_places).collect::<Vec<_>>()
    });
    Table {
        title: "A. Selection by scores without labels: Spearman with the probe and its 95% bootstrap interval over seeds, \
                Kendall, regret in percentage points"
            .to_owned(),
        columns: ["family", "score", "Spearman", "Kendall", "regret"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }
}

/// The mean over seeds of a number of the runs of a setting.
fn mean_of(runs: &Runs, setting: Setting, of: fn(&Run) -> f64) -> f64 {
    let all = runs
        .of_seeds
        .iter()
        .flatten()
        .filter(|run| run.setting == setting);
    summary(&all.map(of).collect::<Vec<_>>()).mean
}

fn vicreg_table(runs: &Runs) -> Table {
    let rows = runs.grid.variances.iter().map(|&variance| {
        let cells = runs.grid.covariances.iter().map(|&covariance| {
            let setting = Setting::VicReg { variance, covariance };
            let probe = 100.0 * mean_of(runs, setting, |run| run.scored.clean.probe);
            format!(
                "{probe:.1} / {:.1}",
                mean_of(runs, setting, |run| run.embeddings.rankme)
            )
        });
        std::iter::once(variance.to_string()).chain(cells).collect()
    });
    let columns = runs
        .grid
        .covariances
        .iter()
        .map(|covariance| format!("cov {covariance}"));
    Table {
        title: "B. VICReg: probe in % / RankMe of embeddings, means over the seeds".to_owned(),
        columns: std::iter::once("variance".to_owned()).chain(columns).collect(),
        rows: rows.collect(),
    }
}

fn nt_xent_table(runs: &Runs) -> Table {
    type Of = fn(&Scored) -> f64;
    const SHOWN: [(&str, Of); 4] = [
        ("probe", |scored| scored.clean.probe),
        ("20-NN", |scored| scored.clean.neighbours),
        ("probe, views", |scored| scored.augmented.probe),
        ("20-NN, views", |scored| scored.augmented.neighbours),
    ];
    let cells = |scored: &[Scored]| -> Vec<String> {
        let each = SHOWN.map(|(_, of)| {
            format!(
                "{:.1}",
                100.0 * summary(&scored.iter().map(of).collect::<Vec<_>>()).mean
            )
        });
        each.to_vec()
    };
    let trained = runs.grid.nt_xent().into_iter().map(|setting| {
        let all = runs
            .of_seeds
            .iter()
            .flatten()
            .filter(|run| run.setting == setting);
        let Setting::NtXent { temperature } = setting else {
            unreachable!("a temperature is what NT-Xent has");
        };
        let ranks = [
            format!("{:.1}", mean_of(runs, setting, |run| run.embeddings.rankme)),
            format!("{:.1}", mean_of(runs, setting, |run| run.features.rankme)),
        ];
        let label = format!("τ = {temperature}");
        [
            vec![label],
            cells(&all.map(|run| run.scored).collect::<Vec<_>>()),
            ranks.to_vec(),
        ]
        .concat()
    });
    let untrained = [
        vec!["untrained".to_owned()],
        cells(&runs.untrained),
        vec!["—".to_owned(); 2],
    ]
    .concat();
    let columns = std::iter::once("NT-Xent").chain(SHOWN.map(|(name, _)| name));
    Table {
        title: "C. NT-Xent and the untrained encoder: accuracy in % on test digits and on views of them, RankMe of \
                embeddings and of features; means over the seeds"
            .to_owned(),
        columns: columns.chain(["RankMe", "of features"]).map(str::to_owned).collect(),
        rows: trained.chain([untrained]).collect(),
    }
}
