//! The thalweg workbench.
fn main() {}
