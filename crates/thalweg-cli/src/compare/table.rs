//! A comparison on a terminal of 80 columns: the ranking, all metrics, the recommendation, and where the rest is.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use thalweg_lab::metrics::{self, CATALOGUE, Metric};
use thalweg_lab::output::Written;
use thalweg_lab::results::{Comparison, Condition, Difference, Entry, Finding, Recommendation};

use super::shown;
use crate::layout::{FAINT, NAME, TITLE, heading, padded, rust, styled, width, wrapped};

const BETTER: Style = AnsiColor::Green.on_default();
const WORSE: Style = AnsiColor::Red.on_default();

/// Columns for an objective's name.
const NAMES: usize = 26;
/// Columns for a mean and its interval.
const VALUES: usize = 13;
/// Columns for a difference and its interval; the rest of 80 is for what it says.
const DIFFERENCES: usize = 23;

/// Least columns for a metric among all of them.
const METRIC: usize = 6;

/// # Errors
/// When writing fails.
pub fn write(out: &mut dyn Write, comparison: &Comparison, written: &Written) -> io::Result<()> {
    let metric = metrics::find(&comparison.protocol.metric).expect("the plan was checked");
    about(out, comparison)?;
    for condition in &comparison.conditions {
        let noise = if condition.noise > 0.0 {
            format!("{}% of the training labels replaced", 100.0 * condition.noise)
        } else {
            "labels as they are".to_owned()
        };
        writeln!(out)?;
        let labels = comparison.protocol.unseen().unwrap_or(&noise);
        heading(out, &format!("By {}, best first", metric.title), labels)?;
        ranking(out, comparison, condition, metric)?;
        writeln!(out)?;
        all_metrics(out, condition)?;
    }
    writeln!(out)?;
    recommendation(out, &comparison.recommendation)?;
    writeln!(out)?;
    writeln!(out, "{}  {}", styled(FAINT, "report "), shown(&written.report))?;
    writeln!(out, "{}  {}", styled(FAINT, "numbers"), shown(&written.csv))
}

fn about(out: &mut dyn Write, comparison: &Comparison) -> io::Result<()> {
    let (data, protocol) = (&comparison.data, &comparison.protocol);
    let [train, validation, test] = data.split;
    writeln!(
        out,
        "{}  {} samples, {} features, {}",
        styled(TITLE, &data.name),
        data.samples,
        data.features,
        match data.classes.len() {
            0 => "targets are numbers".to_owned(),
            classes => format!("{classes} classes"),
        }
    )?;
    let mut lines = vec![
        format!("{train} to train on, {validation} to tune by, {test} to test on"),
        format!(
            "{}; {}; batches of {}",
            protocol.model, protocol.optimizer, protocol.batch_size
        ),
        format!(
            "{}{} {} of {} epochs; ± and [ ] are 95% intervals",
            match protocol.tuning_trials {
                0 => "parameters as given; ".to_owned(),
                trials => format!("{trials} tuning trials each, then "),
            },
            protocol.seeds,
            if protocol.seeds == 1 { "seed" } else { "seeds" },
            protocol.epochs
        ),
    ];
    if let Some(objective) = &protocol.objective {
        lines.push(format!("optimisers of {objective}"));
    }
    if let Some(bags) = &data.bags {
        lines.push(bags.words());
    }
    if let Some(ratio) = data.imbalance {
        lines.push(format!("largest class {ratio} times the smallest in training"));
    }
    if let Some(teacher) = &protocol.teacher {
        lines.push(format!(
            "teacher: {}, {:.1}% right on the test split",
            teacher.description,
            100.0 * teacher.accuracy
        ));
    }
    if let Some(untrained) = protocol.untrained.get(&protocol.metric)
        && let Some(metric) = metrics::find(&protocol.metric)
    {
        lines.push(format!(
            "an encoder with its first weights: {} {}{}",
            metric.title,
            metric.format.value(untrained.mean),
            metric.unit
        ));
    }
    if let Some(attack) = &protocol.attack {
        lines.push(format!("robust accuracy under {attack}"));
    }
    for line in lines.iter().flat_map(|line| wrapped(line, width())) {
        writeln!(out, "{}", styled(FAINT, &line))?;
    }
    Ok(())
}

fn ranking(
    out: &mut dyn Write,
    comparison: &Comparison,
    condition: &Condition,
    metric: &Metric,
) -> io::Result<()> {
    let unit = if metric.unit.is_empty() {
        String::new()
    } else {
        format!(" {}", metric.unit)
    };
    let head = format!("{}{unit}", short_name(metric));
    let title = format!(
        "{}{head:<VALUES$}{:<DIFFERENCES$}after Holm",
        padded("", NAMES),
        "minus baseline"
    );
    writeln!(out, "{}", styled(FAINT, &title))?;
    for entry in &condition.entries {
        let name = styled(NAME, &padded(&entry.name, NAMES));
        let summary = &entry.metrics[metric.name];
        let mut value = metric.format.value(summary.mean);
        let half = 0.5 * (summary.high - summary.low);
        if half.is_finite() {
            value += &format!(" ±{}", metric.format.value(half));
        }
        let rest = match &entry.difference {
            None if entry.name == comparison.protocol.baseline => styled(FAINT, "baseline"),
            None => String::new(),
            Some(difference) => compared(difference, metric),
        };
        writeln!(out, "{name}{}{rest}", padded(&value, VALUES))?;
    }
    Ok(())
}

