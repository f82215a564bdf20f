//! The files of one layer, as the helper writes them.
//!
//! Owns what an entry does to what lies at its place already: the last entry of a name wins, a directory over
//! a directory keeps what is in it, and nothing is ever written through the last component of a name. The
//! helper's root directory is the layer's, so that a link on the way leads nowhere else; `name.rs` has
//! refused what climbs.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown, symlink,
};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use soulbox_sandbox::make_whiteout;

use crate::name::{BadName, MAX_DEPTH};
use crate::refusal::Refusal;

/// Mode of directories that no entry describes.
const IMPLIED_MODE: u32 = 0o755;

/// Most bytes of directories' names that wait for their time.
const MAX_NAMES: usize = 128 << 20;

/// What overlayfs, mounted with `userxattr`, takes for the mark of an opaque directory.
const OPAQUE: (&str, &[u8]) = ("user.overlay.opaque", b"y");

/// What a file has beside its contents.
#[derive(Clone, Debug)]
pub(crate) struct Attributes {
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) modified: Option<SystemTime>,
    /// Names begin with `user.`.
    pub(crate) xattrs: Vec<(String, Vec<u8>)>,
}

/// A layer's directory while it is filled.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// A directory that is known to be there.
    parent: PathBuf,
    /// Directories whose time is set last, since every file made in them changes it.
    times: Vec<(PathBuf, SystemTime)>,
    names: usize,
    /// Attributes that the file system did not take.
    pub(crate) lost_xattrs: u64,
}

