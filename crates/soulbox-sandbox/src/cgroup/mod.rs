//! Control groups: one tree for each instance, in it a leaf for each run.
//!
//! Owns which hierarchy is used, the instance's tree and its removal. It never moves a sandbox's processes: those
//! join by the `cgroup.procs` files of a [`Leaf`].
//!
//! ```text
//! <parent>/<instance>/zygotes/<bundle>     for a zygote's container, which libcontainer puts there
//! <parent>/<instance>/runs/<execution>     a leaf, for the life of one sandbox
//! <parent>/<instance>/helpers              helpers of the daemon that make containers, in one hierarchy
//! ```
//!
//! cgroup v2 is used where the host has it unified, at the [`Place`] that is this server's. On a hybrid or legacy
//! host the same tree is made in each of the v1 hierarchies of memory, pids, cpu and cpuacct.

mod charges;
mod files;
mod leaf;
mod memory_time;
mod place;
mod usage;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cgroups_rs::fs::Controllers;
use cgroups_rs::fs::hierarchies::{V1, is_cgroup2_unified_mode};

pub use charges::Charges;
pub(crate) use charges::{Pss, ZygoteCharge};
pub(crate) use files::find_keyed;
use files::{Files, Opened};
pub(crate) use leaf::Leaf;
pub use leaf::LeafLimits;
pub use memory_time::MemoryTime;
use place::Place;
use usage::CpuTimes;
pub use usage::{IoBytes, LeafUsage, Meter, MeterReading};

/// Where cgroup v2 is mounted when it is the only one (file-hierarchy(7), cgroups(7)).
const UNIFIED_ROOT: &str = "/sys/fs/cgroup";

/// The controllers without which no limit can be enforced.
const V2_CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// The one that counts what comes from block devices. It costs each run something and no limit needs it: it is used
/// where the operator has given it to the children of the server's place.
const IO_CONTROLLER: &str = "io";

/// Where helpers are, below the instance's path.
const HELPERS: &str = "helpers";

/// How often a tree is begun again whose surroundings another instance removes as the last one there.
const CREATE_ATTEMPTS: usize = 20;

/// How long the kernel gets to end the processes of a killed cgroup.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Which cgroups the host offers, and this instance uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupMode {
    /// The unified hierarchy (cgroup v2 documentation).
    V2,
    /// The v1 hierarchies of a legacy or hybrid host.
    V1,
}

impl CgroupMode {
    /// The file through which a process without threads joins a cgroup, by writing `0` to it.
    ///
    /// On v1 that is `tasks`, which moves one thread: moving a whole process by `cgroup.procs` takes a lock
    /// over all forks and exits of the machine, for which the kernel waits a grace period of RCU when nobody
    /// has taken it lately, and a run on an idle machine would start 10 to 20 ms later.
    fn join_file(self) -> &'static str {
        match self {
            CgroupMode::V2 => "cgroup.procs",
            CgroupMode::V1 => "tasks",
        }
    }
}

/// A cgroup that could not be used as it must.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A controller is missing, and with it the limit it enforces.
    #[error("cgroup controller {0} is not available; mount it, or enable it in cgroup.subtree_control")]
    MissingController(&'static str),
    /// There is no cgroup that this process may divide.
    #[error("cgroup {} is not delegated to this user: run soulbox as a systemd service with Delegate=yes, or by systemd-run --user --scope --property=Delegate=yes", .0.display())]
    NotDelegated(PathBuf),
    /// A file or directory of a cgroup cannot be used.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file has another form than its documentation says.
    #[error("{} does not hold what the kernel documents", .0.display())]
    Malformed(PathBuf),
    /// The processes of a killed cgroup did not end in time.
    #[error("{} still has processes after they were killed", .0.display())]
    Busy(PathBuf),
}

impl CgroupError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CgroupError {
        move |source| CgroupError::Io { action, path: path.to_owned(), source }
    }
}

/// The roots of the hierarchies in use.
#[derive(Clone, Debug)]
pub(crate) enum Hierarchies {
    V2 {
        root: PathBuf,
        place: Place,
        /// Whether the kernel is to count what comes from block devices and goes to them.
        io: bool,
    },
    V1 {
        memory: PathBuf,
        pids: PathBuf,
        cpu: PathBuf,
        cpuacct: PathBuf,
    },
}

impl Hierarchies {
    /// Finds what the host has mounted.
    pub(crate) fn detect() -> Result<Self, CgroupError> {
        if is_cgroup2_unified_mode() {
            let place = Place::find()?;
            place.check_controllers()?;
            let io = place.gives_io();
            return Ok(Hierarchies::V2 { root: UNIFIED_ROOT.into(), place, io });
        }
        let mounts = V1::new();
        let root = |controller, name| {
            mounts
                .get_mount_point(controller)
                .map(|(point, _)| point)
                .ok_or(CgroupError::MissingController(name))
        };
        Ok(Hierarchies::V1 {
            memory: root(Controllers::Mem, "memory")?,
            pids: root(Controllers::Pids, "pids")?,
            cpu: root(Controllers::Cpu, "cpu")?,
            cpuacct: root(Controllers::CpuAcct, "cpuacct")?,
        })
    }

