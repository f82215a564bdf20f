//! The store, as the one who writes to it has it.
//!
//! Owns the transaction of a batch, and the deletion of what is too old or too much. It opens the file when there is
//! something to write, and again when it is another file than before: somebody may have put it aside or removed it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::aside::{self, Identity, STORE};
use crate::config::Retention;
use crate::error::AccountsError;
use crate::labels::{LabelSets, Labels};
use crate::record::Record;
use crate::resolution::Resolution;
use crate::schema;
use crate::sums::{COLUMNS, Sums, Whole, micros};

/// Rows that are deleted in one transaction, so that nobody waits for it.
const DELETED_AT_ONCE: usize = 5_000;

/// What an empty store of this version and the next batch need at most is not deleted for.
const SPARE: f64 = 0.9;

/// The store.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    connection: Connection,
    identity: Identity,
    labels: LabelSets,
}

impl Store {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Store { directory, open: None }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(STORE)
    }

    pub(crate) fn exists(&self) -> bool {
        self.path().exists()
    }

    fn open(&mut self) -> Result<&mut Open, AccountsError> {
        let path = self.path();
        let identity = Identity::of(&path).ok();
        if self.open.as_ref().is_some_and(|open| Some(open.identity) != identity) {
            self.open = None;
        }
        if self.open.is_none() {
            let connection = schema::open_to_write(&path)?;
            let identity = Identity::of(&path).map_err(AccountsError::io("open", &path))?;
            self.open = Some(Open { connection, identity, labels: LabelSets::default() });
        }
        self.open.as_mut().ok_or_else(|| rusqlite::Error::InvalidQuery.into())
    }

    /// Writes all of them, or none.
    pub(crate) fn write(&mut self, records: &[Record]) -> Result<(), AccountsError> {
        let written = self.open().and_then(|open| open.write(records));
        self.settle(written)
    }

    /// After an error nothing is known of the connection, nor whether a number of labels was stored.
    fn settle<T>(&mut self, result: Result<T, AccountsError>) -> Result<T, AccountsError> {
        match &result {
            Ok(_) => {}
            Err(AccountsError::Locked(_)) => {
                if let Some(open) = &mut self.open {
                    open.labels.clear();
                }
            }
            Err(_) => self.open = None,
        }
        result
    }

    /// Puts the store aside. Tells its new name, unless somebody else has done so.
    pub(crate) fn put_aside(&mut self, now: SystemTime) -> Result<Option<PathBuf>, AccountsError> {
        self.open = None;
        match Identity::of(&self.path()) {
            Ok(broken) => aside::put_aside(&self.directory, broken, now),
            Err(_) => Ok(None),
        }
    }

    /// Whether it is what it has to be, as far as reading all of it tells.
    pub(crate) fn check(&mut self) -> Result<(), AccountsError> {
        // Not from what this one has in its cache.
        self.open = None;
        let checked = self.open().and_then(|open| {
            let found: String = open.connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
            if found == "ok" {
                return Ok(());
            }
            Err(corrupt(&found))
        });
        self.settle(checked)
    }

    /// Deletes some of what is too old. Tells whether there may be more.
    pub(crate) fn prune(&mut self, now: SystemTime, retention: &Retention) -> Result<bool, AccountsError> {
        let pruned = self.open().and_then(|open| open.prune(now, retention));
        self.settle(pruned)
    }

    /// Deletes some of what is oldest when the store is too large. Tells whether it still is.
    pub(crate) fn shrink(&mut self, max_bytes: u64) -> Result<bool, AccountsError> {
        let shrunk = self.open().and_then(|open| open.shrink(max_bytes));
        self.settle(shrunk)
    }
}

