//! Numbers and findings in words.

use crate::metrics::{self, Format};
use crate::results::{Difference, Finding, Summary};

/// A metric's name for readers.
pub fn title(metric: &str) -> String {
    metrics::find(metric).map_or_else(|| metric.replace('_', " "), |metric| metric.title.to_owned())
}

/// How a metric's values are written.
pub fn format(metric: &str) -> Format {
    metrics::find(metric).map_or(Format::Number, |metric| metric.format)
}

/// A metric's unit, with `unit_less` for a pure number.
pub fn unit<'a>(metric: &str, unit_less: &'a str) -> &'a str {
    match metrics::find(metric) {
        Some(metric) if !metric.unit.is_empty() => metric.unit,
        _ => unit_less,
    }
}

/// `accuracy (%)`: the label of an axis or column.
pub fn labelled(title: &str, unit: &str) -> String {
    if unit.is_empty() {
        title.to_owned()
    } else {
        format!("{title} ({unit})")
    }
}

/// `93.9 – 94.7`, or a dash where the seeds allow no interval.
pub fn interval(format: Format, low: f64, high: f64) -> String {
    if low.is_finite() && high.is_finite() {
        format!("{} – {}", format.value(low), format.value(high))
    } else {
        "—".to_owned()
    }
}

/// Like [`interval`], of a difference: with signs.
pub fn difference_interval(format: Format, difference: &Difference) -> String {
    if difference.low.is_finite() && difference.high.is_finite() {
        format!(
            "{} to {}",
            format.difference(difference.low),
            format.difference(difference.high)
        )
    } else {
        "—".to_owned()
    }
}

/// `94.3 ± 0.4`, or the mean alone.
pub fn plus_minus(format: Format, summary: &Summary) -> String {
    format!("{} {}", format.value(summary.mean), half_width(format, summary))
        .trim_end()
        .to_owned()
}

/// `± 0.4`: half the width of the interval; nothing where the seeds allow none.
pub fn half_width(format: Format, summary: &Summary) -> String {
    let half_width = (summary.high - summary.low) / 2.0;
    if half_width.is_finite() {
        format!("± {}", format.value(half_width))
    } else {
        String::new()
    }
}

/// A p-value to three decimals.
pub fn p_value(p: f64) -> String {
    match p {
        p if p.is_nan() => "—".to_owned(),
        p if p < 0.001 => "<\u{a0}0.001".to_owned(),
        p => format!("{p:.3}"),
    }
}

/// What may be said of a difference.
pub fn finding(difference: &Difference) -> &'static str {
    if difference.p_holm.is_nan() {
        return "too few seeds to tell";
    }
    match difference.finding {
        Finding::Better => "better",
        Finding::Worse => "worse",
        Finding::NoDifferenceSeen => "no difference seen",
    }
}

/// The look of a finding in the style sheet.
pub fn finding_class(difference: &Difference) -> &'static str {
    match difference.finding {
        Finding::Better => "better",
        Finding::Worse => "worse",
        Finding::NoDifferenceSeen => "unseen",
    }
}

/// A setting, as short as it can be told.
pub fn setting(value: f64) -> String {
    let text = if value == 0.0 || (1e-3..1e5).contains(&value.abs()) {
        // Four digits that count.
        let digits = 3 - value
            .abs()
            .max(f64::MIN_POSITIVE)
            .log10()
            .floor()
            .clamp(-3.0, 3.0) as i32;
        let fixed = format!("{value:.*}", digits as usize);
        if fixed.contains('.') {
            fixed.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            fixed
        }
    } else {
        let scientific = format!("{value:.2e}");
        match scientific.split_once('e') {
            Some((digits, power)) => {
                format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.'))
            }
            None => scientific,
        }
    };
    text.replace('-', "−")
}

/// Bytes in MiB.
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / (1 << 20) as f64)
}

/// A whole number with thin spaces between thousands.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && digits.len() > 4 {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.7, "0.7"),
            (1.0, "1"),
            (2000.0, "2000"),
            (10.0, "10"),
            (0.001, "0.001"),
            (1.0 / 3.0, "0.3333"),
            (3e-4, "3e−4"),
            (1.25e-7, "1.25e−7"),
            (-0.5, "−0.5"),
        ] {
            assert_eq!(setting(value), text);
        }
    }

    #[test]
    fn what_is_undefined_is_a_dash() {
        assert_eq!(interval(Format::Percent, f64::NAN, f64::NAN), "—");
        assert_eq!(p_value(f64::NAN), "—");
        assert_eq!(p_value(0.0), "<\u{a0}0.001");
        assert_eq!(p_value(0.04), "0.040");
    }

    #[test]
    fn thousands_are_told_apart() {
        assert_eq!(count(1797), "1797");
        assert_eq!(count(60_000), "60\u{202f}000");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
    }
}
