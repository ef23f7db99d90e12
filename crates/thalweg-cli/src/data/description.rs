//! The page of a data set.

use std::io::{self, Write};

use thalweg_data::describe::{Column, Description, Problem, Values};
use unicode_width::UnicodeWidthStr;

use crate::layout::{self, ALERT, FAINT, NAME, TITLE, padded, short, styled, wrapped};

/// Columns of the widest histogram.
const BINS: usize = 16;
/// Columns of the bar of the largest class.
const BAR: usize = 30;
/// Longest name that is not cut.
const LONGEST: usize = 24;

/// Writes the page.
///
/// # Errors
/// When writing fails.
pub fn write(out: &mut dyn Write, set: &Description) -> io::Result<()> {
    layout::heading(out, &set.name, "")?;
    let shape = set
        .feature_shape
        .iter()
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join(" × ");
    let target = set
        .target
        .as_ref()
        .map_or(String::new(), |target| format!(", told by column {target}"));
    let mut facts = vec![("Samples", counted(set.samples)), ("Features", shape)];
    if set.classes.is_empty() {
        facts.push(("Targets", format!("numbers{target}")));
    } else {
        facts.push(("Classes", format!("{}{target}", set.classes.len())));
        let ratio = format!("{} : 1", short(set.imbalance_ratio));
        facts.push(("Largest to smallest", ratio));
    }
    facts.extend([
        ("Missing values", counted(set.missing)),
        ("Constant features", counted(set.constant_features)),
    ]);
    if let Some(test) = set.published_test {
        facts.push((
            "Published test part",
            format!("the last {}", counted(set.samples.saturating_sub(test))),
        ));
    }
    if let Some(licence) = &set.licence {
        facts.push(("Licence", licence.clone()));
    }
    let labels = facts.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    for (label, fact) in &facts {
        let mut label = padded(label, labels);
        for line in wrapped(fact, layout::width() - labels - 4) {
            writeln!(out, "  {}  {line}", styled(FAINT, &label))?;
            label = " ".repeat(labels);
        }
    }
    if !set.classes.is_empty() {
        classes(out, set)?;
    }
    columns(out, set)?;
    for problem in &set.problems {
        alert(out, problem)?;
    }
    Ok(())
}

fn classes(out: &mut dyn Write, set: &Description) -> io::Result<()> {
    let most = set
        .classes
        .iter()
        .map(|class| class.count)
        .max()
        .unwrap_or(0)
        .max(1);
    let names: Vec<_> = set.classes.iter().map(|class| shortened(&class.name)).collect();
    let name_width = names.iter().map(|name| name.width()).max().unwrap_or(0);
    let count_width = counted(most).len();
    writeln!(out, "\n{}", styled(TITLE, "Classes"))?;
    for (name, class) in names.iter().zip(&set.classes) {
        let share = 100.0 * class.count as f64 / set.samples.max(1) as f64;
        let bar = "█".repeat((class.count * BAR).div_ceil(most));
        let count = counted(class.count);
        writeln!(
            out,
            "  {}  {count:>count_width$}  {share:5.1}%  {}",
            styled(NAME, &padded(name, name_width)),
            styled(NAME, &bar)
        )?;
    }
    Ok(())
}

fn columns(out: &mut dyn Write, set: &Description) -> io::Result<()> {
    let names: Vec<_> = set.columns.iter().map(|column| shortened(&column.name)).collect();
    let width = names
        .iter()
        .map(|name| name.width())
        .max()
        .unwrap_or(0)
        .max("Columns".len());
    let room = layout::width() - width - BINS - 6;
    writeln!(out, "\n{}", styled(TITLE, "Columns"))?;
    for (name, column) in names.iter().zip(&set.columns) {
        let mut histogram = padded(&column.histogram, BINS);
        let mut name = styled(NAME, &padded(name, width));
        for line in wrapped(&summary(column), room) {
            writeln!(out, "  {name}  {histogram}  {line}")?;
            histogram = " ".repeat(BINS);
            name = " ".repeat(width);
        }
    }
    Ok(())
}

fn summary(column: &Column) -> String {
    let values = match &column.values {
        Values::None => "no values".to_owned(),
        Values::Numbers { min, mean, max, std } => {
            format!(
                "{} to {}, {} ± {}",
                short(*min),
                short(*max),
                short(*mean),
                short(*std)
            )
        }
        Values::Categories {
            distinct,
            most_frequent,
        } => {
            format!("{distinct} categories, most often {}", shortened(most_frequent))
        }
    };
    match column.missing {
        0 => values,
        missing => format!("{values}; {} missing", counted(missing)),
    }
}

fn alert(out: &mut dyn Write, problem: &Problem) -> io::Result<()> {
    let text = |out: &mut dyn Write, text: &str, style| -> io::Result<()> {
        for line in wrapped(text, layout::width() - 2) {
            writeln!(out, "  {}", styled(style, &line))?;
        }
        Ok(())
    };
    writeln!(out, "\n{}", styled(ALERT, "Not ready to train on"))?;
    text(out, &problem.message, TITLE)?;
    text(out, problem.help.as_deref().unwrap_or_default(), FAINT)
}

/// A number with its thousands set apart.
fn counted(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn shortened(name: &str) -> String {
    // Line breaks within a name would break the table.
    let plain: String = name
        .chars()
        .map(|c| if c.is_control() { '·' } else { c })
        .collect();
    if plain.width() <= LONGEST {
        return plain;
    }
    let mut cut = String::new();
    for character in plain.chars() {
        if cut.width() >= LONGEST - 2 {
            break;
        }
        cut.push(character);
    }
    cut + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1797, "1,797"),
            (60_000, "60,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(counted(number), text);
        }
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(shortened("short\nname"), "short·name");
        assert!(shortened(&"漢".repeat(100)).width() <= LONGEST);
    }
}
