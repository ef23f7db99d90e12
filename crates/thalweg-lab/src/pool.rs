//! Many trials over few cores: one thread a trial, finished ones kept at once, so that nothing finished is ever lost.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use thalweg_data::Dataset;

use crate::LabError;
use crate::store::{RunId, Store, TrialKey};
use crate::trial::{self, Outcome, TrialSpec};

/// Where finished trials are kept, and whether those of earlier runs count.
pub struct Ledger {
    /// The run store.
    pub store: Store,
    /// This run's number in it.
    pub run: RunId,
    /// Which trials need not be run again.
    pub reuse: Reuse,
}

/// Which finished trials of the store are taken as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// None: everything is run anew.
    None,
    /// All, whichever run made them.
    Finished,
}

/// How trials are run, and who watches.
pub struct Pool<'a> {
    /// Trials at once, each on one thread.
    pub jobs: usize,
    /// Where they are kept, if anywhere.
    pub ledger: Option<&'a Ledger>,
    /// Set from outside to stop between epochs.
    pub interrupted: &'a AtomicBool,
    /// Told of every trial that is done, as it is done.
    pub on_done: &'a (dyn Fn(&TrialSpec, &Outcome) + Sync),
}

impl Pool<'_> {
    /// Runs `specs` and returns their outcomes in order. Results do not depend on the number of jobs.
    ///
    /// # Errors
    /// The first failure, or [`LabError::Interrupted`].
    pub fn run(&self, dataset: &Arc<Dataset>, specs: &[TrialSpec]) -> Result<Vec<Outcome>, LabError> {
        let outcomes: Vec<Mutex<Option<Outcome>>> = specs.iter().map(|_| Mutex::new(None)).collect();
        let failure: Mutex<Option<LabError>> = Mutex::new(None);
        let next = AtomicUsize::new(0);
        let work = || {
            let _alone = alone();
            while failure.lock().expect("no panic holds it").is_none() {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(spec) = specs.get(index) else { break };
                match self.one(dataset, spec) {
                    Ok(Some(outcome)) => {
                        (self.on_done)(spec, &outcome);
                        *outcomes[index].lock().expect("no panic holds it") = Some(outcome);
                    }
                    Ok(None) => break,
                    Err(error) => *failure.lock().expect("no panic holds it") = Some(error),
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.clamp(1, specs.len().max(1)) {
                scope.spawn(work);
            }
        });
        if let Some(error) = failure.into_inner().expect("no panic holds it") {
            return Err(error);
        }
        let finished: Vec<_> = outcomes
            .into_iter()
            .map(|outcome| outcome.into_inner().expect("no panic holds it"))
            .collect();
        finished
            .into_iter()
            .collect::<Option<_>>()
            .ok_or(LabError::Interrupted)
    }

    /// `work(0)` to `work(count − 1)`, in order, as many at once as trials, each on one thread: work that is no trial.
    ///
    /// # Errors
    /// [`LabError::Interrupted`].
    pub fn map<T: Send>(&self, count: usize, work: impl Fn(usize) -> T + Sync) -> Result<Vec<T>, LabError> {
        let done: Vec<Mutex<Option<T>>> = (0..count).map(|_| Mutex::new(None)).collect();
        let next = AtomicUsize::new(0);
        let worker = || {
            let _alone = alone();
            while !self.interrupted.load(Ordering::Relaxed) {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(slot) = done.get(index) else { break };
                *slot.lock().expect("no panic holds it") = Some(work(index));
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.clamp(1, count.max(1)) {
                scope.spawn(worker);
            }
        });
        let done = done
            .into_iter()
            .map(|slot| slot.into_inner().expect("no panic holds it"));
        done.collect::<Option<_>>().ok_or(LabError::Interrupted)
    }

    fn one(&self, dataset: &Arc<Dataset>, spec: &TrialSpec) -> Result<Option<Outcome>, LabError> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let Some(ledger) = self.ledger else {
            return guarded(dataset, spec, self.interrupted);
        };
        let key = TrialKey::of(spec).map_err(crate::store::StoreError::from)?;
        if ledger.reuse == Reuse::Finished
            && let Some(outcome) = ledger.store.trial(&key)?
        {
            ledger.store.reuse_trial(ledger.run, &key)?;
            return Ok(Some(outcome));
        }
        let outcome = guarded(dataset, spec, self.interrupted)?;
        if let Some(outcome) = &outcome {
            ledger.store.record_trial(ledger.run, &key, spec, outcome)?;
        }
        Ok(outcome)
    }
}

/// burn and gemm ask rayon how many threads they may use: while this lives, the current one.
fn alone() -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread()
        .build()
        .expect("a pool of the current thread needs no other")
}

/// A trial whose panic becomes an error that names it.
fn guarded(
    dataset: &Arc<Dataset>,
    spec: &TrialSpec,
    interrupted: &AtomicBool,
) -> Result<Option<Outcome>, LabError> {
    catch_unwind(AssertUnwindSafe(|| trial::run(spec, dataset, interrupted))).unwrap_or_else(|panic| {
        Err(LabError::Panicked {
            objective: spec.objective.clone(),
            message: message(&*panic),
        })
    })
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
