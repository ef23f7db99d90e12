//! thalweg-data
