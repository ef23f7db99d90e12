//! The paper's stronger statement, that one head with both losses falls below cross-entropy alone, looked for at other
//! weights, temperatures and numbers of classes. A few seeds only: it is told beside the claim.

use super::Lesson;
use super::methods::{CE, Compared, DUAL_HEAD, METHODS, ONE_HEAD};
use crate::LabError;
use crate::pool::Pool;
use crate::statistics::{Paired, paired, summary};
use crate::study::{Advance, Claim, Scale, Table, Verdict, Weight, points};

/// Weight and temperature.
const GRID: [(f64, f64); 6] = [
    (1.0, 1.0),
    (1.0, 2.0),
    (1.0, 4.0),
    (4.0, 1.0),
    (4.0, 2.0),
    (4.0, 4.0),
];
/// Those that part A has already.
const DEFAULT: (f64, f64) = (1.0, 2.0);
const MOST_SEEDS: usize = 5;

fn seeds(scale: &Scale) -> usize {
    scale.seeds().min(MOST_SEEDS)
}

fn more_classes(scale: &Scale) -> usize {
    scale.pick(100, 8)
}

/// All students of both kinds and losses on the grid but those there are; a teacher, cross-entropy and the four again for
/// more classes.
pub fn steps(scale: &Scale) -> usize {
    let students = ONE_HEAD.len() + DUAL_HEAD.len();
    seeds(scale) * ((GRID.len() - 1) * students + 2 + students)
}

