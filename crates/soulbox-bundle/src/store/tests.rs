//! What the store promises, on a directory of the test's own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::layer::Index;
use super::*;
use crate::catalogue::{Catalogue, LoadError, Wanted};
use crate::folder::Folder;

struct Home {
    directory: tempfile::TempDir,
    store: Store,
}

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path());
        Home { directory, store }
    }

    fn name() -> BundleName {
        BundleName::parse("data").unwrap()
    }

    /// Stores a bundle with two layers; the upper has a file with this text.
    fn install(&self, text: &str) -> Digest {
        let writer = self.store.writer(&Self::name()).unwrap();
        let lower = writer.new_layer().unwrap();
        fs::create_dir(lower.tree().join("usr")).unwrap();
        fs::write(lower.tree().join("usr/base"), "base").unwrap();
        symlink("usr", lower.tree().join("link")).unwrap();
        let upper = writer.new_layer().unwrap();
        fs::write(upper.tree().join("text"), text).unwrap();
        let layers = vec![writer.add_layer(lower).unwrap(), writer.add_layer(upper).unwrap()];
        writer.remember(&Digest::of(b"lower"), &layers[0]).unwrap();
        let folder = Folder::embedded("python").unwrap().unwrap();
        let folder = folder.for_layers("/usr/bin/python3", &BTreeMap::new(), &BTreeMap::new()).unwrap();
        let source = StoredSource::Debian { suite: "trixie".to_owned() };
        writer.install(&NewBundle { folder, layers, source, version: "Python 3.13.5".to_owned() }).unwrap()
    }

    fn load(&self) -> Result<crate::Bundle, LoadError> {
        Catalogue::new(self.directory.path(), Wanted::default()).load("data").unwrap()
    }

    fn tree_with(&self, file: &str) -> PathBuf {
        let layers = fs::read_dir(self.store.root.join("layers")).unwrap();
        let trees = layers.map(|layer| layer.unwrap().path().join("tree"));
        trees.into_iter().find(|tree| tree.join(file).exists()).unwrap()
    }

    fn layers(&self) -> usize {
        fs::read_dir(self.store.root.join("layers")).unwrap().count()
    }

    fn version_file(&self, file: &str) -> PathBuf {
        self.store.bundle(&Self::name()).join(CURRENT).join(file)
    }
}

