//! `manifest.json`: what one version of a stored bundle is made of. Its digest is the bundle's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Where a stored bundle's layers came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum StoredSource {
    /// Built from Debian's packages.
    Debian {
        /// The suite, such as `trixie`.
        suite: String,
    },
    /// An OCI image.
    Image {
        /// The reference that was pulled, or the file that was imported.
        reference: String,
        /// Digest of the image's manifest.
        digest: Digest,
    },
}

/// One layer of a root file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Of its content as it lies on disk, which is its name in the store.
    pub digest: Digest,
    /// Bytes of its files.
    pub size_bytes: u64,
}

/// What one version of a stored bundle is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always [`Manifest::SCHEMA`].
    pub(super) schema: u32,
    /// Where the layers came from.
    pub source: StoredSource,
    /// The toolchain's version, as it said when the bundle was made.
    pub version: String,
    /// The root file system, lowest layer first.
    pub layers: Vec<Layer>,
    /// Digests of the files beside the manifest, `config.json` and `soulbox.toml` among them.
    pub files: BTreeMap<String, Digest>,
}

impl Manifest {
    /// The only form there has been.
    pub(super) const SCHEMA: u32 = 1;

    /// Bytes of all layers.
    pub fn size_bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size_bytes).sum()
    }
}
