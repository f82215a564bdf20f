//! A root file system that is a stack of directories, mounted by overlayfs.
//!
//! Owns the mount and its options. It is made in a mount namespace of the helper that creates the container,
//! so that the host never sees it and nothing has to be unmounted, however the container ends.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;

/// Where a container's root file system comes from, beside the `rootfs` directory of its bundle.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    /// Directories below or above `rootfs`, lowest first. Empty, and `rootfs` is the root as it is.
    pub(crate) lower: Vec<PathBuf>,
    /// What takes the changes. Absent, there are none.
    pub(crate) upper: Option<Upper>,
}

/// The directories of a stack that is written to, both on one file system.
#[derive(Clone, Debug)]
pub(crate) struct Upper {
    /// Receives what is written, with whiteouts for what is removed.
    pub(crate) upper: PathBuf,
    /// An empty directory, in which overlayfs prepares what it moves to the other.
    pub(crate) work: PathBuf,
}

impl Layers {
    pub(crate) fn is_empty(&self) -> bool {
        self.lower.is_empty() && self.upper.is_none()
    }

    /// Moves the calling process to a mount namespace of its own, and mounts the stack over `rootfs` in it.
    ///
    /// A root that is only read has `rootfs` as its topmost layer, since that holds the mount points and
    /// the generated files of `/etc`. One that is written to has it as the lowest, where it provides mount
    /// points alone: what the layers say of a directory counts.
    pub(crate) fn mount_over(&self, rootfs: &Path) -> io::Result<()> {
        unshare(CloneFlags::CLONE_NEWNS)?;
        // Nothing reaches the host from here; what the host unmounts goes here as well.
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)?;
        let mut directories: Vec<&Path> = self.lower.iter().rev().map(PathBuf::as_path).collect();
        directories.insert(if self.upper.is_some() { directories.len() } else { 0 }, rootfs);
        // By descriptor: a path may hold what separates the options, and a hundred of them fill the page
        // that mount(2) takes. They stay open until the mount has its own hold of the directories.
        let lower = directories.into_iter().map(open_path).collect::<io::Result<Vec<_>>>()?;
        let names: Vec<String> = lower.iter().map(by_descriptor).collect();
        // The layers' whiteouts and opaque directories were written in user namespaces, in `user.overlay.*`.
        let mut options = format!("userxattr,lowerdir={}", names.join(":"));
        let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        let writable = match &self.upper {
            Some(upper) => Some((open_path(&upper.upper)?, open_path(&upper.work)?)),
            None => None,
        };
        if let Some((upper, work)) = &writable {
            options += &format!(",upperdir={},workdir={}", by_descriptor(upper), by_descriptor(work));
        } else {
            flags |= MsFlags::MS_RDONLY;
        }
        Ok(mount(Some("overlay"), rootfs, Some("overlay"), flags, Some(OsStr::new(&options)))?)
    }
}

fn open_path(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(path, flags, Mode::empty())
        .map_err(|errno| io::Error::other(format!("cannot open layer {}: {errno}", path.display())))
}

fn by_descriptor(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}
