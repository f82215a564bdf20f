//! Reading from the store: versions of bundles, and whether they are what they were.
//!
//! Owns the chain of digests: the version's name is that of its manifest, which has those of the files beside
//! it and of the layers, whose names are those of their indexes.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use super::layer::{Index, stamp};
use super::{BundleName, CURRENT, LEASE_FILE, MANIFEST_FILE, Manifest, STAMP_FILE, Store, StoreError};
use crate::digest::Digest;

/// How often the current version is looked for when it is replaced and removed meanwhile.
const ATTEMPTS: u32 = 16;

/// One version of a stored bundle, which stays in the store as long as this lives.
#[derive(Debug)]
pub struct Version {
    pub(crate) name: BundleName,
    /// Of its manifest.
    pub digest: Digest,
    /// What it is made of.
    pub manifest: Manifest,
    /// When it was stored.
    pub stored_at: Option<SystemTime>,
    directory: PathBuf,
    /// The trees of its layers, lowest first.
    pub(crate) trees: Vec<PathBuf>,
    _lease: File,
}

impl Version {
    /// The content of a file beside the manifest, which has the manifest's digest.
    pub(crate) fn file(&self, file: &str) -> Result<Vec<u8>, StoreError> {
        let path = self.directory.join(file);
        let content = fs::read(&path).map_err(StoreError::io("read", &path))?;
        match self.manifest.files.get(file) {
            Some(digest) if Digest::of(&content) == *digest => Ok(content),
            _ => Err(self.changed(path)),
        }
    }

    fn changed(&self, path: PathBuf) -> StoreError {
        StoreError::Changed { bundle: self.name.as_str().to_owned(), path }
    }
}

impl Store {
    /// The current version of a bundle; `None` when there is no such bundle. Its manifest and the files beside
    /// it are what they were; its layers are not looked at.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn current(&self, name: &BundleName) -> Result<Option<Version>, StoreError> {
        let link = self.bundle(name).join(CURRENT);
        let mut attempts = 0;
        loop {
            let target = match fs::read_link(&link) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                target => target.map_err(StoreError::io("read", &link))?,
            };
            let Some(digest) = target.to_str().and_then(Digest::from_hex) else {
                return Err(StoreError::Changed { bundle: name.as_str().to_owned(), path: link });
            };
            attempts += 1;
            match self.version(name, digest) {
                // Replaced and removed since the link was read.
                Err(StoreError::Io { source, .. })
                    if source.kind() == io::ErrorKind::NotFound
                        && attempts < ATTEMPTS
                        && fs::read_link(&link).ok() != Some(target) => {}
                version => return version.map(Some),
            }
        }
    }

    fn version(&self, name: &BundleName, digest: Digest) -> Result<Version, StoreError> {
        let directory = self.bundle(name).join(digest.hex());
        let lease = directory.join(LEASE_FILE);
        let lease_file = File::open(&lease)
            .and_then(|file| file.lock_shared().map(|()| file))
            .map_err(StoreError::io("lock", &lease))?;
        let path = directory.join(MANIFEST_FILE);
        let text = fs::read(&path).map_err(StoreError::io("read", &path))?;
        let stored_at = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
        if Digest::of(&text) != digest {
            return Err(StoreError::Changed { bundle: name.as_str().to_owned(), path });
        }
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|source| StoreError::Manifest { path: path.clone(), source })?;
        let trees = manifest.layers.iter().map(|layer| self.tree(&layer.digest)).collect();
        let version =
            Version { name: name.clone(), digest, manifest, stored_at, directory, trees, _lease: lease_file };
        version.manifest.files.keys().try_for_each(|file| version.file(file).map(drop))?;
        Ok(version)
    }

    /// Makes sure that a version's layers are what they were, by their stamps where those are right: in the time
    /// of a stat(2) of each file. What was only moved, as by a restored backup, is read again and stamped anew.
    ///
    /// # Errors
    /// [`StoreError::Changed`] for the first file that is not.
    pub fn check(&self, version: &Version) -> Result<(), StoreError> {
        self.of_each_layer(version, |digest| {
            if self.is_stamped(digest) {
                return Ok(());
            }
            let is = stamp(&self.tree(digest))?;
            self.read_again(version, digest)?;
            // Read-only stores are read again each time.
            let _ = fs::write(self.layer(digest).join(STAMP_FILE), is.to_string());
            Ok(())
        })
    }

    /// Makes sure that a version's layers are what they were by reading all of them.
    ///
    /// # Errors
    /// [`StoreError::Changed`] for the first file that is not.
    pub fn verify(&self, version: &Version) -> Result<(), StoreError> {
        self.of_each_layer(version, |digest| self.read_again(version, digest))
    }

    /// Whether nobody has touched a layer since it was stamped.
    pub(super) fn is_stamped(&self, digest: &Digest) -> bool {
        let known = fs::read_to_string(self.layer(digest).join(STAMP_FILE)).unwrap_or_default();
        known.parse().is_ok_and(|known: Digest| stamp(&self.tree(digest)).is_ok_and(|is| is == known))
    }

    fn read_again(&self, version: &Version, digest: &Digest) -> Result<(), StoreError> {
        let tree = self.tree(digest);
        let is = Index::of(&tree)?;
        if is.digest() == *digest {
            return Ok(());
        }
        let index = self.layer(digest).join("index");
        let was = fs::read_to_string(&index).unwrap_or_default();
        if Digest::of(was.as_bytes()) != *digest {
            return Err(version.changed(index));
        }
        Err(version.changed(tree.join(Index::first_difference(&was, &is.text).unwrap_or_default())))
    }

    /// The layers of a bundle are independent of each other, and mostly waiting for the kernel.
    fn of_each_layer(
        &self,
        version: &Version,
        check: impl Fn(&Digest) -> Result<(), StoreError> + Sync,
    ) -> Result<(), StoreError> {
        std::thread::scope(|scope| {
            let layers = version.manifest.layers.iter();
            let checks: Vec<_> = layers.map(|layer| scope.spawn(|| check(&layer.digest))).collect();
            checks.into_iter().try_for_each(|check| check.join().map_err(|_| StoreError::Interrupted)?)
        })
    }
}
