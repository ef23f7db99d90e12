//! `thalweg study`: does a paper's claim hold?

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::json;
use thalweg_lab::store::Store;
use thalweg_lab::studies;
use thalweg_lab::study::{Claim, Findings, Scale, Study, Table, Verdict, Weight};
use unicode_width::UnicodeWidthStr;

use crate::failure::UserError;
use crate::layout::{self, FAINT, NAME, TITLE, heading, padded, styled, width, wrapped};
use crate::run_args::{RunArgs, failed, interruption};

/// Run the study of a paper and print its verdict
#[derive(clap::Args)]
pub struct Args {
    /// The study
    #[arg(required_unless_present_any = ["all", "list"])]
    slug: Option<String>,
    /// All studies, one after another
    #[arg(long, conflicts_with = "slug")]
    all: bool,
    /// The last verdict of each study
    #[arg(long, conflicts_with_all = ["slug", "all"])]
    list: bool,
    /// The whole path in seconds, without a verdict
    #[arg(long)]
    quick: bool,
    /// Paired repetitions [default: as the study's criterion asks]
    #[arg(long, value_name = "N", conflicts_with = "quick")]
    seeds: Option<usize>,
    #[command(flatten)]
    run: RunArgs,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

/// Name and claim of each study.
pub fn listed() -> Vec<(&'static str, &'static str)> {
    studies::all()
        .iter()
        .map(|study| (study.slug, study.claim))
        .collect()
}

/// # Errors
/// When there is no such study, a trial fails, or the run is interrupted.
pub fn run(args: Args) -> miette::Result<()> {
    if args.list {
        return last_verdicts(&args);
    }
    let chosen: Vec<&Study> = match &args.slug {
        None => studies::all().iter().collect(),
        Some(slug) => match studies::find(slug) {
            Some(study) => vec![study],
            None => {
                let all: Vec<_> = studies::all().iter().map(|study| study.slug).collect();
                let nearest = thalweg::catalogue::nearest(slug, all.iter().copied());
                let all = format!("the studies are {}", all.join(", "));
                return Err(UserError::unknown("study", slug, &nearest, &all).into());
            }
        },
    };
    if args.seeds == Some(0) {
        return Err(UserError::new("a study needs at least one seed").into());
    }
    let interrupted = interruption()?;
    let mut documents = Vec::new();
    for study in chosen {
        let scale = if args.quick {
            Scale::Quick
        } else {
            Scale::Full {
                seeds: args.seeds.unwrap_or(study.seeds),
            }
        };
        if !args.json {
            layout::print(|out| claim(out, study, &scale))?;
        }
        let findings = one(study, &scale, &args, &interrupted)?;
        if args.json {
            documents.push(document(study, &scale, &findings));
        } else {
            layout::print(|out| report(out, &findings))?;
        }
    }
    if args.json {
        layout::print_json(&json!(documents))
    } else {
        Ok(())
    }
}

fn one(
    study: &Study,
    scale: &Scale,
    args: &Args,
    interrupted: &std::sync::atomic::AtomicBool,
) -> miette::Result<Findings> {
    let steps = (study.steps)(scale);
    let (findings, store) = args.run.watch(steps, interrupted, |pool, advance| {
        (study.run)(scale, pool, advance)
    })?;
    if let Some(verdict) = findings.verdict {
        let details = document(study, scale, &findings);
        store
            .record_verdict(study.slug, verdict.words(), &details)
            .map_err(|error| failed(error.into()))?;
    }
    Ok(findings)
}

fn document(study: &Study, scale: &Scale, findings: &Findings) -> serde_json::Value {
    json!({
        "study": study.slug,
        "claim": study.claim,
        "source": study.source,
        "seeds": scale.seeds(),
        "quick": *scale == Scale::Quick,
        "verdict": findings.verdict,
        "claims": findings.claims,
        "tables": findings.tables,
    })
}

fn claim(out: &mut dyn Write, study: &Study, scale: &Scale) -> io::Result<()> {
    let how = match scale {
        Scale::Full { seeds: 1 } => "1 seed".to_owned(),
        Scale::Full { seeds } => format!("{seeds} seeds"),
        Scale::Quick => "quick".to_owned(),
    };
    heading(out, study.slug, &format!("{}, {how}", study.source))?;
    for line in wrapped(study.claim, width()) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn report(out: &mut dyn Write, findings: &Findings) -> io::Result<()> {
    for table in &findings.tables {
        writeln!(out)?;
        write_table(out, table)?;
    }
    for weight in [Weight::Decisive, Weight::Supporting] {
        let mut claims = findings
            .claims
            .iter()
            .filter(|claim| claim.weight == weight)
            .peekable();
        if claims.peek().is_some() {
            writeln!(out)?;
            let title = if weight == Weight::Decisive {
                "Claims"
            } else {
                "Beside them"
            };
            writeln!(out, "{}", styled(TITLE, title))?;
        }
        for claim in claims {
            write_claim(out, claim)?;
        }
    }
    writeln!(out)?;
    match findings.verdict {
        Some(verdict) => writeln!(
            out,
            "{} {}",
            styled(TITLE, "Verdict:"),
            styled(colour(verdict), verdict.words())
        ),
        None => writeln!(out, "{}", styled(FAINT, "A quick run has no verdict.")),
    }
}

fn write_table(out: &mut dyn Write, table: &Table) -> io::Result<()> {
    for line in wrapped(&table.title, width()) {
        writeln!(out, "{}", styled(TITLE, &line))?;
    }
    let widths: Vec<usize> = (0..table.columns.len())
        .map(|column| {
            let cells = table.rows.iter().map(|row| row[column].as_str());
            cells
                .chain([table.columns[column].as_str()])
                .map(UnicodeWidthStr::width)
                .max()
                .unwrap_or(0)
        })
        .collect();
    let line = |cells: &[String]| {
        let padded: Vec<_> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| padded(cell, width))
            .collect();
        format!("  {}", padded.join("   ")).trim_end().to_owned()
    };
    writeln!(out, "{}", styled(FAINT, &line(&table.columns)))?;
    for row in &table.rows {
        writeln!(out, "{}", line(row))?;
    }
    Ok(())
}

fn write_claim(out: &mut dyn Write, claim: &Claim) -> io::Result<()> {
    const VERDICTS: usize = 15;
    let (words, style) = claim.verdict.map_or(("not judged", FAINT), |verdict| {
        (verdict.words(), colour(verdict))
    });
    let room = width() - VERDICTS - 2;
    let details = format!("{} ({})", claim.evidence, claim.criterion);
    for (index, line) in wrapped(&claim.text, room).into_iter().enumerate() {
        let first = if index == 0 {
            styled(style, &padded(words, VERDICTS))
        } else {
            " ".repeat(VERDICTS)
        };
        writeln!(out, "  {first}{line}")?;
    }
    for line in wrapped(&details, room) {
        writeln!(out, "  {}{}", " ".repeat(VERDICTS), styled(FAINT, &line))?;
    }
    Ok(())
}

fn colour(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Holds => AnsiColor::Green.on_default(),
        Verdict::DoesNotHold => AnsiColor::Red.on_default(),
        Verdict::Inconclusive => AnsiColor::Yellow.on_default(),
    }
}

fn last_verdicts(args: &Args) -> miette::Result<()> {
    let path = args.run.out.join("runs.sqlite");
    let verdicts = if path.exists() {
        let store = Store::open(&path).map_err(|error| failed(error.into()))?;
        store.last_verdicts().map_err(|error| failed(error.into()))?
    } else {
        Vec::new()
    };
    if args.json {
        let rows = studies::all().iter().map(|study| {
            let last = verdicts.iter().find(|verdict| verdict.slug == study.slug);
            json!({
                "study": study.slug,
                "verdict": last.map(|last| &last.verdict),
                "finished": last.map(|last| &last.finished),
                "details": last.map(|last| &last.details),
            })
        });
        return layout::print_json(&json!(rows.collect::<Vec<_>>()));
    }
    layout::print(|out| {
        for study in studies::all() {
            let last = verdicts.iter().find(|verdict| verdict.slug == study.slug);
            let (verdict, finished) = last.map_or(("never run", ""), |last| {
                (last.verdict.as_str(), last.finished.as_str())
            });
            let name = styled(NAME, &padded(study.slug, 26));
            writeln!(out, "  {name}{}{}", padded(verdict, 16), styled(FAINT, finished))?;
        }
        Ok(())
    })
}