    pub(crate) fn mode(&self) -> CgroupMode {
        match self {
            Hierarchies::V2 { .. } => CgroupMode::V2,
            Hierarchies::V1 { .. } => CgroupMode::V1,
        }
    }

    /// Those of one cgroup.
    fn files(&self, path: &Path) -> Files {
        match self {
            Hierarchies::V2 { root, .. } => Files::V2 { directory: root.join(path) },
            Hierarchies::V1 { memory, pids, cpu, cpuacct } => Files::V1 {
                memory: memory.join(path),
                pids: pids.join(path),
                cpu: cpu.join(path),
                cpuacct: cpuacct.join(path),
            },
        }
    }

    /// Whether leaves have an `io.stat`.
    fn counts_io(&self) -> bool {
        matches!(self, Hierarchies::V2 { io: true, .. })
    }

    /// On v2, the cgroup below which all of this server's are made.
    pub(crate) fn place(&self) -> Option<&Path> {
        match self {
            Hierarchies::V2 { place, .. } => Some(place.directory()),
            Hierarchies::V1 { .. } => None,
        }
    }

    /// The root directories, each once: cpu and cpuacct are often mounted together.
    fn roots(&self) -> BTreeSet<&Path> {
        match self {
            Hierarchies::V2 { root, .. } => BTreeSet::from([root.as_path()]),
            Hierarchies::V1 { memory, pids, cpu, cpuacct } => {
                BTreeSet::from([memory.as_path(), pids, cpu, cpuacct])
            }
        }
    }
}

/// The cgroups of one instance. Removed by [`Tree::remove`], or by the next instance that cleans up.
#[derive(Debug)]
pub(crate) struct Tree {
    hierarchies: Hierarchies,
    /// The instance's path below each root.
    path: PathBuf,
}

impl Tree {
    /// The tree of an instance below `parent`, a path relative to the roots or to the place on v2. Nothing of it is
    /// made yet.
    pub(crate) fn new(parent: &Path, instance: &str) -> Result<Self, CgroupError> {
        let hierarchies = Hierarchies::detect()?;
        let path = match &hierarchies {
            Hierarchies::V2 { place, .. } => place.below_root().join(parent).join(instance),
            Hierarchies::V1 { .. } => parent.join(instance),
        };
        Ok(Tree { hierarchies, path })
    }

    /// Makes the tree, or what is missing of it.
    pub(crate) fn create(&self) -> Result<(), CgroupError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.make() {
                Err(CgroupError::Io { source, .. })
                    if attempts < CREATE_ATTEMPTS
                        && matches!(source.raw_os_error(), Some(libc::ENOENT | libc::EBUSY)) => {}
                made => return made,
            }
        }
    }

    /// The file through which a helper without threads joins the tree, by writing `0` to it, before it makes
    /// anything: whoever removes the tree of a daemon that was killed ends its helpers first. One hierarchy is
    /// enough for that, and it is the first that [`Tree::directories`] names.
    pub(crate) fn helpers_file(&self) -> Result<PathBuf, CgroupError> {
        // Somebody may have removed what was empty.
        self.create()?;
        let first = self.hierarchies.roots().first().map(|root| root.join(&self.path)).unwrap_or_default();
        Ok(first.join(HELPERS).join(self.mode().join_file()))
    }

    fn make(&self) -> Result<(), CgroupError> {
        if let Hierarchies::V2 { place, .. } = &self.hierarchies {
            place.vacate()?;
            enable_controllers(place.directory(), false)?;
        }
        for root in self.hierarchies.roots() {
            let own = root.join(&self.path);
            let directories = [own.parent().unwrap_or(root), &own, &own.join("runs"), &own.join("zygotes")];
            for directory in directories {
                make_directory(directory)?;
                if self.mode() == CgroupMode::V2 {
                    enable_controllers(directory, self.hierarchies.counts_io())?;
                }
            }
            // It has processes of its own, and so no cgroups with controllers below it.
            make_directory(&own.join(HELPERS))?;
        }
        Ok(())
    }

    pub(crate) fn mode(&self) -> CgroupMode {
        self.hierarchies.mode()
    }

    /// Makes the leaf of a run. The name must be new.
    pub(crate) fn leaf(&self, name: &str, limits: &LeafLimits) -> Result<Leaf, CgroupError> {
        let create = |name: &str| Leaf::create(&self.hierarchies, &self.path.join("runs").join(name), limits);
        match create(name) {
            // Somebody has removed what was empty, as service managers do with cgroups that they do not know.
            Err(CgroupError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.create()?;
                // What was made of the first one is being removed.
                create(&format!("{name}-again"))
            }
            result => result,
        }
    }

    /// `linux.cgroupsPath` of a zygote's container.
    pub(crate) fn zygote_path(&self, container: &str) -> PathBuf {
        let path = self.path.join("zygotes").join(container);
        if let Hierarchies::V2 { root, .. } = &self.hierarchies {
            // libcontainer only enters a cgroup that exists. One that it makes itself gets every controller that
            // there is, from the root of the hierarchy on, most of which is not ours. Where this fails, so does
            // libcontainer, and says why.
            let _ = make_directory(&root.join(&path));
        }
        Path::new("/").join(path)
    }

    /// Removes what [`Tree::zygote_path`] has made, where nobody is in it.
    pub(crate) fn remove_zygote(&self, container: &str) {
        for directory in self.directories() {
            // Most often it is gone: libcontainer removes its containers' cgroups.
            let _ = fs::remove_dir(directory.join("zygotes").join(container));
        }
    }

    /// Cpu time of all that was and is in the tree: every process of sandboxes and zygotes.
    pub(crate) fn cpu_time(&self) -> Result<Duration, CgroupError> {
        Ok(CpuTimes::read(&self.hierarchies.files(&self.path), &Opened::default())?.all)
    }

    /// The tree's directory in each hierarchy that a container of it may be in: libcontainer uses all that
    /// are mounted.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        let mut directories: Vec<_> =
            self.hierarchies.roots().into_iter().map(|root| root.join(&self.path)).collect();
        if self.mode() == CgroupMode::V1 {
            let elsewhere = children(Path::new(UNIFIED_ROOT)).map(|hierarchy| hierarchy.join(&self.path));
            directories
                .extend(elsewhere.filter(|directory| !directories.contains(directory)).collect::<Vec<_>>());
        }
        directories
    }

    /// Ends every process of the tree and removes it.
    pub(crate) fn remove(&self) -> Result<(), CgroupError> {
        self.directories().iter().try_for_each(|directory| remove_tree(directory))?;
        match &self.hierarchies {
            Hierarchies::V2 { place, .. } => place.leave(),
            Hierarchies::V1 { .. } => Ok(()),
        }
    }
}

