//! CSV and TSV files: what is understood, and what is said about the rest.

mod common;

use common::{Folder, gzip, message, open_as};
use thalweg_data::{DataError, Dataset, Impute, ReadOptions, Useless};

fn read(text: impl AsRef<[u8]>) -> Result<Dataset, DataError> {
    open_as("t.csv", text, &ReadOptions::default())
}

fn imputing(impute: Impute) -> ReadOptions {
    ReadOptions {
        impute: Some(impute),
        ..ReadOptions::default()
    }
}

const PLAIN: &str = "size,weight,label\n1.5,-2,cat\n2.5,1e3,dog\n0,4,cat\n";

#[test]
fn a_plain_table_becomes_features_and_classes() {
    let set = read(PLAIN).unwrap();
    assert_eq!(set.name, "t");
    assert_eq!(set.features, [1.5, -2.0, 2.5, 1000.0, 0.0, 4.0]);
    assert_eq!(set.labels, [0, 1, 0]);
    assert_eq!(set.classes, ["cat", "dog"]);
    assert_eq!(set.feature_names, ["size", "weight"]);
    assert_eq!(
        (set.feature_shape.clone(), set.row(1)),
        (vec![2], &[2.5, 1000.0][..])
    );
}

#[test]
fn delimiters_line_ends_byte_order_marks_and_compression_do_not_matter() {
    let plain = read(PLAIN).unwrap();
    for delimiter in ["\t", ";", "|"] {
        assert_eq!(
            read(PLAIN.replace(',', delimiter)).unwrap(),
            plain,
            "{delimiter:?}"
        );
    }
    assert_eq!(read(PLAIN.replace('\n', "\r\n")).unwrap(), plain);
    assert_eq!(read(PLAIN.trim_end()).unwrap(), plain);
    assert_eq!(read(PLAIN.replace(',', " , ")).unwrap(), plain);
    assert_eq!(read(format!("\u{feff}{PLAIN}")).unwrap(), plain);
    assert_eq!(
        open_as("t.csv.gz", gzip(PLAIN.as_bytes()), &ReadOptions::default()).unwrap(),
        plain
    );
    assert_eq!(
        open_as("t.tsv", PLAIN.replace(',', "\t"), &ReadOptions::default()).unwrap(),
        plain
    );
}

#[test]
fn quotes_protect_delimiters_quotes_and_line_ends() {
    let set = read("\"a, or b\",class\n1,\"x,\"\"y\"\"\"\n2,\"two\nlines\"\n3,\"x,\"\"y\"\"\"\n").unwrap();
    assert_eq!(set.feature_names, ["a, or b"]);
    assert_eq!(set.classes, ["two\nlines", "x,\"y\""]);
}

#[test]
fn headers_are_told_from_data() {
    assert_eq!(
        read("1,2,a\n2,1,b\n4,4,a\n").unwrap().feature_names,
        ["column 1", "column 2"]
    );
    let unnamed = read("?,2,a\n2,1,b\n4,4,a\n");
    assert_eq!(
        message(unnamed),
        "t.csv: 1 missing value of 3 rows: 1 in `column 1`"
    );
    // Columns numbered by a library that knows no names.
    assert_eq!(
        read("0,1,2,target\n5,5,1,a\n5,7,9,b\n6,2,8,a\n").unwrap().len(),
        3
    );
    assert_eq!(
        read("0,1,0,3,a\n5,5,1,4,a\n5,7,9,5,b\n6,2,8,1,a\n")
            .unwrap()
            .len(),
        4
    );
    // Texts only: values that come again are data.
    assert_eq!(read("p,x\ne,y\np,x\ne,y\np,y\n").unwrap().len(), 5);
    assert_eq!(read("cap,edible\np,x\ne,y\np,x\ne,y\n").unwrap().len(), 4);
}

#[test]
fn categories_are_one_hot_in_order() {
    let set = read("colour,size,y\nred,1,0\nblue,2,1\nred,5,1\ngreen,3,0\n").unwrap();
    assert_eq!(
        set.feature_names,
        ["colour=blue", "colour=green", "colour=red", "size"]
    );
    assert_eq!(set.features[..8], [0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 2.0]);
}

#[test]
fn classes_that_are_numbers_come_in_numeric_order() {
    let set = read("x,y\n1,10\n2,9\n5,10\n3,-1\n").unwrap();
    assert_eq!(set.classes, ["-1", "9", "10"]);
    assert_eq!(set.labels, [2, 1, 2, 0]);
}

