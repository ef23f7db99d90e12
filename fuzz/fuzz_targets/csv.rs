//! Any bytes as a CSV file, compressed or not.
#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::read("t.csv", None, &[("t.csv", bytes)]));
