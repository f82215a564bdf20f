//! Why a layer is not unpacked, and what was left out of one that is: the words between helper and parent.
//!
//! The helper writes one [`Report`] as a line of JSON. Its names come from the image and are shown quoted.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::name::BadName;

/// Bounds on what a layer may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of all files of an image together, and of each layer's archive, uncompressed.
    pub bytes: u64,
    /// Most entries of one layer.
    pub entries: u64,
}

impl Default for Limits {
    /// 16 GiB and two million entries.
    fn default() -> Self {
        Limits { bytes: 16 << 30, entries: 2_000_000 }
    }
}

/// How many entries or parts of entries were left out, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Skipped {
    /// Device nodes: a container has its own.
    pub devices: u64,
    /// Named pipes.
    pub fifos: u64,
    /// Entries of a kind that says nothing about files, or that nobody knows.
    pub unknown: u64,
    /// Entries for the layer's maker alone (`.wh..wh.*`).
    pub reserved: u64,
    /// Extended attributes: all but those named `user.*`, and of these the file system's own.
    pub xattrs: u64,
    /// Files that would have run as another user or group (setuid, setgid); they are there without that.
    pub set_id: u64,
    /// Owners that the container has no id for; they are 65534 (`nobody`) now.
    pub owners: u64,
}

impl fmt::Display for Skipped {
    /// What was left out, as a list; nothing when nothing was.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.devices, "devices"),
            (self.fifos, "named pipes"),
            (self.unknown + self.reserved, "entries that are no files"),
            (self.xattrs, "extended attributes"),
            (self.set_id, "setuid and setgid bits"),
            (self.owners, "owners beyond 65535"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<_> = parts.map(|(count, what)| format!("{count} {what}")).collect();
        if parts.is_empty() { Ok(()) } else { write!(f, "without {}", parts.join(", ")) }
    }
}

/// What became of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerReport {
    /// Entries of the archive.
    pub entries: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// What was left out.
    pub skipped: Skipped,
    /// The digest of the archive, uncompressed.
    pub diff_id: String,
}

/// A layer that is refused, or that could not be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Refusal {
    /// A name is not acceptable.
    #[error("the name {path:?} {reason}")]
    Name {
        /// The name, as far as it is text.
        path: String,
        /// What is wrong with it.
        reason: BadName,
    },
    /// A hard link's target is not acceptable.
    #[error("{path:?} is a link to {target:?}, a name that {reason}")]
    LinkName {
        /// The link.
        path: String,
        /// Its target.
        target: String,
        /// What is wrong with it.
        reason: BadName,
    },
    /// A hard link to what is not there.
    #[error("{path:?} is a link to {target:?}, which is no file of the layer")]
    LinkTarget {
        /// The link.
        path: String,
        /// Its target.
        target: String,
    },
    /// An entry lies in what is no directory.
    #[error("{path:?} lies in what is no directory of the layer")]
    Parent {
        /// The entry.
        path: String,
    },
    /// A file in a form that is not read.
    #[error("{path:?} is a sparse file of the pax format, which is not supported")]
    Sparse {
        /// The file.
        path: String,
    },
    /// More bytes than allowed.
    #[error("it has more than {limit} bytes unpacked")]
    TooLarge {
        /// The limit, bytes.
        limit: u64,
    },
    /// More entries than allowed.
    #[error("it has more than {limit} entries")]
    TooManyEntries {
        /// The limit.
        limit: u64,
    },
    /// Headers longer than any archive needs.
    #[error("it has an entry with headers of more than {limit} bytes, or directories with too many names")]
    HeadersTooLong {
        /// The limit, bytes.
        limit: u64,
    },
    /// The compressed stream is damaged or cut off.
    #[error("it cannot be decompressed: {reason}")]
    Compression {
        /// What the decompressor says.
        reason: String,
    },
    /// The archive is damaged or cut off.
    #[error("it is no tar archive, or a damaged one: {reason}")]
    Archive {
        /// What is wrong.
        reason: String,
    },
    /// There is something behind the archive's end.
    #[error("something follows the end of the archive")]
    TrailingBytes,
    /// There is no room for it.
    #[error("no space is left on the disk, at {path:?}")]
    DiskFull {
        /// The entry.
        path: String,
    },
    /// The file system refused.
    #[error("cannot {action} {path:?}: {reason}")]
    Write {
        /// What was tried.
        action: String,
        /// The entry.
        path: String,
        /// Why it failed.
        reason: String,
    },
    /// The helper could not confine itself, and did nothing.
    #[error("the helper that unpacks cannot be confined: {reason}")]
    Confinement {
        /// Why.
        reason: String,
    },
}

/// What the helper writes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    Unpacked(LayerReport),
    Refused(Refusal),
}

impl Refusal {
    pub(crate) fn write(action: &str, path: &std::path::Path, error: &std::io::Error) -> Refusal {
        let path: PathBuf = path.into();
        let path = path.to_string_lossy().into_owned();
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Refusal::DiskFull { path },
            _ => Refusal::Write { action: action.to_owned(), path, reason: error.to_string() },
        }
    }
}
