//! Why an image cannot be had.

use std::io;
use std::path::PathBuf;

use docker_credential::CredentialRetrievalError;
use oci_client::ParseError;
use oci_client::errors::OciDistributionError;

use crate::platform::Platform;
use crate::unpack::LayerError;

/// An image that could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The reference is none.
    #[error("{text:?} is no reference to an image")]
    Reference {
        /// What was given.
        text: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// The credentials of the registry cannot be read.
    #[error("cannot get the credentials for {registry} from docker's config.json")]
    Credentials {
        /// The registry.
        registry: String,
        /// Why.
        source: CredentialRetrievalError,
    },
    /// The credentials are of a kind that is not supported.
    #[error(
        "docker's config.json has an identity token for {0}, which is not supported: log in with a password or an access token"
    )]
    IdentityToken(String),
    /// The registry does not let us.
    #[error(
        "{registry} does not allow to pull {reference}: log in (docker login), or the image does not exist"
    )]
    NotAuthorized {
        /// The registry.
        registry: String,
        /// The image.
        reference: String,
        /// What it said.
        source: OciDistributionError,
    },
    /// The registry does not have it.
    #[error("there is no image {reference}")]
    NotFound {
        /// The image.
        reference: String,
        /// What the registry said.
        source: OciDistributionError,
    },
    /// The registry cannot be reached, or fails.
    #[error("cannot get {what} of {reference}")]
    Registry {
        /// What was asked for.
        what: &'static str,
        /// The image.
        reference: String,
        /// Why it failed.
        source: OciDistributionError,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Neither an image layout nor an archive of images.
    #[error("{} is neither an OCI image layout nor an archive that docker save writes", .0.display())]
    UnknownFormat(PathBuf),
    /// A file of the layout or the archive is missing.
    #[error("{} has no {name}", path.display())]
    Missing {
        /// The layout or the archive.
        path: PathBuf,
        /// The file in it.
        name: String,
    },
    /// There are several images, and none was chosen.
    #[error("{} has several images, say which: {}", path.display(), .names.join(", "))]
    Ambiguous {
        /// The layout or the archive.
        path: PathBuf,
        /// Their names.
        names: Vec<String>,
    },
    /// The image that was chosen is not there.
    #[error("{} has no image {name}; it has {}", path.display(), .names.join(", "))]
    NoSuchName {
        /// The layout or the archive.
        path: PathBuf,
        /// The name that was asked for.
        name: String,
        /// The names there are.
        names: Vec<String>,
    },
    /// There is no image for the platform.
    #[error("there is no image for {wanted}; there is {}", list(.available))]
    NoPlatform {
        /// The platform that was asked for.
        wanted: Platform,
        /// Those there are.
        available: Vec<Platform>,
    },
    /// A file of JSON is not what it should be.
    #[error("{what} is not valid")]
    Json {
        /// Which.
        what: &'static str,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A file of JSON is larger than any of good faith.
    #[error("{what} is larger than {limit} bytes")]
    JsonTooLarge {
        /// Which.
        what: &'static str,
        /// The limit, bytes.
        limit: u64,
    },
    /// A file is not the one that was named.
    #[error("{what} is damaged or another: its digest is {actual} and not {expected}")]
    Digest {
        /// Which.
        what: &'static str,
        /// The digest that it was named by.
        expected: String,
        /// Its own.
        actual: String,
    },
    /// A digest that cannot be checked.
    #[error("{0:?} is no sha256 digest, and no other is supported")]
    DigestForm(String),
    /// Indexes of indexes.
    #[error("its indexes lie more than {0} deep")]
    Nested(usize),
    /// A manifest of a form from before 2016.
    #[error("it is in Docker's old image format (schema 1): push or save it again with a newer docker")]
    Schema1,
    /// Something else that registries keep, such as a Helm chart or a signature.
    #[error("it is no container image but {0}")]
    NotAnImage(String),
    /// A layer of unknown form.
    #[error("layer {digest} is of the unknown type {media_type}")]
    MediaType {
        /// The layer.
        digest: String,
        /// What the manifest says that it is.
        media_type: String,
    },
    /// A layer that nobody but its owner may distribute.
    #[error("layer {0} may not be distributed by registries (a foreign layer, as in images of Windows)")]
    ForeignLayer(String),
    /// An encrypted layer.
    #[error("layer {0} is encrypted")]
    EncryptedLayer(String),
    /// The manifest and the configuration do not fit together.
    #[error("its manifest has {layers} layers and its configuration {diff_ids}")]
    LayerCount {
        /// Layers of the manifest.
        layers: usize,
        /// Those of the configuration.
        diff_ids: usize,
    },
    /// A value of the configuration cannot be used.
    #[error("{field} of the image's configuration {problem}: {value:?}")]
    Config {
        /// The field.
        field: &'static str,
        /// What is wrong.
        problem: &'static str,
        /// The value.
        value: String,
    },
    /// A layer could not be unpacked.
    #[error("layer {layer} cannot be unpacked")]
    Layer {
        /// Its digest.
        layer: String,
        /// Why.
        source: LayerError,
    },
    /// The caller has no place for a layer.
    #[error("layer {layer} cannot be stored")]
    Store {
        /// Its digest.
        layer: String,
        /// Why.
        source: io::Error,
    },
    /// A thread of ours failed.
    #[error("the work was broken off")]
    Thread(#[source] tokio::task::JoinError),
}

fn list(platforms: &[Platform]) -> String {
    if platforms.is_empty() {
        return "none that says its platform".to_owned();
    }
    platforms.iter().map(Platform::to_string).collect::<Vec<_>>().join(", ")
}
