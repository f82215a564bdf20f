//! Images of bad faith: one test for each known trick, and random archives of all of them.
//!
//! Everything is asked of the library as a user of it would, with the real helper; what must not have changed
//! is looked at from outside.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/image.rs"]
mod image;
mod support;

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use image::{
    Entry, FIRST_ID, Kept, Layout, TAR, archive, digest, fetch, fetch_with, gzip, layout_of, options,
    refusal, unpack,
};
use proptest::prelude::*;
use serde_json::json;
use soulbox_image::{BadName, ImageError, LayerError, Limits, Refusal};
use support::public_directory;
use tar::EntryType;
use tempfile::TempDir;

/// A directory of the host that no image may reach.
struct Outside {
    directory: TempDir,
    before: Vec<(PathBuf, String)>,
}

impl Outside {
    fn new() -> Self {
        let directory = public_directory();
        // Open to the helper's user as well: what keeps it out must not be the mode.
        for name in ["file", "secret"] {
            fs::write(directory.path().join(name), "host").unwrap();
            std::os::unix::fs::chown(directory.path().join(name), Some(FIRST_ID), Some(FIRST_ID)).unwrap();
        }
        std::os::unix::fs::chown(directory.path(), Some(FIRST_ID), Some(FIRST_ID)).unwrap();
        let before = snapshot(directory.path());
        Outside { directory, before }
    }

    fn path(&self) -> String {
        self.directory.path().to_str().unwrap().to_owned()
    }

    fn file(&self) -> String {
        format!("{}/file", self.path())
    }

    #[track_caller]
    fn assert_untouched(&self) {
        assert_eq!(snapshot(self.directory.path()), self.before);
    }
}

/// Everything below a directory, with what changes whenever anything does.
fn snapshot(directory: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        let stat = fs::symlink_metadata(&path).unwrap();
        let change = (stat.ctime(), stat.ctime_nsec(), stat.mode(), stat.uid(), stat.nlink(), stat.len());
        if stat.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        found.push((path, format!("{change:?}")));
    }
    found.sort();
    found
}

fn read(tree: &Path, name: &str) -> String {
    fs::read_to_string(tree.join(name)).unwrap()
}

fn is_whiteout(path: PathBuf) -> bool {
    let stat = fs::symlink_metadata(path).unwrap();
    stat.file_type().is_char_device() && stat.rdev() == 0
}

#[test]
fn a_name_that_climbs_is_refused() {
    for name in ["../file", "a/../../file", "/../file", "..", "a/.."] {
        let refusal = refusal(unpack(&[Entry::file("a/b", ""), Entry::file(name, "hostile")]));
        assert_eq!(refusal, Refusal::Name { path: name.to_owned(), reason: BadName::Parent });
    }
}

#[test]
fn an_absolute_name_lies_below_the_root_of_the_layer() {
    let outside = Outside::new();
    let (kept, _) = unpack(&[Entry::file(&outside.file(), "hostile")]).unwrap();
    assert_eq!(read(&kept.only(), outside.file().trim_start_matches('/')), "hostile");
    outside.assert_untouched();
}

#[test]
fn links_out_of_the_layer_lead_back_into_it() {
    let outside = Outside::new();
    let up = format!("{}{}", "../".repeat(30), outside.path().trim_start_matches('/'));
    for target in [outside.path(), up] {
        // Where the layer has no such directory, there is none.
        let link = Entry::symlink("link", &target);
        let result = unpack(&[link.clone(), Entry::file("link/file", "hostile")]);
        assert_eq!(refusal(result), Refusal::Parent { path: "/link/file".to_owned() });
        // Where it has one, it is that.
        let own = Entry::directory(&outside.path());
        let (kept, _) = unpack(&[own, link, Entry::file("link/file", "layer's")]).unwrap();
        assert_eq!(read(&kept.only(), outside.file().trim_start_matches('/')), "layer's");
    }
    outside.assert_untouched();
}

