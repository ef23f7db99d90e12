//! Digits as forty classes: each of the ten at each of four rotations, as is the practice with Omniglot's characters.

use thalweg_data::Dataset;

const QUARTERS: usize = 4;

pub(super) fn rotated_digits() -> Dataset {
    let digits = thalweg_data::digits();
    let side = digits.feature_shape[1];
    let mut rotated = Dataset {
        name: "rotated digits".to_owned(),
        features: Vec::with_capacity(QUARTERS * digits.features.len()),
        labels: Vec::with_capacity(QUARTERS * digits.len()),
        classes: Vec::with_capacity(QUARTERS * digits.classes.len()),
        ..digits.clone()
    };
    for digit in &digits.classes {
        rotated
            .classes
            .extend((0..QUARTERS).map(|quarter| format!("{digit} at {}°", 90 * quarter)));
    }
    for (row, &label) in digits.labels.iter().enumerate() {
        let mut image = digits.row(row).to_vec();
        for quarter in 0..QUARTERS {
            rotated.features.extend_from_slice(&image);
            rotated.labels.push(label * QUARTERS as u32 + quarter as u32);
            image = quarter_turn(&image, side);
        }
    }
    rotated
}

/// A square image, turned by 90 degrees to the right.
fn quarter_turn(image: &[f32], side: usize) -> Vec<f32> {
    let places = (0..side).flat_map(|row| (0..side).map(move |column| (side - 1 - column) * side + row));
    places.map(|place| image[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_turn_by_hand() {
        assert_eq!(quarter_turn(&[1.0, 2.0, 3.0, 4.0], 2), [3.0, 1.0, 4.0, 2.0]);
    }

    #[test]
    fn every_digit_is_there_at_every_rotation() {
        let rotated = rotated_digits();
        let counts = thalweg_data::digits().class_counts();
        let expected: Vec<usize> = counts
            .iter()
            .flat_map(|&count| std::iter::repeat_n(count, QUARTERS))
            .collect();
        assert_eq!(rotated.class_counts(), expected);
        assert_eq!(rotated.features.len(), rotated.len() * rotated.width());
        let mut image = rotated.row(0).to_vec();
        for _ in 0..QUARTERS {
            image = quarter_turn(&image, 8);
        }
        assert_eq!(image, rotated.row(0));
        assert_ne!(rotated.row(0), rotated.row(1));
    }
}
