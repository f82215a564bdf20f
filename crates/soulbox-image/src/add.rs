//! An image becomes a stored bundle, from its source to the store.
//!
//! Owns the meeting of the two: a layer of the image is one of the store's, found again by its `diff_id`, so that
//! what was interrupted goes on where it was, and what two images share is fetched once.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use soulbox_bundle::store::{self, LayerWork, StoreError, StoredSource, Writer};
use soulbox_bundle::{Digest, ParseDigestError};
use soulbox_sandbox::Instance;

use crate::convert::settings;
use crate::error::ImageError;
use crate::fetch::{FetchOptions, LayerStore, Progress, fetch};
use crate::install::{Choice, InstallError, Installed, install};
use crate::refusal::LayerReport;
use crate::source::{Layer, Source};

/// An image that could not become a bundle.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// It could not be fetched.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A digest is of another kind than SHA-256.
    #[error(transparent)]
    Digest(#[from] ParseDigestError),
    /// It is no bundle.
    #[error(transparent)]
    Install(#[from] InstallError),
}

/// Fetches an image and stores it as the bundle that `writer` may write. `reference` is what an operator will
/// know it by.
///
/// # Errors
/// [`AddError`]; the bundle is then as it was before, and layers that were complete are there for the next time.
pub async fn add(
    instance: &Instance,
    writer: &Writer,
    source: &Source,
    reference: String,
    options: &FetchOptions,
    choice: Choice,
    progress: Progress,
) -> Result<Installed, AddError> {
    let mut kept = Kept { writer, works: HashMap::new(), layers: HashMap::new() };
    let fetched = fetch(source, options, &mut kept, progress).await?;
    let settings = settings(&fetched.image)?;
    let layers = fetched.image.layers.iter();
    let layers = layers.filter_map(|layer| kept.layers.get(&layer.diff_id).copied()).collect();
    let source = StoredSource::Image { reference, digest: fetched.image.digest.parse()? };
    Ok(install(instance, writer, choice, layers, Some(&settings), source).await?)
}

/// The store, as the place for an image's layers.
struct Kept<'a> {
    writer: &'a Writer,
    /// What is being unpacked, by diff id.
    works: HashMap<String, LayerWork>,
    /// What is there, by diff id.
    layers: HashMap<String, store::Layer>,
}

impl LayerStore for Kept<'_> {
    fn target(&mut self, layer: &Layer) -> io::Result<Option<PathBuf>> {
        if let Some(known) = self.writer.made_from(&diff_id(layer)?) {
            self.layers.insert(layer.diff_id.clone(), known);
            return Ok(None);
        }
        let work = self.writer.new_layer().map_err(other)?;
        let tree = work.tree();
        self.works.insert(layer.diff_id.clone(), work);
        Ok(Some(tree))
    }

    fn unpacked(&mut self, layer: &Layer, _: &LayerReport) -> io::Result<()> {
        let Some(work) = self.works.remove(&layer.diff_id) else { return Ok(()) };
        let stored = self.writer.add_layer(work).map_err(other)?;
        self.writer.remember(&diff_id(layer)?, &stored).map_err(other)?;
        self.layers.insert(layer.diff_id.clone(), stored);
        Ok(())
    }
}

fn diff_id(layer: &Layer) -> io::Result<Digest> {
    layer.diff_id.parse().map_err(io::Error::other)
}

fn other(error: StoreError) -> io::Error {
    io::Error::other(error)
}
