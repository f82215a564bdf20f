//! The place on the unified hierarchy where an instance makes its cgroups.
//!
//! Owns the rules of delegation (cgroup v2 documentation, "Delegation" and "No Internal Process Constraint";
//! systemd's `CGROUP_DELEGATION.md`): below a cgroup that was delegated to it, a server keeps to what is below,
//! and before it can give controllers to children, no process may be left in that cgroup itself. So they move to
//! a child for them:
//!
//! ```text
//! system.slice/soulbox.service            delegated; holds no process any more
//! system.slice/soulbox.service/daemon     the server's own processes
//! system.slice/soulbox.service/soulbox    all instances' cgroups
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::{CgroupError, IO_CONTROLLER, UNIFIED_ROOT, V2_CONTROLLERS, make_directory, read, write};

/// The child for the server's own processes. systemd's documentation has the same name for it
/// (`DelegateSubgroup=`, systemd.resource-control(5)).
const DAEMON: &str = "daemon";

/// What systemd sets to 1 on a cgroup that it delegates, for root and for users.
const DELEGATION_MARKS: [&str; 2] = ["trusted.delegate", "user.delegate"];

/// Set on a child that was made here, and not by systemd, for whoever has to remove it.
const OWN_MARK: &str = "user.soulbox";

/// How often processes are moved that appear while others are moved.
const MOVE_ROUNDS: usize = 100;

/// A cgroup below which all cgroups of this server are made.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    directory: PathBuf,
    /// Whether the processes in it have to leave it before controllers can be given to its children.
    delegated: bool,
}

