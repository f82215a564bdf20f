//! What the store reads back: manifests, digests, names of bundles. What is accepted is written as it was read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use soulbox_bundle::Digest;
use soulbox_bundle::store::{BundleName, Manifest};

fuzz_target!(|text: &str| {
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
    }
    if let Ok(name) = BundleName::parse(text) {
        // It is a part of paths.
        assert_eq!(name.as_str(), text);
        assert!(!text.contains(['/', '\0']) && !text.starts_with('.') && text.len() <= 64);
    }
    if let Ok(manifest) = serde_json::from_str::<Manifest>(text) {
        let _ = manifest.size_bytes();
        let written = serde_json::to_string(&manifest).expect("it was JSON");
        let again: Manifest = serde_json::from_str(&written).expect("it was a manifest");
        assert_eq!(written, serde_json::to_string(&again).expect("it was JSON"));
    }
});
