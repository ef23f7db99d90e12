//! Any bytes as NPY features beside three good labels, and as labels of three good features.
#![no_main]

mod common;

const FEATURES: &[u8] =
    b"\x93NUMPY\x01\0\x37\0{'descr':'|u1','fortran_order':False,'shape':(3,2)}   \n\x01\x02\x03\x04\x05\x06";
const LABELS: &[u8] = b"\x93NUMPY\x01\0\x37\0{'descr':'|u1','fortran_order':False,'shape':(3,)}    \n\0\x01\x01";

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    common::read("x.npy", Some("y.npy"), &[("x.npy", bytes), ("y.npy", LABELS)]);
    common::read("x.npy", Some("y.npy"), &[("x.npy", FEATURES), ("y.npy", bytes)]);
});
