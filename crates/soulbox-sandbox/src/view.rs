//! What an ordinary user's helper sees of the host while it creates a container.
//!
//! Owns a mount namespace of the helper's own, in which two things of the host's look otherwise: the way to the
//! state directory is open to the container's users, however closed the home directory is that it lies in; and the
//! cgroups of the host are not there where none can be used, since libcontainer would use what it finds.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::unistd::{chdir, pivot_root};

/// Where cgroups are mounted (hier(7), cgroups(7)): nothing else of it is needed.
const SYS: &str = "/sys";

const NONE: Option<&str> = None;

/// What is to look otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// The state directory, to which the way is opened.
    pub(crate) state_dir: PathBuf,
    /// Whether `/sys` is left out.
    pub(crate) without_sys: bool,
}

impl View {
    /// Moves the calling process to a mount namespace of its own that looks so.
    pub(crate) fn enter(&self) -> io::Result<()> {
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SLAVE, NONE)?;
        if self.without_sys {
            leave_sys_out()?;
        }
        match first_closed(&self.state_dir)? {
            Some(closed) => open_way(&closed, &self.state_dir),
            None => Ok(()),
        }
    }
}

/// Changes the root to a new one that has all directories of the old but `/sys`. Mounting something over that would
/// not do: what is below a mount is still listed. It cannot be unmounted either, not having been mounted here.
fn leave_sys_out() -> io::Result<()> {
    let root = Path::new(SYS);
    mount_empty(root)?;
    for entry in fs::read_dir("/")? {
        let entry = entry?;
        let (from, kind) = (entry.path(), entry.file_type()?);
        let to = root.join(entry.file_name());
        if kind.is_symlink() {
            symlink(fs::read_link(&from)?, &to)?;
        } else if kind.is_dir() && from != root {
            make_directories(&to)?;
            mount(Some(&from), &to, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)?;
        }
    }
    // Where libcontainer looks for cgroups, and finds none.
    make_directories(&root.join("sys/fs/cgroup"))?;
    chdir(root)?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    Ok(chdir("/")?)
}

/// The uppermost directory on the way that others cannot walk through.
fn first_closed(directory: &Path) -> io::Result<Option<PathBuf>> {
    const SEARCH_BY_OTHERS: u32 = 0o001;
    let mut way: Vec<&Path> = directory.ancestors().skip(1).collect();
    way.reverse();
    for ancestor in way {
        if fs::metadata(ancestor)?.permissions().mode() & SEARCH_BY_OTHERS == 0 {
            return Ok(Some(ancestor.to_owned()));
        }
    }
    Ok(None)
}

/// Puts an empty directory in the place of a closed one, in which there is nothing but the way to `directory`.
fn open_way(closed: &Path, directory: &Path) -> io::Result<()> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let inside: OwnedFd = open(directory, flags, Mode::empty())?;
    mount_empty(closed)?;
    make_directories(directory)?;
    let inside = format!("/proc/self/fd/{}", inside.as_raw_fd());
    Ok(mount(Some(inside.as_str()), directory, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)?)
}

fn mount_empty(directory: &Path) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    Ok(mount(Some("view"), directory, Some("tmpfs"), flags, Some("mode=755,size=1m"))?)
}

fn make_directories(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uppermost_closed_directory_is_found() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (home, state) = (directory.path().join("home"), directory.path().join("home/state"));
        fs::create_dir_all(&state).unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(&home, 0o755);
        assert_eq!(first_closed(&state).unwrap(), None);
        mode(&home, 0o700);
        assert_eq!(first_closed(&state).unwrap(), Some(home));
    }
}