/// Ends every process in a cgroup and those below it, and removes them all. One that does not exist is
/// removed already.
pub(crate) fn remove_tree(directory: &Path) -> Result<(), CgroupError> {
    let deadline = Instant::now() + KILL_TIMEOUT;
    loop {
        kill_all(directory)?;
        match remove_directories(directory) {
            Ok(()) => break,
            // Processes take a moment to die, and there is no event for it on v1.
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                if Instant::now() > deadline {
                    return Err(CgroupError::Busy(directory.to_owned()));
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(CgroupError::io("remove cgroup", directory)(error)),
        }
    }
    // The parent is shared by all instances; the last one to leave takes it along.
    if let Some(parent) = directory.parent() {
        let _ = fs::remove_dir(parent);
    }
    Ok(())
}

fn kill_all(directory: &Path) -> Result<(), CgroupError> {
    // On v2, all that is in it and below at once, forks included (Linux 5.14).
    let kill = directory.join("cgroup.kill");
    if kill.exists() {
        return write(&kill, "1");
    }
    if !directory.exists() {
        return Ok(());
    }
    children(directory).try_for_each(|child| kill_all(&child))?;
    let procs = directory.join("cgroup.procs");
    for pid in read(&procs)?.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0) {
        // A process that has ended in between is what is wanted.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
    Ok(())
}

/// The cgroups directly below one.
fn children(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

fn remove_directories(directory: &Path) -> io::Result<()> {
    children(directory).try_for_each(|child| remove_directories(&child))?;
    match fs::remove_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn make_directory(directory: &Path) -> Result<(), CgroupError> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(CgroupError::io("create cgroup", directory)(error))
        }
        _ => Ok(()),
    }
}

/// Makes the controllers available to the children of a v2 cgroup, where they are not yet.
fn enable_controllers(directory: &Path, io: bool) -> Result<(), CgroupError> {
    let file = directory.join("cgroup.subtree_control");
    let enabled = read(&file)?;
    let missing: Vec<_> = V2_CONTROLLERS
        .iter()
        .chain(io.then_some(&IO_CONTROLLER))
        .filter(|controller| !enabled.split_whitespace().any(|name| name == **controller))
        .map(|controller| format!("+{controller}"))
        .collect();
    if missing.is_empty() { Ok(()) } else { write(&file, &missing.join(" ")) }
}

fn read(path: &Path) -> Result<String, CgroupError> {
    fs::read_to_string(path).map_err(CgroupError::io("read", path))
}

fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    fs::write(path, value).map_err(CgroupError::io("write to", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_that_does_not_exist_is_removed_already() {
        let directory = tempfile::tempdir().unwrap();
        remove_tree(&directory.path().join("keep/gone")).unwrap();
    }

    #[test]
    fn controllers_are_enabled_only_where_they_are_missing() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("cgroup.subtree_control");
        fs::write(&file, "cpu io").unwrap();
        enable_controllers(directory.path(), false).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "+memory +pids");
        fs::write(&file, "cpu memory pids").unwrap();
        enable_controllers(directory.path(), true).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "+io");
    }
}
