//! Writing an array as NPY.

use std::io::{self, Write};

use super::header::MAGIC;

/// Writes f64 numbers of a shape, row-major, as `numpy.save` would.
///
/// # Errors
/// When writing fails.
///
/// # Panics
/// When the shape does not hold the values.
pub fn write_npy(out: &mut dyn Write, shape: &[usize], values: &[f64]) -> io::Result<()> {
    assert_eq!(
        shape.iter().product::<usize>(),
        values.len(),
        "a shape holds its values"
    );
    let sides: Vec<String> = shape.iter().map(|side| format!("{side},")).collect();
    let dictionary = format!(
        "{{'descr': '<f8', 'fortran_order': False, 'shape': ({}), }}",
        sides.join(" ")
    );
    // The data starts at a multiple of 64, as numpy has it for mapping files.
    let length = (MAGIC.len() + 4 + dictionary.len() + 1).next_multiple_of(64) - MAGIC.len() - 4;
    out.write_all(MAGIC)?;
    out.write_all(&[1, 0])?;
    out.write_all(&u16::try_from(length).expect("a header is short").to_le_bytes())?;
    writeln!(out, "{dictionary:<width$}", width = length - 1)?;
    values
        .iter()
        .try_for_each(|value| out.write_all(&value.to_le_bytes()))
}
