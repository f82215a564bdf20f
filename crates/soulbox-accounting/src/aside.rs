//! A store that is broken, put aside under another name so that a new one can be begun.
//!
//! Owns those names and how many of them stay. It never judges whether a store is broken, and never deletes the last of
//! them: somebody may still read most of what is in it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::AccountsError;

/// The store's file in its directory.
pub(crate) const STORE: &str = "accounting.db";

/// Whoever puts a store aside holds this file's lock, so that two servers do not put aside each other's new ones.
const LOCK: &str = "accounting.lock";

/// Those that stay: a disk that breaks every store shall not be filled by them as well.
const MOST: usize = 3;

/// Which file a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Identity { device: metadata.dev(), inode: metadata.ino() })
    }
}

/// Puts the store aside, if it is still the same file. Tells its new name.
pub(crate) fn put_aside(
    directory: &Path,
    broken: Identity,
    now: SystemTime,
) -> Result<Option<PathBuf>, AccountsError> {
    let lock_path = directory.join(LOCK);
    let lock = File::options().create(true).append(true).open(&lock_path);
    let lock = lock.map_err(AccountsError::io("open", &lock_path))?;
    lock.lock().map_err(AccountsError::io("lock", &lock_path))?;
    let store = directory.join(STORE);
    if Identity::of(&store).ok() != Some(broken) {
        return Ok(None);
    }
    let aside = free_name(directory, now);
    for suffix in ["-wal", "-shm", ""] {
        let with = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        match fs::rename(with(&store), with(&aside)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(AccountsError::io("put aside", &store)(error));
            }
            _ => {}
        }
    }
    forget_oldest(directory);
    Ok(Some(aside))
}

/// The stores that were put aside, oldest first.
pub(crate) fn list(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(&format!("{STORE}.corrupt-")))
        .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect();
    names.sort();
    names
}

fn free_name(directory: &Path, now: SystemTime) -> PathBuf {
    // A clock before 1970 has no such text.
    let time = humantime::format_rfc3339_seconds(now.max(SystemTime::UNIX_EPOCH))
        .to_string()
        .replace([':', '-'], "");
    let name = |number: u32| directory.join(format!("{STORE}.corrupt-{time}-{number}"));
    // No more than MOST are there; the clock may be one that stands.
    (1..).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(0))
}

fn forget_oldest(directory: &Path) {
    let names = list(directory);
    for name in names.iter().take(names.len().saturating_sub(MOST)) {
        for suffix in ["", "-wal", "-shm"] {
            // What cannot be removed is tried the next time.
            let _ = fs::remove_file(directory.join(format!("{name}{suffix}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_store_is_put_aside_once_with_its_log_and_the_oldest_go() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let (store, now) =
            (directory.join(STORE), SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        for round in 0..5 {
            fs::write(&store, round.to_string()).unwrap();
            fs::write(directory.join("accounting.db-wal"), "log").unwrap();
            let broken = Identity::of(&store).unwrap();
            // Keeps its inode from being given out again.
            let _open = File::open(&store).unwrap();
            let aside = put_aside(directory, broken, now + Duration::from_secs(round)).unwrap().unwrap();
            assert_eq!(fs::read_to_string(aside).unwrap(), round.to_string());
            fs::write(&store, "new").unwrap();
            assert_eq!(put_aside(directory, broken, now).unwrap(), None);
            assert_eq!(fs::read_to_string(&store).unwrap(), "new");
        }
        let expected =
            ["02", "03", "04"].map(|second| format!("accounting.db.corrupt-20270115T0800{second}Z-1"));
        assert_eq!(list(directory), expected);
        let logs = fs::read_dir(directory).unwrap().flatten();
        assert_eq!(logs.filter(|entry| entry.file_name().to_string_lossy().ends_with("-wal")).count(), 3);
    }
}