impl Place {
    /// The cgroup of this process, where that is delegated to it; else the root, where this process is root.
    pub(super) fn find() -> Result<Self, CgroupError> {
        let root = Path::new(UNIFIED_ROOT);
        let own = own_cgroup(root)?;
        // An instance before this one has moved the shell or the service manager's other processes.
        let left = own.parent().filter(|parent| own.ends_with(DAEMON) && is_marked(parent));
        let directory = left.unwrap_or(&own);
        if can_change(directory) && (left.is_some() || is_delegated(root, directory)?) {
            return Ok(Place { directory: directory.to_owned(), delegated: true });
        }
        if can_change(root) {
            return Ok(Place { directory: root.to_owned(), delegated: false });
        }
        Err(CgroupError::NotDelegated(own))
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// As in `linux.cgroupsPath` and `/proc/self/cgroup`, but without the slash in front.
    pub(crate) fn below_root(&self) -> &Path {
        self.directory.strip_prefix(UNIFIED_ROOT).unwrap_or(&self.directory)
    }

    /// Whether it has the controllers without which limits cannot be enforced.
    pub(super) fn check_controllers(&self) -> Result<(), CgroupError> {
        let available = read(&self.directory.join("cgroup.controllers"))?;
        let is_missing = |name: &&&str| !available.split_whitespace().any(|has| has == **name);
        match V2_CONTROLLERS.iter().find(is_missing) {
            Some(controller) => Err(CgroupError::MissingController(controller)),
            None => Ok(()),
        }
    }

    /// Whether its children are given the controller that counts what comes from block devices.
    pub(super) fn gives_io(&self) -> bool {
        let given = read(&self.directory.join("cgroup.subtree_control")).unwrap_or_default();
        given.split_whitespace().any(|controller| controller == IO_CONTROLLER)
    }

    /// Whether the server's own processes are below it, too.
    pub(super) fn is_delegated(&self) -> bool {
        self.delegated
    }

    /// Moves the processes that are in the place itself to the child for them. A second server finds none.
    pub(super) fn vacate(&self) -> Result<(), CgroupError> {
        let procs = self.directory.join("cgroup.procs");
        if !self.delegated || read(&procs)?.is_empty() {
            return Ok(());
        }
        let daemon = self.directory.join(DAEMON);
        make_directory(&daemon)?;
        if let Err(error) = xattr::set(&daemon, OWN_MARK, b"1") {
            tracing::warn!(%error, cgroup = %daemon.display(), "stays after the end");
        }
        move_processes(&self.directory, &daemon)
    }

    /// Puts everything back as it was before the first server came, if this was the last one.
    pub(super) fn leave(&self) -> Result<(), CgroupError> {
        let daemon = self.directory.join(DAEMON);
        let in_use = super::children(&self.directory).any(|child| child != daemon);
        let is_own = xattr::get(&daemon, OWN_MARK).is_ok_and(|mark| mark.is_some());
        if !self.delegated || in_use || !is_own {
            return Ok(());
        }
        let without: Vec<_> = V2_CONTROLLERS.iter().map(|controller| format!("-{controller}")).collect();
        write(&self.directory.join("cgroup.subtree_control"), &without.join(" "))?;
        move_processes(&daemon, &self.directory)?;
        fs::remove_dir(&daemon).map_err(CgroupError::io("remove cgroup", &daemon))
    }
}

/// The cgroup of this process on the unified hierarchy (cgroups(7), "/proc/pid/cgroup").
fn own_cgroup(root: &Path) -> Result<PathBuf, CgroupError> {
    let file = Path::new("/proc/self/cgroup");
    let text = read(file)?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
    path.map(|path| root.join(path)).ok_or_else(|| CgroupError::Malformed(file.to_owned()))
}

/// Whether a cgroup is this server's to divide: systemd says so, it is all that this process's cgroup namespace
/// shows, or nobody else is in it. The root of the host is nobody's; only there is no `cgroup.type`.
fn is_delegated(root: &Path, directory: &Path) -> Result<bool, CgroupError> {
    if !directory.join("cgroup.type").exists() {
        return Ok(false);
    }
    let alone = || Ok(read(&directory.join("cgroup.procs"))?.trim() == std::process::id().to_string());
    if is_marked(directory) || directory == root { Ok(true) } else { alone() }
}

fn is_marked(directory: &Path) -> bool {
    DELEGATION_MARKS
        .iter()
        .any(|mark| xattr::get(directory, mark).is_ok_and(|value| value == Some(b"1".to_vec())))
}

/// What the kernel asks of whoever divides a cgroup: to make children, to give them controllers, and to move
/// processes within.
fn can_change(directory: &Path) -> bool {
    let files = ["", "cgroup.procs", "cgroup.subtree_control"];
    files.iter().all(|file| access(&directory.join(file), AccessFlags::W_OK).is_ok())
}

fn move_processes(from: &Path, to: &Path) -> Result<(), CgroupError> {
    let (procs, target) = (from.join("cgroup.procs"), to.join("cgroup.procs"));
    for _ in 0..MOVE_ROUNDS {
        let pids = read(&procs)?;
        if pids.is_empty() {
            return Ok(());
        }
        // As which the kernel shows those of another pid namespace; written, it would mean ourselves.
        if pids.lines().any(|pid| pid == "0") {
            break;
        }
        for pid in pids.lines() {
            match write(&target, pid) {
                // It has ended.
                Err(CgroupError::Io { source, .. }) if source.raw_os_error() == Some(libc::ESRCH) => {}
                moved => moved?,
            }
        }
    }
    Err(CgroupError::io("move all processes out of", from)(io::ErrorKind::ResourceBusy.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a cgroup looks like whose processes are these.
    fn cgroup(procs: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("cgroup.type"), "domain\n").unwrap();
        fs::write(directory.path().join("cgroup.procs"), procs).unwrap();
        directory
    }

    #[test]
    fn a_cgroup_is_ones_own_when_nobody_else_is_in_it() {
        let (root, own) = (Path::new(UNIFIED_ROOT), std::process::id());
        let is_own = |procs: String| is_delegated(root, cgroup(&procs).path()).unwrap();
        assert!(is_own(format!("{own}\n")));
        assert!(!is_own(format!("1\n{own}\n")));
        assert!(!is_own(String::new()));
    }

    #[test]
    fn all_that_a_container_shows_is_its_own_and_the_hosts_root_is_nobodys() {
        let directory = cgroup("1\n2\n");
        assert!(is_delegated(directory.path(), directory.path()).unwrap());
        fs::remove_file(directory.path().join("cgroup.type")).unwrap();
        assert!(!is_delegated(directory.path(), directory.path()).unwrap());
    }
}
