//! What goes wrong with a store, told apart by what is to be done about it.
//!
//! Owns the translation of SQLite's result codes. It does nothing about any.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::resolution::Resolution;

/// A store that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// Another process holds it: later.
    #[error("another process holds the store: {0}")]
    Locked(#[source] rusqlite::Error),
    /// There is no room: later.
    #[error("the disk of the store is full: {0}")]
    DiskFull(#[source] rusqlite::Error),
    /// It is no database, or a broken one: never.
    #[error("the store is corrupt: {0}")]
    Corrupt(#[source] rusqlite::Error),
    /// A later version of this program has made it.
    #[error(
        "the store has version {found}, and this program knows versions up to {known}; use the newer program, or another accounting.directory"
    )]
    Newer {
        /// Its version.
        found: i64,
        /// The last one that is known.
        known: i64,
    },
    /// Anything else of SQLite.
    #[error("the store cannot be used: {0}")]
    Sqlite(#[source] rusqlite::Error),
    /// Its directory cannot be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl AccountsError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AccountsError {
        move |source| AccountsError::Io { action, path: path.to_owned(), source }
    }
}

impl From<rusqlite::Error> for AccountsError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => AccountsError::Locked(error),
            Some(ErrorCode::DiskFull) => AccountsError::DiskFull(error),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => AccountsError::Corrupt(error),
            _ => AccountsError::Sqlite(error),
        }
    }
}

/// A question that is not answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// It ends before it begins.
    #[error("from is not before to")]
    Empty,
    /// There would be more buckets than anybody can look at.
    #[error("from and to are {buckets} times a {} apart, and an answer has {most} buckets at most; {}", bucket.as_str(), coarser(*bucket))]
    TooManyBuckets {
        /// What was asked for.
        bucket: Resolution,
        /// How many that would be.
        buckets: i64,
        /// The most that there can be.
        most: i64,
    },
    /// Sums of that length are gone.
    #[error("sums by {} are kept for {kept}, and from is before that; {}", bucket.as_str(), coarser(*bucket))]
    TooOld {
        /// What was asked for.
        bucket: Resolution,
        /// How long they are kept, for a person.
        kept: String,
    },
    /// There would be more groups than anybody can look at, or there is too much to add up.
    #[error(
        "there is more than {most} rows to {what}; ask for a shorter time, a longer bucket or fewer groups"
    )]
    TooMuch {
        /// What would be done with them.
        what: &'static str,
        /// The most that is done.
        most: usize,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] AccountsError),
}

fn coarser(bucket: Resolution) -> String {
    match bucket.coarser() {
        Some(coarser) => format!("ask for a shorter time, or for bucket={}", coarser.as_str()),
        None => "ask for a shorter time, or leave bucket out".to_owned(),
    }
}

impl From<rusqlite::Error> for QueryError {
    fn from(error: rusqlite::Error) -> Self {
        QueryError::Store(error.into())
    }
}
