//! Where images come from: registries, image layouts, and archives of either.
//!
//! Owns the one form that all of them have afterwards: an [`Image`], and its layers' blobs as streams of bytes.

mod credentials;
mod docker_archive;
mod files;
mod layout;
mod registry;

use std::io::Read;
use std::path::PathBuf;

use oci_client::Reference;
use oci_spec::image::ImageConfiguration;

use crate::error::ImageError;
use crate::platform::Platform;
use crate::stream::Compression;
use files::Files;

/// A blob's bytes, to be read by a thread that may wait.
pub(crate) type Blob = Box<dyn Read + Send>;

/// Where an image is to be had.
#[derive(Clone, Debug)]
pub enum Source {
    /// In a registry.
    Registry {
        /// Which one, with the registry.
        reference: Reference,
        /// Without TLS, for registries of one's own.
        plain_http: bool,
    },
    /// In an OCI image layout (a directory or a tar file) or an archive of `docker save`. The tar file may be
    /// compressed.
    Files {
        /// The directory or the file.
        path: PathBuf,
        /// Which one, where there are several: a tag or a whole reference.
        name: Option<String>,
    },
}

impl Source {
    /// An image of a registry, such as `debian:12` or `ghcr.io/owner/name@sha256:…`.
    ///
    /// # Errors
    /// [`ImageError::Reference`].
    pub fn registry(reference: &str, plain_http: bool) -> Result<Self, ImageError> {
        let parsed = reference.parse();
        let reference =
            parsed.map_err(|source| ImageError::Reference { text: reference.to_owned(), source })?;
        Ok(Source::Registry { reference, plain_http })
    }

    /// Finds the image and reads all of it but its layers.
    pub(crate) async fn open(&self, platform: &Platform) -> Result<Opened, ImageError> {
        match self {
            Source::Registry { reference, plain_http } => {
                let (image, registry) = registry::open(reference, *plain_http, platform).await?;
                Ok(Opened { image, blobs: Blobs::Registry(registry) })
            }
            Source::Files { path, name } => {
                let (path, name, platform) = (path.clone(), name.clone(), platform.clone());
                let open = move || open_files(path, name.as_deref(), &platform);
                tokio::task::spawn_blocking(open).await.map_err(ImageError::Thread)?
            }
        }
    }
}

pub(crate) fn open_files(
    path: PathBuf,
    name: Option<&str>,
    platform: &Platform,
) -> Result<Opened, ImageError> {
    let files = Files::open(path)?;
    // What docker writes today is both, and the layout knows the digests of its blobs.
    let (image, paths) = if files.has(layout::INDEX) {
        layout::open(&files, name, platform)?
    } else if files.has(docker_archive::MANIFEST) {
        docker_archive::open(&files, name, platform)?
    } else {
        return Err(ImageError::UnknownFormat(files.path().to_owned()));
    };
    Ok(Opened { image, blobs: Blobs::Files { files, paths } })
}

/// An image: what it says of itself, verified, and what its layers are.
#[derive(Clone, Debug)]
pub struct Image {
    /// What it is called where it came from, if it is called anything there.
    pub reference: Option<String>,
    /// The digest of its manifest; of its configuration where it came without a manifest (`docker save` of
    /// old).
    pub digest: String,
    /// What it runs on.
    pub platform: Platform,
    /// Its configuration.
    pub config: ImageConfiguration,
    /// The configuration as it was written, which the digest of an image is about.
    pub raw_config: Vec<u8>,
    /// From the lowest to the uppermost. The same may be there twice.
    pub layers: Vec<Layer>,
}

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The digest of the blob; archives of old do not tell.
    pub digest: Option<String>,
    /// The digest of the uncompressed archive, which is the layer's identity.
    pub diff_id: String,
    /// Length of the blob, bytes.
    pub size: u64,
    /// How the blob is compressed, according to its type. The helper looks for itself.
    pub compression: Compression,
}

/// An image whose layers can be read.
pub(crate) struct Opened {
    pub(crate) image: Image,
    blobs: Blobs,
}

enum Blobs {
    Registry(registry::Registry),
    /// With each layer's path.
    Files {
        files: Files,
        paths: Vec<String>,
    },
}

impl Opened {
    /// The blob of the layer with this number.
    pub(crate) async fn blob(&self, index: usize) -> Result<Blob, ImageError> {
        match &self.blobs {
            Blobs::Registry(registry) => {
                let digest = self.image.layers[index].digest.as_deref().unwrap_or_default();
                registry.blob(digest).await
            }
            Blobs::Files { files, paths } => files.open_file(&paths[index]),
        }
    }
}
