//! Text on a terminal: width, colours, wrapped columns.

use std::io::{self, BufWriter, Write};

use anstyle::{AnsiColor, Style};
use terminal_size::terminal_size_of;
use unicode_width::UnicodeWidthStr;

use crate::failure::OutputError;

/// Titles.
pub const TITLE: Style = Style::new().bold();
/// Names that can be typed back.
pub const NAME: Style = AnsiColor::Cyan.on_default();
/// What may be passed over.
pub const FAINT: Style = Style::new().dimmed();
/// What needs attention.
pub const ALERT: Style = AnsiColor::Yellow.on_default();

/// Columns to write in: those of the terminal, within reason.
pub fn width() -> usize {
    let columns = terminal_size_of(io::stdout()).map_or(80, |(width, _)| usize::from(width.0));
    columns.clamp(60, 100)
}

/// Writes to the standard output, in colour only where it is a terminal that wants it (`NO_COLOR` is honoured).
///
/// # Errors
/// When writing fails.
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> miette::Result<()> {
    let mut out = BufWriter::new(anstream::stdout().lock());
    write(&mut out).and_then(|()| out.flush()).map_err(OutputError)?;
    Ok(())
}

/// Writes JSON to the standard output, indented.
///
/// # Errors
/// When writing fails.
pub fn print_json(value: &serde_json::Value) -> miette::Result<()> {
    print(|out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        writeln!(out)
    })
}

/// `text` in a style.
pub fn styled(style: Style, text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("{style}{text}{style:#}")
}

/// `text` filled up with blanks to `width` columns, on the right.
pub fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// Lines of at most `width` columns.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let options = textwrap::Options::new(width.max(10)).break_words(false);
    textwrap::wrap(text, options)
        .into_iter()
        .map(String::from)
        .collect()
}

/// Writes a column of names and beside it columns of wrapped text, each as wide as `widths` says. A name too long for its
/// column has a line of its own.
///
/// # Errors
/// When writing fails.
pub fn row(out: &mut dyn Write, name: (&str, usize), cells: &[(&str, usize)]) -> io::Result<()> {
    let (name, column) = name;
    let cells: Vec<_> = cells
        .iter()
        .map(|&(text, width)| (wrapped(text, width), width))
        .collect();
    let mut first = styled(NAME, &padded(name, column));
    if name.width() > column {
        writeln!(out, "  {}", styled(NAME, name))?;
        first = " ".repeat(column);
    }
    let lines = cells
        .iter()
        .map(|(lines, _)| lines.len())
        .max()
        .unwrap_or(0)
        .max(1);
    for line in 0..lines {
        let start = if line == 0 {
            first.clone()
        } else {
            " ".repeat(column)
        };
        let mut rest = String::new();
        for (text, width) in &cells {
            let part = text.get(line).map_or("", String::as_str);
            rest += "  ";
            rest += &padded(part, *width);
        }
        writeln!(out, "  {start}{}", rest.trim_end())?;
    }
    Ok(())
}

/// Writes a bold title at the left and a faint remark at the right end of the line, or below where both do not fit.
///
/// # Errors
/// When writing fails.
pub fn heading(out: &mut dyn Write, title: &str, remark: &str) -> io::Result<()> {
    if title.width() + 2 + remark.width() > width() {
        writeln!(out, "{}", styled(TITLE, title))?;
        for line in wrapped(remark, width()) {
            writeln!(out, "{}", styled(FAINT, &line))?;
        }
        return Ok(());
    }
    let gap = width() - title.width() - remark.width();
    let gap = if remark.is_empty() { 0 } else { gap };
    writeln!(
        out,
        "{}{}{}",
        styled(TITLE, title),
        " ".repeat(gap),
        styled(FAINT, remark)
    )
}

/// A number with at most four significant digits.
pub fn short(number: f64) -> String {
    let rounded: f64 = format!("{number:.3e}").parse().unwrap_or(number);
    // Adding zero makes a plain one of the negative.
    let rounded = rounded + 0.0;
    if rounded != 0.0 && rounded.is_finite() && !(1e-4..1e7).contains(&rounded.abs()) {
        format!("{rounded:e}")
    } else {
        format!("{rounded}")
    }
}

/// A line of Rust in lines that fit beside an indent: the names of a `use` below each other, else a call a line.
pub fn rust(line: &str, indent: usize) -> Vec<String> {
    if line.width() + indent <= width() {
        return vec![line.to_owned()];
    }
    let names = line.strip_suffix("};").and_then(|line| line.split_once('{'));
    match names {
        Some((path, names)) if line.starts_with("use ") => {
            let names = wrapped(&format!("{names},"), width() - indent - 4);
            let names = names.into_iter().map(|names| format!("    {names}"));
            std::iter::once(format!("{path}{{"))
                .chain(names)
                .chain(["};".to_owned()])
                .collect()
        }
        _ => {
            let calls = line.replace(").", ")\n    .");
            let lines = calls.lines().flat_map(|call| {
                let start = call.len() - call.trim_start().len();
                let pieces = wrapped(call.trim_start(), width() - indent - start - 4);
                let pieces = pieces.into_iter().enumerate();
                pieces.map(move |(at, piece)| {
                    let deeper = if at > 0 { 4 } else { 0 };
                    format!("{}{piece}", " ".repeat(start + deeper))
                })
            });
            lines.collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (1.5, "1.5"),
            (6.0, "6"),
            (8.0 / 255.0, "0.03137"),
            (3631.0, "3631"),
            (-0.0, "0"),
            (1.23456e-7, "1.235e-7"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(short(number), text);
        }
    }

    #[test]
    fn columns_wrap_beside_each_other() {
        let mut out = Vec::new();
        row(
            &mut out,
            ("name", 6),
            &[("one two three four", 10), ("ℓ = −log p", 20)],
        )
        .unwrap();
        row(&mut out, ("a_long_name", 6), &[("text", 10)]).unwrap();
        let text = anstream::adapter::strip_str(std::str::from_utf8(&out).unwrap()).to_string();
        assert_eq!(
            text,
            "  name    one two     ℓ = −log p\n          three four\n  a_long_name\n          text\n"
        );
    }
}
