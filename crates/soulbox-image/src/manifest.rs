//! Manifests, indexes and configurations: what an image is made of, and whether it is one.
//!
//! Owns the choice among the images of an index, and the refusal of what is no image for containers.

use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::error::ImageError;
use crate::platform::Platform;
use crate::source::{Image, Layer};
use crate::stream::{Compression, digest_text};

/// Largest manifest, index or configuration, bytes.
pub(crate) const MAX_JSON: u64 = 8 << 20;

/// Types of manifests and indexes, for the registry to choose from.
pub(crate) const MANIFEST_TYPES: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

const CONFIG_TYPES: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// What stands where a manifest is looked for.
#[derive(Debug)]
pub(crate) enum Document {
    Manifest(Box<ImageManifest>),
    Index(Box<ImageIndex>),
}

/// As much of either as tells which it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    schema_version: Option<u32>,
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
}

/// Reads a manifest or an index.
pub(crate) fn parse(bytes: &[u8]) -> Result<Document, ImageError> {
    let probe: Probe = json(bytes, "the manifest")?;
    if probe.schema_version == Some(1) {
        return Err(ImageError::Schema1);
    }
    if probe.manifests.is_some() && probe.config.is_none() {
        return Ok(Document::Index(Box::new(json(bytes, "the index")?)));
    }
    match probe.media_type {
        Some(other) if !MANIFEST_TYPES.contains(&other.as_str()) => {
            Err(ImageError::NotAnImage(format!("of the type {other}")))
        }
        _ => Ok(Document::Manifest(Box::new(json(bytes, "the manifest")?))),
    }
}

/// Reads JSON of a bounded size.
pub(crate) fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &'static str) -> Result<T, ImageError> {
    serde_json::from_slice(bytes).map_err(|source| ImageError::Json { what, source })
}

/// The digest of some bytes.
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    digest_text(Sha256::new_with_prefix(bytes))
}

/// Refuses bytes that are not those that were named.
pub(crate) fn verify(bytes: &[u8], expected: &str, what: &'static str) -> Result<(), ImageError> {
    check_form(expected)?;
    let actual = digest_of(bytes);
    if actual == expected {
        return Ok(());
    }
    Err(ImageError::Digest { what, expected: expected.to_owned(), actual })
}

/// Refuses a digest that is not of the one algorithm that everybody uses; it is part of a path afterwards.
pub(crate) fn check_form(digest: &str) -> Result<(), ImageError> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    match digest.strip_prefix("sha256:") {
        Some(hex) if hex.len() == 64 && hex.bytes().all(is_hex) => Ok(()),
        _ => Err(ImageError::DigestForm(digest.to_owned())),
    }
}

/// Whether a descriptor says that it is of an image or an index; those of old say nothing.
pub(crate) fn may_be_image(descriptor: &Descriptor) -> bool {
    let attestation = descriptor
        .annotations()
        .as_ref()
        .and_then(|all| all.get("vnd.docker.reference.type"))
        .is_some_and(|kind| kind == "attestation-manifest");
    let media_type = descriptor.media_type().to_string();
    !attestation && MANIFEST_TYPES.contains(&media_type.as_str())
}

/// The platform that a descriptor says.
fn platform_of(descriptor: &Descriptor) -> Option<Platform> {
    let platform = descriptor.platform().as_ref()?;
    Some(Platform {
        os: platform.os().to_string(),
        architecture: platform.architecture().to_string(),
        variant: platform.variant().clone(),
    })
}

/// Chooses the image of an index for a platform: the first that says it, or else the only one that says none.
pub(crate) fn choose<'a>(
    descriptors: &[&'a Descriptor],
    wanted: &Platform,
) -> Result<&'a Descriptor, ImageError> {
    let says = |descriptor: &&&Descriptor| platform_of(descriptor).is_some_and(|said| wanted.takes(&said));
    if let Some(found) = descriptors.iter().find(says) {
        return Ok(found);
    }
    let mut silent = descriptors.iter().filter(|descriptor| platform_of(descriptor).is_none());
    match (silent.next(), silent.next()) {
        // What it is for stands in its configuration.
        (Some(only), None) => Ok(only),
        _ => Err(ImageError::NoPlatform {
            wanted: wanted.clone(),
            available: descriptors.iter().filter_map(|descriptor| platform_of(descriptor)).collect(),
        }),
    }
}

/// Refuses a manifest of something else than an image for containers.
pub(crate) fn check_is_image(manifest: &ImageManifest) -> Result<(), ImageError> {
    let config = manifest.config().media_type().to_string();
    if CONFIG_TYPES.contains(&config.as_str()) {
        return Ok(());
    }
    let what = manifest.artifact_type().as_ref().map_or(config, MediaType::to_string);
    Err(ImageError::NotAnImage(format!("an artifact of the type {what}")))
}

/// Puts an image together from its verified parts. `layers` are those of the manifest, or of what stands for
/// one.
pub(crate) fn image(
    reference: Option<String>,
    digest: String,
    raw_config: Vec<u8>,
    layers: Vec<Layer>,
    wanted: &Platform,
) -> Result<Image, ImageError> {
    let config: ImageConfiguration = json(&raw_config, "the image's configuration")?;
    let platform = Platform {
        os: config.os().to_string(),
        architecture: config.architecture().to_string(),
        variant: config.variant().clone(),
    };
    if !wanted.takes(&platform) {
        return Err(ImageError::NoPlatform { wanted: wanted.clone(), available: vec![platform] });
    }
    let diff_ids = config.rootfs().diff_ids();
    if layers.len() != diff_ids.len() {
        return Err(ImageError::LayerCount { layers: layers.len(), diff_ids: diff_ids.len() });
    }
    diff_ids.iter().try_for_each(|diff_id| check_form(diff_id))?;
    let with_diff_id = |(layer, diff_id): (Layer, &String)| Layer { diff_id: diff_id.clone(), ..layer };
    let layers = layers.into_iter().zip(diff_ids).map(with_diff_id).collect();
    Ok(Image { reference, digest, platform, config, raw_config, layers })
}