#[test]
fn a_file_in_the_place_of_a_link_replaces_it() {
    let outside = Outside::new();
    for entry in [Entry::file("link", "layer's"), Entry::directory("link")] {
        let (kept, _) = unpack(&[Entry::symlink("link", outside.file()), entry]).unwrap();
        assert!(!kept.only().join("link").is_symlink());
    }
    outside.assert_untouched();
}

#[test]
fn a_hard_link_reaches_files_of_the_layer_alone() {
    let outside = Outside::new();
    let result = unpack(&[Entry::hard_link("link", outside.file())]);
    assert!(matches!(refusal(result), Refusal::LinkTarget { .. }));
    let result = unpack(&[Entry::hard_link("link", format!("..{}", outside.file()))]);
    assert!(matches!(refusal(result), Refusal::LinkName { reason: BadName::Parent, .. }));
    let result = unpack(&[Entry::directory("a"), Entry::hard_link("link", "a")]);
    assert!(matches!(refusal(result), Refusal::LinkTarget { .. }));
    let (kept, _) =
        unpack(&[Entry::file("a", "x"), Entry::hard_link("b", "/a"), Entry::hard_link("b", "b")]).unwrap();
    assert_eq!(fs::metadata(kept.only().join("a")).unwrap().nlink(), 2);
    outside.assert_untouched();
}

#[test]
fn a_hard_link_to_a_link_is_not_written_through() {
    let outside = Outside::new();
    let (kept, _) = unpack(&[
        Entry::symlink("link", outside.file()),
        Entry::hard_link("other", "link"),
        Entry::file("other", "layer's"),
    ])
    .unwrap();
    assert_eq!(read(&kept.only(), "other"), "layer's");
    assert!(kept.only().join("link").is_symlink());
    outside.assert_untouched();
}

#[test]
fn devices_and_pipes_are_left_out_and_counted() {
    let (kept, report) = unpack(&[
        Entry::new("null", EntryType::Char),
        Entry::new("disk", EntryType::Block),
        Entry::new("pipe", EntryType::Fifo),
        Entry::new("what", EntryType::new(b'V')),
        Entry::file("file", "x"),
    ])
    .unwrap();
    assert_eq!(fs::read_dir(kept.only()).unwrap().count(), 1);
    assert_eq!((report.skipped.devices, report.skipped.fifos, report.skipped.unknown), (2, 1, 1));
}

#[test]
fn nobody_becomes_another_by_a_file() {
    let file = Entry { mode: 0o6755, ..Entry::file("su", "x") };
    let directory = Entry { mode: 0o3777, ..Entry::directory("tmp") };
    let (kept, report) = unpack(&[file, directory]).unwrap();
    let mode = |name: &str| fs::metadata(kept.only().join(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode("su"), mode("tmp")), (0o755, 0o1777));
    assert_eq!(report.skipped.set_id, 2);
}

#[test]
fn owners_are_mapped_and_no_owner_is_outside_the_map() {
    let owned = |name, owner| Entry { owner, ..Entry::file(name, "x") };
    let (kept, report) =
        unpack(&[owned("a", (1000, 65535)), owned("b", (65536, 0)), owned("c", (0, 2_000_000))]).unwrap();
    let owner = |name: &str| {
        let stat = fs::metadata(kept.only().join(name)).unwrap();
        (stat.uid() - FIRST_ID, stat.gid() - FIRST_ID)
    };
    assert_eq!((owner("a"), owner("b"), owner("c")), ((1000, 65535), (65534, 0), (0, 65534)));
    assert_eq!(report.skipped.owners, 2);
}

#[test]
fn whiteouts_of_nothing_are_refused() {
    for name in [".wh.", "a/.wh.", ".wh..", ".wh...", "a/.wh...", ".wh.a/b", ".wh.a/../b"] {
        let refusal = refusal(unpack(&[Entry::file(name, "")]));
        assert!(matches!(refusal, Refusal::Name { .. }), "{name}: {refusal}");
    }
}

