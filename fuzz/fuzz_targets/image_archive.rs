//! A file that is imported as an image: an OCI layout or an archive of `docker save`, compressed or not.

#![no_main]

use std::fs;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use soulbox_image::{Platform, fuzzing};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// Most bytes of a blob that are read.
const LIMIT: u64 = 1 << 20;

struct Place {
    directory: TempDir,
    runtime: Runtime,
    platform: Platform,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| Place {
    directory: tempfile::tempdir_in("/dev/shm").expect("there is room in memory"),
    runtime: Builder::new_current_thread().build().expect("a runtime needs nothing"),
    platform: "linux/amd64".parse().expect("it is a platform"),
});

fuzz_target!(|bytes: &[u8]| {
    let path = PLACE.directory.path().join("image");
    fs::write(&path, bytes).expect("there is room in memory");
    let Ok(image) = PLACE.runtime.block_on(fuzzing::archive(path, &PLACE.platform, LIMIT)) else { return };
    assert_eq!(image.layers.len(), image.config.rootfs().diff_ids().len());
    for digest in image.layers.iter().map(|layer| &layer.diff_id).chain([&image.digest]) {
        // They become parts of paths.
        let hex = digest.strip_prefix("sha256:").expect("there is no other algorithm");
        assert!(hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
});
