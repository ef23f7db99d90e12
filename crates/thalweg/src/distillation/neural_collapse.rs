//! How far features and head have collapsed: NC1 to NC3.
//!
//! With the class means μ_k, their mean over all samples μ_G, `M = [μ_k − μ_G]`, `Σ_W = (1/N) Σ_i (h_i − μ_y)(h_i − μ_y)ᵀ`
//! and `Σ_B = (1/K) Σ_k (μ_k − μ_G)(μ_k − μ_G)ᵀ`:
//! - NC1, variability: `tr(Σ_W Σ_B⁺)/K`;
//! - NC2, a simplex ETF: standard deviation over mean of `‖μ_k − μ_G‖`, and the mean over pairs of `|cos + 1/(K − 1)|`;
//! - NC3, self-duality: `‖W/‖W‖_F − M/‖M‖_F‖_F²`.
//!
//! All are 0 under full collapse.
//!
//! Source: Papyan, Han, Donoho, "Prevalence of neural collapse", PNAS 2020.

use faer::Mat;

use crate::quantity::{Outputs, Quantity};

/// Relative size, of `Σ_B`, below which a direction holds no class means.
const CUTOFF: f64 = 1e-10;

/// The metrics of collapse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NeuralCollapse {
    /// NC1.
    pub variability: f64,
    /// NC2, lengths.
    pub equinorm: f64,
    /// NC2, angles.
    pub equiangular: f64,
    /// NC3.
    pub self_duality: f64,
}

/// Why there are none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CollapseError {
    /// One class or none.
    #[error("has {0} rows; at least 2 classes are needed")]
    TooFewClasses(usize),
    /// A class without samples.
    #[error("have no sample of class {0}; every class needs one")]
    EmptyClass(usize),
    /// All class means are the same.
    #[error("have the same mean in every class; there is nothing to compare")]
    NoMeans,
    /// The head is 0.
    #[error("is 0; it has no direction to compare")]
    NoHead,
}

/// The metrics of features `[samples, width]`, labels and a head's weight `[classes, width]`, row-major.
///
/// # Errors
/// When there are fewer than two classes, one has no sample, all means are equal or the weight is 0.
///
/// # Panics
/// When there is no sample or no feature, the sizes disagree or a label is out of range.
pub fn neural_collapse(
    features: &[f64],
    labels: &[usize],
    weight: &[f64],
    classes: usize,
) -> Result<NeuralCollapse, CollapseError> {
    if classes < 2 {
        return Err(CollapseError::TooFewClasses(classes));
    }
    let width = weight.len() / classes;
    assert_eq!(
        (features.len(), weight.len()),
        (labels.len() * width, classes * width),
        "features and weight of width {width}"
    );
    let means = centred_means(features, labels, width, classes)?;
    let within = |direction: &[f64]| {
        let deviations = features.chunks_exact(width).zip(labels).map(|(row, &label)| {
            let mean = &means.of_class[label * width..(label + 1) * width];
            let along = row.iter().zip(mean).zip(direction);
            along
                .map(|((value, mean), axis)| (value - mean) * axis)
                .sum::<f64>()
        });
        deviations.map(|along| along * along).sum()
    };
    let [variability, equinorm, equiangular] =
        collapse_of_means(&means.centred, width, norm(features), labels.len(), within)?;
    let head = norm(weight);
    if head == 0.0 {
        return Err(CollapseError::NoHead);
    }
    let total = norm(&means.centred);
    let gaps = weight
        .iter()
        .zip(&means.centred)
        .map(|(w, m)| w / head - m / total);
    Ok(NeuralCollapse {
        variability,
        equinorm,
        equiangular,
        self_duality: gaps.map(|gap| gap * gap).sum(),
    })
}

/// NC1 and both of NC2 from the centred class means `[classes, width]`, the norm of all features together, the number of
/// samples, and what varies within classes along a direction v, `Σ_i ((h_i − μ_y)·v)²`.
pub(crate) fn collapse_of_means(
    centred: &[f64],
    width: usize,
    size: f64,
    samples: usize,
    within: impl Fn(&[f64]) -> f64,
) -> Result<[f64; 3], CollapseError> {
    let norms: Vec<f64> = centred.chunks_exact(width).map(norm).collect();
    if norm(centred) <= 8.0 * f64::EPSILON * size {
        return Err(CollapseError::NoMeans);
    }
    let classes = norms.len() as f64;
    let mean_norm = norms.iter().sum::<f64>() / classes;
    let variance = norms.iter().map(|norm| (norm - mean_norm).powi(2)).sum::<f64>() / classes;
    Ok([
        variability(centred, width, samples, within),
        variance.sqrt() / mean_norm,
        mean_angle_gap(centred, &norms, width),
    ])
}

