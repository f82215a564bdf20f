//! What the targets of `fuzz/` reach of this crate that is otherwise its own. Owns nothing; not part of the interface.

use std::io::Read;
use std::path::PathBuf;

use crate::convert::{ImageSettings, settings};
use crate::error::ImageError;
use crate::manifest::{self, Document};
use crate::name::{self, BadName};
use crate::platform::Platform;
use crate::refusal::Report;
use crate::source::{Image, Layer, open_files};
use crate::stream::Compression;

pub use crate::extract::extract;

/// Where an entry of this name lies.
///
/// # Errors
/// [`BadName`].
pub fn entry_path(name: &[u8]) -> Result<PathBuf, BadName> {
    name::parse(name).map(|name| name.path)
}

/// Where a hard link to this name leads.
///
/// # Errors
/// [`BadName`].
pub fn link_path(name: &[u8]) -> Result<PathBuf, BadName> {
    name::parse_link(name)
}

/// Reads a manifest or an index, as far as can be told without its blobs.
///
/// # Errors
/// [`ImageError`].
pub fn manifest(bytes: &[u8], platform: &Platform) -> Result<(), ImageError> {
    match manifest::parse(bytes)? {
        Document::Manifest(manifest) => {
            manifest::check_is_image(&manifest)?;
            manifest.layers().iter().try_for_each(|layer| manifest::layer(layer).map(drop))
        }
        Document::Index(index) => {
            let images: Vec<_> =
                index.manifests().iter().filter(|entry| manifest::may_be_image(entry)).collect();
            manifest::choose(&images, platform).map(drop)
        }
    }
}

/// Reads a configuration, for as many layers.
///
/// # Errors
/// [`ImageError`].
pub fn configuration(bytes: &[u8], layers: usize, platform: &Platform) -> Result<ImageSettings, ImageError> {
    let layer = Layer { digest: None, diff_id: String::new(), size: 0, compression: Compression::None };
    let digest = manifest::digest_of(bytes);
    settings(&manifest::image(None, digest, bytes.to_owned(), vec![layer; layers], platform)?)
}

/// Reads what the helper that unpacks has said, and writes it again.
///
/// # Errors
/// Those of JSON.
pub fn helper_report(bytes: &[u8]) -> serde_json::Result<Vec<u8>> {
    serde_json::from_slice::<Report>(bytes).and_then(|report| serde_json::to_vec(&report))
}

/// Opens the only image of an archive, and reads all of its layers' blobs up to a length.
///
/// # Errors
/// [`ImageError`].
pub async fn archive(path: PathBuf, platform: &Platform, limit: u64) -> Result<Image, ImageError> {
    let opened = open_files(path.clone(), None, platform)?;
    for index in 0..opened.image.layers.len() {
        let blob = opened.blob(index).await?;
        let read = std::io::copy(&mut blob.take(limit), &mut std::io::sink());
        read.map_err(|source| ImageError::File { path: path.clone(), source })?;
    }
    Ok(opened.image)
}
