//! Images as other tools make, push and save them: what comes of them is what was put in.
//!
//! The registry is Debian's, on a loopback port of its own; the images are umoci's and skopeo's.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/image.rs"]
mod image;
mod support;

use std::env;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};

use image::{Entry, FIRST_ID, Kept, Layout, TAR, archive, digest, fetch, fetch_with, options};
use serde_json::json;
use soulbox_image::{Event, Fetched, ImageError, Source, settings};
use support::images::{HTPASSWD_USER, Registry, run, skopeo_copy};
use support::{public_directory, require_root};
use tempfile::TempDir;

/// Tells the second half of a test, in a process of its own, which registry to ask.
const CLOSED_REGISTRY: &str = "SOULBOX_TEST_CLOSED_REGISTRY";

/// An image that umoci has made: a layer with files, one that removes one of them, one that hides the rest.
struct Made {
    directory: TempDir,
}

static MADE: LazyLock<Made> = LazyLock::new(|| {
    require_root();
    let directory = public_directory();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let files = directory.path().join("files");
    fs::create_dir_all(files.join("directory")).unwrap();
    fs::write(files.join("directory/file"), "contents").unwrap();
    fs::write(files.join("large"), vec![7; 3_000_000]).unwrap();
    fs::write(files.join("program"), "#!/bin/sh").unwrap();
    fs::set_permissions(files.join("program"), fs::Permissions::from_mode(0o750)).unwrap();
    std::os::unix::fs::chown(files.join("program"), Some(1000), Some(100)).unwrap();
    fs::hard_link(files.join("large"), files.join("same")).unwrap();
    symlink("directory/file", files.join("link")).unwrap();
    fs::write(files.join("n".repeat(200)), "a long name").unwrap();
    // umoci rounds times to seconds, upwards too.
    run("find", &[path("files").as_str(), "-exec", "touch", "-h", "-d", "@1600000000", "{}", "+"]);
    let image = format!("{}:one", path("layout"));
    run("umoci", &["init", "--layout", &path("layout")]);
    run("umoci", &["new", "--image", &image]);
    run("umoci", &["insert", "--image", &image, &path("files"), "/data"]);
    run("umoci", &["insert", "--image", &image, "--whiteout", "/data/program"]);
    run("umoci", &["insert", "--image", &image, "--opaque", &path("files/directory"), "/data/directory"]);
    let config = ["--config.env", "A=b", "--config.workingdir", "/data", "--config.user", "1000"];
    run("umoci", &[&["config", "--image", &image], &config[..]].concat());
    Made { directory }
});

impl Made {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn reference(&self) -> String {
        format!("oci:{}:one", self.path("layout").display())
    }

    /// A directory that no other test writes to.
    fn place(&self) -> TempDir {
        tempfile::tempdir_in(self.directory.path()).unwrap()
    }
}

/// Everything that a layer should have of the files it was made from.
fn compare(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        let (from, to) = (from.join(&name), to.join(&name));
        let (a, b) = (fs::symlink_metadata(&from).unwrap(), fs::symlink_metadata(&to).unwrap());
        assert_eq!(
            (a.mode(), a.uid() + FIRST_ID, a.gid() + FIRST_ID),
            (b.mode(), b.uid(), b.gid()),
            "{to:?}"
        );
        if a.is_dir() {
            assert_eq!(a.mtime(), b.mtime(), "{to:?}");
            compare(&from, &to);
        } else if a.is_symlink() {
            assert_eq!(fs::read_link(from).unwrap(), fs::read_link(to).unwrap());
        } else {
            assert_eq!((a.mtime(), a.nlink()), (b.mtime(), b.nlink()), "{to:?}");
            assert!(fs::read(from).unwrap() == fs::read(&to).unwrap(), "{to:?} has other contents");
        }
    }
}

/// Fetches the image that umoci has made and looks at all of it.
#[track_caller]
fn check(source: &Source) -> Fetched {
    let mut kept = Kept::new();
    let fetched = fetch(source, &mut kept).unwrap();
    let trees: Vec<_> = fetched.image.layers.iter().map(|layer| kept.tree(&layer.diff_id)).collect();
    let [files, removed, hidden] = trees.as_slice() else { panic!("{trees:?}") };
    compare(&MADE.path("files"), &files.join("data"));
    let whiteout = fs::symlink_metadata(removed.join("data/program")).unwrap();
    assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
    assert_eq!(xattr::get(hidden.join("data/directory"), "user.overlay.opaque").unwrap().unwrap(), b"y");
    compare(&MADE.path("files/directory"), &hidden.join("data/directory"));
    let settings = settings(&fetched.image).unwrap();
    assert_eq!(settings.environment, [("A".to_owned(), "b".to_owned())]);
    assert_eq!((&*settings.working_directory, &*settings.user), ("/data", "1000"));
    // Whoever has them all asks for none.
    kept.asked.clear();
    assert!(fetch(source, &mut kept).unwrap().reports.is_empty() && kept.asked.is_empty());
    fetched
}

