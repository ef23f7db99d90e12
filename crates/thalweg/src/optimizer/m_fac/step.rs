//! M-FAC's rule for parameters as one vector.

use thalweg_kernels::long_rows::Stored;
use thalweg_kernels::real::Real;

use crate::curvature::{CurvatureError, GradientWindow};

/// [`MFac`](super::MFac) for parameters that are one slice, gradients kept as S.
#[derive(Clone, Debug)]
pub struct MFacStep<S: Stored> {
    pub(super) window: GradientWindow<S>,
    momentum: f64,
    weight_decay: f64,
    /// Empty without momentum.
    pub(super) velocity: Vec<S::Wide>,
}

impl<S: Stored> MFacStep<S> {
    /// For `width` parameters and the last `gradients` gradients.
    ///
    /// # Errors
    /// When the dampening is not above 0, or there is no gradient or parameter.
    pub fn new(
        gradients: usize,
        width: usize,
        dampening: f64,
        momentum: f64,
        weight_decay: f64,
    ) -> Result<Self, CurvatureError> {
        let velocity = if momentum > 0.0 { width } else { 0 };
        Ok(Self {
            window: GradientWindow::new(dampening, gradients, width)?,
            momentum,
            weight_decay,
            velocity: vec![S::Wide::ZERO; velocity],
        })
    }

    /// Takes a gradient up, with what weight decay adds to it.
    ///
    /// # Errors
    /// As of [`GradientWindow::insert`].
    pub fn observe(
        &mut self,
        parameters: &[S::Wide],
        mut gradient: Vec<S::Wide>,
    ) -> Result<(), CurvatureError> {
        if self.weight_decay > 0.0 {
            let decay = S::Wide::from_f64(self.weight_decay);
            let each = gradient.iter_mut().zip(parameters);
            each.for_each(|(gradient, &parameter)| *gradient += decay * parameter);
        }
        self.window.insert(&gradient)
    }

    /// A step along the gradient, which is taken up first.
    ///
    /// # Errors
    /// As of [`GradientWindow::insert`]; parameters are then as they were.
    pub fn step(
        &mut self,
        rate: f64,
        parameters: &mut [S::Wide],
        gradient: Vec<S::Wide>,
    ) -> Result<(), CurvatureError> {
        self.observe(parameters, gradient)?;
        let mut direction = self.window.newest_product();
        if self.momentum > 0.0 {
            let (keep, take) = (
                S::Wide::from_f64(self.momentum),
                S::Wide::from_f64(1.0 - self.momentum),
            );
            for (velocity, direction) in self.velocity.iter_mut().zip(&mut direction) {
                *velocity = keep * *velocity + take * *direction;
                *direction = *velocity;
            }
        }
        let rate = S::Wide::from_f64(rate);
        let each = parameters.iter_mut().zip(direction);
        each.for_each(|(parameter, direction)| *parameter = *parameter - rate * direction);
        Ok(())
    }
}