#[test]
fn whiteouts_become_those_of_overlayfs() {
    let (kept, report) = unpack(&[
        Entry::file("a/.wh.gone", ""),
        Entry::file("b/.wh..wh..opq", ""),
        Entry::file("a/.wh..wh.plnk", ""),
        Entry::file("a/both", "layer's"),
        Entry::file("a/.wh.both", ""),
        Entry::file(".wh.directory", ""),
        Entry::file("directory/file", "layer's"),
    ])
    .unwrap();
    let tree = kept.only();
    assert!(is_whiteout(tree.join("a/gone")));
    // What the layer has itself stays: a whiteout is about those below.
    assert_eq!(read(&tree, "a/both"), "layer's");
    for opaque in ["b", "directory"] {
        assert_eq!(xattrs(&tree.join(opaque)), ["user.overlay.opaque=y"]);
    }
    assert!(xattrs(&tree.join("a")).is_empty());
    assert_eq!(report.skipped.reserved, 1);
}

/// The attributes that are no one's but the user's, with their values.
fn xattrs(path: &Path) -> Vec<String> {
    let names = xattr::list(path).unwrap().filter(|name| name.to_str().unwrap().starts_with("user."));
    let mut all: Vec<_> = names
        .map(|name| {
            let value = xattr::get(path, &name).unwrap().unwrap();
            format!("{}={}", name.to_str().unwrap(), String::from_utf8(value).unwrap())
        })
        .collect();
    all.sort();
    all
}

#[test]
fn attributes_that_mean_something_to_the_kernel_are_dropped() {
    let (kept, report) = unpack(&[
        Entry::file("file", "x")
            .xattr("user.note", "kept")
            .xattr("user.overlay.redirect", "/etc")
            .xattr("trusted.overlay.opaque", "y")
            .xattr("security.capability", "x"),
        Entry::directory("directory").xattr("user.overlay.opaque", "y").xattr("user.note", "kept"),
    ])
    .unwrap();
    for name in ["file", "directory"] {
        assert_eq!(xattrs(&kept.only().join(name)), ["user.note=kept"]);
    }
    assert_eq!(report.skipped.xattrs, 4);
}

#[test]
fn a_huge_sparse_file_is_refused_before_it_is_made() {
    // GNU's form: where the data is, and how long the whole is.
    let mut bytes = archive(&[Entry::new("sparse", EntryType::GNUSparse)]);
    let header = &mut bytes[..512];
    header[257..265].copy_from_slice(b"ustar  \0");
    let octal = |number: u64| format!("{number:011o}\0").into_bytes();
    let real: u64 = 1 << 32;
    header[386..398].copy_from_slice(&octal(real));
    header[398..410].copy_from_slice(&octal(0));
    header[483..495].copy_from_slice(&octal(real));
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let layout = Layout::new();
    layout.index(&[layout.image(&[(layout.blob(TAR, &bytes), digest(&bytes))])]);
    let mut options = options();
    options.limits.bytes = 1 << 30;
    let limit = options.limits.bytes;
    let result = fetch_with(&layout.source(), &options, &mut Kept::new());
    assert_eq!(refusal(result), Refusal::TooLarge { limit });
    // Where it may be that large, it takes no room.
    let mut kept = Kept::new();
    fetch(&layout.source(), &mut kept).unwrap();
    let stat = fs::metadata(kept.only().join("sparse")).unwrap();
    assert_eq!((stat.len(), stat.blocks()), (real, 0));
}

#[test]
fn limits_are_kept() {
    let with = |entries: &[Entry], limits: Limits| {
        let mut options = options();
        options.limits = limits;
        refusal(fetch_with(&layout_of(entries).source(), &options, &mut Kept::new()))
    };
    let many: Vec<_> = (0..101).map(|n| Entry::file(&format!("{n}"), "")).collect();
    let few = Limits { entries: 100, ..Limits::default() };
    assert_eq!(with(&many, few), Refusal::TooManyEntries { limit: 100 });
    let small = Limits { bytes: 100_000, ..Limits::default() };
    assert_eq!(with(&[Entry::file("a", &"x".repeat(100_001))], small), Refusal::TooLarge { limit: 100_000 });
    // A bomb: 100 MB of nothing, which no entry speaks of.
    let (layout, mut options) = (Layout::new(), options());
    let bomb = gzip(&vec![0; 100 << 20]);
    assert!(bomb.len() < 1 << 20);
    let layer = layout.blob("application/vnd.oci.image.layer.v1.tar+gzip", &bomb);
    layout.index(&[layout.image(&[(layer, digest(&[]))])]);
    options.limits.bytes = 1 << 20;
    let result = fetch_with(&layout.source(), &options, &mut Kept::new());
    assert_eq!(refusal(result), Refusal::TooLarge { limit: 1 << 20 });
}

