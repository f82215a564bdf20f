//! A layer's blob, unpacked into an empty root directory: it is refused, or what lies there has nothing that a layer
//! may not have.
//!
//! A thread does that, in a mount namespace and a root directory of its own, so that the rest still finds its files.
//! This takes root, or `unshare --map-root-user` before the command.

#![no_main]

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::LazyLock;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use libfuzzer_sys::fuzz_target;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use sha2::{Digest as _, Sha256};
use soulbox_image::{LayerReport, Limits, Refusal, fuzzing};
use tempfile::TempDir;

const LIMITS: Limits = Limits { bytes: 1 << 20, entries: 200 };

/// Room for all that the limits allow.
const ROOM: &str = "size=32m,nr_inodes=100000,mode=755";

struct Unpacker {
    blobs: Sender<Vec<u8>>,
    results: Receiver<Result<LayerReport, Refusal>>,
    /// Where the thread's root directory lies. Outside of its namespace nothing does.
    outside: TempDir,
}

static UNPACKER: LazyLock<Mutex<Unpacker>> = LazyLock::new(|| {
    let (blobs, to_unpack) = channel::<Vec<u8>>();
    let (unpacked, results) = channel();
    let outside = tempfile::tempdir().expect("there is a directory for what is temporary");
    let root = outside.path().to_owned();
    thread::spawn(move || {
        enter(&root).expect("unpacking layers takes root, or unshare --map-root-user");
        for blob in to_unpack {
            let result = fuzzing::extract(Cursor::new(blob), LIMITS);
            if result.is_ok() {
                inspect();
            }
            clear();
            unpacked.send(result).expect("somebody waits for it");
        }
    });
    Mutex::new(Unpacker { blobs, results, outside })
});

fuzz_target!(|bytes: &[u8]| {
    let unpacker = UNPACKER.lock().expect("a panic ends the process");
    unpacker.blobs.send(bytes.to_vec()).expect("the thread lives");
    let result = unpacker.results.recv().expect("the thread lives");
    let outside = fs::read_dir(unpacker.outside.path()).expect("it is there").count();
    assert_eq!(outside, 0, "something was written outside");
    let Ok(report) = result else { return };
    assert!(report.entries <= LIMITS.entries && report.bytes <= LIMITS.bytes);
    if !is_compressed(bytes) {
        let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(report.diff_id, format!("sha256:{digest}"));
    }
});

fn is_compressed(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0x1f, 0x8b, ..] | [0x1f] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]
    )
}

fn enter(root: &Path) -> nix::Result<()> {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(none, root, Some("tmpfs"), MsFlags::empty(), Some(ROOM))?;
    nix::unistd::chroot(root)?;
    nix::unistd::chdir("/")
}

/// Nothing in the layer is a device but whiteouts, runs as another user, or takes more room than was allowed.
fn inspect() {
    let mut sizes = BTreeMap::new();
    walk(Path::new("/"), &mut |path, metadata| {
        let kind = metadata.file_type();
        let whiteout = kind.is_char_device() && metadata.rdev() == 0;
        assert!(whiteout || kind.is_file() || kind.is_dir() || kind.is_symlink(), "{}", path.display());
        assert!(kind.is_symlink() || metadata.mode() & 0o6000 == 0, "{}", path.display());
        assert!(metadata.uid() <= 65535 && metadata.gid() <= 65535, "{}", path.display());
        if kind.is_file() {
            sizes.insert(metadata.ino(), metadata.len());
        }
    });
    assert!(sizes.values().sum::<u64>() <= LIMITS.bytes);
}

fn walk(directory: &Path, look: &mut dyn FnMut(&Path, &fs::Metadata)) {
    for entry in fs::read_dir(directory).expect("it is there") {
        let path = entry.expect("it is there").path();
        let metadata = fs::symlink_metadata(&path).expect("it is there");
        look(&path, &metadata);
        if metadata.is_dir() {
            walk(&path, look);
        }
    }
}

fn clear() {
    for entry in fs::read_dir("/").expect("it is there") {
        let path = entry.expect("it is there").path();
        let is_directory = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir());
        let removed = if is_directory { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.expect("what was made can be removed");
    }
}
