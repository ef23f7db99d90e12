//! Label privacy: clipped bag means with Laplace noise, and the bag size that serves best under it.
//!
//! A label in `[−C, C]` moves the mean of its bag of k by at most `2C/k`, so noise of scale `2C/(kε)` gives ε-differential
//! privacy of labels. In the linear model it adds `8C²/(kε²)` to the noise variance of a sample; the bias of clipping is
//! left out.

use super::asymptotics::Setting;
use super::bags::{self, Bags};
use crate::ConfigError;
use crate::config::require;
use crate::quantity::{Case, Outputs, Quantity, QuantityError};

/// How much privacy, and for which range of labels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelPrivacy {
    /// Privacy budget ε, above 0; smaller is more private.
    pub epsilon: f64,
    /// Labels are clipped to `[−C, C]`, C above 0.
    pub clip: f64,
}

/// Which linear estimator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Estimator {
    /// ρ = 0.
    Bag,
    /// ρ = 1.
    Instance,
}

impl LabelPrivacy {
    /// The mechanism, checked.
    ///
    /// # Errors
    /// When ε or C is not above 0.
    pub fn checked(self) -> Result<Self, ConfigError> {
        for (name, value) in [("epsilon", self.epsilon), ("clip", self.clip)] {
            require("dp_bag_aggregate", name, value, "above 0 and finite", |value| {
                value > 0.0 && value.is_finite()
            })?;
        }
        Ok(self)
    }

    /// Scale of the Laplace noise on the mean of a bag of `size`.
    pub fn scale(self, size: usize) -> f64 {
        2.0 * self.clip / (size as f64 * self.epsilon)
    }

    /// Noisy means of clipped responses `[n]`, from numbers `[m]` uniform in (−1/2, 1/2).
    ///
    /// # Panics
    /// When the sizes disagree.
    pub fn release(self, responses: &[f64], bags: &Bags, uniforms: &[f64]) -> Vec<f64> {
        assert_eq!(uniforms.len(), bags.len(), "each bag needs a draw");
        let clipped: Vec<f64> = responses
            .iter()
            .map(|response| response.clamp(-self.clip, self.clip))
            .collect();
        let means = bags.means(&clipped, 1).into_iter();
        means
            .zip(bags.sizes().iter().zip(uniforms))
            .map(|(mean, (&size, &uniform))| mean + self.scale(size) * laplace(uniform))
            .collect()
    }

    /// The setting with the noise of the mechanism in it.
    pub fn noisy(self, setting: Setting) -> Setting {
        let added = 8.0 * self.clip * self.clip / (setting.bag_size * self.epsilon * self.epsilon);
        Setting {
            noise_variance: setting.noise_variance + added,
            ..setting
        }
    }

    /// Asymptotic risk at each bag size under the mechanism.
    ///
    /// # Errors
    /// When a number of the mechanism or the setting is out of its range.
    pub fn risks(
        self,
        estimator: Estimator,
        setting: Setting,
        bag_sizes: &[usize],
    ) -> Result<Vec<f64>, ConfigError> {
        let rho = match estimator {
            Estimator::Bag => 0.0,
            Estimator::Instance => 1.0,
        };
        let mechanism = self.checked()?;
        let at = |&size: &usize| {
            let setting = Setting {
                bag_size: size as f64,
                ..setting
            };
            Ok(mechanism.noisy(setting).risk(rho)?.risk())
        };
        bag_sizes.iter().map(at).collect()
    }
}

/// A standard Laplace number of one uniform in (−1/2, 1/2).
fn laplace(uniform: f64) -> f64 {
    -uniform.signum() * (-2.0 * uniform.abs()).ln_1p()
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "dp_bag_aggregate",
            "clipped bag means with Laplace noise from given uniform numbers, ε-private in the labels",
        )
        .required_param("epsilon")
        .required_param("clip")
        .input("responses", "[n]")
        .input("bag_index", "[n]")
        .input("uniforms", "[m]")
        .with_example("bag_index", vec![1.0, 0.0, 1.0])
        .with_example("uniforms", vec![-0.2, 0.4])
        .eval(release),
        Quantity::new(
            "dp_optimal_bag_size",
            "asymptotic risk at each bag size under the private mechanism, and the size of least risk",
        )
        .param("estimator", "bag")
        .required_param("psi")
        .required_param("epsilon")
        .required_param("clip")
        .param("signal", 1.0)
        .param("noise_variance", 1.0)
        .input("candidates", "[K]")
        .with_example("psi", 0.05)
        .with_example("candidates", vec![1.0, 2.0, 4.0])
        .eval(best_size),
    ]
}

