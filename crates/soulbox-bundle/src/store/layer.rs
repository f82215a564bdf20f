//! The content of one layer: what it is (its index) and whether anybody has touched it since (its stamp).
//!
//! Owns the form of both. The index says everything about a tree that a program in it could notice, but for
//! times and inode numbers: two trees with the same content have the same index, and its digest is the layer's
//! name. To compute it, every file is read. The stamp is over what the kernel notes of each file without being
//! asked, its inode number and the time of its last change (stat(2), `st_ctime`), which nobody can set: as long
//! as it is the same, so is the content, and to compute it no file has to be read.

use std::fmt::Write as _;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::StoreError;
use crate::digest::{Digest, ListHash};

/// Extended attributes with a meaning to overlayfs. All but that of opaque directories tell of the mount that
/// wrote them (Documentation/filesystems/overlayfs.rst) and are nothing to keep.
const OVERLAY_ATTRIBUTES: &[u8] = b"user.overlay.";
const OPAQUE_ATTRIBUTE: &[u8] = b"user.overlay.opaque";

/// What a layer is.
#[derive(Debug)]
pub(super) struct Index {
    /// A line for each entry, by path.
    pub(super) text: String,
    /// Bytes of its regular files, each counted once.
    pub(super) size_bytes: u64,
}

impl Index {
    /// Reads all of a tree.
    pub(super) fn of(tree: &Path) -> Result<Self, StoreError> {
        let mut entries = Vec::new();
        walk(tree, &mut |path, metadata| {
            entries.push((path.to_owned(), metadata));
            Ok(())
        })?;
        let files: Vec<_> = entries.iter().filter(|(_, metadata)| metadata.is_file()).collect();
        let digests = digests(tree, &files)?;
        let mut digests = digests.into_iter();
        let (mut text, mut size_bytes, mut counted) = (String::new(), 0, std::collections::HashSet::new());
        for (path, metadata) in &entries {
            let full = tree.join(path);
            let (kind, size, content) = if metadata.is_file() {
                if metadata.nlink() == 1 || counted.insert(metadata.ino()) {
                    size_bytes += metadata.len();
                }
                ('f', metadata.len(), digests.next().unwrap_or_default())
            } else if metadata.is_symlink() {
                let target = fs::read_link(&full).map_err(StoreError::io("read", &full))?;
                ('l', 0, target.as_os_str().as_bytes().escape_ascii().to_string())
            } else if metadata.is_dir() {
                ('d', 0, String::new())
            } else if metadata.file_type().is_char_device() && metadata.rdev() == 0 {
                ('w', 0, String::new())
            } else {
                return Err(StoreError::Entry(full));
            };
            let attributes = attributes(&full).map_err(StoreError::io("read the attributes of", &full))?;
            let path = path.as_os_str().as_bytes().escape_ascii();
            let (mode, uid, gid) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{path}\t{kind}\t{mode:o}\t{uid}:{gid}\t{size}\t{content}\t{attributes}");
        }
        Ok(Index { text, size_bytes })
    }

    /// The layer's name.
    pub(super) fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }

    /// The first path of which two indexes say different things.
    pub(super) fn first_difference<'a>(one: &'a str, other: &'a str) -> Option<&'a str> {
        let (mut ones, mut others) = (one.lines(), other.lines());
        loop {
            let path = |line: &'a str| line.split('\t').next().unwrap_or_default();
            match (ones.next(), others.next()) {
                (None, None) => return None,
                (Some(a), Some(b)) if a == b => {}
                (Some(a), Some(b)) => return Some(path(a).min(path(b))),
                (Some(line), None) | (None, Some(line)) => return Some(path(line)),
            }
        }
    }
}

/// The stamp of a tree.
pub(super) fn stamp(tree: &Path) -> Result<Digest, StoreError> {
    let mut hash = ListHash::default();
    walk(tree, &mut |path, metadata| {
        hash.add(path.as_os_str().as_bytes());
        let mut numbers = [0; 40];
        let values = [metadata.ino(), metadata.ctime() as u64, metadata.ctime_nsec() as u64, metadata.len()];
        let owner = u64::from(metadata.uid()) << 32 | u64::from(metadata.mode());
        for (place, value) in numbers.chunks_exact_mut(8).zip(values.into_iter().chain([owner])) {
            place.copy_from_slice(&value.to_le_bytes());
        }
        hash.add(&numbers);
        Ok(())
    })?;
    Ok(hash.finish())
}

/// Removes what an overlayfs noted for itself in what was its upper directory, and the right of files to run as
/// their owners: that is the store's, for whoever finds the file on the host.
pub(super) fn tidy(tree: &Path) -> Result<(), StoreError> {
    const SET_ID: u32 = 0o6000;
    walk(tree, &mut |path, metadata| {
        let full = tree.join(path);
        if !metadata.is_symlink() && metadata.mode() & SET_ID != 0 {
            let mode = fs::Permissions::from_mode(metadata.mode() & 0o7777 & !SET_ID);
            fs::set_permissions(&full, mode).map_err(StoreError::io("change the mode of", &full))?;
        }
        let attributes = xattr::list(&full).map_err(StoreError::io("read the attributes of", &full))?;
        for name in attributes.filter(|name| {
            let name = name.as_bytes();
            name.starts_with(OVERLAY_ATTRIBUTES) && name != OPAQUE_ATTRIBUTE
        }) {
            xattr::remove(&full, &name).map_err(StoreError::io("remove an attribute of", &full))?;
        }
        Ok(())
    })
}

/// Calls for the root, whose path is empty, and all below it, always in the same order, with paths below it.
fn walk(
    root: &Path,
    visit: &mut impl FnMut(&Path, Metadata) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    // A stack, not recursion: how deep a tree is, is its maker's choice.
    let mut left = vec![PathBuf::new()];
    while let Some(path) = left.pop() {
        let full = root.join(&path);
        let metadata = fs::symlink_metadata(&full).map_err(StoreError::io("read", &full))?;
        if metadata.is_dir() {
            let before = left.len();
            for entry in fs::read_dir(&full).map_err(StoreError::io("read", &full))? {
                let entry = entry.map_err(StoreError::io("read", &full))?;
                left.push(path.join(entry.file_name()));
            }
            if let Some(own) = left.get_mut(before..) {
                own.sort_unstable_by(|a, b| b.cmp(a));
            }
        }
        visit(&path, metadata)?;
    }
    Ok(())
}

/// Digests of files, in their order, read by as many threads as there are processors.
fn digests(tree: &Path, files: &[&(PathBuf, Metadata)]) -> Result<Vec<String>, StoreError> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, String)>, StoreError> {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((path, _)) = files.get(index) else { return Ok(done) };
            let full = tree.join(path);
            let digest = File::open(&full).and_then(Digest::of_reader);
            done.push((index, digest.map_err(StoreError::io("read", &full))?.hex()));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut all = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::with_capacity(files.len());
        for worker in workers {
            all.extend(worker.join().map_err(|_| StoreError::Interrupted)??);
        }
        Ok::<_, StoreError>(all)
    })?;
    all.sort_unstable_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, digest)| digest).collect())
}

/// The digest of an entry's attributes, or nothing when it has none.
fn attributes(path: &Path) -> io::Result<String> {
    let mut names: Vec<_> = xattr::list(path)?.collect();
    if names.is_empty() {
        return Ok(String::new());
    }
    names.sort_unstable();
    let mut hash = ListHash::default();
    for name in names {
        hash.add(name.as_bytes());
        hash.add(&xattr::get(path, &name)?.unwrap_or_default());
    }
    Ok(hash.finish().hex())
}
