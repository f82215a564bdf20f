//! Adding to the store and removing from it, in steps that are done or not done.
//!
//! Owns the order of things: layers first, then the version that refers to them, then the link that makes it the
//! current one. Whatever ends in the middle leaves what there was before, and what it leaves behind is found and
//! removed by [`Store::collect_garbage`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::layer::{Index, stamp, tidy};
use super::{
    BundleName, CURRENT, LEASE_FILE, LOCK_FILE, Layer, MANIFEST_FILE, Manifest, STAMP_FILE, STORE_IDS, Store,
    StoreError, StoredSource, open_lock, try_lock,
};
use crate::bundle::Bundle;
use crate::digest::Digest;
use crate::folder::Folder;

/// How long a layer without a bundle is kept by the name of what it was made from, so that what was interrupted can
/// go on.
const NAMES_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// A bundle that is about to be stored.
#[derive(Debug)]
pub struct NewBundle {
    /// Its `soulbox.toml`, `config.json` and files; the root file system's source is `layers`.
    pub folder: Folder,
    /// The root file system, lowest layer first.
    pub layers: Vec<Layer>,
    /// Where the layers came from.
    pub source: StoredSource,
    /// The toolchain's version, as it says it.
    pub version: String,
}

/// The right to add to the store, and to replace one bundle.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    name: BundleName,
    _adding: File,
    _bundle: File,
}

/// A layer that is being made; it is removed again unless it is added.
#[derive(Debug)]
pub struct LayerWork {
    directory: PathBuf,
}

impl LayerWork {
    /// The layer's content, at first an empty directory of container root's. Can be an overlayfs's `upperdir`.
    pub fn tree(&self) -> PathBuf {
        self.directory.join("tree")
    }

    /// An empty directory beside it, for overlayfs's `workdir`.
    pub fn overlay_work(&self) -> PathBuf {
        self.directory.join("work")
    }
}

impl Drop for LayerWork {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.directory) {
            tracing::warn!(%error, directory = %self.directory.display(), "stays until garbage is collected");
        }
    }
}

/// What was removed from the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Old versions of bundles.
    pub versions: usize,
    /// Layers to which no bundle referred.
    pub layers: usize,
}

impl Store {
    /// Waits until nobody else makes this bundle, and garbage is not being collected.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn writer(&self, name: &BundleName) -> Result<Writer, StoreError> {
        self.create_dir(&self.root)?;
        let lock = self.root.join(LOCK_FILE);
        let adding = open_lock(&lock)?;
        adding.lock_shared().map_err(StoreError::io("lock", &lock))?;
        // From here on no directory goes as garbage, and no lock with it.
        for directory in
            [self.root.join("layers"), self.root.join("names"), self.root.join("new"), self.bundle(name)]
        {
            self.create_dir(&directory)?;
        }
        let lock = self.bundle(name).join(LOCK_FILE);
        let bundle = open_lock(&lock)?;
        bundle.lock().map_err(StoreError::io("lock", &lock))?;
        Ok(Writer { store: self.clone(), name: name.clone(), _adding: adding, _bundle: bundle })
    }

    /// Removes a bundle. With `force` also one that is in use: whoever uses it does so until it looks for bundles
    /// again, and then it goes as garbage.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when somebody uses it, [`StoreError::NoBundle`], [`StoreError::Io`].
    pub fn remove(&self, name: &BundleName, force: bool) -> Result<Removed, StoreError> {
        let link = self.bundle(name).join(CURRENT);
        let unknown = || StoreError::NoBundle(name.as_str().to_owned());
        fs::read_link(&link).map_err(|_| unknown())?;
        {
            let _writer = self.writer(name)?;
            // Another may have replaced it while this waited.
            let target = fs::read_link(&link).map_err(|_| unknown())?;
            let lease = self.bundle(name).join(target).join(LEASE_FILE);
            // A broken version may have none, and then nobody uses it.
            let _unused = match lease.exists() && !force {
                true => Some(try_lock(&lease)?.ok_or_else(|| StoreError::InUse(name.as_str().to_owned()))?),
                false => None,
            };
            fs::remove_file(&link).map_err(StoreError::io("remove", &link))?;
        }
        self.collect_garbage()
    }

    /// Removes all versions that are neither current nor in use, all layers to which nothing refers, and what
    /// was left half-made. Nothing when somebody adds to the store: the next time will do.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn collect_garbage(&self) -> Result<Removed, StoreError> {
        let mut removed = Removed::default();
        if !self.root.exists() {
            return Ok(removed);
        }
        let Some(_all) = try_lock(&self.root.join(LOCK_FILE))? else { return Ok(removed) };
        for path in list(&self.root.join("new"))? {
            // What cannot be removed must not keep the rest.
            if let Err(error) = remove(&path) {
                tracing::warn!(%error, path = %path.display(), "stays in the store");
            }
        }
        let mut used = BTreeSet::new();
        for bundle in list(&self.bundles())? {
            let current = fs::read_link(bundle.join(CURRENT)).ok();
            let mut empty = current.is_none();
            for version in list(&bundle)?.into_iter().filter(|path| path.is_dir() && !path.is_symlink()) {
                let is_current = current.as_deref().is_some_and(|current| version.ends_with(current));
                let lease = version.join(LEASE_FILE);
                // Held until the version is gone, so that nobody begins to use it meanwhile.
                let unused = if lease.exists() { try_lock(&lease)? } else { None };
                let in_use = lease.exists() && unused.is_none();
                if is_current || in_use {
                    empty = false;
                    used.extend(layers_of(&version));
                } else {
                    remove(&version)?;
                    removed.versions += 1;
                }
            }
            if empty {
                remove(&bundle)?;
            }
        }
        for name in list(&self.root.join("names"))? {
            let age = fs::metadata(&name).and_then(|metadata| metadata.modified());
            let old = age
                .is_ok_and(|made| SystemTime::now().duration_since(made).is_ok_and(|age| age > NAMES_KEPT));
            let layer = fs::read(&name).ok().and_then(|text| serde_json::from_slice::<Layer>(&text).ok());
            match layer.map(|layer| layer.digest).filter(|layer| !old || used.contains(layer)) {
                Some(layer) => drop(used.insert(layer)),
                None => remove(&name)?,
            }
        }
        for layer in list(&self.root.join("layers"))? {
            let digest = layer.file_name().and_then(|name| Digest::from_hex(name.to_str()?));
            if digest.is_none_or(|digest| !used.contains(&digest)) {
                remove(&layer)?;
                removed.layers += 1;
            }
        }
        Ok(removed)
    }
}