fn source(registry: &Registry, name: &str) -> Source {
    Source::registry(&format!("{}/{name}", registry.address), true).unwrap()
}

fn files(path: impl Into<PathBuf>) -> Source {
    Source::Files { path: path.into(), name: None }
}

#[test]
fn an_image_of_a_registry_is_what_was_pushed() {
    let registry = Registry::start(false);
    let target = |name: &str| format!("docker://{}/{name}", registry.address);
    skopeo_copy(&[], &MADE.reference(), &target("some/oci:1"));
    let fetched = check(&source(&registry, "some/oci:1"));
    assert_eq!(fetched.image.reference, Some(format!("{}/some/oci:1", registry.address)));
    // By its digest, and as docker pushes.
    check(&source(&registry, &format!("some/oci@{}", fetched.image.digest)));
    skopeo_copy(&["--format", "v2s2"], &MADE.reference(), &target("docker:1"));
    check(&source(&registry, "docker:1"));
    let zstd = ["--dest-compress-format", "zstd", "--dest-compress"];
    let place = MADE.place();
    let layout = format!("oci:{}:one", place.path().join("zstd").display());
    skopeo_copy(&zstd, &MADE.reference(), &layout);
    skopeo_copy(&[], &layout, &target("zstd:1"));
    let fetched = check(&source(&registry, "zstd:1"));
    assert!(fetched.image.layers.iter().all(|layer| layer.compression == soulbox_image::Compression::Zstd));

    let error = fetch(&source(&registry, "some/oci:2"), &mut Kept::new()).unwrap_err();
    assert!(matches!(error, ImageError::NotFound { .. }), "{error:?}");
    // A registry that gives other bytes than it says.
    for data in blobs_below(&registry.directory.path().join("data")) {
        let bytes = fs::read(&data).unwrap();
        if bytes.len() < 1000 {
            continue;
        }
        let mut changed = bytes.clone();
        changed[700] ^= 0xff;
        fs::write(&data, changed).unwrap();
    }
    let error = fetch(&source(&registry, "some/oci:1"), &mut Kept::new()).unwrap_err();
    assert!(
        error.to_string().contains("layer sha256:") || error.to_string().contains("manifest"),
        "{error:?}"
    );
}

fn blobs_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(blobs_below(&entry));
        } else if entry.ends_with("data") {
            found.push(entry);
        }
    }
    found
}

#[test]
fn a_registry_that_is_not_there_is_named() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let source = Source::registry(&format!("{address}/a:1"), true).unwrap();
    let error = fetch(&source, &mut Kept::new()).unwrap_err();
    assert!(matches!(error, ImageError::Registry { .. }), "{error:?}");
    assert!(matches!(Source::registry("No Reference", false), Err(ImageError::Reference { .. })));
}

#[test]
fn a_closed_registry_is_opened_by_the_credentials_of_docker() {
    // The second half: in a process whose environment has them.
    if let Ok(address) = env::var(CLOSED_REGISTRY) {
        let source = Source::registry(&format!("{address}/closed:1"), true).unwrap();
        assert_eq!(fetch(&source, &mut Kept::new()).unwrap().reports.len(), 3);
        return;
    }
    let registry = Registry::start(true);
    let target = format!("docker://{}/closed:1", registry.address);
    skopeo_copy(&["--dest-creds", HTPASSWD_USER], &MADE.reference(), &target);
    let again = |config: &Path| {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "a_closed_registry_is_opened_by_the_credentials_of_docker", "--nocapture"])
            .env(CLOSED_REGISTRY, &registry.address)
            .env("DOCKER_CONFIG", config)
            .output()
            .unwrap()
    };
    let config = MADE.place();
    let refused = again(config.path());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("NotAuthorized"), "{said}");
    let login = json!({"auths": {&registry.address: {"username": "user", "password": "secret"}}});
    fs::write(config.path().join("config.json"), login.to_string()).unwrap();
    let pulled = again(config.path());
    assert!(pulled.status.success(), "{}", String::from_utf8_lossy(&pulled.stderr));
}

