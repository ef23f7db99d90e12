//! Small synthetic sets of which the difficulty is known, for tests and studies. Classes come in turn: sample `i` is of
//! class `i` modulo the number of classes.

use std::f64::consts::PI;

use thalweg_kernels::random::Stream;

use crate::dataset::Dataset;

/// Clouds of normally distributed points with standard deviation `deviation` in each direction, around centres that
/// are standard normal themselves.
///
/// # Panics
/// When `classes` or `width` is 0.
pub fn gaussian_blobs(samples: usize, classes: usize, width: usize, deviation: f32, seed: u64) -> Dataset {
    assert!(classes > 0 && width > 0, "blobs need a class and a dimension");
    let mut centres = vec![0.0; classes * width];
    Stream::new(seed, "centres of blobs", 0).fill_normal(&mut centres);
    let mut features = vec![0.0; samples * width];
    Stream::new(seed, "points of blobs", 0).fill_normal(&mut features);
    for (index, point) in features.chunks_exact_mut(width).enumerate() {
        let centre = &centres[index % classes * width..][..width];
        for (value, centre) in point.iter_mut().zip(centre) {
            *value = centre + deviation * *value;
        }
    }
    dataset("blobs", features, width, classes)
}

/// Two interleaved half circles of radius 1 in the plane, points moved by normal noise of standard deviation
/// `deviation`.
pub fn two_moons(samples: usize, deviation: f32, seed: u64) -> Dataset {
    let curve = |class: usize, at: f64| {
        let (sin, cos) = (PI * at).sin_cos();
        if class == 0 {
            [cos, sin]
        } else {
            [1.0 - cos, 0.5 - sin]
        }
    };
    along_curves("two moons", samples, 2, deviation, seed, curve)
}

/// Arms of a spiral in the plane that turn once and a half while their radius grows from 0.1 to 1, points moved by
/// normal noise of standard deviation `deviation`.
///
/// # Panics
/// When `classes` is 0.
pub fn spirals(samples: usize, classes: usize, deviation: f32, seed: u64) -> Dataset {
    assert!(classes > 0, "spirals need a class");
    let curve = |class: usize, at: f64| {
        let radius = 0.1 + 0.9 * at;
        let (sin, cos) = (3.0 * PI * at + 2.0 * PI * class as f64 / classes as f64).sin_cos();
        [radius * cos, radius * sin]
    };
    along_curves("spirals", samples, classes, deviation, seed, curve)
}

fn along_curves(
    name: &str,
    samples: usize,
    classes: usize,
    deviation: f32,
    seed: u64,
    curve: impl Fn(usize, f64) -> [f64; 2],
) -> Dataset {
    let mut stream = Stream::new(seed, name, 0);
    let mut features = vec![0.0; 2 * samples];
    stream.fill_normal(&mut features);
    for (index, point) in features.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let [x, y] = curve(index % classes, stream.uniform());
        *point = [x as f32 + deviation * point[0], y as f32 + deviation * point[1]];
    }
    dataset(name, features, 2, classes)
}

fn dataset(name: &str, features: Vec<f32>, width: usize, classes: usize) -> Dataset {
    let samples = features.len() / width;
    Dataset {
        name: name.into(),
        features,
        labels: (0..samples).map(|index| (index % classes) as u32).collect(),
        classes: (0..classes).map(|class| class.to_string()).collect(),
        feature_names: (1..=width).map(|number| format!("x{number}")).collect(),
        feature_shape: vec![width],
        published_test: None,
        numbers: None,
        bags: None,
        licence: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_have_the_deviation_asked_for() {
        let set = gaussian_blobs(6000, 3, 4, 0.5, 2);
        assert_eq!(set.class_counts(), [2000; 3]);
        let of_class: Vec<f64> = (0..2000).map(|index| f64::from(set.row(3 * index)[1])).collect();
        let mean = of_class.iter().sum::<f64>() / 2000.0;
        let variance = of_class.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 2000.0;
        assert!((variance.sqrt() - 0.5).abs() < 0.03, "{variance}");
        assert_eq!(set, gaussian_blobs(6000, 3, 4, 0.5, 2));
        assert_ne!(set.features, gaussian_blobs(6000, 3, 4, 0.5, 3).features);
    }

    #[test]
    fn without_noise_points_lie_on_their_curves() {
        let moons = two_moons(400, 0.0, 1);
        for index in 0..moons.len() {
            let (x, y) = (moons.row(index)[0], moons.row(index)[1]);
            let (x, y) = if moons.labels[index] == 0 {
                (x, y)
            } else {
                (x - 1.0, y - 0.5)
            };
            assert!((x.hypot(y) - 1.0).abs() < 1e-5);
        }
        let spirals = spirals(300, 3, 0.0, 1);
        assert_eq!(spirals.classes.len(), 3);
        assert!(
            spirals
                .features
                .as_chunks()
                .0
                .iter()
                .all(|[x, y]| (0.0999..1.0001).contains(&x.hypot(*y)))
        );
    }
}