/// What is tried: a method with settings.
type Try = (usize, Vec<(&'static str, f64)>);

/// One head, then two, with each of the losses.
fn both_heads(settings: &[(&'static str, f64)]) -> impl Iterator<Item = Try> {
    let methods = ONE_HEAD
        .into_iter()
        .zip(DUAL_HEAD)
        .flat_map(|(one, dual)| [one, dual]);
    methods.map(|method| (method, settings.to_vec()))
}

pub fn run(
    scale: &Scale,
    pool: &Pool,
    lessons: &[Lesson],
    compared: &Compared,
    advance: &Advance,
) -> Result<(Vec<Table>, Claim), LabError> {
    let lessons = &lessons[..seeds(scale)];
    let (mut found, mut tries) = (Vec::new(), Vec::new());
    let others = GRID.into_iter().filter(|&place| place != DEFAULT);
    let wanted: Vec<Try> = others
        .flat_map(|(alpha, temperature)| {
            both_heads(&[("alpha", alpha), ("temperature", temperature)]).collect::<Vec<_>>()
        })
        .collect();
    let trained = train(scale, pool, lessons, &wanted)?;
    let mut trained = trained.chunks_exact(2);
    let ce = &compared.accuracy[CE][..lessons.len()];
    for place in GRID {
        for loss in 0..ONE_HEAD.len() {
            let known = [ONE_HEAD, DUAL_HEAD]
                .map(|methods| compared.accuracy[methods[loss]][..lessons.len()].to_vec());
            let pair = match place == DEFAULT {
                true => &known[..],
                false => trained.next().expect("every try was run"),
            };
            let (alpha, temperature) = place;
            let place = format!("α {alpha}, T {temperature}");
            found.push(row(&place, loss, pair, ce));
            tries.push((
                format!("{place}, {}", METHODS[ONE_HEAD[loss]].label),
                paired(&pair[0], ce),
            ));
        }
    }
    let grid = table(
        format!(
            "C. Other weights and temperatures, {} seeds: accuracy in %",
            lessons.len()
        ),
        found,
    );
    let classes = more_classes(scale);
    let lessons = Lesson::all(classes, lessons.len(), scale, pool, advance)?;
    let wanted: Vec<Try> = std::iter::once((CE, Vec::new())).chain(both_heads(&[])).collect();
    let trained = train(scale, pool, &lessons, &wanted)?;
    let (ce, pairs) = trained.split_first().expect("cross-entropy is the first");
    let place = format!("{classes} classes");
    let mut found = Vec::new();
    for (loss, pair) in pairs.chunks_exact(2).enumerate() {
        found.push(row(&place, loss, pair, ce));
        tries.push((
            format!("{place}, {}", METHODS[ONE_HEAD[loss]].label),
            paired(&pair[0], ce),
        ));
    }
    let wide = table(
        format!(
            "D. {classes} classes, α 1, T 2, {} seeds: accuracy in %",
            lessons.len()
        ),
        found,
    );
    Ok((vec![grid, wide], collapse(&tries)))
}

/// Test accuracy by try and seed.
fn train(scale: &Scale, pool: &Pool, lessons: &[Lesson], tries: &[Try]) -> Result<Vec<Vec<f64>>, LabError> {
    let trials = tries
        .iter()
        .flat_map(|wanted| lessons.iter().map(move |lesson| (wanted, lesson)))
        .map(|((method, settings), lesson)| {
            let spec = lesson.student(scale, METHODS[*method].objective, settings)?;
            Ok((lesson.source(), spec))
        })
        .collect::<Result<Vec<_>, LabError>>()?;
    let outcomes = pool.run_each(&trials)?;
    let accuracy: Vec<f64> = outcomes
        .iter()
        .map(|outcome| outcome.metrics["accuracy"])
        .collect();
    Ok(accuracy.chunks(lessons.len()).map(<[f64]>::to_vec).collect())
}

/// Of accuracies of one head and of two.
fn row(place: &str, loss: usize, pair: &[Vec<f64>], ce: &[f64]) -> Vec<String> {
    let percent = |values: &[f64]| format!("{:.1}", 100.0 * summary(values).mean);
    let short = METHODS[DUAL_HEAD[loss]].label.replace("dual head, ", "");
    vec![
        place.to_owned(),
        short,
        percent(ce),
        percent(&pair[0]),
        percent(&pair[1]),
        points(&paired(&pair[1], &pair[0])),
    ]
}

fn table(title: String, rows: Vec<Vec<String>>) -> Table {
    Table {
        title,
        columns: ["", "loss", "CE", "one", "dual", "dual minus one"]
            .map(str::to_owned)
            .to_vec(),
        rows,
    }
}

/// The collapse of the head: one head below cross-entropy, where it is lowest.
fn collapse(tries: &[(String, Paired)]) -> Claim {
    let lowest = tries
        .iter()
        .min_by(|(_, a), (_, b)| a.mean.total_cmp(&b.mean))
        .expect("there are tries");
    let below = tries
        .iter()
        .filter(|(_, difference)| difference.high < 0.0)
        .count();
    let above = tries
        .iter()
        .filter(|(_, difference)| difference.low > 0.0)
        .count();
    let verdict = match (below, above) {
        (0, above) if above == tries.len() => Verdict::DoesNotHold,
        (0, _) => Verdict::Inconclusive,
        _ => Verdict::Holds,
    };
    Claim {
        text: "somewhere one head with both losses falls below cross-entropy alone (collapse)".to_owned(),
        criterion: format!(
            "95% interval of one head minus CE below 0 in one of {} tries; above 0 in all refutes it",
            tries.len()
        ),
        evidence: format!(
            "below in {below}, above in {above}; lowest {} ({})",
            points(&lowest.1),
            lowest.0
        ),
        verdict: Some(verdict),
        weight: Weight::Supporting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_try_below_is_enough_and_all_above_refutes() {
        let of = |intervals: &[(f64, f64)]| {
            let tries: Vec<_> = intervals
                .iter()
                .map(|&(low, high)| {
                    let mean = 0.5 * (low + high);
                    (
                        String::new(),
                        Paired {
                            mean,
                            low,
                            high,
                            p: 0.5,
                        },
                    )
                })
                .collect();
            collapse(&tries).verdict.unwrap()
        };
        assert_eq!(of(&[(0.1, 0.2), (-0.2, -0.1)]), Verdict::Holds);
        assert_eq!(of(&[(0.1, 0.2), (0.2, 0.3)]), Verdict::DoesNotHold);
        assert_eq!(of(&[(0.1, 0.2), (-0.2, 0.3)]), Verdict::Inconclusive);
    }
}