#[test]
fn layouts_and_archives_are_read_in_every_form() {
    let place = MADE.place();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    check(&files(MADE.path("layout")));
    run("tar", &["-cf", &path("layout.tar"), "-C", MADE.path("layout").to_str().unwrap(), "."]);
    let saved = format!("docker-archive:{}:some/name:1", path("saved.tar"));
    skopeo_copy(&[], &MADE.reference(), &saved);
    for name in ["layout.tar", "saved.tar"] {
        check(&files(path(name)));
        run("gzip", &["--keep", "--fast", &path(name)]);
        check(&files(path(&format!("{name}.gz"))));
        run("zstd", &["--quiet", "-1", &path(name)]);
        check(&files(path(&format!("{name}.zst"))));
    }
    let named = |name: &str| Source::Files { path: path("saved.tar").into(), name: Some(name.to_owned()) };
    check(&named("docker.io/some/name:1"));
    check(&named("1"));
    let error = fetch(&named("2"), &mut Kept::new()).unwrap_err();
    assert!(matches!(error, ImageError::NoSuchName { .. }), "{error:?}");
    for no_image in [MADE.path("files"), MADE.path("files/large")] {
        let error = fetch(&files(no_image), &mut Kept::new()).unwrap_err();
        assert!(matches!(error, ImageError::UnknownFormat(_)), "{error:?}");
    }
}

#[test]
fn of_several_images_one_has_to_be_chosen() {
    let layout = Layout::new();
    let mut manifests = Vec::new();
    for name in ["one", "two"] {
        let archive = archive(&[Entry::file(name, name)]);
        let mut image = layout.image(&[(layout.blob(TAR, &archive), digest(&archive))]);
        image["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        manifests.push(image);
    }
    layout.index(&manifests);
    let error = fetch(&layout.source(), &mut Kept::new()).unwrap_err();
    assert!(error.to_string().ends_with("has several images, say which: one, two"), "{error}");
    let (mut kept, name) = (Kept::new(), Some("two".to_owned()));
    fetch(&Source::Files { path: layout.path().to_owned(), name }, &mut kept).unwrap();
    assert_eq!(fs::read_to_string(kept.only().join("two")).unwrap(), "two");
}

#[test]
fn of_an_index_the_host_s_image_is_taken() {
    let layout = Layout::new();
    let archive = archive(&[Entry::file("file", "x")]);
    let mut own = layout.image(&[(layout.blob(TAR, &archive), digest(&archive))]);
    let mut other = layout.blob("application/vnd.oci.image.manifest.v1+json", b"never read");
    own["platform"] = json!({"os": "linux", "architecture": soulbox_image::Platform::host().architecture});
    other["platform"] = json!({"os": "linux", "architecture": "s390x"});
    let inner = json!({"schemaVersion": 2, "manifests": [other, own]}).to_string();
    layout.index(&[layout.blob("application/vnd.oci.image.index.v1+json", inner.as_bytes())]);
    fetch(&layout.source(), &mut Kept::new()).unwrap();
}

#[test]
fn what_is_complete_stays_when_another_layer_fails_and_is_not_fetched_again() {
    let layout = Layout::new();
    let (good, bad) = (archive(&[Entry::file("good", "x")]), archive(&[Entry::file("bad", "x")]));
    let layers = [&good, &bad, &good].map(|archive| (layout.blob(TAR, archive), digest(archive)));
    layout.index(&[layout.image(&layers)]);
    let blob = layout.blob_path(&digest(&bad));
    fs::write(&blob, vec![0; bad.len()]).unwrap();
    let mut kept = Kept::new();
    fetch(&layout.source(), &mut kept).unwrap_err();
    // Each layer once, though one is there twice.
    assert_eq!(kept.asked, [digest(&good), digest(&bad)]);
    fs::write(&blob, &bad).unwrap();
    kept.asked.clear();
    let again = fetch(&layout.source(), &mut kept).unwrap();
    assert!(again.reports.iter().any(|(diff_id, _)| *diff_id == digest(&bad)));
    assert_eq!(again.image.layers.len(), 3);
    assert_eq!(kept.complete.len(), 2);
}

#[test]
fn progress_is_told_up_to_the_last_byte() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let progress = Arc::new(move |event: Event<'_>| {
        if let Event::Received(layer, bytes) = event {
            told.lock().unwrap().push((layer.diff_id.clone(), bytes, layer.size));
        }
    });
    let mut kept = Kept::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let source = files(MADE.path("layout"));
    let fetched = runtime.block_on(soulbox_image::fetch(&source, &options(), &mut kept, progress)).unwrap();
    for layer in &fetched.image.layers {
        let events = events.lock().unwrap();
        let (_, received, size) = events.iter().rfind(|(diff_id, ..)| *diff_id == layer.diff_id).unwrap();
        assert_eq!(received, size);
    }
    // Without the program that unpacks there is no layer.
    let mut options = options();
    options.unpacker.program = "/nonexistent".into();
    let error = fetch_with(&source, &options, &mut Kept::new()).unwrap_err();
    assert!(error.to_string().contains("cannot be unpacked"), "{error}");
}