impl Tree {
    /// Makes a directory, or changes the one that is there.
    pub(crate) fn directory(&mut self, path: &Path, attributes: &Attributes) -> Result<(), Refusal> {
        let cannot = |error| Refusal::write("create the directory", path, &error);
        self.make_parent(path)?;
        let make = || DirBuilder::new().mode(attributes.mode).create(path);
        match make() {
            Ok(()) if attributes.owner == (0, 0) => {}
            Ok(()) => own(path, attributes).map_err(cannot)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let there = fs::symlink_metadata(path).map_err(cannot)?;
                if !there.is_dir() {
                    self.remove(path, &there)?;
                    make().map_err(cannot)?;
                    if is_whiteout(&there) {
                        mark_opaque(path)?;
                    }
                }
                own(path, attributes).map_err(cannot)?;
                fs::set_permissions(path, Permissions::from_mode(attributes.mode)).map_err(cannot)?;
            }
            Err(error) => return Err(cannot(error)),
        }
        self.add_xattrs(path, attributes);
        if let Some(modified) = attributes.modified {
            self.names += path.as_os_str().len();
            if self.names > MAX_NAMES {
                return Err(Refusal::HeadersTooLong { limit: MAX_NAMES as u64 });
            }
            self.times.push((path.to_owned(), modified));
        }
        Ok(())
    }

    /// Makes a regular file, empty and of this name alone.
    pub(crate) fn file(&mut self, path: &Path, attributes: &Attributes) -> Result<File, Refusal> {
        let cannot = |error| Refusal::write("create", path, &error);
        self.make_parent(path)?;
        // O_CREAT with O_EXCL, which does not follow a link.
        let make = || OpenOptions::new().write(true).create_new(true).mode(attributes.mode).open(path);
        let file = self.make(path, make)?;
        if attributes.owner != (0, 0) {
            let (uid, gid) = attributes.owner;
            fchown(&file, Some(uid), Some(gid)).map_err(cannot)?;
        }
        self.add_xattrs(path, attributes);
        Ok(file)
    }

    /// Makes a symbolic link. Where it leads is the container's business.
    pub(crate) fn symlink(
        &mut self,
        path: &Path,
        target: &Path,
        attributes: &Attributes,
    ) -> Result<(), Refusal> {
        self.make_parent(path)?;
        self.make(path, || symlink(target, path))?;
        if attributes.owner != (0, 0) {
            own(path, attributes).map_err(|error| Refusal::write("change the owner of", path, &error))?;
        }
        self.lost_xattrs += attributes.xattrs.len() as u64;
        Ok(())
    }

    /// Gives a file of the layer another name. A link is given one itself, not what it leads to.
    pub(crate) fn hard_link(&mut self, path: &Path, target: &Path) -> Result<(), Refusal> {
        if path == target {
            return Ok(());
        }
        self.make_parent(path)?;
        let link_target = || Refusal::LinkTarget {
            path: path.to_string_lossy().into_owned(),
            target: target.to_string_lossy().into_owned(),
        };
        let there = fs::symlink_metadata(target).map_err(|_| link_target())?;
        if !there.is_file() && !there.is_symlink() {
            return Err(link_target());
        }
        self.make(path, || fs::hard_link(target, path)).map_err(|refusal| match refusal {
            // What lay at the place was the target itself, or the way to it.
            _ if fs::symlink_metadata(target).is_err() => link_target(),
            refusal => refusal,
        })
    }

    /// Hides what the layers below have of this name. What this layer has stays: a directory hides theirs.
    pub(crate) fn whiteout(&mut self, path: &Path) -> Result<(), Refusal> {
        self.make_parent(path)?;
        match make_whiteout(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let there = fs::symlink_metadata(path);
                if there.is_ok_and(|there| there.is_dir()) { mark_opaque(path) } else { Ok(()) }
            }
            result => result.map_err(|error| Refusal::write("hide", path, &error)),
        }
    }

    /// Hides all that the layers below have in this directory.
    pub(crate) fn opaque(&mut self, path: &Path) -> Result<(), Refusal> {
        // The parent of any file in it is the directory.
        self.make_parent(&path.join("file"))?;
        mark_opaque(path)
    }

    /// Sets the times of all directories.
    pub(crate) fn finish(self) -> Result<(), Refusal> {
        for (path, modified) in self.times {
            // It may be something else by now.
            if fs::symlink_metadata(&path).is_ok_and(|there| there.is_dir()) {
                let set = File::open(&path).and_then(|directory| directory.set_modified(modified));
                set.map_err(|error| Refusal::write("set the time of", &path, &error))?;
            }
        }
        Ok(())
    }

    /// Makes something at a place that has to be free, and makes it free if it is not.
    fn make<T>(&mut self, path: &Path, make: impl Fn() -> io::Result<T>) -> Result<T, Refusal> {
        let cannot = |error| Refusal::write("create", path, &error);
        match make() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let there = fs::symlink_metadata(path).map_err(cannot)?;
                self.remove(path, &there)?;
                make().map_err(cannot)
            }
            result => result.map_err(cannot),
        }
    }

    fn remove(&mut self, path: &Path, there: &Metadata) -> Result<(), Refusal> {
        // The known directory may be below, or be reached through it.
        self.parent = PathBuf::new();
        let removed = if there.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.map_err(|error| Refusal::write("replace", path, &error))
    }

    /// Makes the directories above a path that are missing.
    fn make_parent(&mut self, path: &Path) -> Result<(), Refusal> {
        let Some(parent) = path.parent() else { return Ok(()) };
        if self.parent == parent {
            return Ok(());
        }
        if !fs::metadata(parent).is_ok_and(|there| there.is_dir()) {
            let mut above: Vec<&Path> = parent.ancestors().collect();
            above.pop();
            above.into_iter().rev().try_for_each(|directory| self.make_implied(directory, path))?;
        }
        // A name has been refused that is too deep; but links on the way can lead deeper.
        let real = fs::canonicalize(parent).map_err(|error| Refusal::write("find", parent, &error))?;
        if real.components().count() > MAX_DEPTH {
            let path = path.to_string_lossy().into_owned();
            return Err(Refusal::Name { path, reason: BadName::TooDeep });
        }
        self.parent = parent.to_owned();
        Ok(())
    }

    fn make_implied(&mut self, directory: &Path, path: &Path) -> Result<(), Refusal> {
        let make = || DirBuilder::new().mode(IMPLIED_MODE).create(directory);
        let cannot = |error| Refusal::write("create the directory", directory, &error);
        match make() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if fs::metadata(directory).is_ok_and(|there| there.is_dir()) {
                    return Ok(());
                }
                let there = fs::symlink_metadata(directory).map_err(cannot)?;
                if !is_whiteout(&there) {
                    return Err(Refusal::Parent { path: path.to_string_lossy().into_owned() });
                }
                self.remove(directory, &there)?;
                make().map_err(cannot)?;
                mark_opaque(directory)
            }
            result => result.map_err(cannot),
        }
    }

    /// Not every file system takes every attribute, and no program fails without.
    fn add_xattrs(&mut self, path: &Path, attributes: &Attributes) {
        for (name, value) in &attributes.xattrs {
            if xattr::set(path, name, value).is_err() {
                self.lost_xattrs += 1;
            }
        }
    }
}

fn own(path: &Path, attributes: &Attributes) -> io::Result<()> {
    let (uid, gid) = attributes.owner;
    lchown(path, Some(uid), Some(gid))
}

fn mark_opaque(path: &Path) -> Result<(), Refusal> {
    let (name, value) = OPAQUE;
    xattr::set(path, name, value).map_err(|error| Refusal::write("make opaque", path, &error))
}

fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}
