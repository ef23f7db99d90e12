//! Any bytes as IDX images beside three good labels, and as labels of three good images.
#![no_main]

mod common;

const IMAGES: &[u8] = &[0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6];
const LABELS: &[u8] = &[0, 0, 8, 1, 0, 0, 0, 3, 0, 1, 1];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    common::read("images", Some("labels"), &[("images", bytes), ("labels", LABELS)]);
    common::read("images", Some("labels"), &[("images", IMAGES), ("labels", bytes)]);
});
