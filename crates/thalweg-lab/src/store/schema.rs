//! The tables, and how a store of an earlier version becomes one of this version.

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// Marks the file as a run store (`thlw`), so that no other program's database is written to by mistake.
const APPLICATION_ID: i64 = 0x7468_6c77;

/// Step `i` takes a store from version `i` to `i + 1`. Released steps are never edited, only followed by new ones.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        command TEXT NOT NULL,
        started TEXT NOT NULL,
        finished TEXT,
        status TEXT NOT NULL
    ) STRICT;
    CREATE TABLE trials (
        key TEXT NOT NULL PRIMARY KEY,
        spec TEXT NOT NULL,
        outcome TEXT NOT NULL,
        finished TEXT NOT NULL
    ) STRICT;
    CREATE TABLE run_trials (
        run INTEGER NOT NULL REFERENCES runs (id),
        trial TEXT NOT NULL REFERENCES trials (key),
        PRIMARY KEY (run, trial)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE verdicts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        slug TEXT NOT NULL,
        finished TEXT NOT NULL,
        verdict TEXT NOT NULL,
        details TEXT NOT NULL
    ) STRICT;
    CREATE INDEX verdicts_by_slug ON verdicts (slug, id);
"];

/// The version this program writes.
pub const VERSION: i64 = MIGRATIONS.len() as i64;

/// Brings the store to [`VERSION`]; two processes may do so at once.
pub fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    // Taking the write lock first lets the second process see what the first has done.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let pragma = |name: &str| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let version = pragma("user_version")?;
    let is_empty: bool =
        transaction.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?;
    if !is_empty && pragma("application_id")? != APPLICATION_ID {
        return Err(StoreError::Foreign);
    }
    if version > VERSION {
        return Err(StoreError::Newer {
            found: version,
            known: VERSION,
        });
    }
    for step in &MIGRATIONS[version as usize..] {
        transaction.execute_batch(step)?;
    }
    if version < VERSION {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    Ok(())
}
