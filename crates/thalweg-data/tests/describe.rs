//! Descriptions of files, usable or not.

mod common;

use common::Folder;
use thalweg_data::ReadOptions;
use thalweg_data::describe::{Values, describe};

#[test]
fn a_table_with_faults_is_described_and_its_faults_are_listed() {
    let folder = Folder::new();
    let mut text = String::from("size,colour,always,y\n");
    for row in 0..40 {
        let size = if row % 8 == 0 {
            "?".into()
        } else {
            (row % 8).to_string()
        };
        text += &format!(
            "{size},{},1,{}\n",
            if row % 4 == 0 { "red" } else { "blue" },
            u8::from(row % 5 == 0)
        );
    }
    let description = describe(&folder.write("t.csv", text), &ReadOptions::default()).unwrap();
    assert_eq!(
        (description.samples, description.target.as_deref()),
        (40, Some("y"))
    );
    assert_eq!((description.missing, description.constant_features), (5, 1));
    assert_eq!(description.imbalance_ratio, 4.0);
    assert_eq!(description.feature_shape, [4]);
    let [size, colour, _] = &description.columns[..] else {
        panic!("three columns")
    };
    let Values::Numbers { min, mean, max, .. } = size.values else {
        panic!("numbers")
    };
    assert_eq!((size.missing, min, mean, max), (5, 1.0, 4.0, 7.0));
    assert_eq!(
        (
            size.histogram.chars().count(),
            size.histogram.matches('█').count()
        ),
        (16, 7)
    );
    let categories = Values::Categories {
        distinct: 2,
        most_frequent: "blue".into(),
    };
    assert_eq!((&colour.values, colour.histogram.as_str()), (&categories, "█▃"));
    let messages: Vec<&str> = description
        .problems
        .iter()
        .map(|it| it.message.as_str())
        .collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].contains("column `always` is `1` in every row"));
    assert!(messages[1].contains("5 missing values of 40 rows"));
    let json = serde_json::to_value(&description).unwrap();
    assert_eq!(json["columns"][1]["kind"], "categories");
    assert_eq!(json["columns"][0]["min"], 1.0);
}

#[test]
fn embedded_sets_are_described_by_name() {
    let description = describe("digits".as_ref(), &ReadOptions::default()).unwrap();
    assert_eq!(description.samples, 1797);
    assert!(description.licence.unwrap().starts_with("CC BY 4.0"));
}
