//! The files that a program leaves in its workspace and its client has asked for.
//!
//! Owns the walk over a directory that untrusted code has filled. Nothing of the sandbox runs any more when
//! it happens; still nothing but plain files below the workspace is ever opened for reading, no link is
//! followed, and depth, number and bytes are bounded.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use globset::GlobSet;
use nix::dir::{Dir, Type};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// Directories within directories.
const MAX_DEPTH: usize = 32;

/// Directory entries that are looked at.
const MAX_ENTRIES: usize = 10_000;

/// Files that are collected.
const MAX_FILES: usize = 100;

/// Bytes of all collected files together.
const MAX_BYTES: u64 = 16 << 20;

/// A file that was collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectedFile {
    /// Path below the workspace.
    pub path: PathBuf,
    /// What it holds.
    pub content: Vec<u8>,
}

/// What was collected.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    /// The files, in the order of their paths.
    pub files: Vec<CollectedFile>,
    /// What was left out: files that matched and are not readable or too much for the bounds, and whatever
    /// could not be looked at for its name, its depth or its number.
    pub left_out: usize,
}

/// Collects the files below `workspace`, a directory, that `wanted` matches.
pub(crate) fn collect(workspace: &OwnedFd, wanted: &GlobSet) -> Collected {
    let mut walk = Walk { workspace, wanted, entries: 0, bytes: 0, collected: Collected::default() };
    walk.directory(Path::new(""), 0);
    walk.collected.files.sort_by(|a, b| a.path.cmp(&b.path));
    walk.collected
}

struct Walk<'a> {
    workspace: &'a OwnedFd,
    wanted: &'a GlobSet,
    entries: usize,
    bytes: u64,
    collected: Collected,
}

impl Walk<'_> {
    fn directory(&mut self, path: &Path, depth: usize) {
        // What cannot be opened is not there for the client.
        let Ok(directory) =
            open(self.workspace, path, OFlag::O_DIRECTORY).and_then(|fd| Ok(Dir::from_fd(fd)?))
        else {
            return;
        };
        for entry in directory.into_iter().flatten() {
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                self.collected.left_out += 1;
                return;
            }
            let Ok(name) = name.to_str() else {
                // A name that is not UTF-8 cannot be told to the client.
                self.collected.left_out += 1;
                continue;
            };
            let path = path.join(name);
            match entry.file_type() {
                Some(Type::Directory) if depth < MAX_DEPTH => self.directory(&path, depth + 1),
                Some(Type::Directory) => self.collected.left_out += 1,
                Some(Type::File) if self.wanted.is_match(&path) => self.file(path),
                _ => {}
            }
        }
    }

    fn file(&mut self, path: PathBuf) {
        let rest = MAX_BYTES - self.bytes;
        let content = if self.collected.files.len() < MAX_FILES { self.read(&path, rest).ok() } else { None };
        match content.filter(|content| content.len() as u64 <= rest) {
            Some(content) => {
                self.bytes += content.len() as u64;
                self.collected.files.push(CollectedFile { path, content });
            }
            None => self.collected.left_out += 1,
        }
    }

    /// Reads at most one byte more than `most`, by which the caller sees that there is more.
    fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        let file = File::from(open(self.workspace, path, OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?);
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() > most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut content = Vec::new();
        file.take(most + 1).read_to_end(&mut content)?;
        Ok(content)
    }
}

/// Opens what lies below a directory: through no link, to no other file system (openat2(2)).
pub(crate) fn open(directory: &OwnedFd, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
    let how = OpenHow::new().flags(OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | flags).resolve(
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV,
    );
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    Ok(openat2(directory.as_fd(), path, how)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use globset::{GlobBuilder, GlobSetBuilder};

    use super::*;

    fn patterns(patterns: &[&str]) -> GlobSet {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            set.add(GlobBuilder::new(pattern).literal_separator(true).build().unwrap());
        }
        set.build().unwrap()
    }

    fn collect_from(directory: &Path, wanted: &[&str]) -> (Vec<String>, usize) {
        let workspace = OwnedFd::from(File::open(directory).unwrap());
        let collected = collect(&workspace, &patterns(wanted));
        let paths = collected.files.iter().map(|file| file.path.display().to_string()).collect();
        (paths, collected.left_out)
    }

    #[test]
    fn files_that_match_are_collected() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("a/b")).unwrap();
        for file in ["x.png", "y.txt", "a/z.png", "a/b/w.png"] {
            fs::write(directory.path().join(file), file).unwrap();
        }
        assert_eq!(collect_from(directory.path(), &["*.png"]), (vec!["x.png".to_owned()], 0));
        let deep = vec!["a/b/w.png".to_owned(), "a/z.png".to_owned(), "x.png".to_owned()];
        assert_eq!(collect_from(directory.path(), &["**/*.png"]), (deep, 0));
    }

    #[test]
    fn links_fifos_and_what_is_behind_links_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "secret").unwrap();
        symlink(outside.path().join("secret"), directory.path().join("link")).unwrap();
        symlink(outside.path(), directory.path().join("directory")).unwrap();
        nix::unistd::mkfifo(&directory.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(collect_from(directory.path(), &["**"]), (vec![], 0));
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let directory = tempfile::tempdir().unwrap();
        let sparse = File::create(directory.path().join("sparse")).unwrap();
        sparse.set_len(1 << 40).unwrap();
        for index in 0..MAX_FILES + 3 {
            fs::write(directory.path().join(format!("file{index}")), "x").unwrap();
        }
        let (paths, left_out) = collect_from(directory.path(), &["*"]);
        assert_eq!((paths.len(), left_out), (MAX_FILES, 4));
    }
}
