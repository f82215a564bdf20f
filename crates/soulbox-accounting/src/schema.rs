//! The tables, and how an older store becomes one of this version.
//!
//! Owns the SQL that makes them and the settings of a connection. A migration is never changed once it was released: what
//! changes is another one at the end.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::error::AccountsError;

/// How long another process may hold the store before this one turns to something else.
const BUSY: Duration = Duration::from_millis(500);

/// From an empty file to this version, one after the other.
const MIGRATIONS: [&str; 1] = ["
CREATE TABLE labels (
    id INTEGER PRIMARY KEY,
    key TEXT,
    language TEXT NOT NULL,
    bundle TEXT NOT NULL,
    status TEXT NOT NULL,
    start_kind TEXT
) STRICT;
CREATE UNIQUE INDEX labels_unique
    ON labels (coalesce(key, ''), language, bundle, status, coalesce(start_kind, ''));
CREATE TABLE digests (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE) STRICT;
CREATE TABLE executions (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    ended_at_ms INTEGER NOT NULL,
    labels INTEGER NOT NULL,
    digest INTEGER,
    cpu_time_us INTEGER,
    cpu_user_us INTEGER,
    cpu_system_us INTEGER,
    memory_byte_seconds REAL,
    memory_peak_bytes INTEGER,
    oom_kills INTEGER,
    pids_peak INTEGER,
    io_read_bytes INTEGER,
    io_written_bytes INTEGER,
    throttled_us INTEGER,
    disk_written_bytes INTEGER NOT NULL,
    output_bytes INTEGER NOT NULL,
    queued_us INTEGER NOT NULL,
    start_us INTEGER NOT NULL,
    compile_us INTEGER NOT NULL,
    run_us INTEGER NOT NULL,
    total_us INTEGER NOT NULL
) STRICT;
CREATE INDEX executions_ended_at ON executions (ended_at_ms);
CREATE TABLE sums (
    seconds INTEGER NOT NULL,
    start INTEGER NOT NULL,
    labels INTEGER NOT NULL,
    executions INTEGER NOT NULL,
    cpu_time_us INTEGER,
    cpu_user_us INTEGER,
    cpu_system_us INTEGER,
    memory_byte_seconds REAL,
    memory_peak_bytes INTEGER,
    oom_kills INTEGER,
    pids_peak INTEGER,
    io_read_bytes INTEGER,
    io_written_bytes INTEGER,
    throttled_us INTEGER,
    disk_written_bytes INTEGER NOT NULL,
    output_bytes INTEGER NOT NULL,
    queued_us INTEGER NOT NULL,
    start_us INTEGER NOT NULL,
    compile_us INTEGER NOT NULL,
    run_us INTEGER NOT NULL,
    total_us INTEGER NOT NULL,
    total_max_us INTEGER NOT NULL,
    total_sketch BLOB NOT NULL,
    memory_peak_sketch BLOB NOT NULL,
    PRIMARY KEY (seconds, start, labels)
) STRICT, WITHOUT ROWID;
"];

/// The version that this program makes and knows.
const VERSION: i64 = MIGRATIONS.len() as i64;

/// Opens the store to write to it. What is not there is made.
pub(crate) fn open_to_write(path: &Path) -> Result<Connection, AccountsError> {
    if let Some(directory) = path.parent() {
        // Who runs what is nobody else's business.
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(AccountsError::io("create", directory))?;
    }
    let file = fs::File::options().create(true).append(true).mode(0o600).open(path);
    drop(file.map_err(AccountsError::io("open", path))?);
    let mut connection = open(path)?;
    // In this mode an answer never waits for a write, and a batch costs no wait for the disk. Whatever is committed is
    // there after the process is killed; after a loss of power, what was written since the last checkpoint may not be.
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "journal_size_limit", 4 << 20)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Opens the store to read from it. It must be there.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, AccountsError> {
    // Not read-only to SQLite, which may have to finish what a process that was killed has left.
    let connection = open(path)?;
    connection.pragma_update(None, "query_only", true)?;
    check_version(version(&connection)?)?;
    Ok(connection)
}

fn open(path: &Path) -> Result<Connection, AccountsError> {
    // Each connection is used by one thread.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    // A server that does nothing shall need little: KiB, for a negative number.
    connection.pragma_update(None, "cache_size", -256)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(connection)
}

/// Whether there is anything yet in a store that somebody may be about to make.
pub(crate) fn is_made(connection: &Connection) -> Result<bool, AccountsError> {
    Ok(version(connection)? > 0)
}

fn version(connection: &Connection) -> Result<i64, AccountsError> {
    Ok(connection.query_row("PRAGMA user_version", (), |row| row.get(0))?)
}

fn check_version(found: i64) -> Result<(), AccountsError> {
    if found > VERSION {
        return Err(AccountsError::Newer { found, known: VERSION });
    }
    Ok(())
}

fn migrate(connection: &mut Connection) -> Result<(), AccountsError> {
    check_version(version(connection)?)?;
    if version(connection)? == VERSION {
        return Ok(());
    }
    // Another server may be about to do the same: who comes second finds it done.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    check_version(found)?;
    for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or_default()) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::sums::COLUMNS;

    fn columns(connection: &Connection, table: &str) -> Vec<String> {
        let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?)").unwrap();
        let names = statement.query_map([table], |row| row.get(0)).unwrap();
        names.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_new_store_has_the_columns_that_are_written_and_is_the_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/store.db");
        let connection = open_to_write(&path).unwrap();
        assert_eq!(columns(&connection, "sums")[3..], COLUMNS);
        assert_eq!(version(&connection).unwrap(), VERSION);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }

    #[test]
    fn a_store_is_migrated_once_and_a_newer_one_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        for _ in 0..2 {
            open_to_write(&path).unwrap();
        }
        open_to_read(&path).unwrap();
        open(&path).unwrap().pragma_update(None, "user_version", VERSION + 1).unwrap();
        for newer in [open_to_write(&path), open_to_read(&path)] {
            let error = newer.unwrap_err();
            assert!(matches!(error, AccountsError::Newer { .. }), "{error}");
        }
    }

    #[test]
    fn what_is_no_database_is_corrupt() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        fs::write(&path, "not a database at all, but longer than a header of one\n".repeat(100)).unwrap();
        assert!(matches!(open_to_write(&path), Err(AccountsError::Corrupt(_))));
        assert!(matches!(open_to_read(&path), Err(AccountsError::Corrupt(_))));
    }
}
