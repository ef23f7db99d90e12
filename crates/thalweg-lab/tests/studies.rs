//! Every study's whole path, in seconds and without a verdict.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use thalweg_lab::pool::Pool;
use thalweg_lab::studies;
use thalweg_lab::study::Scale;

#[test]
fn every_study_runs_quickly_and_withholds_its_verdict() {
    for study in studies::all() {
        let (interrupted, steps) = (AtomicBool::new(false), AtomicUsize::new(0));
        let advance = |by: usize| {
            steps.fetch_add(by, Ordering::Relaxed);
        };
        let on_done = |_: &_, _: &_| advance(1);
        let pool = Pool {
            jobs: 2,
            ledger: None,
            interrupted: &interrupted,
            on_done: &on_done,
        };
        let findings = (study.run)(&Scale::Quick, &pool, &advance).unwrap();
        assert_eq!(steps.into_inner(), (study.steps)(&Scale::Quick), "{}", study.slug);
        assert!(findings.verdict.is_none() && findings.claims.iter().all(|claim| claim.verdict.is_none()));
        assert!(!findings.claims.is_empty());
        for table in &findings.tables {
            assert!(!table.rows.is_empty() && table.rows.iter().all(|row| row.len() == table.columns.len()));
        }
    }
}
