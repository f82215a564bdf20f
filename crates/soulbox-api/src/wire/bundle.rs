//! What a client gets to know of bundles.
//!
//! Owns the shape of these documents. It never decides what can be used.

use serde::Serialize;
use soulbox_engine::{BundleInfo, BundleSource, BundleState, StoredSource};
use utoipa::ToSchema;

use crate::wire::rfc_3339;

/// All bundles by name, also those that are not available on this host.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BundleList {
    bundles: Vec<Bundle>,
}

/// A bundle: what programs are executed in. Of one that cannot be read, its name and the reason are known.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "name": "science", "language": "python",
    "digest": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "source": {"kind": "debian", "reference": "trixie"}, "size_bytes": 94371840,
    "layers": [{
        "digest": "sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
        "size_bytes": 94371840
    }],
    "preload": ["numpy"], "created_at": "2026-01-02T03:04:05.678Z", "version": "Python 3.13.5",
    "start_mode": "fork", "ready": true, "unavailable": null
}))]
pub(crate) struct Bundle {
    /// Its name.
    name: String,
    /// The name of its language.
    #[schema(required)]
    language: Option<String>,
    /// Changes when, and only when, anything in it does.
    #[schema(required)]
    digest: Option<String>,
    /// Where its programs come from.
    #[schema(required)]
    source: Option<Source>,
    /// All of its layers; 0 when its programs are the host's.
    size_bytes: u64,
    /// The layers of its root file system, the lowest first; none when its programs are the host's.
    layers: Vec<Layer>,
    /// What its zygote has loaded before a program comes.
    preload: Vec<String>,
    /// When it was made (RFC 3339); `null` when its programs are the host's.
    #[schema(required, format = DateTime)]
    created_at: Option<String>,
    /// The version of its interpreter or toolchain, once it is known.
    #[schema(required)]
    version: Option<String>,
    /// `fork` when programs start as forks of a warm interpreter, `spawn` when one is started for each.
    #[schema(required)]
    start_mode: Option<&'static str>,
    /// Whether programs can start without delay.
    ready: bool,
    /// Why it is not available on this host, when it is not.
    #[schema(required)]
    unavailable: Option<String>,
}

/// Where a bundle's programs come from.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BundleSource)]
struct Source {
    kind: SourceKind,
    /// The suite of Debian, or the reference of the image.
    #[schema(required)]
    reference: Option<String>,
}

/// The host itself, packages of Debian, or an OCI image.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = BundleSourceKind)]
#[serde(rename_all = "snake_case")]
enum SourceKind {
    Host,
    Debian,
    Image,
}

/// A layer of a bundle's root file system.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BundleLayer)]
struct Layer {
    /// The digest of its content.
    digest: String,
    /// Its size.
    size_bytes: u64,
}

impl FromIterator<BundleInfo> for BundleList {
    fn from_iter<I: IntoIterator<Item = BundleInfo>>(bundles: I) -> Self {
        BundleList { bundles: bundles.into_iter().map(Bundle::from).collect() }
    }
}

impl From<BundleInfo> for Bundle {
    fn from(info: BundleInfo) -> Self {
        match info.state {
            BundleState::Read(read) => Bundle {
                name: info.name,
                language: Some(read.language),
                digest: Some(read.digest.to_string()),
                source: Some(read.facts.source.into()),
                size_bytes: read.facts.size_bytes,
                layers: read.facts.layers.into_iter().map(Layer::from).collect(),
                preload: read.preload,
                created_at: read.facts.created_at.map(rfc_3339),
                version: read.version,
                start_mode: Some(read.start_mode),
                ready: read.ready,
                unavailable: read.unavailable,
            },
            BundleState::Broken(reason) => Bundle {
                name: info.name,
                language: None,
                digest: None,
                source: None,
                size_bytes: 0,
                layers: Vec::new(),
                preload: Vec::new(),
                created_at: None,
                version: None,
                start_mode: None,
                ready: false,
                unavailable: Some(reason),
            },
        }
    }
}

impl From<BundleSource> for Source {
    fn from(source: BundleSource) -> Self {
        let (kind, reference) = match source {
            BundleSource::Host => (SourceKind::Host, None),
            BundleSource::Stored(StoredSource::Debian { suite }) => (SourceKind::Debian, Some(suite)),
            BundleSource::Stored(StoredSource::Image { reference, .. }) => {
                (SourceKind::Image, Some(reference))
            }
        };
        Source { kind, reference }
    }
}

impl From<soulbox_engine::Layer> for Layer {
    fn from(layer: soulbox_engine::Layer) -> Self {
        Layer { digest: layer.digest.to_string(), size_bytes: layer.size_bytes }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use serde_json::{Value, json};
    use soulbox_engine::{BundleFacts, Digest, ReadBundle};
    use utoipa::PartialSchema;

    use super::*;

    fn document(state: BundleState) -> Value {
        serde_json::to_value(Bundle::from(BundleInfo { name: "science".to_owned(), state })).unwrap()
    }

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn read(source: BundleSource) -> BundleState {
        BundleState::Read(Box::new(ReadBundle {
            language: "python".to_owned(),
            digest: digest("bundle"),
            facts: BundleFacts {
                source,
                created_at: Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_234)),
                size_bytes: 5,
                layers: vec![soulbox_engine::Layer { digest: digest("layer"), size_bytes: 5 }],
            },
            preload: vec!["numpy".to_owned()],
            version: Some("Python 3".to_owned()),
            start_mode: "fork",
            ready: true,
            unavailable: None,
        }))
    }

    #[test]
    fn the_document_has_the_fields_of_the_contract_and_no_others() {
        let expected = json!({
            "name": "science", "language": "python", "digest": digest("bundle").to_string(),
            "source": {"kind": "debian", "reference": "trixie"}, "size_bytes": 5,
            "layers": [{"digest": digest("layer").to_string(), "size_bytes": 5}], "preload": ["numpy"],
            "created_at": "1970-01-01T00:00:01.234Z", "version": "Python 3", "start_mode": "fork", "ready": true,
            "unavailable": null
        });
        assert_eq!(
            document(read(BundleSource::Stored(StoredSource::Debian { suite: "trixie".to_owned() }))),
            expected
        );
        let schema = serde_json::to_value(Bundle::schema()).unwrap();
        let described: Vec<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        let mut sent: Vec<_> = expected.as_object().unwrap().keys().cloned().collect();
        sent.sort_by_key(|field| described.iter().position(|other| other == field));
        assert_eq!(described, sent);
    }

    #[test]
    fn sources_have_a_kind_and_where_there_is_one_a_reference() {
        let reference = "docker.io/library/ruby:3".to_owned();
        let image = BundleSource::Stored(StoredSource::Image { reference, digest: digest("image") });
        assert_eq!(
            document(read(image))["source"],
            json!({"kind": "image", "reference": "docker.io/library/ruby:3"})
        );
        assert_eq!(document(read(BundleSource::Host))["source"], json!({"kind": "host", "reference": null}));
    }

    #[test]
    fn a_broken_bundle_has_the_same_fields_and_says_why() {
        let broken = document(BundleState::Broken("a layer is damaged".to_owned()));
        assert_eq!((&broken["unavailable"], &broken["ready"]), (&json!("a layer is damaged"), &json!(false)));
        let fields = |document: &Value| document.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(fields(&broken), fields(&document(read(BundleSource::Host))));
    }
}
