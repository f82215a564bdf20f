//! Where bundles are found: those that the program carries, and those of the store.
//!
//! Owns the order of the two: a stored bundle goes before an embedded one of its name.

use std::path::Path;

use crate::bundle::{Bundle, BundleError};
use crate::folder::Folder;
use crate::store::{BundleName, Store, StoreError};

/// A bundle that is there but cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is not valid.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// It is not what it was, or cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which bundles of each kind are wanted; all when nothing is said.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Of the embedded ones: names of their languages.
    pub languages: Option<Vec<String>>,
    /// Of the stored ones: their names.
    pub bundles: Option<Vec<String>>,
    /// Of both: those that a program for this language, alias or bundle can run in.
    pub program: Option<String>,
}

/// Where bundles are found.
#[derive(Clone, Debug)]
pub struct Catalogue {
    store: Store,
    wanted: Wanted,
}

impl Catalogue {
    /// The bundles that the program carries and those stored below `state_dir`, as far as they are wanted.
    pub fn new(state_dir: &Path, wanted: Wanted) -> Self {
        Catalogue { store: Store::new(state_dir), wanted }
    }

    /// The names of all that may be there.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Folder::embedded_names().collect();
        match self.store.names() {
            Ok(stored) => names.extend(stored.iter().map(|name| name.as_str().to_owned())),
            Err(error) => tracing::error!(%error, "no stored bundle can be used"),
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// All that there are, by name. One that cannot be used is there with the reason: it must not keep the
    /// others from being used.
    pub fn load_all(&self) -> Vec<(String, Result<Bundle, LoadError>)> {
        self.names().into_iter().filter_map(|name| Some((name.clone(), self.load(&name)?))).collect()
    }

    /// The current version of one; `None` when there is no such bundle, or it is not wanted.
    pub fn load(&self, name: &str) -> Option<Result<Bundle, LoadError>> {
        let embedded = || self.load_embedded(name).map_err(LoadError::from).transpose();
        match self.load_stored(name).transpose() {
            None => embedded(),
            // Of a broken bundle nothing is known but its name, and which embedded one it is there for.
            Some(Err(error)) => {
                let is_named = self.wanted.program.as_ref().is_none_or(|program| program == name);
                (is_named || embedded().is_some()).then_some(Err(error))
            }
            loaded => loaded,
        }
    }

    fn load_stored(&self, name: &str) -> Result<Option<Bundle>, LoadError> {
        let wanted = |wanted: &Vec<String>| wanted.iter().any(|wanted| wanted == name);
        let Some(name) =
            BundleName::parse(name).ok().filter(|_| self.wanted.bundles.as_ref().is_none_or(wanted))
        else {
            return Ok(None);
        };
        let Some(version) = self.store.current(&name)? else { return Ok(None) };
        let bundle = Bundle::stored(version)?;
        // Last, since it takes the longest.
        match bundle.version().filter(|_| self.can_be_of_program(&bundle)) {
            Some(version) => self.store.check(version)?,
            None => return Ok(None),
        }
        Ok(Some(bundle))
    }

    fn load_embedded(&self, name: &str) -> Result<Option<Bundle>, BundleError> {
        let Some(bundle) = Bundle::embedded(name)? else { return Ok(None) };
        let named = |wanted: &Vec<String>| wanted.iter().any(|wanted| wanted == bundle.language());
        let wanted = self.wanted.languages.as_ref().is_none_or(named);
        Ok(Some(bundle).filter(|bundle| wanted && self.can_be_of_program(bundle)))
    }

    fn can_be_of_program(&self, bundle: &Bundle) -> bool {
        let is = |name: &String| {
            name == bundle.name() || name == bundle.language() || bundle.aliases().contains(name)
        };
        self.wanted.program.as_ref().is_none_or(is)
    }
}