/// A layer as a manifest describes it; its diff id comes from the configuration.
pub(crate) fn layer(descriptor: &Descriptor) -> Result<Layer, ImageError> {
    let digest = descriptor.digest().to_string();
    check_form(&digest)?;
    let media_type = descriptor.media_type().to_string();
    if media_type.contains("nondistributable") || media_type.contains(".foreign.") {
        return Err(ImageError::ForeignLayer(digest));
    }
    if media_type.ends_with("+encrypted") {
        return Err(ImageError::EncryptedLayer(digest));
    }
    let compression = match media_type.as_str() {
        "application/vnd.oci.image.layer.v1.tar" | "application/vnd.docker.image.rootfs.diff.tar" => {
            Compression::None
        }
        "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Compression::Gzip,
        "application/vnd.oci.image.layer.v1.tar+zstd"
        | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Compression::Zstd,
        _ => return Err(ImageError::MediaType { digest, media_type }),
    };
    Ok(Layer { digest: Some(digest), diff_id: String::new(), size: descriptor.size(), compression })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn wanted() -> Platform {
        "linux/amd64".parse().unwrap()
    }

    fn descriptor(media_type: &str, platform: Option<&str>) -> Descriptor {
        let platform = platform.map(|text| {
            let (os, architecture) = text.split_once('/').unwrap();
            serde_json::json!({"os": os, "architecture": architecture})
        });
        let mut value = serde_json::json!({"mediaType": media_type, "digest": DIGEST, "size": 1});
        if let Some(platform) = platform {
            value["platform"] = platform;
        }
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn other_things_than_images_are_called_by_their_name() {
        let manifest = |config: &str| {
            let config = descriptor(config, None);
            let text = serde_json::json!({"schemaVersion": 2, "config": config, "layers": []}).to_string();
            let Document::Manifest(manifest) = parse(text.as_bytes()).unwrap() else { panic!("an index") };
            check_is_image(&manifest)
        };
        CONFIG_TYPES.into_iter().for_each(|config| manifest(config).unwrap());
        let error = manifest("application/vnd.cncf.helm.config.v1+json").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("no container image but an artifact of the type application/vnd.cncf.helm")
        );
        let old = parse(br#"{"schemaVersion": 1, "fsLayers": []}"#);
        assert!(matches!(old, Err(ImageError::Schema1)));
        let other = parse(br#"{"schemaVersion": 2, "mediaType": "application/x", "config": {}}"#);
        assert!(matches!(other, Err(ImageError::NotAnImage(_))));
    }

    #[test]
    fn layers_are_of_known_types() {
        let of = |media_type: &str| layer(&descriptor(media_type, None)).map(|layer| layer.compression);
        assert_eq!(of("application/vnd.oci.image.layer.v1.tar").unwrap(), Compression::None);
        assert_eq!(of("application/vnd.docker.image.rootfs.diff.tar.gzip").unwrap(), Compression::Gzip);
        assert_eq!(of("application/vnd.oci.image.layer.v1.tar+zstd").unwrap(), Compression::Zstd);
        let foreign = of("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
        assert!(matches!(foreign, Err(ImageError::ForeignLayer(_))));
        let encrypted = of("application/vnd.oci.image.layer.v1.tar+gzip+encrypted");
        assert!(matches!(encrypted, Err(ImageError::EncryptedLayer(_))));
        let unknown = of("application/vnd.cncf.helm.chart.content.v1.tar+gzip");
        assert!(matches!(unknown, Err(ImageError::MediaType { .. })));
    }

    #[test]
    fn the_platform_decides_and_the_others_are_named() {
        let (arm, amd) = (
            descriptor(MANIFEST_TYPES[0], Some("linux/arm64")),
            descriptor(MANIFEST_TYPES[0], Some("linux/amd64")),
        );
        assert_eq!(choose(&[&arm, &amd], &wanted()).unwrap(), &amd);
        let error = choose(&[&arm], &wanted()).unwrap_err();
        assert_eq!(error.to_string(), "there is no image for linux/amd64; there is linux/arm64");
        let silent = descriptor(MANIFEST_TYPES[0], None);
        assert_eq!(choose(&[&arm, &silent], &wanted()).unwrap(), &silent);
        assert!(choose(&[&silent, &silent], &wanted()).is_err());
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let config = |architecture: &str, diff_ids: &[&str]| {
            let rootfs = serde_json::json!({"type": "layers", "diff_ids": diff_ids});
            serde_json::json!({"os": "linux", "architecture": architecture, "rootfs": rootfs})
                .to_string()
                .into_bytes()
        };
        let build = |config| image(None, DIGEST.to_owned(), config, Vec::new(), &wanted());
        build(config("amd64", &[])).unwrap();
        assert!(matches!(build(config("arm64", &[])), Err(ImageError::NoPlatform { .. })));
        assert!(matches!(
            build(config("amd64", &[DIGEST])),
            Err(ImageError::LayerCount { layers: 0, diff_ids: 1 })
        ));
        assert!(matches!(build(b"{}".to_vec()), Err(ImageError::Json { .. })));
        for bad in ["sha256:abc", "sha512:e3b0", "../../etc/passwd"] {
            assert!(matches!(check_form(bad), Err(ImageError::DigestForm(_))), "{bad}");
        }
        assert!(matches!(verify(b"x", DIGEST, "the manifest"), Err(ImageError::Digest { .. })));
        verify(b"", DIGEST, "the manifest").unwrap();
    }
}