#[test]
fn a_column_that_turns_out_otherwise_late_is_read_again() {
    // The sample of the first rows shows numbers only.
    let mut text = String::from("code,x,y\n");
    for row in 0..4000 {
        let code = if row < 1500 {
            (row % 3).to_string()
        } else {
            format!("A{}", row % 2)
        };
        text += &format!("{code},{},{}\n", row * row % 17, row % 2);
    }
    let set = read(text).unwrap();
    assert_eq!(
        set.feature_names,
        ["code=0", "code=1", "code=2", "code=A0", "code=A1", "x"]
    );
    assert_eq!(set.row(4)[..5], [0.0, 1.0, 0.0, 0.0, 0.0]);
    assert_eq!(set.row(3999)[..5], [0.0, 0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn missing_values_are_counted_by_column_and_filled_on_request() {
    let text = "a,b,c,y\n1,x,?,0\nNA,,2,1\n3,x,4,0\nnan,y,6,1\nnull,x,6,1\n";
    assert_eq!(
        message(read(text)),
        "t.csv: 5 missing values of 5 rows: 3 in `a`, 1 in `b`, 1 in `c`"
    );
    assert!(read(text).unwrap_err().help().unwrap().contains("--impute mean"));
    let set = open_as("t.csv", text, &imputing(Impute::Mean)).unwrap();
    assert_eq!(set.feature_names, ["a", "b=x", "b=y", "c"]);
    assert_eq!(set.row(1), [2.0, 1.0, 0.0, 2.0]);
    assert_eq!(set.row(0)[3], 4.5);
    let set = open_as("t.csv", text, &imputing(Impute::Median)).unwrap();
    assert_eq!(set.row(0)[3], 5.0);
}

#[test]
fn rows_without_a_class_are_an_error_even_when_imputing() {
    let result = open_as("t.csv", "a,y\n1,0\n2,\n3,?\n4,1\n", &imputing(Impute::Mean));
    assert_eq!(
        message(result),
        "t.csv, line 3, column `y`: the class is missing, here and in 1 more row"
    );
}

#[test]
fn the_target_and_dropped_columns_are_chosen() {
    let text = "kind,a,b\nx,1,2\ny,2,2\nx,3,2\n";
    let options = |target: &str, drop: &[&str]| ReadOptions {
        target: Some(target.into()),
        drop: drop.iter().map(|&name| name.into()).collect(),
        ..ReadOptions::default()
    };
    let set = open_as("t.csv", text, &options("kind", &["b"])).unwrap();
    assert_eq!(
        (set.classes, set.feature_names),
        (vec!["x".into(), "y".into()], vec!["a".to_owned()])
    );
    assert_eq!(
        message(open_as("t.csv", text, &options("sort", &[]))),
        "t.csv: there is no column `sort`; the columns are `kind`, `a`, `b`"
    );
    assert_eq!(
        message(read("label,a,y\n1,2,3\n2,3,4\n")),
        "t.csv: any of `label`, `y` could be the target column"
    );
}

#[test]
fn damage_is_named_with_its_place() {
    let cases: [(&[u8], &str); 9] = [
        (b"", "t.csv: the file is empty"),
        (b" \n\n", "t.csv: the file is empty"),
        (b"a,b,y\n", "t.csv: there are no rows below the header"),
        (b"a,b,a\n1,2,3\n", "t.csv: columns 1 and 3 are both called `a`"),
        (
            b"a,y\n1,0\n2,1,9\n",
            "t.csv, line 3: 3 fields where the first row has 2",
        ),
        (
            b"a,y\n1,0\n\n2\n",
            "t.csv, line 4: 1 field where the first row has 2",
        ),
        (
            b"a,y\n1,x\n2,caf\xe9\n",
            "t.csv, line 3, byte 6: not UTF-8 text (found byte 0xE9)",
        ),
        (
            b"\xff\xfea\0,\0y\0\n\0",
            "t.csv, line 1, byte 1: not UTF-8 text (found byte 0xFF)",
        ),
        (
            b"a\n1\n2\n",
            "t.csv: only one column (`a`), and a target needs at least one other to be told from",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(message(read(text)), expected);
    }
}

#[test]
fn lines_are_counted_whatever_ends_them() {
    for end in ["\n", "\r\n"] {
        let text = ["\u{feff}a,y", "1,0", "", "\"2", "\",1", "", "3"].join(end);
        assert_eq!(
            message(read(&text)),
            "t.csv, line 7: 1 field where the first row has 2"
        );
        let text = ["\u{feff}a,y", "1,0", "", "\"2", "\",1", "", "3,"].join(end);
        assert_eq!(
            message(read(&text)),
            "t.csv, line 7, column `y`: the class is missing"
        );
    }
}

#[test]
fn a_slip_among_numbers_is_no_category() {
    let mut text = String::from("size,y\n");
    for row in 0..40 {
        text += &format!(
            "{},{}\n",
            if row == 17 {
                "1O".into()
            } else {
                (row % 7).to_string()
            },
            row % 2
        );
    }
    assert_eq!(
        message(read(&text)),
        "t.csv, line 19, column `size`: `1O` is not a number, as 39 other values of the column are"
    );
    for infinite in ["inf", "1e99"] {
        let result = read(text.replace("1O", infinite));
        let expected = format!("t.csv, line 19, column `size`: `{infinite}` is not a finite 32-bit number");
        assert_eq!(message(result), expected);
    }
}

#[test]
fn columns_that_are_no_features_are_named_together() {
    let mut text = String::from("Id,name,x,nothing,always,kind\n");
    for row in 0..30 {
        text += &format!("{},n{row},{},,7,{}\n", row + 100, row * row % 13, row % 3);
    }
    let error = read(&text).unwrap_err();
    let DataError::UselessColumns { columns, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(
        columns[..],
        [
            ("Id".into(), Useless::RowNumbers),
            (
                "name".into(),
                Useless::Identifier {
                    distinct: 30,
                    rows: 30
                }
            ),
            ("nothing".into(), Useless::NoValues),
            ("always".into(), Useless::Constant("7".into())),
        ]
    );
    assert!(error.to_string().ends_with("column `always` is `7` in every row"));
    let help = error.help().unwrap();
    assert!(help.contains("--drop Id,name,nothing,always"), "{help}");
    let drop = ["Id", "name", "nothing", "5"].map(str::to_owned).to_vec();
    let set = open_as(
        "t.csv",
        &text,
        &ReadOptions {
            drop,
            ..ReadOptions::default()
        },
    )
    .unwrap();
    assert_eq!(set.feature_names, ["x"]);
}

#[test]
fn one_class_or_far_too_many_are_refused() {
    assert_eq!(
        message(read("a,y\n1,0\n2,0\n")),
        "t.csv: every sample is of the one class `0`"
    );
    let quantity: String = (0..50).map(|row| format!("{},{}.5\n", row % 7, row)).collect();
    assert_eq!(
        message(read(format!("a,price\n{quantity}"))),
        "t.csv: the target `price` has 50 different values in 50 rows: not classes"
    );
}

#[test]
fn the_memory_limit_holds() {
    let rows: String = (0..1000)
        .map(|row| format!("{},{},{}\n", row % 7, row % 5, row % 2))
        .collect();
    let limited = |memory_limit| ReadOptions {
        memory_limit,
        ..ReadOptions::default()
    };
    assert!(open_as("t.csv", &rows, &limited(12_000)).is_ok());
    assert_eq!(
        message(open_as("t.csv", &rows, &limited(11_999))),
        "t.csv: needs 11.8 KiB of memory, and 11.8 KiB are allowed"
    );
    // Much too large is refused before it is read through.
    let result = open_as("t.csv", rows.repeat(1000), &limited(100_000));
    assert!(
        matches!(
            result,
            Err(DataError::TooLarge {
                needed: 11_000_000..13_000_000,
                ..
            })
        ),
        "{result:?}"
    );
    // Categories count once they are columns.
    let rows: String = (0..1000)
        .map(|row| format!("c{},{}\n", row % 100, row % 2))
        .collect();
    let result = open_as("t.csv", rows, &limited(100_000));
    assert!(
        matches!(
            result,
            Err(DataError::TooLarge {
                needed: 400_000..=410_000,
                ..
            })
        ),
        "{result:?}"
    );
}

#[test]
fn a_quote_left_open_does_not_swallow_the_memory() {
    let text = format!("a,y\n1,0\n\"2,1\n{}", "3,1\n".repeat(5 << 20));
    let error = read(&text).unwrap_err();
    assert!(
        matches!(&error, DataError::LongRow { place, .. } if place.line == Some(3)),
        "{error}"
    );
}

#[test]
fn what_is_no_text_is_refused() {
    assert_eq!(
        message(read(b"\x7fELF\0\0\0\x01")),
        "t.csv: bytes of an unknown kind, not a data set"
    );
    let missing = thalweg_data::open("no/such/file.csv".as_ref(), &ReadOptions::default()).unwrap_err();
    assert!(missing.to_string().starts_with("no/such/file.csv: "));
    assert!(missing.help().unwrap().contains("`digits`"));
    let folder = Folder::new();
    assert!(message(thalweg_data::open(folder.path(), &ReadOptions::default())).contains("a folder without"));
}
