//! Products with F⁻¹ straight from the gradients.

use thalweg_kernels::long_rows::{Plain, dots, gram, subtract_combination};

use super::{Coefficients, CurvatureError, check_dampening, check_gradients};

/// `F⁻¹x = (x − Gᵀ (mλI + G Gᵀ)⁻¹ G x)/λ` of row-major gradients G `[m, d]`, by elimination of `mI + G Gᵀ/λ` without
/// pivots, which are all m or more. O(d m²), and nothing of d numbers but the result.
///
/// # Errors
/// When the dampening λ is not above 0, there is no gradient, one is not finite, or products overflow.
pub fn woodbury<F: Plain>(dampening: f64, gradients: &[F], x: &[F]) -> Result<Vec<F>, CurvatureError> {
    let dampening = check_dampening(dampening)?;
    check_gradients(gradients, x.len(), 0)?;
    let rows = gradients.len() / x.len();
    let coefficients = of_gram(dampening, gradients, x.len(), rows)?;
    let mut along = vec![0.0; rows];
    dots(gradients, x, &mut along);
    coefficients.solve(&mut along);
    along.iter_mut().for_each(|along| *along /= dampening * dampening);
    let mut out = x.to_vec();
    subtract_combination(gradients, &along, dampening.recip(), &mut out);
    Ok(out)
}

/// The factors of `G Gᵀ/λ + mI` for row-major gradients `[rows, width]`, m being `divisor`.
pub(crate) fn of_gram<F: Plain>(
    dampening: f64,
    gradients: &[F],
    width: usize,
    divisor: usize,
) -> Result<Coefficients, CurvatureError> {
    let mut products = gram(gradients, width);
    products.iter_mut().for_each(|product| *product /= dampening);
    let coefficients = Coefficients::new(&products, gradients.len() / width, divisor as f64);
    if coefficients.are_finite() {
        Ok(coefficients)
    } else {
        Err(CurvatureError::Overflow)
    }
}
