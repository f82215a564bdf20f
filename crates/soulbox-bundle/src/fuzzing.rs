//! What the targets of `fuzz/` reach of this crate that is otherwise its own. Owns nothing; not part of the interface.

use std::collections::BTreeMap;

use crate::bundle::{Bundle, BundleError};
use crate::folder::Folder;

/// A folder with these descriptions and no other file.
pub fn folder(recipe: String, config: String) -> Folder {
    Folder { name: "fuzz".to_owned(), recipe, config, files: BTreeMap::new() }
}

/// The bundle that a folder is.
///
/// # Errors
/// [`BundleError`] when it is none.
pub fn bundle(folder: &Folder) -> Result<Bundle, BundleError> {
    Bundle::of_folder(folder)
}

/// Whether a folder is a bundle for a root file system of layers.
///
/// # Errors
/// [`BundleError`] when it is none.
pub fn check(folder: &Folder) -> Result<(), BundleError> {
    Bundle::check("fuzz", folder)
}
