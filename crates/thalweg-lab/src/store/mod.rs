//! The run store: one SQLite file that remembers runs, finished trials and verdicts.
//!
//! A trial is looked up by the hash of its specification, so resuming a run is nothing but finding its finished trials.
//! A trial is there whole or not at all, whenever the process is killed; several threads and processes may write at once.

mod key;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use key::TrialKey;

/// How long to wait for another process to finish its transaction.
const PATIENCE: Duration = Duration::from_secs(30);

/// When now is, RFC 3339, UTC.
const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%SZ', 'now')";

/// An open run store. Cheap to share: every method takes `&self`.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
}

/// What can go wrong with a run store.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum StoreError {
    #[error("cannot open the run store {path}: {source}")]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error("{path} is not a run store: {source}; move it away, or name another file")]
    NotAStore { path: PathBuf, source: Box<StoreError> },
    #[error("it is a database of another program")]
    Foreign,
    #[error(
        "the run store has schema version {found}, and this program knows versions up to {known}: \
         it was written by a newer thalweg; update this one, or name another file"
    )]
    Newer { found: i64, known: i64 },
    #[error("trial {key} is stored in a form this program cannot read: {source}")]
    Unreadable {
        key: TrialKey,
        source: serde_json::Error,
    },
    #[error("a record cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the run store failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// Number of a run in its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId(i64);

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunStatus {
    /// At work, or killed before it could say otherwise.
    Running,
    /// Came to its end.
    Finished,
    /// Stopped by its user; what it had finished is kept.
    Interrupted,
    /// Stopped by an error.
    Failed,
}

impl RunStatus {
    const ALL: [Self; 4] = [Self::Running, Self::Finished, Self::Interrupted, Self::Failed];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }
}

/// A run as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// The command that started it.
    pub command: String,
    /// When it started, RFC 3339, UTC.
    pub started: String,
    /// When it ended, if it has.
    pub finished: Option<String>,
    /// How it stands.
    pub status: RunStatus,
    /// Finished trials it made or used.
    pub trials: u32,
}

/// A study's verdict as recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The study.
    pub slug: String,
    /// When it was reached, RFC 3339, UTC.
    pub finished: String,
    /// The verdict in words.
    pub verdict: String,
    /// Everything it rests on.
    pub details: Value,
}