#[test]
fn the_limit_is_for_all_layers_together() {
    let (layout, mut options) = (Layout::new(), options());
    let layers: Vec<_> = ["a", "b"]
        .map(|name| archive(&[Entry::file(name, &"x".repeat(60_000))]))
        .iter()
        .map(|archive| (layout.blob(TAR, archive), digest(archive)))
        .collect();
    layout.index(&[layout.image(&layers)]);
    options.limits.bytes = 100_000;
    let result = fetch_with(&layout.source(), &options, &mut Kept::new());
    assert!(matches!(refusal(result), Refusal::TooLarge { .. }));
}

#[test]
fn names_that_are_too_long_are_refused() {
    for (name, reason) in [
        ("a".repeat(256), BadName::TooLong),
        ("a/".repeat(3000), BadName::TooLong),
        ("a/".repeat(300), BadName::TooDeep),
    ] {
        let refusal = refusal(unpack(&[Entry::file(&name, "")]));
        assert_eq!(refusal, Refusal::Name { path: name, reason });
    }
    let endless = Entry::file("a", "").xattr("user.long", &"x".repeat(3 << 20));
    assert!(matches!(refusal(unpack(&[endless])), Refusal::HeadersTooLong { .. }));
}

/// An image of one gzip layer, whose blob is then changed.
fn damaged(change: impl Fn(&mut Vec<u8>)) -> ImageError {
    let (layout, archive) = (Layout::new(), archive(&[Entry::file("a", &"some text".repeat(10_000))]));
    let blob = gzip(&archive);
    let descriptor = layout.blob("application/vnd.oci.image.layer.v1.tar+gzip", &blob);
    layout.index(&[layout.image(&[(descriptor, digest(&archive))])]);
    let (path, mut changed) = (layout.blob_path(&digest(&blob)), blob);
    change(&mut changed);
    fs::write(path, changed).unwrap();
    fetch(&layout.source(), &mut Kept::new()).unwrap_err()
}

#[test]
fn damaged_blobs_are_named_for_what_they_are() {
    let of = |error: ImageError| match error {
        ImageError::Layer { source, .. } => source,
        other => panic!("{other:?}"),
    };
    let cut = of(damaged(|blob| blob.truncate(blob.len() - 1)));
    assert!(matches!(cut, LayerError::Size { .. }), "{cut:?}");
    let longer = of(damaged(|blob| blob.push(0)));
    assert!(matches!(longer, LayerError::Size { .. }), "{longer:?}");
    let corrupt = of(damaged(|blob| {
        let middle = blob.len() / 2;
        blob[middle] ^= 0xff;
    }));
    assert!(matches!(corrupt, LayerError::Digest { .. }), "{corrupt:?}");
}

#[test]
fn blobs_that_are_what_they_claim_and_yet_no_layers_are_refused() {
    let archive = archive(&[Entry::file("a", &"some text".repeat(10_000))]);
    let gzip_type = "application/vnd.oci.image.layer.v1.tar+gzip";
    let of = |media_type: &str, blob: &[u8], diff_id: String| {
        let layout = Layout::new();
        layout.index(&[layout.image(&[(layout.blob(media_type, blob), diff_id)])]);
        fetch(&layout.source(), &mut Kept::new()).map(drop)
    };
    let whole = gzip(&archive);
    of(gzip_type, &whole, digest(&archive)).unwrap();
    let other = of(gzip_type, &whole, digest(b"other")).unwrap_err();
    assert!(matches!(other, ImageError::Layer { source: LayerError::DiffId { .. }, .. }), "{other:?}");
    let cut = of(gzip_type, &whole[..whole.len() - 9], digest(&archive));
    assert!(matches!(refusal(cut), Refusal::Compression { .. }));
    let garbage = of(gzip_type, &[&whole[..], b"garbage"].concat(), digest(&archive));
    assert!(matches!(refusal(garbage), Refusal::Compression { .. }));
    let cut_inside = of(gzip_type, &gzip(&archive[..5000]), digest(&archive[..5000]));
    assert!(matches!(refusal(cut_inside), Refusal::Archive { .. }));
    let behind = [&archive[..], b"behind the end"].concat();
    assert_eq!(refusal(of(TAR, &behind, digest(&behind))), Refusal::TrailingBytes);
    let text = b"no archive".repeat(100);
    assert!(matches!(refusal(of(TAR, &text, digest(&text))), Refusal::Archive { .. }));
}

