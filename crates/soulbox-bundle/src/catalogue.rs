//! Where bundles are found.
//!
//! Owns the list of what there is, and the digests by which versions of a bundle are told apart. It keeps no
//! bundle: each look reads what is there now.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;
use std::time::SystemTime;

use include_dir::Dir;
use sha2::{Digest, Sha256};

use crate::bundle::{Bundle, BundleError};
use crate::embedded::{BUNDLES, SECCOMP_PROFILES};

/// A bundle that is there, but cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is not valid.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// Where a bundle's root file system comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleSource {
    /// The host's own programs.
    Host,
    /// Packages of Debian.
    Debian {
        /// The suite, as `trixie`.
        suite: String,
    },
    /// An OCI image.
    Image {
        /// The image's reference, as `docker.io/library/python:3.13`.
        reference: String,
    },
}

/// A layer of a bundle's root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerFacts {
    /// `sha256:` and the digest of its content.
    pub digest: String,
    /// Its size.
    pub size_bytes: u64,
}

/// What is known of a bundle beside what it says itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleFacts {
    /// Where it comes from.
    pub source: BundleSource,
    /// When it was made; `None` for those of the host.
    pub created_at: Option<SystemTime>,
    /// All of its layers; 0 for those of the host.
    pub size_bytes: u64,
    /// The layers of its root file system, the lowest first.
    pub layers: Vec<LayerFacts>,
}

static HOST_FACTS: BundleFacts =
    BundleFacts { source: BundleSource::Host, created_at: None, size_bytes: 0, layers: Vec::new() };

static DIGESTS: LazyLock<BTreeMap<String, String>> =
    LazyLock::new(|| BUNDLES.dirs().map(|dir| (name_of(dir), digest_of(dir))).collect());

/// Where bundles are found.
#[derive(Clone, Debug)]
pub struct Catalogue {
    languages: Option<Vec<String>>,
}

impl Catalogue {
    /// The embedded bundles of these languages; of all when nothing is said.
    pub fn embedded(languages: Option<Vec<String>>) -> Self {
        Catalogue { languages }
    }

    /// All bundles there are; one that cannot be used is there with its reason, since one broken bundle must
    /// not keep a server from starting.
    pub fn load_all(&self) -> Vec<(String, Result<Bundle, LoadError>)> {
        let names = BUNDLES.dirs().map(name_of);
        names.filter_map(|name| self.load(&name).map(|bundle| (name, bundle))).collect()
    }

    /// The current version of one; `None` when there is no such bundle (any more).
    pub fn load(&self, name: &str) -> Option<Result<Bundle, LoadError>> {
        let bundle = Bundle::embedded_named(name)?;
        let wanted = |bundle: &Bundle| {
            self.languages.as_ref().is_none_or(|all| all.iter().any(|one| one == bundle.language()))
        };
        match bundle {
            Ok(bundle) => wanted(&bundle).then_some(Ok(bundle)),
            Err(error) => Some(Err(error.into())),
        }
    }
}

impl Bundle {
    /// `sha256:` and the digest of everything in it: changes when and only when the bundle does.
    pub fn digest(&self) -> &str {
        DIGESTS.get(self.name()).map_or("", String::as_str)
    }

    /// What is known of it beside what it says itself.
    pub fn facts(&self) -> &BundleFacts {
        &HOST_FACTS
    }

    /// What its zygote has loaded before it is forked.
    pub fn preload(&self) -> &[String] {
        &[]
    }

    /// The toolchain's version, where it was found when the bundle was made.
    pub fn known_version(&self) -> Option<&str> {
        None
    }
}

fn name_of(dir: &Dir<'_>) -> String {
    dir.path().to_string_lossy().into_owned()
}

fn digest_of(dir: &Dir<'_>) -> String {
    let mut hash = Sha256::new();
    let shared = BUNDLES.files().chain(SECCOMP_PROFILES.files());
    for file in dir.files().chain(shared) {
        let name = file.path().as_os_str().as_encoded_bytes();
        for part in [name, file.contents()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hash.finalize().iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

impl Bundle {
    fn embedded_named(name: &str) -> Option<Result<Bundle, BundleError>> {
        let dir = BUNDLES.get_dir(Path::new(name))?;
        Some(Bundle::from_embedded(dir))
    }
}