impl Store {
    /// Opens the store at `path`, making it if there is none, and brings it to the current schema.
    ///
    /// # Errors
    /// When the file cannot be opened, is something else, or was written by a newer program.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Open {
            path: path.to_owned(),
            source,
        };
        let mut connection = Connection::open(path).map_err(failed)?;
        let prepared = prepare(&mut connection);
        prepared.map_err(|error| match error {
            StoreError::Sqlite(source) if source.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
                StoreError::NotAStore {
                    path: path.to_owned(),
                    source: Box::new(StoreError::Sqlite(source)),
                }
            }
            StoreError::Foreign => StoreError::NotAStore {
                path: path.to_owned(),
                source: Box::new(StoreError::Foreign),
            },
            StoreError::Sqlite(source) => failed(source),
            other => other,
        })?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    /// Notes that `command` has started.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn begin_run(&self, command: &str) -> Result<RunId, StoreError> {
        let connection = self.connection();
        connection.execute(
            &format!("INSERT INTO runs (command, started, status) VALUES (?1, {NOW}, ?2)"),
            params![command, RunStatus::Running.as_str()],
        )?;
        Ok(RunId(connection.last_insert_rowid()))
    }

    /// Notes how a run ended.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn finish_run(&self, run: RunId, status: RunStatus) -> Result<(), StoreError> {
        self.connection().execute(
            &format!("UPDATE runs SET finished = {NOW}, status = ?2 WHERE id = ?1"),
            params![run.0, status.as_str()],
        )?;
        Ok(())
    }

    /// All runs, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn runs(&self) -> Result<Vec<Run>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare(
            "SELECT id, command, started, finished, status, count(trial)
             FROM runs LEFT JOIN run_trials ON run = id GROUP BY id ORDER BY id",
        )?;
        let rows = statement.query_map([], |row| {
            let status: String = row.get(4)?;
            Ok(Run {
                id: RunId(row.get(0)?),
                command: row.get(1)?,
                started: row.get(2)?,
                finished: row.get(3)?,
                status: RunStatus::ALL
                    .into_iter()
                    .find(|known| known.as_str() == status)
                    .ok_or_else(|| rusqlite::Error::InvalidColumnName(format!("status {status}")))?,
                trials: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The outcome of a trial, if it has been finished by any run.
    ///
    /// # Errors
    /// When the store cannot be read, or the outcome is not a `T`.
    pub fn trial<T: DeserializeOwned>(&self, key: &TrialKey) -> Result<Option<T>, StoreError> {
        let outcome: Option<String> = self
            .connection()
            .query_row(
                "SELECT outcome FROM trials WHERE key = ?1",
                [key.as_str()],
                |row| row.get(0),
            )
            .optional()?;
        outcome
            .map(|json| serde_json::from_str(&json))
            .transpose()
            .map_err(|source| StoreError::Unreadable {
                key: key.clone(),
                source,
            })
    }

    /// Records a finished trial, and that `run` made it. All of it is there, or nothing. A trial that is there already
    /// keeps its first outcome, and becomes one of this run's too.
    ///
    /// # Errors
    /// When the store cannot be written, or `spec` or `outcome` are no JSON.
    pub fn record_trial(
        &self,
        run: RunId,
        key: &TrialKey,
        spec: &impl Serialize,
        outcome: &impl Serialize,
    ) -> Result<(), StoreError> {
        let (spec, outcome) = (serde_json::to_string(spec)?, serde_json::to_string(outcome)?);
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            &format!(
                "INSERT INTO trials (key, spec, outcome, finished) VALUES (?1, ?2, ?3, {NOW})
                 ON CONFLICT (key) DO NOTHING"
            ),
            params![key.as_str(), spec, outcome],
        )?;
        link(&transaction, run, key)?;
        Ok(transaction.commit()?)
    }

    /// Notes that `run` used a trial finished before.
    ///
    /// # Errors
    /// When the store cannot be written or holds no such trial.
    pub fn reuse_trial(&self, run: RunId, key: &TrialKey) -> Result<(), StoreError> {
        link(&self.connection(), run, key)
    }

    /// Records a study's verdict; earlier ones are kept.
    ///
    /// # Errors
    /// When the store cannot be written, or `details` is no JSON.
    pub fn record_verdict(
        &self,
        slug: &str,
        verdict: &str,
        details: &impl Serialize,
    ) -> Result<(), StoreError> {
        self.connection().execute(
            &format!("INSERT INTO verdicts (slug, finished, verdict, details) VALUES (?1, {NOW}, ?2, ?3)"),
            params![slug, verdict, serde_json::to_string(details)?],
        )?;
        Ok(())
    }

    /// The last verdict of each study, by slug.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn last_verdicts(&self) -> Result<Vec<Verdict>, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare(
            "SELECT slug, finished, verdict, details FROM verdicts
             WHERE id IN (SELECT max(id) FROM verdicts GROUP BY slug) ORDER BY slug",
        )?;
        let rows = statement.query_map([], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, String>(3)?))
        })?;
        rows.map(|row| {
            let (slug, finished, verdict, details) = row?;
            Ok(Verdict {
                slug,
                finished,
                verdict,
                details: serde_json::from_str(&details)?,
            })
        })
        .collect()
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A thread that panicked left no half transaction behind: dropping one rolls it back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn prepare(connection: &mut Connection) -> Result<(), StoreError> {
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    schema::migrate(connection)?;
    // Readers do not wait for writers, and a commit is one append. After the migration, so that a file that turns out
    // to be something else is left as it was.
    connection.pragma_update(None, "journal_mode", "wal")?;
    Ok(())
}

fn link(connection: &Connection, run: RunId, key: &TrialKey) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO run_trials (run, trial) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![run.0, key.as_str()],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests;
