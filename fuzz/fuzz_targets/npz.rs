//! Any bytes as an NPZ archive.
#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| common::read("t.npz", None, &[("t.npz", bytes)]));