#[test]
fn images_that_are_none_are_refused() {
    let layout = Layout::new();
    let empty = layout.blob("application/vnd.oci.empty.v1+json", b"{}");
    let chart = layout.blob("application/vnd.cncf.helm.config.v1+json", b"{}");
    for config in [empty, chart] {
        layout.index(&[layout.manifest(&json!({"schemaVersion": 2, "config": config, "layers": []}))]);
        let error = fetch(&layout.source(), &mut Kept::new()).unwrap_err();
        assert!(matches!(error, ImageError::NotAnImage(_)), "{error:?}");
    }
    layout.index(&[layout.manifest(&json!({"schemaVersion": 2, "layers": []}))]);
    let error = fetch(&layout.source(), &mut Kept::new()).unwrap_err();
    assert!(matches!(error, ImageError::Json { .. }), "{error:?}");
    // Its configuration is not there, or is another.
    let image = layout_of(&[Entry::file("a", "")]);
    for blob in fs::read_dir(image.path().join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap().path();
        if fs::read(&blob).unwrap().starts_with(b"{\"architecture\"") {
            fs::write(&blob, "{}").unwrap();
            let error = fetch(&image.source(), &mut Kept::new()).unwrap_err();
            assert!(matches!(error, ImageError::Digest { .. }), "{error:?}");
            fs::remove_file(blob).unwrap();
        }
    }
    let error = fetch(&image.source(), &mut Kept::new()).unwrap_err();
    assert!(matches!(error, ImageError::Missing { .. }), "{error:?}");
}

#[test]
fn images_for_other_systems_are_refused() {
    let mut options = options();
    options.platform = "linux/s390x".parse().unwrap();
    let error = fetch_with(&layout_of(&[]).source(), &options, &mut Kept::new()).unwrap_err();
    assert!(error.to_string().starts_with("there is no image for linux/s390x; there is linux/"), "{error}");
}