fn compared(difference: &Difference, metric: &Metric) -> String {
    let format = metric.format;
    let mut interval = format.difference(difference.mean);
    if difference.low.is_finite() {
        let [low, high] = [difference.low, difference.high].map(|end| format.difference(end));
        interval += &format!(" [{low}, {high}]");
    }
    let p = match difference.p_holm {
        p if p < 0.001 => "p <0.001".to_owned(),
        p => format!("p {p:.3}"),
    };
    let finding = match difference.finding {
        _ if difference.p_holm.is_nan() => styled(FAINT, "too few seeds"),
        Finding::Better => styled(BETTER, &format!("better, {p}")),
        Finding::Worse => styled(WORSE, &format!("worse, {p}")),
        Finding::NoDifferenceSeen => styled(FAINT, "no difference seen"),
    };
    format!("{}{finding}", padded(&interval, DIFFERENCES))
}

/// What a metric is called where there is little room.
fn short_name(metric: &Metric) -> &'static str {
    match metric.name {
        "accuracy" => "acc",
        "balanced_accuracy" => "bal",
        "top_3_accuracy" => "top3",
        "macro_f1" => "F1",
        "auroc" => "AUROC",
        "robust_accuracy" => "rob.",
        "nll" => "NLL",
        "brier" => "Brier",
        "ece_equal_width" => "ECEw",
        "ece_equal_mass" => "ECEm",
        "bag_cross_entropy" => "bagCE",
        "bag_rmse" => "bRMSE",
        "bag_mae" => "bMAE",
        "rmse" => "RMSE",
        "r2" => "R²",
        "constraint_distance" => "dist",
        "probe_accuracy" => "probe",
        "knn_accuracy" => "NN",
        "view_probe_accuracy" => "probe′",
        "view_knn_accuracy" => "NN′",
        "rankme" => "rank",
        "alignment" => "align",
        "uniformity" => "unif",
        "episode_accuracy" => "acc",
        "episode_half_width" => "±",
        "icnn_score" => "ICNN",
        "original_icnn_score" => "ICNN₀",
        "tar_at_far_0.001" => "TAR₃",
        "tar_at_far_0.01" => "TAR₂",
        "tar_at_far_0.1" => "TAR₁",
        "auc" => "AUC",
        "verification_accuracy" => "acc",
        "rank_1" => "rank1",
        "violation_rate" => "viol",
        other => other,
    }
}

fn all_metrics(out: &mut dyn Write, condition: &Condition) -> io::Result<()> {
    let reported = |metric: &&Metric| {
        condition
            .entries
            .iter()
            .any(|entry| entry.metrics.contains_key(metric.name))
    };
    let mut shown: Vec<&Metric> = CATALOGUE.iter().filter(reported).collect();
    // What accuracy nearly says already makes room first; the report has everything.
    for least in ["balanced_accuracy", "macro_f1", "bag_mae", "bag_rmse"] {
        if NAMES - 1 + METRIC * shown.len() > width() {
            shown.retain(|metric| metric.name != least);
        }
    }
    let wide = METRIC + usize::from(NAMES - 1 + (METRIC + 1) * shown.len() <= width());
    let heads: String = shown
        .iter()
        .map(|metric| format!("{:>wide$}", short_name(metric)))
        .collect();
    let title = format!("{}{heads}", padded("", NAMES - 1));
    writeln!(out, "{}", styled(FAINT, &title))?;
    for entry in &condition.entries {
        let cells: String = shown
            .iter()
            .map(|metric| format!("{:>wide$}", cell(entry, metric)))
            .collect();
        writeln!(out, "{}{cells}", styled(NAME, &padded(&entry.name, NAMES - 1)))?;
    }
    let seconds = condition.entries.iter().map(|entry| entry.seconds_per_epoch.mean);
    let (least, most) = seconds.fold((f64::INFINITY, 0.0_f64), |(a, b), s| (a.min(s), b.max(s)));
    let bytes = condition
        .entries
        .iter()
        .map(|entry| entry.peak_bytes)
        .max()
        .unwrap_or(0);
    let cost = format!(
        "An epoch took {} to {}; a trial held at most {:.1} MiB beside the data.",
        duration(least),
        duration(most),
        bytes as f64 / f64::from(1 << 20)
    );
    writeln!(out, "{}", styled(FAINT, &cost))
}

fn duration(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", 1e3 * seconds)
    } else {
        format!("{seconds:.1} s")
    }
}

/// At most five columns.
fn cell(entry: &Entry, metric: &Metric) -> String {
    let Some(summary) = entry.metrics.get(metric.name) else {
        return "—".to_owned();
    };
    let value = metric.format.scaled(summary.mean);
    match value {
        value if !value.is_finite() => "—".to_owned(),
        value if value.abs() >= 1000.0 => format!("{value:.0}"),
        value if value.abs() >= 10.0 => format!("{value:.1}"),
        value if metric.unit == "%" => format!("{value:.1}"),
        value => format!("{value:.3}").replace('-', "−"),
    }
}

/// What follows, why, and the Rust that does it.
///
/// # Errors
/// When writing fails.
pub fn recommendation(out: &mut dyn Write, recommendation: &Recommendation) -> io::Result<()> {
    for line in wrapped(&recommendation.sentence, width()) {
        writeln!(out, "{}", styled(TITLE, &line))?;
    }
    for line in wrapped(&recommendation.evidence, width()) {
        writeln!(out, "{line}")?;
    }
    writeln!(out)?;
    for line in recommendation.code.lines().flat_map(|line| rust(line, 4)) {
        writeln!(out, "    {line}")?;
    }
    Ok(())
}
