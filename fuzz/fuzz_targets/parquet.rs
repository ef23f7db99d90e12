//! Any bytes as a Parquet file.
#![no_main]

mod common;

use std::sync::Once;

static QUIET: Once = Once::new();

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // The reader turns panics of the decoder into errors; the fuzzer would abort at the first of them. Panics that
    // leave the reader still end the run.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| ())));
    common::read("t.parquet", None, &[("t.parquet", bytes)]);
});