fn changed(result: Result<crate::Bundle, LoadError>) -> PathBuf {
    match result {
        Err(LoadError::Store(StoreError::Changed { path, .. })) => path,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_stored_is_found_with_all_that_is_known_of_it() {
    let home = Home::new();
    let digest = home.install("one");
    let bundle = home.load().unwrap();
    assert_eq!((bundle.name(), bundle.language(), bundle.digest()), ("data", "python", digest));
    assert_eq!(bundle.known_version(), Some("Python 3.13.5"));
    assert_eq!(bundle.facts().size_bytes, 7);
    assert_eq!(bundle.layers().len(), 2);
    assert!(bundle.layers()[1].join("text").exists());
    assert!(bundle.files().any(|(name, _)| name == Path::new("launcher.py")));
    assert_eq!(home.store.names().unwrap(), [Home::name()]);
}

#[test]
fn the_same_content_is_the_same_bundle_and_other_content_another() {
    let (one, other) = (Home::new(), Home::new());
    let digest = one.install("one");
    assert_eq!(one.install("one"), digest);
    assert_eq!(other.install("one"), digest);
    assert_ne!(other.install("two"), digest);
    assert_eq!((one.layers(), other.layers()), (2, 3), "layers are shared");
}

#[test]
fn a_changed_layer_is_refused_by_the_file_that_changed() {
    let home = Home::new();
    home.install("one");
    let (base, text) = (home.tree_with("usr/base"), home.tree_with("text"));
    let file = base.join("usr/base");
    let before = fs::metadata(&file).unwrap().modified().unwrap();
    fs::write(&file, "BASE").unwrap();
    fs::File::open(&file).unwrap().set_modified(before).unwrap();
    assert_eq!(changed(home.load()), file);
    fs::write(&file, "base").unwrap();
    home.load().unwrap();

    fs::write(text.join("more"), "").unwrap();
    assert_eq!(changed(home.load()), text.join("more"));
    fs::remove_file(text.join("more")).unwrap();
    home.load().unwrap();

    fs::set_permissions(&file, fs::Permissions::from_mode(0o4755)).unwrap();
    assert_eq!(changed(home.load()), file);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    xattr::set(&file, "user.mark", b"1").unwrap();
    assert_eq!(changed(home.load()), file);
    xattr::remove(&file, "user.mark").unwrap();
    home.load().unwrap();

    fs::remove_file(base.join("link")).unwrap();
    symlink("/etc", base.join("link")).unwrap();
    assert_eq!(changed(home.load()), base.join("link"));
    home.install("one");
    home.load().unwrap();
    assert_eq!(fs::read_link(base.join("link")).unwrap(), Path::new("usr"), "it was made again");
}

#[test]
fn every_file_beside_the_layers_is_covered_as_well() {
    for file in ["config.json", "soulbox.toml", "manifest.json"] {
        let home = Home::new();
        home.install("one");
        let path = home.version_file(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}\n")).unwrap();
        assert!(changed(home.load()).ends_with(file));
        assert_eq!(home.install("one"), {
            let bundle = home.load().unwrap();
            bundle.digest()
        });
    }
}

#[test]
fn an_index_cannot_be_made_to_fit() {
    let home = Home::new();
    home.install("one");
    let tree = home.tree_with("text");
    fs::write(tree.join("text"), "two").unwrap();
    let index = tree.with_file_name("index");
    fs::write(&index, Index::of(&tree).unwrap().text).unwrap();
    assert_eq!(changed(home.load()), index);
}

#[test]
fn a_store_that_was_only_copied_is_read_once_and_then_trusted() {
    let home = Home::new();
    home.install("one");
    let stamp = home.tree_with("text").with_file_name("stamp");
    let before = fs::read_to_string(&stamp).unwrap();
    let text = home.tree_with("text").join("text");
    fs::rename(&text, text.with_extension("copy")).unwrap();
    fs::copy(text.with_extension("copy"), &text).unwrap();
    std::os::unix::fs::chown(&text, Some(fs::metadata(text.with_extension("copy")).unwrap().uid()), None)
        .unwrap();
    fs::remove_file(text.with_extension("copy")).unwrap();
    home.load().unwrap();
    assert_ne!(fs::read_to_string(&stamp).unwrap(), before);
}

#[test]
fn verification_reads_everything_whatever_the_stamp_says() {
    let home = Home::new();
    home.install("one");
    let tree = home.tree_with("text");
    fs::write(tree.join("text"), "two").unwrap();
    fs::write(tree.with_file_name("stamp"), super::layer::stamp(&tree).unwrap().to_string()).unwrap();
    home.load().unwrap();
    let version = home.store.current(&Home::name()).unwrap().unwrap();
    assert!(matches!(home.store.verify(&version), Err(StoreError::Changed { .. })));
}

#[test]
fn a_version_in_use_stays_until_it_is_not() {
    let home = Home::new();
    home.install("one");
    let old = home.load().unwrap();
    home.install("two");
    assert_eq!(home.store.collect_garbage().unwrap(), Removed::default());
    assert!(old.layers()[1].join("text").exists());
    drop(old);
    assert_eq!(home.store.collect_garbage().unwrap(), Removed { versions: 1, layers: 1 });
    let new = home.load().unwrap();
    assert!(matches!(home.store.remove(&Home::name(), false), Err(StoreError::InUse(_))));
    assert_eq!(home.store.remove(&Home::name(), true).unwrap(), Removed::default(), "it is still in use");
    assert!(new.layers()[1].join("text").exists() && home.store.names().unwrap().is_empty());
    drop(new);
    home.install("two");
    assert_eq!(home.store.remove(&Home::name(), false).unwrap(), Removed { versions: 1, layers: 2 });
    assert!(matches!(home.store.remove(&Home::name(), false), Err(StoreError::NoBundle(_))));
    assert!(home.store.names().unwrap().is_empty());
}

#[test]
fn what_is_half_made_is_no_bundle_and_goes_as_garbage() {
    let home = Home::new();
    let writer = home.store.writer(&Home::name()).unwrap();
    let work = writer.new_layer().unwrap();
    fs::write(work.tree().join("text"), "text").unwrap();
    std::mem::forget(work);
    assert_eq!(home.store.collect_garbage().unwrap(), Removed::default(), "somebody adds");
    let layer = writer.new_layer().and_then(|work| writer.add_layer(work)).unwrap();
    let kept = writer.new_layer().unwrap();
    fs::write(kept.tree().join("kept"), "").unwrap();
    let (what, kept) = (Digest::of(b"recipe"), writer.add_layer(kept).unwrap());
    writer.remember(&what, &kept).unwrap();
    assert_ne!(layer, kept);
    drop(writer);
    assert!(home.store.names().unwrap().is_empty());
    assert_eq!(home.store.collect_garbage().unwrap(), Removed { versions: 0, layers: 1 });
    assert_eq!(fs::read_dir(home.store.root.join("new")).unwrap().count(), 0);
    let writer = home.store.writer(&Home::name()).unwrap();
    assert_eq!(writer.made_from(&what), Some(kept));
    fs::write(writer.tree(&kept).join("kept"), "touched").unwrap();
    assert_eq!(writer.made_from(&what), None);
}

#[test]
fn a_broken_bundle_keeps_no_other_from_being_loaded() {
    let home = Home::new();
    home.install("one");
    fs::write(home.version_file("manifest.json"), "{}").unwrap();
    let all = Catalogue::new(home.directory.path(), Wanted::default()).load_all();
    let broken: Vec<_> =
        all.iter().filter(|(_, bundle)| bundle.is_err()).map(|(name, _)| name.as_str()).collect();
    assert_eq!(broken, ["data"]);
    assert!(all.iter().any(|(name, bundle)| name == "python" && bundle.is_ok()));
}

#[test]
fn special_files_are_no_part_of_a_layer() {
    let home = Home::new();
    let writer = home.store.writer(&Home::name()).unwrap();
    let work = writer.new_layer().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(work.tree().join("socket")).unwrap();
    assert!(matches!(writer.add_layer(work), Err(StoreError::Entry(path)) if path.ends_with("socket")));
}

#[test]
fn a_tree_of_any_depth_is_removed() {
    let home = Home::new();
    let writer = home.store.writer(&Home::name()).unwrap();
    let work = writer.new_layer().unwrap();
    let (tree, deep) = (work.tree(), work.tree().join("deep"));
    // Deeper than a path can be long, as by mkdir(2) and chdir(2) again and again.
    for level in 0..3000 {
        let above = tree.join("above");
        fs::create_dir(&above).unwrap();
        if level > 0 {
            fs::rename(&deep, above.join("deep-directory")).unwrap();
        }
        fs::rename(&above, &deep).unwrap();
    }
    drop(work);
    assert_eq!(fs::read_dir(home.store.root.join("new")).unwrap().count(), 0);
}

#[test]
fn no_file_of_a_layer_runs_as_its_owner() {
    let home = Home::new();
    let writer = home.store.writer(&Home::name()).unwrap();
    let work = writer.new_layer().unwrap();
    let file = work.tree().join("file");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o6755)).unwrap();
    let layer = writer.add_layer(work).unwrap();
    let mode = fs::metadata(writer.tree(&layer).join("file")).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o755);
}

#[test]
fn names_are_plain() {
    for good in ["a", "python-data", "3.13_x"] {
        assert_eq!(BundleName::parse(good).unwrap().as_str(), good);
    }
    for bad in ["", ".", "..", "a/b", "-a", "A", "ä", &"a".repeat(65), "a\0"] {
        assert!(BundleName::parse(bad).is_err(), "{bad:?}");
    }
}
