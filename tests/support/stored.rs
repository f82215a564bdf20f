//! Bundles of the store, made without a network: the host's Python in one layer, and what a test wants in
//! another.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use soulbox_bundle::store::{BundleName, Layer, NewBundle, Store, StoredSource, Writer};
use soulbox_bundle::{Digest, Folder};

const PYTHON: &str = "/usr/bin/python3";

/// Stores a version of a bundle for Python, in which the file `/version` has this text, and makes it the
/// current one.
pub(crate) fn store_python(state_dir: &Path, name: &str, version: &str) -> Digest {
    store(state_dir, name, PYTHON, |tree| fs::write(tree.join("version"), version).unwrap())
}

/// The same with an interpreter that does nothing but fail.
pub(crate) fn store_broken_python(state_dir: &Path, name: &str) -> Digest {
    const BROKEN: &str = "usr/bin/broken-python";
    store(state_dir, name, &format!("/{BROKEN}"), |tree| {
        fs::create_dir_all(tree.join("usr/bin")).unwrap();
        fs::copy("/usr/bin/false", tree.join(BROKEN)).unwrap();
    })
}

fn store(state_dir: &Path, name: &str, interpreter: &str, fill: impl Fn(&Path)) -> Digest {
    let folder = Folder::embedded("python").unwrap().unwrap();
    let folder = folder.for_layers(interpreter, &BTreeMap::new(), &BTreeMap::new()).unwrap();
    let store = Store::new(state_dir);
    let writer = store.writer(&BundleName::parse(name).unwrap()).unwrap();
    let top = writer.new_layer().unwrap();
    fill(&top.tree());
    let layers = vec![python_layer(&writer), writer.add_layer(top).unwrap()];
    let source = StoredSource::Debian { suite: "bookworm".to_owned() };
    writer.install(&NewBundle { folder, layers, source, version: python_version() }).unwrap()
}

/// The file `/version` of the bundle's version that has this text.
pub(crate) fn version_file(state_dir: &Path, version: &str) -> PathBuf {
    let layers = fs::read_dir(state_dir.join("store/layers")).unwrap();
    let mut files = layers.map(|layer| layer.unwrap().path().join("tree/version"));
    files.find(|file| fs::read_to_string(file).is_ok_and(|text| text == version)).unwrap()
}

/// Takes a bundle away from under those who use it, which `soulbox bundle rm` does not do.
pub(crate) fn take_away(state_dir: &Path, name: &str) {
    fs::remove_file(state_dir.join("store/bundles").join(name).join("current")).unwrap();
}

fn python_version() -> String {
    let output = Command::new(PYTHON).arg("--version").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Made once for each store.
fn python_layer(writer: &Writer) -> Layer {
    let what = Digest::of(b"the host's Python");
    if let Some(layer) = writer.made_from(&what) {
        return layer;
    }
    let work = writer.new_layer().unwrap();
    lay_out_python(&work.tree());
    let layer = writer.add_layer(work).unwrap();
    writer.remember(&what, &layer).unwrap();
    layer
}

/// Copies the host's Python, and what it needs, to the same places of a tree.
pub(crate) fn lay_out_python(tree: &Path) {
    for directory in ["usr/bin", "usr/lib"] {
        fs::create_dir_all(tree.join(directory)).unwrap();
    }
    for link in ["bin", "lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{link}"), tree.join(link)).unwrap();
    }
    let interpreter = fs::canonicalize(PYTHON).unwrap();
    // As python3.11 is called, so is the directory of its library.
    let library = Path::new("/usr/lib").join(interpreter.file_name().unwrap());
    copy(tree, &interpreter);
    if interpreter != Path::new(PYTHON) {
        std::os::unix::fs::symlink(interpreter.file_name().unwrap(), tree.join("usr/bin/python3")).unwrap();
    }
    let modules = fs::read_dir(library.join("lib-dynload")).unwrap().map(|module| module.unwrap().path());
    for shared in needed(modules.chain([interpreter])) {
        copy(tree, &shared);
    }
    copy(tree, &library);
}

/// The shared libraries that programs and modules need, by the names they are asked for.
fn needed(files: impl Iterator<Item = PathBuf>) -> BTreeSet<PathBuf> {
    let output = Command::new("ldd").args(files).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let words = text.lines().filter(|line| line.starts_with('\t')).flat_map(str::split_whitespace);
    words.filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

/// Copies a file or a directory of the host to the same place of a tree.
fn copy(tree: &Path, from: &Path) {
    // `/lib` and its like are links into `/usr` on both sides.
    let to = match from.strip_prefix("/usr") {
        Ok(below) => tree.join("usr").join(below),
        Err(_) => tree.join("usr").join(from.strip_prefix("/").unwrap()),
    };
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let option = if from.is_dir() { "-a" } else { "-L" };
    let copied = Command::new("cp").arg(option).arg(from).arg(&to).status().unwrap();
    assert!(copied.success(), "{}", from.display());
}
