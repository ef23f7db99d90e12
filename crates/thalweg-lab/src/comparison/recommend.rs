//! What follows from a comparison: one sentence, its evidence, and the Rust that uses it.

use thalweg::catalogue;
use thalweg::objective::Build;

use crate::metrics::{self, Format, Metric};
use crate::report::setting;
use crate::results::{Comparison, Condition, Difference, Entry, Finding, Recommendation};

/// Recommends the objective that was better than the baseline at most noise levels and worse at none; without one, the
/// baseline stays.
pub fn recommend(comparison: &Comparison) -> Recommendation {
    let metric = metrics::find(&comparison.protocol.metric).expect("the plan was checked");
    let baseline = comparison.protocol.baseline.as_str();
    match best_challenger(comparison, metric) {
        Some(name) => challenger(comparison, metric, name),
        None => Recommendation {
            sentence: format!("Stay with {}.", title(comparison, baseline)),
            evidence: closest(comparison, metric),
            code: code(comparison, baseline),
        },
    }
}

fn best_challenger<'a>(comparison: &'a Comparison, metric: &Metric) -> Option<&'a str> {
    let findings = |name: &str, finding: Finding| {
        entries(comparison, name)
            .filter(|entry| {
                entry
                    .difference
                    .as_ref()
                    .is_some_and(|difference| difference.finding == finding)
            })
            .count()
    };
    let total_gain = |name: &str| -> f64 {
        entries(comparison, name)
            .filter_map(|entry| entry.difference.as_ref())
            .map(|difference| metric.direction.gain(difference.mean))
            .sum()
    };
    let names = comparison.conditions[0]
        .entries
        .iter()
        .map(|entry| entry.name.as_str());
    names
        .filter(|name| findings(name, Finding::Better) > 0 && findings(name, Finding::Worse) == 0)
        .max_by(|a, b| {
            let better = |name| findings(name, Finding::Better);
            better(a)
                .cmp(&better(b))
                .then(total_gain(a).total_cmp(&total_gain(b)))
        })
}

fn entries<'a>(comparison: &'a Comparison, name: &'a str) -> impl Iterator<Item = &'a Entry> {
    comparison
        .conditions
        .iter()
        .filter_map(move |condition| find(condition, name))
}

fn find<'a>(condition: &'a Condition, name: &str) -> Option<&'a Entry> {
    condition.entries.iter().find(|entry| entry.name == name)
}

fn title(comparison: &Comparison, name: &str) -> String {
    let title = match comparison.protocol.objective {
        None => catalogue::objective(name).map(|entry| entry.title),
        Some(_) => catalogue::optimizer(name).map(|entry| entry.title),
    };
    let title = title.unwrap_or(name);
    // Lower case inside a sentence, unless it is a name with capitals such as TRADES or SigLIP.
    let first = title.split(' ').next().unwrap_or_default();
    if first.chars().filter(|letter| letter.is_uppercase()).count() > 1 {
        return title.to_owned();
    }
    let mut letters = title.chars();
    letters.next().map_or_else(String::new, |letter| {
        letter.to_lowercase().chain(letters).collect()
    })
}

fn challenger(comparison: &Comparison, metric: &Metric, name: &str) -> Recommendation {
    let baseline = comparison.protocol.baseline.as_str();
    let mut evidence: Vec<String> = Vec::new();
    let several = comparison.conditions.len() > 1;
    for condition in &comparison.conditions {
        let (Some(entry), Some(base)) = (find(condition, name), find(condition, baseline)) else {
            continue;
        };
        let Some(difference) = &entry.difference else {
            continue;
        };
        let level = if several {
            format!("At noise {}: ", condition.noise)
        } else {
            String::new()
        };
        let (own, other) = (entry.metrics[metric.name].mean, base.metrics[metric.name].mean);
        evidence.push(format!(
            "{level}{} {} against {}, a paired difference of {}.",
            capitalised(metric.title, &level),
            with_unit(metric, own),
            with_unit(metric, other),
            interval(metric, difference),
        ));
    }
    let settings = entries(comparison, name).last().map(settings).unwrap_or_default();
    Recommendation {
        sentence: format!(
            "Train with {}{settings} instead of {}.",
            title(comparison, name),
            title(comparison, baseline)
        ),
        evidence: evidence.join(" "),
        code: code(comparison, name),
    }
}

fn capitalised(text: &str, after: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if after.is_empty() => first.to_uppercase().chain(letters).collect(),
        _ => text.to_owned(),
    }
}