#[test]
fn files_directories_and_links_replace_each_other() {
    let (kept, report) = unpack(&[
        Entry::file("a", "first"),
        Entry::directory("a"),
        Entry::file("a/b/c", "below"),
        Entry::file("a", "last"),
        Entry::file("b", "first"),
        Entry::file("b", "last"),
        Entry::file("c/kept", "x"),
        Entry { mode: 0o700, ..Entry::directory("c") },
    ])
    .unwrap();
    let tree = kept.only();
    assert_eq!(
        (read(&tree, "a"), read(&tree, "b"), read(&tree, "c/kept")),
        ("last".into(), "last".into(), "x".into())
    );
    assert_eq!(fs::metadata(tree.join("c")).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(report.entries, 8);
    let result = unpack(&[Entry::file("a", "file"), Entry::file("a/b", "below")]);
    assert_eq!(refusal(result), Refusal::Parent { path: "/a/b".to_owned() });
}

#[test]
fn times_of_files_and_directories_are_kept() {
    let mut late = Entry::file("a/late", "x");
    late.pax.push(("mtime".to_owned(), b"1234567890.25".to_vec()));
    let (kept, _) = unpack(&[Entry::directory("a"), Entry::file("a/early", "x"), late]).unwrap();
    let time = |name: &str| {
        let stat = fs::metadata(kept.only().join(name)).unwrap();
        (stat.mtime(), stat.mtime_nsec())
    };
    assert_eq!((time("a"), time("a/early")), ((1_000_000_000, 0), (1_000_000_000, 0)));
    assert_eq!(time("a/late"), (1_234_567_890, 250_000_000));
}

/// A name or a target of a link, from the words that tricks are made of.
fn hostile_name(outside: String) -> impl Strategy<Value = String> {
    let words =
        ["a", "b", "link", "..", ".", "", ".wh.a", ".wh.", ".wh...", ".wh..wh..opq", "proc/self/root", "etc"];
    let path =
        prop::collection::vec(prop::sample::select(words.to_vec()), 1..4).prop_map(|words| words.join("/"));
    let plain =
        prop::sample::select(vec!["a", "b", "a/b", "link", "link/file", "link/a"]).prop_map(str::to_owned);
    let out = format!("{}{outside}", "../".repeat(12));
    let far = prop::sample::select(vec![outside.clone(), format!("{outside}/file"), out, "/".to_owned()]);
    prop_oneof![4 => plain, 2 => path, 1 => far]
}

fn hostile_entry(outside: String) -> impl Strategy<Value = Entry> {
    let kinds = [
        EntryType::Regular,
        EntryType::Directory,
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Char,
        EntryType::Fifo,
        EntryType::GNUSparse,
        EntryType::Continuous,
    ];
    let kind = prop::sample::select(kinds.to_vec());
    let names = (hostile_name(outside.clone()), hostile_name(outside));
    (names, kind, 0..0o7777u32, 0..70_000u64, prop::bool::ANY).prop_map(
        |((name, link), kind, mode, owner, xattr)| {
            let link = if matches!(kind, EntryType::Symlink | EntryType::Link) {
                link.into_bytes()
            } else {
                Vec::new()
            };
            let data = if kind == EntryType::Regular { b"hostile".to_vec() } else { Vec::new() };
            let entry = Entry { link, data, mode, owner: (owner, owner), ..Entry::new(name, kind) };
            if xattr { entry.xattr("user.overlay.redirect", "/etc").xattr("user.x", "y") } else { entry }
        },
    )
}

#[test]
fn no_archive_reaches_anything_but_its_directory() {
    let outside = Outside::new();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200));
    let archives = prop::collection::vec(hostile_entry(outside.path()), 1..12);
    let result = runner.run(&archives, |entries| {
        let (layout, mut kept) = (layout_of(&entries), Kept::new());
        let result = fetch(&layout.source(), &mut kept);
        prop_assert_eq!(snapshot(outside.directory.path()), outside.before.clone());
        prop_assert_eq!(fs::read_dir(kept.directory.path()).unwrap().count(), 1);
        if let Err(error) = result {
            let refused = matches!(&error, ImageError::Layer { source: LayerError::Refused(_), .. });
            prop_assert!(refused, "{:?}", error);
        }
        for (path, _) in snapshot(&kept.only()) {
            let stat = fs::symlink_metadata(&path).unwrap();
            let kind = stat.file_type();
            let device = kind.is_char_device() && stat.rdev() != 0;
            prop_assert!(!device && !kind.is_fifo() && !kind.is_block_device() && !kind.is_socket());
            prop_assert!(stat.is_symlink() || stat.mode() & 0o6000 == 0, "{:?}", path);
            prop_assert!((FIRST_ID..FIRST_ID + 65536).contains(&stat.uid()));
            if !stat.is_symlink() {
                let bad = |attribute: &String| {
                    attribute.starts_with("user.overlay.") && attribute != "user.overlay.opaque=y"
                };
                prop_assert!(!xattrs(&path).iter().any(bad));
            }
        }
        Ok(())
    });
    result.unwrap();
}

#[test]
fn links_lead_no_deeper_than_names() {
    let deep = vec!["d"; 200].join("/");
    let entries = [
        Entry::directory(&deep),
        Entry::symlink("link", &deep),
        Entry::directory(&format!("link/{deep}")),
        Entry::file(&format!("link/{deep}/file"), ""),
    ];
    let refused = refusal(unpack(&entries));
    assert!(matches!(refused, Refusal::Name { reason: BadName::TooDeep, .. }), "{refused:?}");
}