struct Means {
    /// Of the classes, `[classes, width]`.
    of_class: Vec<f64>,
    /// The same minus the mean of all samples.
    centred: Vec<f64>,
}

fn centred_means(
    features: &[f64],
    labels: &[usize],
    width: usize,
    classes: usize,
) -> Result<Means, CollapseError> {
    let (mut of_class, mut counts) = (vec![0.0; classes * width], vec![0_usize; classes]);
    let mut global = vec![0.0; width];
    for (row, &label) in features.chunks_exact(width).zip(labels) {
        counts[label] += 1;
        let mean = &mut of_class[label * width..(label + 1) * width];
        for ((mean, global), value) in mean.iter_mut().zip(&mut global).zip(row) {
            *mean += value;
            *global += value / labels.len() as f64;
        }
    }
    if let Some(empty) = counts.iter().position(|&count| count == 0) {
        return Err(CollapseError::EmptyClass(empty));
    }
    for (mean, &count) in of_class.chunks_exact_mut(width).zip(&counts) {
        mean.iter_mut().for_each(|value| *value /= count as f64);
    }
    let rows = of_class.chunks_exact(width);
    let centred = rows.flat_map(|mean| mean.iter().zip(&global).map(|(mean, global)| mean - global));
    Ok(Means {
        centred: centred.collect(),
        of_class,
    })
}

/// `tr(Σ_W Σ_B⁺)/K` by the singular values of M, whose squares over K are those of `Σ_B`: no squared condition number.
fn variability(centred: &[f64], width: usize, samples: usize, within: impl Fn(&[f64]) -> f64) -> f64 {
    let classes = centred.len() / width;
    let matrix = Mat::from_fn(classes, width, |class, column| centred[class * width + column]);
    // Features so large that their means overflow have no singular values.
    let Ok(decomposed) = matrix.thin_svd() else {
        return f64::NAN;
    };
    let (sizes, directions) = (decomposed.S().column_vector(), decomposed.V());
    let held = (0..sizes.nrows()).filter(|&axis| sizes[axis] > CUTOFF.sqrt() * sizes[0]);
    let shares = held.map(|axis| {
        let direction: Vec<f64> = (0..width).map(|column| directions[(column, axis)]).collect();
        within(&direction) / sizes[axis].powi(2)
    });
    // Σ_B⁺ brings a factor K, which the definition divides away.
    shares.sum::<f64>() / samples as f64
}

