//! Images in registries, by the OCI distribution protocol, which is the crate `oci-client`'s business.
//!
//! Owns the verification of all that comes, and the step from its asynchronous streams to the blocking readers
//! of those who hash and unpack.

use std::env;
use std::io::{self, Read};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use oci_spec::image::{Descriptor, ImageManifest};
use tokio::sync::mpsc::{Receiver, channel};

use super::{Blob, credentials};
use crate::error::ImageError;
use crate::manifest::{self, Document, MANIFEST_TYPES, MAX_JSON};
use crate::platform::Platform;
use crate::source::Image;

/// What a registry may take to answer, and between two parts of an answer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Parts of a blob that have come and were not yet taken, of some 16 KiB each.
const PARTS_READY: usize = 64;

/// Indexes in indexes.
const MAX_NESTED: usize = 4;

/// A registry that was asked for an image.
pub(crate) struct Registry {
    client: Client,
    reference: Reference,
    /// The runtime: blobs are read by threads that are none of it.
    runtime: tokio::runtime::Handle,
}

/// Finds an image.
pub(crate) async fn open(
    reference: &Reference,
    plain_http: bool,
    platform: &Platform,
) -> Result<(Image, Registry), ImageError> {
    // The only one there is; that another part of the program was faster does not matter.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let for_credentials = reference.clone();
    let auth = tokio::task::spawn_blocking(move || credentials::find(&for_credentials))
        .await
        .map_err(ImageError::Thread)??;
    let variable = |name: &str| {
        env::var(name.to_uppercase()).or_else(|_| env::var(name)).ok().filter(|value| !value.is_empty())
    };
    let client = Client::new(ClientConfig {
        protocol: if plain_http { ClientProtocol::Http } else { ClientProtocol::Https },
        platform_resolver: None,
        read_timeout: Some(TIMEOUT),
        connect_timeout: Some(TIMEOUT),
        user_agent: concat!("soulbox/", env!("CARGO_PKG_VERSION")),
        https_proxy: variable("https_proxy"),
        no_proxy: variable("no_proxy"),
        ..ClientConfig::default()
    });
    let registry =
        Registry { client, reference: reference.clone(), runtime: tokio::runtime::Handle::current() };
    let image = registry.find(&auth, platform).await?;
    Ok((image, registry))
}

impl Registry {
    async fn find(&self, auth: &RegistryAuth, platform: &Platform) -> Result<Image, ImageError> {
        let (manifest, digest) = self.manifest(auth, platform).await?;
        manifest::check_is_image(&manifest)?;
        let config = self.config(manifest.config()).await?;
        let layers = manifest.layers().iter().map(manifest::layer).collect::<Result<_, _>>()?;
        manifest::image(Some(self.reference.whole()), digest, config, layers, platform)
    }

    /// The manifest for the platform, with its digest.
    async fn manifest(
        &self,
        auth: &RegistryAuth,
        platform: &Platform,
    ) -> Result<(ImageManifest, String), ImageError> {
        let mut reference = self.reference.clone();
        for _ in 0..MAX_NESTED {
            let pulled = self.client.pull_manifest_raw(&reference, auth, &MANIFEST_TYPES).await;
            let (bytes, _) = pulled.map_err(|source| self.error("the manifest", source))?;
            if bytes.len() as u64 > MAX_JSON {
                return Err(ImageError::JsonTooLarge { what: "the manifest", limit: MAX_JSON });
            }
            if let Some(expected) = reference.digest() {
                manifest::verify(&bytes, expected, "the manifest")?;
            }
            match manifest::parse(&bytes)? {
                Document::Manifest(manifest) => return Ok((*manifest, manifest::digest_of(&bytes))),
                Document::Index(index) => {
                    let images: Vec<&Descriptor> =
                        index.manifests().iter().filter(|entry| manifest::may_be_image(entry)).collect();
                    let chosen = manifest::choose(&images, platform)?.digest().to_string();
                    manifest::check_form(&chosen)?;
                    reference = self.reference.clone_with_digest(chosen);
                }
            }
        }
        Err(ImageError::Nested(MAX_NESTED))
    }

    async fn config(&self, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
        const WHAT: &str = "the image's configuration";
        let digest = descriptor.digest().to_string();
        manifest::check_form(&digest)?;
        let pulled = self.client.pull_blob_stream(&self.reference, digest.as_str()).await;
        let mut stream = pulled.map_err(|source| self.error(WHAT, source))?;
        let mut bytes = Vec::new();
        while let Some(part) = stream.next().await {
            match part {
                Ok(part) => bytes.extend_from_slice(&part),
                // Whether it is the right one is seen below.
                Err(error) if is_mismatch(&error) => break,
                Err(error) => return Err(self.error(WHAT, OciDistributionError::IoError(error))),
            }
            if bytes.len() as u64 > MAX_JSON {
                return Err(ImageError::JsonTooLarge { what: WHAT, limit: MAX_JSON });
            }
        }
        manifest::verify(&bytes, &digest, WHAT)?;
        Ok(bytes)
    }

    /// A blob, whose digest the reader of it has to verify.
    pub(crate) async fn blob(&self, digest: &str) -> Result<Blob, ImageError> {
        let pulled = self.client.pull_blob_stream(&self.reference, digest).await;
        let mut stream = pulled.map_err(|source| self.error("a layer", source))?.stream;
        let (sender, parts) = channel(PARTS_READY);
        self.runtime.spawn(async move {
            while let Some(part) = stream.next().await {
                // Ours is the verdict; theirs comes as the last part and is no part.
                let part = match part {
                    Err(error) if is_mismatch(&error) => break,
                    part => part,
                };
                if sender.send(part).await.is_err() {
                    break;
                }
            }
        });
        Ok(Box::new(Parts { parts, current: Bytes::new() }))
    }

    fn error(&self, what: &'static str, source: OciDistributionError) -> ImageError {
        let (registry, reference) = (self.reference.registry().to_owned(), self.reference.whole());
        let code = |wanted: &[OciErrorCode]| match &source {
            OciDistributionError::RegistryError { envelope, .. } => {
                envelope.errors.iter().any(|error| wanted.contains(&error.code))
            }
            _ => false,
        };
        let status = match &source {
            OciDistributionError::ServerError { code, .. } => *code,
            OciDistributionError::UnauthorizedError { .. }
            | OciDistributionError::AuthenticationFailure(_) => 401,
            OciDistributionError::ImageManifestNotFoundError(_) => 404,
            _ => 0,
        };
        if status == 401 || status == 403 || code(&[OciErrorCode::Unauthorized, OciErrorCode::Denied]) {
            ImageError::NotAuthorized { registry, reference, source }
        } else if status == 404
            || code(&[OciErrorCode::ManifestUnknown, OciErrorCode::NameUnknown, OciErrorCode::NotFound])
        {
            ImageError::NotFound { reference, source }
        } else {
            ImageError::Registry { what, reference, source }
        }
    }
}

fn is_mismatch(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<oci_client::errors::DigestError>())
}

/// What has come of a blob, for a thread that waits.
struct Parts {
    parts: Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Read for Parts {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.parts.blocking_recv() {
                Some(part) => self.current = part?,
                None => return Ok(0),
            }
        }
        let read = self.current.len().min(into.len());
        self.current.copy_to_slice(&mut into[..read]);
        Ok(read)
    }
}
