//! OCI image layouts: `index.json`, and blobs by their digest.

use std::collections::BTreeSet;

use oci_spec::image::{Descriptor, ImageIndex};

use super::files::Files;
use crate::error::ImageError;
use crate::manifest::{self, Document, MAX_JSON};
use crate::platform::Platform;
use crate::source::Image;

/// The file that says what images there are.
pub(crate) const INDEX: &str = "index.json";

/// Indexes in indexes.
const MAX_NESTED: usize = 4;

/// What an image is called: by its tag, and by its whole name where docker has written the layout.
const NAMES: [&str; 2] = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];

/// Finds an image, and the paths of its layers.
pub(crate) fn open(
    files: &Files,
    name: Option<&str>,
    platform: &Platform,
) -> Result<(Image, Vec<String>), ImageError> {
    let index = files.read(INDEX, "the index", MAX_JSON)?;
    let index: ImageIndex = manifest::json(&index, "the index")?;
    let images: Vec<&Descriptor> =
        index.manifests().iter().filter(|entry| manifest::may_be_image(entry)).collect();
    let images = named(files, images, name)?;
    let reference = images.first().and_then(|image| names_of(image).last().cloned());
    let mut chosen = manifest::choose(&images, platform)?.clone();
    for _ in 0..MAX_NESTED {
        let digest = chosen.digest().to_string();
        let bytes = read_blob(files, &digest, "the manifest")?;
        match manifest::parse(&bytes)? {
            Document::Manifest(manifest) => {
                manifest::check_is_image(&manifest)?;
                let config =
                    read_blob(files, manifest.config().digest().as_ref(), "the image's configuration")?;
                let layers: Vec<_> =
                    manifest.layers().iter().map(manifest::layer).collect::<Result<_, _>>()?;
                let blobs = manifest.layers().iter().map(|layer| blob_path(layer.digest().as_ref()));
                let blobs: Vec<String> = blobs.collect::<Result<_, _>>()?;
                return Ok((manifest::image(reference, digest, config, layers, platform)?, blobs));
            }
            Document::Index(index) => {
                let images: Vec<&Descriptor> =
                    index.manifests().iter().filter(|entry| manifest::may_be_image(entry)).collect();
                chosen = manifest::choose(&images, platform)?.clone();
            }
        }
    }
    Err(ImageError::Nested(MAX_NESTED))
}

/// The entries of one name: images of the same name are of different platforms.
fn named<'a>(
    files: &Files,
    images: Vec<&'a Descriptor>,
    name: Option<&str>,
) -> Result<Vec<&'a Descriptor>, ImageError> {
    let path = || files.path().to_owned();
    let shown =
        |image: &&Descriptor| names_of(image).first().cloned().unwrap_or_else(|| image.digest().to_string());
    let all = || images.iter().map(shown).collect::<BTreeSet<_>>().into_iter().collect();
    let Some(name) = name else {
        let names: BTreeSet<_> = images.iter().map(|image| names_of(image)).collect();
        return if names.len() > 1 {
            Err(ImageError::Ambiguous { path: path(), names: all() })
        } else {
            Ok(images)
        };
    };
    let is_named = |image: &&Descriptor| {
        image.digest().as_ref() == name || names_of(image).iter().any(|own| own == name)
    };
    let found: Vec<&Descriptor> = images.iter().copied().filter(is_named).collect();
    if found.is_empty() {
        return Err(ImageError::NoSuchName { path: path(), name: name.to_owned(), names: all() });
    }
    Ok(found)
}

fn names_of(image: &Descriptor) -> Vec<String> {
    let annotations = image.annotations().as_ref();
    NAMES.iter().filter_map(|name| annotations?.get(*name).cloned()).collect()
}

fn blob_path(digest: &str) -> Result<String, ImageError> {
    manifest::check_form(digest)?;
    Ok(format!("blobs/{}", digest.replace(':', "/")))
}

fn read_blob(files: &Files, digest: &str, what: &'static str) -> Result<Vec<u8>, ImageError> {
    let bytes = files.read(&blob_path(digest)?, what, MAX_JSON)?;
    manifest::verify(&bytes, digest, what)?;
    Ok(bytes)
}
