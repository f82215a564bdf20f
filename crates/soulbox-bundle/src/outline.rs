//! What has to be known of a folder before it can be a bundle of layers: what to look for in them.
//!
//! Owns nothing of how it is found.

use std::path::{Path, PathBuf};

use crate::bundle::BundleError;
use crate::command::{HEAP_PLACE, fill_prepare};
use crate::debian::{self, DebianRootfs};
use crate::folder::Folder;
use crate::materialize::{MaterializeError, write_program};
use crate::recipe::{Recipe, Rootfs};

/// What to look for in the layers of a bundle.
#[derive(Clone, Debug)]
pub struct Outline {
    /// The language's name.
    pub language: String,
    /// Where the interpreter or compiler may be, the best place first.
    pub toolchains: Vec<PathBuf>,
    /// Arguments with which it tells its version.
    pub version_arguments: Vec<String>,
    /// The recipe's own environment, but for what depends on a program's limits.
    pub environment: Vec<(String, String)>,
    /// Whether the bundle is found in images of any kind, so that an image is taken for this language only when it
    /// has no other.
    pub common: bool,
    /// Whether the host's own toolchain can be used, so that the folder is a bundle as it is.
    pub of_host: bool,
    /// How its root file system is built, where it is.
    pub debian: Option<DebianRootfs>,
    /// The command that prepares it, with its places; empty when there is none.
    prepare: Vec<String>,
}

impl Outline {
    /// The command that prepares it, with this toolchain and this directory of the bundle's files.
    pub fn prepare_command(&self, toolchain: &Path, files: &Path) -> Option<Vec<String>> {
        (!self.prepare.is_empty()).then(|| fill_prepare(&self.prepare, toolchain, files))
    }
}

impl Folder {
    /// What to look for in the layers of this bundle.
    ///
    /// # Errors
    /// [`BundleError::Recipe`]; [`BundleError::Commands`] for packages and commands that cannot be meant.
    pub fn outline(&self) -> Result<Outline, BundleError> {
        let recipe: Recipe = toml::from_str(&self.recipe)
            .map_err(|source| BundleError::Recipe { bundle: self.name.clone(), source })?;
        let of_host = matches!(recipe.rootfs, Rootfs::Host { .. });
        let debian = match recipe.rootfs {
            Rootfs::Debian(rootfs) => {
                debian::check(&rootfs).map_err(|requirement| BundleError::Commands {
                    bundle: self.name.clone(),
                    requirement,
                })?;
                Some(rootfs)
            }
            Rootfs::Host { .. } | Rootfs::Layers => None,
        };
        Ok(Outline {
            language: recipe.language,
            toolchains: recipe.start.toolchains,
            version_arguments: recipe.version,
            environment: recipe
                .environment
                .into_iter()
                .filter(|(_, value)| !value.contains(HEAP_PLACE))
                .collect(),
            common: recipe.common,
            of_host,
            debian,
            prepare: recipe.start.prepare,
        })
    }

    /// Writes its files, such as a launcher, into a directory.
    ///
    /// # Errors
    /// [`MaterializeError::Io`].
    pub fn write_files(&self, directory: &Path) -> Result<(), MaterializeError> {
        self.files.iter().try_for_each(|(name, content)| write_program(&directory.join(name), content))
    }

    /// The folder's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}
