//! Archives of `docker save`: `manifest.json` with the paths of configurations and layers.

use serde::Deserialize;

use super::files::Files;
use crate::error::ImageError;
use crate::manifest::{self, MAX_JSON};
use crate::platform::Platform;
use crate::source::{Image, Layer};
use crate::stream::Compression;

/// The file that says what images there are.
pub(crate) const MANIFEST: &str = "manifest.json";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: Option<String>,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

impl Entry {
    fn names(&self) -> &[String] {
        self.repo_tags.as_deref().unwrap_or_default()
    }
}

/// Finds an image, and the paths of its layers.
pub(crate) fn open(
    files: &Files,
    name: Option<&str>,
    platform: &Platform,
) -> Result<(Image, Vec<String>), ImageError> {
    let bytes = files.read(MANIFEST, MANIFEST, MAX_JSON)?;
    let entries: Vec<Entry> = manifest::json(&bytes, MANIFEST)?;
    let entry = choose(files, &entries, name)?;
    let missing = |name: &str| ImageError::Missing { path: files.path().to_owned(), name: name.to_owned() };
    let config_path = entry.config.as_deref().ok_or_else(|| missing("configuration"))?;
    let config = files.read(config_path, "the image's configuration", MAX_JSON)?;
    let digest = manifest::digest_of(&config);
    if let Some(expected) = digest_in(config_path) {
        manifest::verify(&config, &expected, "the image's configuration")?;
    }
    let paths = entry.layers.clone().ok_or_else(|| missing("layers"))?;
    // Digests of compressed layers stand nowhere in the archive; what is in them is verified all the same.
    let layer = |path: &String| {
        let size = files.size(path)?;
        Ok(Layer { digest: None, diff_id: String::new(), size, compression: Compression::None })
    };
    let layers = paths.iter().map(layer).collect::<Result<_, ImageError>>()?;
    let reference = name.map(str::to_owned).or_else(|| entry.names().first().cloned());
    Ok((manifest::image(reference, digest, config, layers, platform)?, paths))
}

fn choose<'a>(files: &Files, entries: &'a [Entry], name: Option<&str>) -> Result<&'a Entry, ImageError> {
    let path = || files.path().to_owned();
    let names = || entries.iter().flat_map(Entry::names).cloned().collect();
    match (entries, name) {
        ([], _) => Err(ImageError::Missing { path: path(), name: "image".to_owned() }),
        ([only], None) => Ok(only),
        (_, None) => Err(ImageError::Ambiguous { path: path(), names: names() }),
        (_, Some(name)) => entries
            .iter()
            .find(|entry| entry.names().iter().any(|own| own == name || tag_of(own) == Some(name)))
            .ok_or_else(|| ImageError::NoSuchName { path: path(), name: name.to_owned(), names: names() }),
    }
}

fn tag_of(reference: &str) -> Option<&str> {
    let (_, tag) = reference.rsplit_once(':')?;
    (!tag.contains('/')).then_some(tag)
}

/// The digest in a path: `HEX.json` of old, and `blobs/sha256/HEX`.
fn digest_in(path: &str) -> Option<String> {
    let name = path.rsplit('/').next()?;
    let digest = format!("sha256:{}", name.strip_suffix(".json").unwrap_or(name));
    manifest::check_form(&digest).ok().map(|()| digest)
}
