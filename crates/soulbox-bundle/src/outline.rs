//! What has to be known of a folder before it can be a bundle of layers: what to look for in them.
//!
//! Owns nothing of how it is found.

use std::path::PathBuf;

use crate::bundle::BundleError;
use crate::folder::Folder;
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
    /// The recipe's own environment.
    pub environment: Vec<(String, String)>,
    /// Whether the bundle is found in images of any kind, so that an image is taken for this language only when it
    /// has no other.
    pub common: bool,
    /// Whether the host's own toolchain can be used, so that the folder is a bundle as it is.
    pub of_host: bool,
    /// Whether the bundle has a command that prepares it, which only works on the host.
    pub is_prepared: bool,
}

impl Folder {
    /// What to look for in the layers of this bundle.
    ///
    /// # Errors
    /// [`BundleError::Recipe`].
    pub fn outline(&self) -> Result<Outline, BundleError> {
        let recipe: Recipe = toml::from_str(&self.recipe)
            .map_err(|source| BundleError::Recipe { bundle: self.name.clone(), source })?;
        Ok(Outline {
            language: recipe.language,
            toolchains: recipe.start.toolchains,
            version_arguments: recipe.version,
            environment: recipe.environment.into_iter().collect(),
            common: recipe.common,
            of_host: matches!(recipe.rootfs, Rootfs::Host { .. }),
            is_prepared: !recipe.start.prepare.is_empty(),
        })
    }

    /// The folder's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}
