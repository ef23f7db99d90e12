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
        self.each(specs, |spec| {
            let outcome = self.one(dataset, spec)?;
            if let Some(outcome) = &outcome {
                (self.on_done)(spec, outcome);
            }
            Ok(outcome)
        })
    }

    /// Works through `items`, each on one thread, and returns the results in order; none of an item stops the whole.
    ///
    /// # Errors
    /// The first failure, or [`LabError::Interrupted`].
    pub fn each<T: Sync, R: Send>(
        &self,
        items: &[T],
        one: impl Fn(&T) -> Result<Option<R>, LabError> + Sync,
    ) -> Result<Vec<R>, LabError> {
        let results: Vec<Mutex<Option<R>>> = items.iter().map(|_| Mutex::new(None)).collect();
        let failure: Mutex<Option<LabError>> = Mutex::new(None);
        let next = AtomicUsize::new(0);
        let work = || {
            // burn and gemm ask rayon how many threads they may use: here, this one.
            let alone = rayon::ThreadPoolBuilder::new()
                .num_threads(1)
                .use_current_thread()
                .build();
            let _alone = alone.expect("a pool of the current thread needs no other");
            while failure.lock().expect("no panic holds it").is_none() {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(index) else { break };
                match one(item) {
                    Ok(Some(result)) => *results[index].lock().expect("no panic holds it") = Some(result),
                    Ok(None) => break,
                    Err(error) => *failure.lock().expect("no panic holds it") = Some(error),
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.clamp(1, items.len().max(1)) {
                scope.spawn(work);
            }
        });
        if let Some(error) = failure.into_inner().expect("no panic holds it") {
            return Err(error);
        }
        let finished: Vec<_> = results
            .into_iter()
            .map(|result| result.into_inner().expect("no panic holds it"))
            .collect();
        finished
            .into_iter()
            .collect::<Option<_>>()
            .ok_or(LabError::Interrupted)
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
