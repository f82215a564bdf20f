//! Stored bundles: those that were built, pulled or imported, with root file systems of their own.
//!
//! Owns the store's directory and everything in it. A bundle's version is a directory named by the digest of its
//! manifest, which has the digests of all the rest, so that a version never changes; `current` is a link that is
//! replaced in one step. Layers are named by their content and shared by all bundles that have them.
//!
//! ```text
//! store/layers/DIGEST/{tree/,index,stamp}    a layer, what is in it, and whether it was touched (layer.rs)
//! store/names/NAME                           the digest of a layer, by what it was made from
//! store/bundles/NAME/DIGEST/manifest.json    a version of a bundle, with config.json, soulbox.toml, …
//! store/bundles/NAME/current                 a link to the version in use
//! store/new/                                 what is being made
//! ```
//!
//! Whoever adds to the store holds a shared lock on it, and whoever removes what nobody refers to an exclusive
//! one. Whoever uses a version holds a shared lock on it (a lease).

mod layer;
mod manifest;
mod read;
mod write;

#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

pub use manifest::{Layer, Manifest, StoredSource};
pub use read::Version;
pub use write::{LayerWork, NewBundle, Removed, Writer};

use crate::bundle::BundleError;
use crate::digest::Digest;
use crate::materialize::IdRange;

/// Who the files of layers belong to on the host: an image's ids 0 to 65,535 are these. They are nobody's, and
/// no sandbox's either; in the range that systemd sets aside for containers, below that of the sandboxes.
pub const STORE_IDS: IdRange = IdRange { first: 0x3fff_0000, count: 1 << 16 };

const MANIFEST_FILE: &str = "manifest.json";
const CURRENT: &str = "current";
/// Of a layer.
const STAMP_FILE: &str = "stamp";
const LOCK_FILE: &str = "lock";
/// Of a version: who holds a shared lock on it uses the version.
const LEASE_FILE: &str = "lease";

/// A store or a stored bundle that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file cannot be used.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A name that no bundle can have.
    #[error(
        "{0:?} is no name for a bundle: it should be of a-z, 0-9, '.', '_' and '-', begin with a letter or digit, and have 64 characters at most"
    )]
    Name(String),
    /// There is no such bundle.
    #[error("there is no stored bundle {0}")]
    NoBundle(String),
    /// A file is not what the manifest says.
    #[error("bundle {bundle}: {} is not what it was when the bundle was made; remove the bundle and make it again", path.display())]
    Changed {
        /// The bundle.
        bundle: String,
        /// The file.
        path: PathBuf,
    },
    /// A manifest that cannot be understood.
    #[error("{} is no manifest of a bundle", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// Layers have directories, files, links and whiteouts alone.
    #[error("{} is neither a file, a directory nor a link", .0.display())]
    Entry(PathBuf),
    /// A bundle that somebody uses cannot be removed.
    #[error("bundle {0} is in use by a running server or command; stop it first, or remove it with --force")]
    InUse(String),
    /// What is to be stored is no valid bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A thread ended before its work was done.
    #[error("reading a layer was interrupted")]
    Interrupted,
}

impl StoreError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        move |source| StoreError::Io { action, path: path.to_owned(), source }
    }
}

/// A bundle's name, which is also a directory's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BundleName(String);

impl BundleName {
    /// Takes a text that can be one.
    ///
    /// # Errors
    /// [`StoreError::Name`].
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        const MAX: usize = 64;
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        let first = text.bytes().next().is_some_and(plain);
        if first && text.len() <= MAX && text.bytes().all(|c| plain(c) || b"._-".contains(&c)) {
            Ok(BundleName(text.to_owned()))
        } else {
            Err(StoreError::Name(text.to_owned()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The store of one state directory.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The store below a state directory. Nothing is made before something is stored.
    pub fn new(state_dir: &Path) -> Self {
        Store { root: state_dir.join("store") }
    }

    /// The names of all stored bundles.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn names(&self) -> Result<Vec<BundleName>, StoreError> {
        let bundles = self.bundles();
        let entries = match fs::read_dir(&bundles) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(StoreError::io("read", &bundles))?,
        };
        let named = |entry: fs::DirEntry| BundleName::parse(entry.file_name().to_str()?).ok();
        let mut names: Vec<_> = entries.flatten().filter_map(named).collect();
        names.retain(|name| fs::symlink_metadata(self.bundle(name).join(CURRENT)).is_ok());
        names.sort_unstable();
        Ok(names)
    }

    fn bundles(&self) -> PathBuf {
        self.root.join("bundles")
    }

    fn bundle(&self, name: &BundleName) -> PathBuf {
        self.bundles().join(name.as_str())
    }

    fn layer(&self, digest: &Digest) -> PathBuf {
        self.root.join("layers").join(digest.hex())
    }

    fn tree(&self, digest: &Digest) -> PathBuf {
        self.layer(digest).join("tree")
    }

    /// Makes a directory below the store that others can pass, but neither list nor change.
    fn create_dir(&self, path: &Path) -> Result<(), StoreError> {
        let builder = |mode| {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(mode);
            builder
        };
        // What is above the store is not the store's to close.
        if let Some(state_dir) = self.root.parent() {
            builder(0o755).create(state_dir).map_err(StoreError::io("create", state_dir))?;
        }
        builder(0o711).create(path).map_err(StoreError::io("create", path))
    }
}

/// Opens a file for locking, and makes it when it is not there.
fn open_lock(path: &Path) -> Result<File, StoreError> {
    let file = File::options().create(true).truncate(false).write(true).open(path);
    file.map_err(StoreError::io("open", path))
}

/// An exclusive lock, unless another has one.
fn try_lock(path: &Path) -> Result<Option<File>, StoreError> {
    let file = open_lock(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", path)(error)),
    }
}