fn of_case(case: &Case) -> Result<LabelPrivacy, QuantityError> {
    let mechanism = LabelPrivacy {
        epsilon: case.param("epsilon")?,
        clip: case.param("clip")?,
    };
    Ok(mechanism.checked()?)
}

/// `scale` is a number where bags are of one size, and one for each bag otherwise.
fn release(case: &Case) -> Result<Outputs, QuantityError> {
    let (mechanism, bags) = (of_case(case)?, bags::of_case(case)?);
    let uniforms = &case.array("uniforms").data;
    if uniforms.len() != bags.len() {
        let problem = format!("holds {} numbers for {} bags", uniforms.len(), bags.len());
        return case.refuse_input("uniforms", problem);
    }
    if let Some(at) = uniforms.iter().position(|uniform| uniform.abs() >= 0.5) {
        let problem = format!(
            "holds {} at index {at}; draws lie between -1/2 and 1/2",
            uniforms[at]
        );
        return case.refuse_input("uniforms", problem);
    }
    let released = mechanism.release(&case.array("responses").data, &bags, uniforms);
    let scales: Vec<f64> = bags.sizes().iter().map(|&size| mechanism.scale(size)).collect();
    let outputs = Outputs::new().with("bag_means", released);
    Ok(if scales.iter().all(|&scale| scale == scales[0]) {
        outputs.with("scale", scales[0])
    } else {
        outputs.with("scale", scales)
    })
}

fn best_size(case: &Case) -> Result<Outputs, QuantityError> {
    let choices = [("bag", Estimator::Bag), ("instance", Estimator::Instance)];
    let estimator = case.choice("estimator", &choices)?;
    let setting = Setting {
        psi: case.param("psi")?,
        bag_size: 1.0,
        signal: case.param("signal")?,
        noise_variance: case.param("noise_variance")?,
    };
    case.not_empty("candidates")?;
    let candidates = &case.array("candidates").data;
    if let Some(at) = candidates
        .iter()
        .position(|size| size.fract() != 0.0 || *size < 1.0 || *size > 1e15)
    {
        let problem = format!(
            "holds {} at index {at}; bag sizes are whole and at least 1",
            candidates[at]
        );
        return case.refuse_input("candidates", problem);
    }
    let sizes: Vec<usize> = candidates.iter().map(|&size| size as usize).collect();
    let risks = of_case(case)?.risks(estimator, setting, &sizes)?;
    let best = (1..risks.len()).fold(0, |best, at| if risks[at] < risks[best] { at } else { best });
    Ok(Outputs::new().with("risk", risks).with("best", candidates[best]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MECHANISM: LabelPrivacy = LabelPrivacy {
        epsilon: 0.5,
        clip: 2.0,
    };

    #[test]
    fn noise_has_the_scale_it_is_to_have() {
        // The variance of Laplace noise of scale b is 2 b².
        let draws = 200_000;
        let uniform = |i: usize| (i as f64 + 0.5) / draws as f64 - 0.5;
        let second = (0..draws).map(|i| laplace(uniform(i)).powi(2)).sum::<f64>() / draws as f64;
        assert!((second - 2.0).abs() < 0.01, "{second}");
        let setting = Setting {
            psi: 0.1,
            bag_size: 4.0,
            signal: 1.0,
            noise_variance: 1.0,
        };
        // On the mean of a bag, noise of a sample counts one k-th.
        let added = (MECHANISM.noisy(setting).noise_variance - 1.0) / 4.0;
        assert!((added - 2.0 * MECHANISM.scale(4).powi(2)).abs() < 1e-12);
    }

    #[test]
    fn labels_are_clipped_before_they_are_averaged() {
        let bags = Bags::new(vec![0, 0, 1]).unwrap();
        let released = MECHANISM.release(&[100.0, 0.0, -1.0], &bags, &[0.0, 0.0]);
        assert_eq!(released, [1.0, -1.0]);
    }

    #[test]
    fn larger_bags_trade_noise_for_information() {
        let setting = Setting {
            psi: 0.05,
            bag_size: 1.0,
            signal: 10.0,
            noise_variance: 0.5,
        };
        let sizes: Vec<usize> = (1..=40).collect();
        let risks = MECHANISM.risks(Estimator::Instance, setting, &sizes).unwrap();
        let best = (1..risks.len()).fold(0, |best, at| if risks[at] < risks[best] { at } else { best });
        assert!(best > 0 && best < 39, "an interior optimum, not {best}");
        let no_privacy = LabelPrivacy {
            epsilon: 0.0,
            clip: 1.0,
        };
        assert!(no_privacy.risks(Estimator::Bag, setting, &sizes).is_err());
    }
}
