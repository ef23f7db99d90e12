//! Data sets that come with the library.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::dataset::{Dataset, Numbers};

/// A data set that comes with the library.
#[derive(Clone, Copy, Debug)]
pub struct Embedded {
    /// The name under which [`open`](crate::open) finds it.
    pub name: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// Licence and source.
    pub licence: &'static str,
    /// Loads it.
    pub load: fn() -> Dataset,
}

const SETS: [Embedded; 3] = [DIGITS, BREAST_CANCER, DIABETES];

const DIGITS: Embedded = Embedded {
    name: "digits",
    summary: "1797 handwritten digits, images of 8 x 8 pixels, 10 classes",
    licence: "CC BY 4.0; E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (test part), \
              UCI Machine Learning Repository, doi:10.24432/C50P49",
    load: digits,
};

const BREAST_CANCER: Embedded = Embedded {
    name: "breast_cancer",
    summary: "569 tumours, 30 features of cell nuclei, malignant or benign",
    licence: "CC BY 4.0; W. Wolberg, O. Mangasarian, N. Street, W. Street, Breast Cancer Wisconsin (Diagnostic), UCI \
              Machine Learning Repository, doi:10.24432/C5DW2B",
    load: breast_cancer,
};

const DIABETES: Embedded = Embedded {
    name: "diabetes",
    summary: "442 patients, 10 measurements, progression of the disease a year later, a number",
    licence: "public; B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, Least Angle Regression, Annals of Statistics 2004",
    load: diabetes,
};

const SIDE: usize = 8;

/// All embedded data sets.
pub fn list() -> &'static [Embedded] {
    &SETS
}

/// The embedded data set called `name`.
pub fn find(name: &str) -> Option<&'static Embedded> {
    SETS.iter().find(|set| set.name == name)
}

/// The test part of the UCI optical digits: 1797 images of 8 x 8 pixels, brightness scaled from 0..=16 to `[0, 1]`.
pub fn digits() -> Dataset {
    const SAMPLE: usize = SIDE * SIDE + 1;
    let mut bytes = Vec::new();
    GzDecoder::new(&include_bytes!("../data/digits.gz")[..])
        .read_to_end(&mut bytes)
        .expect("the embedded file is intact");
    let samples = bytes.as_chunks::<SAMPLE>().0;
    Dataset {
        name: "digits".into(),
        features: samples
            .iter()
            .flat_map(|sample| &sample[..SAMPLE - 1])
            .map(|&pixel| f32::from(pixel) / 16.0)
            .collect(),
        labels: samples
            .iter()
            .map(|sample| u32::from(sample[SAMPLE - 1]))
            .collect(),
        classes: (0..10).map(|digit: u32| digit.to_string()).collect(),
        feature_names: (0..SIDE * SIDE)
            .map(|pixel| format!("pixel {},{}", pixel / SIDE + 1, pixel % SIDE + 1))
            .collect(),
        feature_shape: vec![1, SIDE, SIDE],
        published_test: None,
        numbers: None,
        bags: None,
        licence: Some(DIGITS.licence.into()),
    }
}

/// The diagnostic Wisconsin breast cancer data: 569 tumours, 30 features, malignant or benign.
pub fn breast_cancer() -> Dataset {
    let Table { names, rows } = table(include_bytes!("../data/breast_cancer.csv.gz"));
    let classes: Vec<String> = vec!["benign".into(), "malignant".into()];
    let labels = rows
        .iter()
        .map(|(_, diagnosis)| u32::from(*diagnosis == classes[1]))
        .collect();
    Dataset {
        name: BREAST_CANCER.name.into(),
        features: rows.into_iter().flat_map(|(features, _)| features).collect(),
        labels,
        classes,
        feature_shape: vec![names.len()],
        feature_names: names,
        published_test: None,
        numbers: None,
        bags: None,
        licence: Some(BREAST_CANCER.licence.into()),
    }
}

/// The diabetes data of Efron and others: 442 patients, 10 measurements, a number to predict.
pub fn diabetes() -> Dataset {
    let Table { names, rows } = table(include_bytes!("../data/diabetes.csv.gz"));
    let values = rows
        .iter()
        .map(|(_, progression)| progression.parse().expect("the embedded file is intact"))
        .collect();
    Dataset {
        name: DIABETES.name.into(),
        labels: vec![0; rows.len()],
        features: rows.into_iter().flat_map(|(features, _)| features).collect(),
        classes: Vec::new(),
        feature_shape: vec![names.len()],
        feature_names: names,
        published_test: None,
        numbers: Some(Numbers {
            name: "progression".into(),
            values,
        }),
        bags: None,
        licence: Some(DIABETES.licence.into()),
    }
}

/// An embedded CSV file: the names of its features, and of each row these and the target.
struct Table {
    names: Vec<String>,
    rows: Vec<(Vec<f32>, String)>,
}

fn table(compressed: &[u8]) -> Table {
    let mut reader = ::csv::Reader::from_reader(GzDecoder::new(compressed));
    let mut names: Vec<String> = reader
        .headers()
        .expect("the embedded file is intact")
        .iter()
        .map(str::to_owned)
        .collect();
    names.pop();
    let rows = reader.records().map(|record| {
        let record = record.expect("the embedded file is intact");
        let number = |text: &str| text.parse::<f32>().expect("the embedded file is intact");
        let features = record.iter().take(names.len()).map(number).collect();
        (features, record[names.len()].to_owned())
    });
    let rows = rows.collect();
    Table { names, rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_are_those_published() {
        let digits = digits();
        assert_eq!(digits.len(), 1797);
        assert_eq!(digits.features.len(), digits.len() * digits.width());
        assert_eq!(
            digits.class_counts(),
            [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
        );
        // The mean pixel of the published file is 4.8841647 of 16.
        let mean = digits.features.iter().map(|&pixel| f64::from(pixel)).sum::<f64>() / (1797.0 * 64.0);
        assert!(
            (mean * 16.0 - 4.884_164_579_855_3).abs() < 1e-9,
            "{}",
            mean * 16.0
        );
        let first: Vec<f32> = digits.row(0)[..8].iter().map(|pixel| pixel * 16.0).collect();
        assert_eq!(
            (first, digits.labels[0]),
            (vec![0.0, 0.0, 5.0, 13.0, 9.0, 1.0, 0.0, 0.0], 0)
        );
        assert_eq!(digits.fingerprint().len(), 32);
    }

    #[test]
    fn the_tables_are_those_published() {
        let tumours = breast_cancer();
        assert_eq!((tumours.len(), tumours.width()), (569, 30));
        assert_eq!(tumours.class_counts(), [357, 212]);
        assert_eq!(tumours.row(0)[..2], [17.99, 10.38]);
        let patients = diabetes();
        assert_eq!((patients.len(), patients.width()), (442, 10));
        let values = patients.numbers.unwrap().values;
        let mean = values.iter().sum::<f64>() / 442.0;
        assert!((mean - 152.133_484_162_895_93).abs() < 1e-9, "{mean}");
    }
}