/// Mean over pairs of classes of `|cos + 1/(K − 1)|`; a mean at the centre is at right angles to all.
fn mean_angle_gap(centred: &[f64], norms: &[f64], width: usize) -> f64 {
    let classes = norms.len();
    let row = |class: usize| &centred[class * width..(class + 1) * width];
    let cosine = |a: usize, b: usize| {
        let inner: f64 = row(a).iter().zip(row(b)).map(|(a, b)| a * b).sum();
        let product = norms[a] * norms[b];
        if product > 0.0 { inner / product } else { 0.0 }
    };
    let pairs = (0..classes).flat_map(|a| (0..a).map(move |b| (a, b)));
    let gaps: f64 = pairs
        .map(|(a, b)| (cosine(a, b) + 1.0 / (classes - 1) as f64).abs())
        .sum();
    gaps / (classes * (classes - 1) / 2) as f64
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// A simplex equiangular tight frame `√(K/(K − 1)) (I − 11ᵀ/K)`, `[classes, classes]`, one vector a row: unit lengths, all
/// inner products `−1/(K − 1)`.
///
/// # Panics
/// When there are fewer than two classes.
pub fn simplex_etf(classes: usize) -> Vec<f64> {
    assert!(classes >= 2, "a simplex needs at least 2 vertices, not {classes}");
    let count = classes as f64;
    let scale = (count / (count - 1.0)).sqrt();
    (0..classes * classes)
        .map(|index| {
            let own = f64::from(index / classes == index % classes);
            scale * (own - 1.0 / count)
        })
        .collect()
}

pub(super) fn quantities() -> Vec<Quantity> {
    vec![
        Quantity::new(
            "neural_collapse_metrics",
            "NC1 to NC3 of features, labels and a head: 0 under full collapse",
        )
        .input("features", "[S, D]")
        .input("labels", "[S]")
        .input("weight", "[K, D]")
        .eval(|case| {
            case.not_empty("features")?;
            case.finite("features")?;
            case.finite("weight")?;
            if case.array("features").shape[1] == 0 {
                return case.refuse_input("features", "has no columns; at least one feature is needed");
            }
            let classes = case.array("weight").shape[0];
            let labels = case.class_indices("labels", classes)?;
            let (features, weight) = (&case.array("features").data, &case.array("weight").data);
            match neural_collapse(features, &labels, weight, classes) {
                Ok(metrics) => Ok(Outputs::new()
                    .with("nc1", metrics.variability)
                    .with("nc2_equinorm", metrics.equinorm)
                    .with("nc2_equiangular", metrics.equiangular)
                    .with("nc3_self_duality", metrics.self_duality)),
                Err(problem) => {
                    let input = match problem {
                        CollapseError::TooFewClasses(_) | CollapseError::NoHead => "weight",
                        CollapseError::EmptyClass(_) => "labels",
                        CollapseError::NoMeans => "features",
                    };
                    case.refuse_input(input, problem.to_string())
                }
            }
        }),
    ]
}

#[cfg(test)]
mod tests {
    use thalweg_kernels::random::Stream;

    use super::*;

    #[test]
    fn the_frame_has_the_gram_matrix_of_a_simplex() {
        for classes in 2..9 {
            let frame = simplex_etf(classes);
            for a in 0..classes {
                for b in 0..classes {
                    let inner: f64 = (0..classes)
                        .map(|k| frame[a * classes + k] * frame[b * classes + k])
                        .sum();
                    let expected = if a == b { 1.0 } else { -1.0 / (classes - 1) as f64 };
                    assert!((inner - expected).abs() < 1e-14, "{classes}: {a}, {b}");
                }
            }
        }
    }

    #[test]
    fn full_collapse_is_zero_in_every_metric() {
        let frame = simplex_etf(4);
        let features: Vec<f64> = frame
            .iter()
            .chain(&frame)
            .map(|value| 3.0 * value + 0.5)
            .collect();
        let labels: Vec<usize> = (0..8).map(|i| i % 4).collect();
        let metrics = neural_collapse(&features, &labels, &frame, 4).unwrap();
        for metric in [
            metrics.variability,
            metrics.equinorm,
            metrics.equiangular,
            metrics.self_duality,
        ] {
            assert!(metric.abs() < 1e-14, "{metrics:?}");
        }
    }

    /// In two dimensions the pseudo-inverse is an inverse by hand.
    #[test]
    fn variability_is_the_trace_of_the_definition() {
        let mut stream = Stream::new(0, "collapse", 0);
        let features: Vec<f64> = (0..40).map(|_| stream.uniform()).collect();
        let labels: Vec<usize> = (0..20).map(|i| i % 4).collect();
        let means = centred_means(&features, &labels, 2, 4).unwrap();
        let scatter = |rows: &mut dyn Iterator<Item = [f64; 2]>, count: f64| {
            rows.fold([0.0; 3], |[a, b, c], [x, y]| {
                [a + x * x / count, b + x * y / count, c + y * y / count]
            })
        };
        let deviations = features.as_chunks::<2>().0.iter().zip(&labels);
        let mut within = deviations.map(|(row, &label)| {
            [
                row[0] - means.of_class[2 * label],
                row[1] - means.of_class[2 * label + 1],
            ]
        });
        let [wa, wb, wc] = scatter(&mut within, 20.0);
        let [ba, bb, bc] = scatter(&mut means.centred.as_chunks::<2>().0.iter().copied(), 4.0);
        let determinant = ba * bc - bb * bb;
        let expected = (wa * bc - 2.0 * wb * bb + wc * ba) / determinant / 4.0;
        let found = neural_collapse(&features, &labels, &[1.0; 8], 4)
            .unwrap()
            .variability;
        assert!((found - expected).abs() < 1e-12 * expected, "{found}, {expected}");
    }

    #[test]
    fn what_is_undefined_is_refused() {
        let features = [1.0, 0.0, 0.0, 1.0];
        let metrics =
            |labels: &[usize], weight: &[f64], classes| neural_collapse(&features, labels, weight, classes);
        assert_eq!(
            metrics(&[0, 0], &[1.0, 0.0], 1),
            Err(CollapseError::TooFewClasses(1))
        );
        assert_eq!(metrics(&[0, 0], &[1.0; 4], 2), Err(CollapseError::EmptyClass(1)));
        assert_eq!(metrics(&[0, 1], &[0.0; 4], 2), Err(CollapseError::NoHead));
        assert_eq!(
            neural_collapse(&[1.0; 4], &[0, 1], &[1.0; 4], 2),
            Err(CollapseError::NoMeans)
        );
    }
}
