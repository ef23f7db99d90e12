//! `thalweg list`: what there is, found by the words of a problem.

use std::io::{self, Write};

use serde_json::json;
use thalweg::catalogue::{self, Search};
use thalweg::objective::ObjectiveEntry;
use thalweg::optimizer::OptimizerEntry;
use thalweg::quantity::Quantity;

use crate::failure::UserError;
use crate::layout::{self, FAINT, TITLE, padded, styled};
use crate::show;

/// List objectives, optimisers, quantities and studies
#[derive(clap::Args)]
pub struct Args {
    /// One family only
    #[arg(long)]
    family: Option<String>,
    /// Only what has all these words in its description, such as "noisy labels" or "calibration"
    #[arg(long, value_name = "WORDS")]
    search: Option<String>,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

/// Widest a column of names gets; longer names have a line of their own.
const NAMES: usize = 25;

/// What was found.
struct Found<'a> {
    objectives: Vec<&'static ObjectiveEntry>,
    optimizers: Vec<&'static OptimizerEntry>,
    quantities: Vec<&'static Quantity>,
    studies: Vec<(&'a str, &'a str)>,
}

impl<'a> Found<'a> {
    /// Studies, each a name and its claim, belong to no family.
    fn new(search: &Search, family: Option<&str>, studies: &[(&'a str, &'a str)]) -> Self {
        let in_family = |other: &str| family.is_none_or(|family| family == other);
        Self {
            objectives: catalogue::objectives()
                .iter()
                .filter(|entry| in_family(entry.family) && search.finds_objective(entry))
                .collect(),
            optimizers: catalogue::optimizers()
                .iter()
                .filter(|entry| in_family("optimizer") && search.finds_optimizer(entry))
                .collect(),
            quantities: catalogue::quantities()
                .iter()
                .filter(|quantity| in_family(quantity.family()) && search.finds_quantity(quantity))
                .collect(),
            studies: studies
                .iter()
                .filter(|(name, claim)| family.is_none() && search.matches([*name, *claim]))
                .copied()
                .collect(),
        }
    }

    fn len(&self) -> usize {
        self.objectives.len() + self.optimizers.len() + self.quantities.len() + self.studies.len()
    }
}

/// # Errors
/// When there is no such family, or writing fails.
pub fn run(args: Args, studies: &[(&str, &str)]) -> miette::Result<()> {
    let families = catalogue::families();
    let family = args.family.as_deref();
    if let Some(family) = family
        && !families.contains(&family)
    {
        let nearest = catalogue::nearest(family, families.iter().copied());
        let all = format!("the families are {}", families.join(", "));
        return Err(UserError::unknown("family", family, &nearest, &all).into());
    }
    let search = Search::new(args.search.as_deref().unwrap_or_default());
    let found = Found::new(&search, family, studies);
    if args.json {
        return layout::print_json(&json!({
            "objectives": found.objectives.iter().map(|entry| show::objective::json(entry)).collect::<Vec<_>>(),
            "optimizers": found.optimizers.iter().map(|entry| show::optimizer::json(entry)).collect::<Vec<_>>(),
            "quantities": found.quantities.iter().map(|quantity| show::quantity::json(quantity)).collect::<Vec<_>>(),
            "studies": found.studies.iter().map(|(name, claim)| json!({"name": name, "claim": claim})).collect::<Vec<_>>(),
        }));
    }
    layout::print(|out| {
        if found.len() == 0 {
            return nothing(out, &search, family, studies);
        }
        table(out, &found)
    })
}

fn table(out: &mut dyn Write, found: &Found) -> io::Result<()> {
    let room = layout::width() - NAMES - 4;
    let mut sections = Sections { begun: false };
    let good_for = (room - 2) * 26 / 49;
    let cost = room - 2 - good_for;
    let titles = format!("  {}  {}  costs", padded("", NAMES), padded("good for", good_for));
    if !found.objectives.is_empty() {
        sections.begin(out, "Objectives", "to train with; more: thalweg show NAME")?;
        writeln!(out, "{}", styled(FAINT, &titles))?;
        by_family(
            out,
            &found.objectives,
            |entry| entry.family,
            |out, entry| {
                let words = entry.good_for.join(", ");
                layout::row(
                    out,
                    (entry.name, NAMES),
                    &[(&words, good_for), (entry.cost, cost)],
                )
            },
        )?;
    }
    if !found.optimizers.is_empty() {
        sections.begin(out, "Optimisers", "to descend by; more: thalweg show NAME")?;
        writeln!(out, "{}", styled(FAINT, &titles))?;
        for entry in &found.optimizers {
            let words = entry.good_for.join(", ");
            layout::row(
                out,
                (entry.name, NAMES),
                &[(&words, good_for), (entry.cost, cost)],
            )?;
        }
    }
    if !found.quantities.is_empty() {
        sections.begin(out, "Quantities", "to compute; more: thalweg show NAME")?;
        by_family(
            out,
            &found.quantities,
            |quantity| quantity.family(),
            |out, quantity| layout::row(out, (quantity.name(), NAMES), &[(quantity.meaning(), room)]),
        )?;
    }
    if !found.studies.is_empty() {
        sections.begin(out, "Studies", "to run: thalweg study NAME")?;
        for (name, claim) in &found.studies {
            layout::row(out, (name, NAMES), &[(claim, room)])?;
        }
    }
    Ok(())
}

/// Sections with a blank line between them.
struct Sections {
    begun: bool,
}

impl Sections {
    fn begin(&mut self, out: &mut dyn Write, title: &str, remark: &str) -> io::Result<()> {
        if self.begun {
            writeln!(out)?;
        }
        self.begun = true;
        layout::heading(out, title, remark)
    }
}

fn by_family<T>(
    out: &mut dyn Write,
    items: &[T],
    family: impl Fn(&T) -> &'static str,
    write: impl Fn(&mut dyn Write, &T) -> io::Result<()>,
) -> io::Result<()> {
    for group in items.chunk_by(|a, b| family(a) == family(b)) {
        writeln!(out, " {}", styled(TITLE, family(&group[0])))?;
        for item in group {
            write(out, item)?;
        }
    }
    Ok(())
}

/// Says that nothing was found, and what would have been.
fn nothing(
    out: &mut dyn Write,
    search: &Search,
    family: Option<&str>,
    studies: &[(&str, &str)],
) -> io::Result<()> {
    let place = family.map_or(String::new(), |family| format!(" in the family {family}"));
    writeln!(out, "Nothing has all of these words{place}:")?;
    let words: Vec<_> = search.words().collect();
    let width = words
        .iter()
        .map(|(word, _)| word.chars().count())
        .max()
        .unwrap_or(0);
    for (word, search) in &words {
        let count = match Found::new(search, family, studies).len() {
            0 => "in nothing".to_owned(),
            1 => "in 1 entry".to_owned(),
            count => format!("in {count} entries"),
        };
        writeln!(out, "  {}  {count}", padded(word, width))?;
    }
    let mut problems: Vec<&str> = catalogue::objectives()
        .iter()
        .filter(|entry| family.is_none_or(|family| family == entry.family))
        .flat_map(|entry| entry.good_for.iter().copied())
        .collect();
    problems.sort_unstable();
    problems.dedup();
    writeln!(out, "Words of problems that would match:")?;
    for line in layout::wrapped(&problems.join(", "), layout::width() - 2) {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}