impl Writer {
    /// The bundle that is to be made.
    pub fn name(&self) -> &BundleName {
        &self.name
    }

    /// A place to make a layer in.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn new_layer(&self) -> Result<LayerWork, StoreError> {
        let directory = self.new_directory()?;
        let work = LayerWork { directory };
        for directory in [work.tree(), work.overlay_work()] {
            let root = STORE_IDS.first;
            fs::create_dir(&directory)
                .and_then(|()| fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)))
                .and_then(|()| chown(&directory, Some(root), Some(root)))
                .map_err(StoreError::io("create", &directory))?;
        }
        Ok(work)
    }

    /// Takes a layer that was made into the store, once: two with the same content are one.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Entry`].
    pub fn add_layer(&self, work: LayerWork) -> Result<Layer, StoreError> {
        let tree = work.tree();
        tidy(&tree)?;
        let index = Index::of(&tree)?;
        let digest = index.digest();
        let layer = Layer { digest, size_bytes: index.size_bytes };
        let target = self.store.layer(&digest);
        if target.exists() {
            if self.store.is_stamped(&digest) {
                return Ok(layer);
            }
            // What was touched is replaced by what it was.
            let aside = self.new_directory()?;
            fs::rename(&target, aside.join("touched")).map_err(StoreError::io("move", &target))?;
        }
        let overlay_work = work.overlay_work();
        fs::remove_dir_all(&overlay_work).map_err(StoreError::io("remove", &overlay_work))?;
        write(&work.directory.join("index"), index.text.as_bytes())?;
        write(&work.directory.join(STAMP_FILE), stamp(&tree)?.to_string().as_bytes())?;
        match fs::rename(&work.directory, &target) {
            // Another made the same meanwhile.
            Err(_) if target.exists() => Ok(layer),
            renamed => renamed.map(|()| layer).map_err(StoreError::io("create", &target)),
        }
    }

    /// The directory of a layer's content.
    pub fn tree(&self, layer: &Layer) -> PathBuf {
        self.store.tree(&layer.digest)
    }

    /// The layer that was made from something, where it is still there.
    pub fn made_from(&self, what: &Digest) -> Option<Layer> {
        let layer: Layer = serde_json::from_slice(&fs::read(self.name_file(what)).ok()?).ok()?;
        // A layer whose content was touched is made again.
        self.store.is_stamped(&layer.digest).then_some(layer)
    }

    /// Remembers what a layer was made from: an image's layer by its `diff_id`, a step of a build by the digest
    /// of all that went into it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remember(&self, what: &Digest, layer: &Layer) -> Result<(), StoreError> {
        let path = self.name_file(what);
        let text = serde_json::to_vec(layer)
            .map_err(|source| StoreError::Manifest { path: path.clone(), source })?;
        write(&path, &text)
    }

    /// Stores the bundle and makes it the current version. What was current before goes when nobody uses it any
    /// more and garbage is collected.
    ///
    /// # Errors
    /// [`StoreError::Bundle`] when it is no valid one, [`StoreError::Io`].
    pub fn install(&self, new: &NewBundle) -> Result<Digest, StoreError> {
        Bundle::check(self.name.as_str(), &new.folder)?;
        let content: BTreeMap<String, &[u8]> = new.folder.all_files().collect();
        let manifest = Manifest {
            schema: Manifest::SCHEMA,
            source: new.source.clone(),
            version: new.version.clone(),
            layers: new.layers.clone(),
            files: content.iter().map(|(name, bytes)| (name.clone(), Digest::of(bytes))).collect(),
        };
        let path = Path::new(MANIFEST_FILE);
        let text = serde_json::to_vec_pretty(&manifest)
            .map_err(|source| StoreError::Manifest { path: path.to_owned(), source })?;
        let digest = Digest::of(&text);
        let work = LayerWork { directory: self.new_directory()? };
        for (name, bytes) in &content {
            write(&work.directory.join(name), bytes)?;
        }
        write(&work.directory.join(MANIFEST_FILE), &text)?;
        write(&work.directory.join(LEASE_FILE), b"")?;
        let bundle = self.store.bundle(&self.name);
        let version = bundle.join(digest.hex());
        if version.exists() && self.store.current(&self.name).is_err() {
            // What was touched is replaced by what it was.
            remove(&version)?;
        }
        if !version.exists() {
            fs::rename(&work.directory, &version).map_err(StoreError::io("create", &version))?;
        }
        let link = bundle.join(".new-current");
        let _ = fs::remove_file(&link);
        let current = bundle.join(CURRENT);
        symlink(digest.hex(), &link)
            .and_then(|()| fs::rename(&link, &current))
            .and_then(|()| File::open(&bundle)?.sync_all())
            .map_err(StoreError::io("create", &current))?;
        self.release_names(&new.layers)?;
        Ok(digest)
    }

    /// From here on the bundle keeps its layers, and what they were made from keeps them no longer than it does.
    fn release_names(&self, layers: &[Layer]) -> Result<(), StoreError> {
        for name in list(&self.store.root.join("names"))? {
            let layer = fs::read(&name).ok().and_then(|text| serde_json::from_slice::<Layer>(&text).ok());
            if layer.is_some_and(|layer| layers.contains(&layer)) {
                let file = File::options().write(true).open(&name);
                file.and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH))
                    .map_err(StoreError::io("change the time of", &name))?;
            }
        }
        Ok(())
    }

    fn name_file(&self, what: &Digest) -> PathBuf {
        self.store.root.join("names").join(what.hex())
    }

    fn new_directory(&self) -> Result<PathBuf, StoreError> {
        let new = self.store.root.join("new");
        let directory = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o711))
            .tempdir_in(&new)
            .map_err(StoreError::io("create a directory in", &new))?;
        Ok(directory.keep())
    }
}