fn settings(entry: &Entry) -> String {
    let mut settings: Vec<_> = entry
        .parameters
        .iter()
        .map(|(name, &value)| format!("{name} {}", setting(value)))
        .collect();
    settings.push(format!("learning rate {}", setting(entry.learning_rate)));
    format!(" ({})", settings.join(", "))
}

fn with_unit(metric: &Metric, value: f64) -> String {
    match metric.format {
        Format::Percent => format!("{}%", metric.format.value(value)),
        Format::Number => format!("{} {}", metric.format.value(value), metric.unit)
            .trim_end()
            .to_owned(),
    }
}

fn interval(metric: &Metric, difference: &Difference) -> String {
    let format = metric.format;
    let unit = format!(" {}", format.difference_unit());
    let p = match difference.p_holm {
        p if p.is_nan() => return format!("{}{}", format.difference(difference.mean), unit.trim_end()),
        p if p < 0.001 => "p < 0.001".to_owned(),
        p => format!("p = {p:.3}"),
    };
    let ends = if difference.low.is_finite() {
        format!(
            ", 95% interval {} to {}",
            format.difference(difference.low),
            format.difference(difference.high)
        )
    } else {
        String::new()
    };
    format!(
        "{}{}{ends}, {p} after Holm's correction",
        format.difference(difference.mean),
        unit.trim_end()
    )
}

/// Why nothing displaced the baseline: how the best of the others did.
fn closest(comparison: &Comparison, metric: &Metric) -> String {
    let baseline = comparison.protocol.baseline.as_str();
    let several = comparison.conditions.len() > 1;
    let sentences = comparison.conditions.iter().filter_map(|condition| {
        let best = condition.entries.iter().find(|entry| entry.name != baseline)?;
        let difference = best.difference.as_ref()?;
        let level = if several {
            format!("At noise {}: ", condition.noise)
        } else {
            String::new()
        };
        let verdict = match difference.finding {
            Finding::Better => "better here, but worse at another noise level",
            Finding::Worse => "worse",
            Finding::NoDifferenceSeen if difference.p_holm.is_nan() => "too few seeds to tell",
            Finding::NoDifferenceSeen => "no difference seen",
        };
        Some(format!(
            "{level}{} best of the others, {}: {verdict} in {} ({}).",
            if several { "the" } else { "The" },
            title(comparison, &best.name),
            metric.title,
            interval(metric, difference),
        ))
    });
    sentences.collect::<Vec<_>>().join(" ")
}

fn code(comparison: &Comparison, name: &str) -> String {
    match comparison.protocol.objective {
        None => code_of_objective(comparison, name),
        Some(_) => code_of_optimizer(comparison, name),
    }
}

/// The lines that make an optimiser and step a module by it.
fn code_of_optimizer(comparison: &Comparison, name: &str) -> String {
    let (Some(entry), Some(found)) = (catalogue::optimizer(name), entries(comparison, name).last()) else {
        return String::new();
    };
    let own = entry.objective.and_then(catalogue::objective).map(|objective| {
        format!(
            "use {};\nlet mut objective = {};\n",
            objective.path,
            objective.rust_with(&found.parameters)
        )
    });
    format!(
        "{}use {};\nuse thalweg::optimizer::WholeOptimizer;\nlet mut optimizer = {};\n\
         let (model, loss) = WholeOptimizer::step(&mut optimizer, {:.1e}, model, &mut evaluate);",
        own.unwrap_or_default(),
        entry.path,
        entry.rust_with(&found.parameters),
        found.learning_rate,
    )
}

fn code_of_objective(comparison: &Comparison, name: &str) -> String {
    let Some(entry) = catalogue::objective(name) else {
        return String::new();
    };
    let settings = entries(comparison, name)
        .last()
        .map(|entry| entry.parameters.clone())
        .unwrap_or_default();
    let call = match entry.build {
        Build::Embeddings { .. } => "let loss = objective.loss(&views, &progress, &mut random);",
        Build::Episodes(_) => "let loss = objective.loss(&episode, &progress, &mut random);",
        Build::Scores(_) if entry.shapes.starts_with("logits") => {
            "let loss = objective.forward(model.forward(inputs), targets);"
        }
        Build::Scores(_) => "let loss = objective.loss(&model, &batch, &progress, &mut random);",
    };
    format!(
        "use {};\nlet mut objective = {};\n{call}",
        entry.path,
        entry.rust_with(&settings)
    )
    .replace(
        "let mut objective",
        if call.contains("&mut random") {
            "let mut objective"
        } else {
            "let objective"
        },
    )
}