impl Open {
    fn write(&mut self, records: &[Record]) -> Result<(), AccountsError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut minutes = BTreeMap::<(i64, i64), Sums>::new();
        {
            let mut digests = HashMap::new();
            let mut insert = transaction.prepare_cached(INSERT_EXECUTION)?;
            for record in records {
                let labels = self.labels.number(&transaction, Labels::of(record))?;
                let digest =
                    record.bundle_digest.map(|digest| digest_number(&transaction, &mut digests, digest));
                let digest = digest.transpose()?;
                let (figures, times, ended_at_ms) =
                    (&record.figures, &record.times, unix_ms(record.ended_at));
                insert.execute(params![
                    record.id,
                    ended_at_ms,
                    labels,
                    digest,
                    figures.cpu_time.map(micros).map(Whole),
                    figures.cpu_user.map(micros).map(Whole),
                    figures.cpu_system.map(micros).map(Whole),
                    figures.memory_byte_seconds,
                    figures.memory_peak_bytes.map(Whole),
                    figures.oom_kills.map(Whole),
                    figures.pids_peak.map(Whole),
                    figures.io_read_bytes.map(Whole),
                    figures.io_written_bytes.map(Whole),
                    figures.throttled.map(micros).map(Whole),
                    Whole(figures.disk_written_bytes),
                    Whole(figures.output_bytes),
                    Whole(micros(times.queued)),
                    Whole(micros(times.start)),
                    Whole(micros(times.compile)),
                    Whole(micros(times.run)),
                    Whole(micros(times.total)),
                ])?;
                let minute = Resolution::Minute.floor(ended_at_ms.div_euclid(1000));
                minutes.entry((minute, labels)).or_default().merge(&Sums::of(record));
            }
        }
        for resolution in Resolution::ALL {
            let mut sums = BTreeMap::<(i64, i64), Sums>::new();
            for ((minute, labels), more) in &minutes {
                sums.entry((resolution.floor(*minute), *labels)).or_default().merge(more);
            }
            for ((start, labels), sums) in sums {
                add(&transaction, resolution, start, labels, sums)?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn prune(&mut self, now: SystemTime, retention: &Retention) -> Result<bool, AccountsError> {
        let now_ms = unix_ms(now);
        let kept_ms = i64::try_from(retention.executions.as_millis()).unwrap_or(i64::MAX);
        let mut deleted = self.connection.execute(
            "DELETE FROM executions WHERE number IN \
             (SELECT number FROM executions WHERE ended_at_ms < ? ORDER BY ended_at_ms LIMIT ?)",
            params![now_ms.saturating_sub(kept_ms), limit()],
        )?;
        for resolution in Resolution::ALL {
            let oldest = now_ms.div_euclid(1000).saturating_sub(retention.seconds(resolution));
            deleted += self.connection.execute(
                "DELETE FROM sums WHERE (seconds, start, labels) IN \
                 (SELECT seconds, start, labels FROM sums WHERE seconds = ? AND start < ? LIMIT ?)",
                params![resolution.seconds(), resolution.floor(oldest), limit()],
            )?;
        }
        Ok(deleted > 0)
    }

    fn shrink(&mut self, max_bytes: u64) -> Result<bool, AccountsError> {
        if used_bytes(&self.connection)? <= max_bytes {
            return Ok(false);
        }
        // By the order in which they came, since the clock may have jumped.
        let mut deleted = self.connection.execute(
            "DELETE FROM executions WHERE number IN (SELECT number FROM executions ORDER BY number LIMIT ?)",
            params![limit()],
        )?;
        for resolution in Resolution::ALL {
            if deleted > 0 {
                break;
            }
            deleted = self.connection.execute(
                "DELETE FROM sums WHERE (seconds, start, labels) IN \
                 (SELECT seconds, start, labels FROM sums WHERE seconds = ? ORDER BY start LIMIT ?)",
                params![resolution.seconds(), limit()],
            )?;
        }
        Ok(deleted > 0 && used_bytes(&self.connection)? as f64 > max_bytes as f64 * SPARE)
    }
}

const INSERT_EXECUTION: &str = "INSERT INTO executions (id, ended_at_ms, labels, digest, cpu_time_us, cpu_user_us, \
     cpu_system_us, memory_byte_seconds, memory_peak_bytes, oom_kills, pids_peak, io_read_bytes, io_written_bytes, \
     throttled_us, disk_written_bytes, output_bytes, queued_us, start_us, compile_us, run_us, total_us) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// What SQLite itself would say of a store in which something is not as it has to be.
pub(crate) fn corrupt(what: &str) -> AccountsError {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    AccountsError::Corrupt(rusqlite::Error::SqliteFailure(code, Some(what.to_owned())))
}

fn limit() -> i64 {
    DELETED_AT_ONCE as i64
}

/// Adds to the sums that are there already.
fn add(
    transaction: &Transaction<'_>,
    resolution: Resolution,
    start: i64,
    labels: i64,
    mut sums: Sums,
) -> Result<(), AccountsError> {
    let columns = COLUMNS.join(", ");
    let mut select = transaction.prepare_cached(&format!(
        "SELECT {columns} FROM sums WHERE seconds = ? AND start = ? AND labels = ?"
    ))?;
    let mut rows = select.query(params![resolution.seconds(), start, labels])?;
    if let Some(row) = rows.next()? {
        sums.merge(&Sums::from_row(row, 0)?.ok_or_else(|| corrupt("a sketch is none"))?);
    }
    drop(rows);
    let values = ["?"; COLUMNS.len() + 3].join(", ");
    let mut replace = transaction.prepare_cached(&format!(
        "INSERT OR REPLACE INTO sums (seconds, start, labels, {columns}) VALUES ({values})"
    ))?;
    replace.raw_bind_parameter(1, resolution.seconds())?;
    replace.raw_bind_parameter(2, start)?;
    replace.raw_bind_parameter(3, labels)?;
    sums.bind(&mut replace, 4)?;
    replace.raw_execute()?;
    Ok(())
}

fn digest_number(
    transaction: &Transaction<'_>,
    known: &mut HashMap<[u8; 32], i64>,
    digest: [u8; 32],
) -> Result<i64, AccountsError> {
    if let Some(number) = known.get(&digest) {
        return Ok(*number);
    }
    transaction.prepare_cached("INSERT OR IGNORE INTO digests (digest) VALUES (?)")?.execute([digest])?;
    let mut select = transaction.prepare_cached("SELECT id FROM digests WHERE digest = ?")?;
    let number = select.query_row([digest], |row| row.get(0))?;
    known.insert(digest, number);
    Ok(number)
}

/// What is in use of the database's file.
fn used_bytes(connection: &Connection) -> Result<u64, AccountsError> {
    let number = |pragma: &str| -> Result<i64, AccountsError> {
        Ok(connection.query_row(&format!("PRAGMA {pragma}"), (), |row| row.get(0))?)
    };
    let pages = number("page_count")?.saturating_sub(number("freelist_count")?);
    Ok(u64::try_from(pages.saturating_mul(number("page_size")?)).unwrap_or_default())
}

/// The size of the store on its disk, its log included.
pub(crate) fn size_bytes(directory: &Path) -> u64 {
    let files = ["", "-wal", "-shm"].map(|suffix| directory.join(format!("{STORE}{suffix}")));
    files.iter().filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// Milliseconds since 1970, or before.
pub(crate) fn unix_ms(time: SystemTime) -> i64 {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => millis(since),
        Err(before) => -millis(before.duration()),
    }
}

#[cfg(test)]
mod tests;
