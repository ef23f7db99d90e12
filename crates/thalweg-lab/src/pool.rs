//! Many trials over few cores: one thread a trial, finished ones kept at once, so that nothing finished is ever lost.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::LabError;
use crate::store::{RunId, Store, TrialKey};
use crate::trial::{Outcome, Source, Trial};

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
    /// Told of every trial that is done, as it is done, and of its objective.
    pub on_done: &'a (dyn Fn(&str, &Outcome) + Sync),
}

impl Pool<'_> {
    /// Runs `trials` and returns their outcomes in order. Results do not depend on the number of jobs.
    ///
    /// # Errors
    /// The first failure, or [`LabError::Interrupted`].
    pub fn run<'a>(
        &self,
        source: impl Into<Source<'a>>,
        trials: &[impl Trial],
    ) -> Result<Vec<Outcome>, LabError> {
        let source = source.into();
        self.try_map(trials.len(), |index| self.one(source, &trials[index]))
    }

    /// As [`run`](Self::run), each trial on a source of its own.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_each(&self, trials: &[(Source, impl Trial)]) -> Result<Vec<Outcome>, LabError> {
        self.try_map(trials.len(), |index| {
            let (source, trial) = &trials[index];
            self.one(*source, trial)
        })
    }

    /// The results of `work` on `0..count` in order, each on one thread. Work that returns none was interrupted.
    ///
    /// # Errors
    /// The first failure, or [`LabError::Interrupted`].
    pub fn try_map<T: Send>(
        &self,
        count: usize,
        work: impl Fn(usize) -> Result<Option<T>, LabError> + Sync,
    ) -> Result<Vec<T>, LabError> {
        let results: Vec<Mutex<Option<T>>> = (0..count).map(|_| Mutex::new(None)).collect();
        let failure: Mutex<Option<LabError>> = Mutex::new(None);
        let next = AtomicUsize::new(0);
        let worker = || {
            let _alone = alone();
            while failure.lock().expect("no panic holds it").is_none() {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(result) = results.get(index) else { break };
                match work(index) {
                    Ok(Some(value)) => *result.lock().expect("no panic holds it") = Some(value),
                    Ok(None) => break,
                    Err(error) => *failure.lock().expect("no panic holds it") = Some(error),
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.clamp(1, count.max(1)) {
                scope.spawn(worker);
            }
        });
        if let Some(error) = failure.into_inner().expect("no panic holds it") {
            return Err(error);
        }
        let finished = results
            .into_iter()
            .map(|result| result.into_inner().expect("no panic holds it"));
        finished.collect::<Option<_>>().ok_or(LabError::Interrupted)
    }

    /// The same of work that is no trial and does not fail; it is not begun once interrupted.
    ///
    /// # Errors
    /// [`LabError::Interrupted`].
    pub fn map<T: Send>(&self, count: usize, work: impl Fn(usize) -> T + Sync) -> Result<Vec<T>, LabError> {
        let unless_interrupted = |index| Ok((!self.interrupted.load(Ordering::Relaxed)).then(|| work(index)));
        self.try_map(count, unless_interrupted)
    }

    fn one(&self, source: Source, trial: &impl Trial) -> Result<Option<Outcome>, LabError> {
        let outcome = self.found_or_run(source, trial)?;
        if let Some(outcome) = &outcome {
            (self.on_done)(trial.objective(), outcome);
        }
        Ok(outcome)
    }

    fn found_or_run(&self, source: Source, trial: &impl Trial) -> Result<Option<Outcome>, LabError> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let Some(ledger) = self.ledger else {
            return guarded(source, trial, self.interrupted);
        };
        let key = TrialKey::of(trial).map_err(crate::store::StoreError::from)?;
        if ledger.reuse == Reuse::Finished
            && let Some(outcome) = ledger.store.trial(&key)?
        {
            ledger.store.reuse_trial(ledger.run, &key)?;
            return Ok(Some(outcome));
        }
        let outcome = guarded(source, trial, self.interrupted)?;
        if let Some(outcome) = &outcome {
            ledger.store.record_trial(ledger.run, &key, trial, outcome)?;
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
    source: Source,
    trial: &impl Trial,
    interrupted: &AtomicBool,
) -> Result<Option<Outcome>, LabError> {
    catch_unwind(AssertUnwindSafe(|| trial.run(source, interrupted))).unwrap_or_else(|panic| {
        Err(LabError::Panicked {
            objective: trial.objective().to_owned(),
            message: message(&*panic),
        })
    })
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