/// Writes a file whole, so that whoever finds it later finds all of it.
fn write(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    use io::Write;
    let mut file = File::create(path).map_err(StoreError::io("create", path))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(StoreError::io("write", path))
}

/// Removes what is there, if anything is. How deep a directory is, was its maker's choice, and can be more than
/// there are descriptors or stack: so what lies deeper is moved up before it is removed.
fn remove(path: &Path) -> Result<(), StoreError> {
    let is_directory = |path: &Path| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    if !is_directory(path) {
        return match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(StoreError::io("remove", path)),
        };
    }
    let mut moved = 0_u64;
    loop {
        let children = list(path)?;
        if children.is_empty() {
            return fs::remove_dir(path).map_err(StoreError::io("remove", path));
        }
        for child in children {
            if !is_directory(&child) {
                fs::remove_file(&child).map_err(StoreError::io("remove", &child))?;
                continue;
            }
            for grandchild in list(&child)? {
                if is_directory(&grandchild) {
                    let up = path.join(format!(".moved-up-{moved}"));
                    moved += 1;
                    fs::rename(&grandchild, up).map_err(StoreError::io("remove", &grandchild))?;
                } else {
                    fs::remove_file(&grandchild).map_err(StoreError::io("remove", &grandchild))?;
                }
            }
            fs::remove_dir(&child).map_err(StoreError::io("remove", &child))?;
        }
    }
}

/// What is in a directory; nothing when there is no such.
fn list(directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => {
            let paths = entries
                .map_err(StoreError::io("read", directory))?
                .map(|entry| entry.map(|entry| entry.path()));
            paths.collect::<Result<_, _>>().map_err(StoreError::io("read", directory))
        }
    }
}

/// The layers that a version refers to, also when it is broken otherwise.
fn layers_of(version: &Path) -> Vec<Digest> {
    let manifest = fs::read(version.join(MANIFEST_FILE)).ok();
    let manifest = manifest.and_then(|text| serde_json::from_slice::<Manifest>(&text).ok());
    manifest.map(|manifest| manifest.layers.iter().map(|layer| layer.digest).collect()).unwrap_or_default()
}
