//! The place of one running SoulBox on the host: a directory, a cgroup tree, and the cleaning of both.
//!
//! Owns what is below the state directory, so that two instances never share anything, and so that what a
//! killed instance left is found by the next one. It never touches an instance that is alive: each holds a
//! lock on a file of its own. An ordinary user's instance has no cgroups where none are delegated to it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::{ClockId, clock_gettime};

use crate::cgroup::{self, CgroupError, CgroupMode, Charges, Leaf, LeafLimits, Tree, ZygoteCharge};
use crate::container::end_left_containers;
use crate::rootless::Rights;
use crate::view::View;

/// The parent of all instances' cgroups, below the root of each hierarchy.
const CGROUP_PARENT: &str = "soulbox";

const LOCK_FILE: &str = "lock";
/// libcontainer's directory of containers.
const CONTAINERS: &str = "containers";
/// Lists the instance's cgroup directories, one a line, for whoever has to clean up after it.
const CGROUPS_FILE: &str = "cgroups";

/// An instance that could not take its place.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// The state directory cannot be used.
    #[error("cannot {action} {}; choose another place with --state-dir, or run as root", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Containers cannot see their files there.
    #[error("{} is closed to other users, and containers run as others: open it with chmod o+x, or choose another place with --state-dir", .0.display())]
    Closed(PathBuf),
    /// Others could change what root is about to use.
    #[error("{} belongs to or can be written by other users than root and the one who runs this; choose another place with --state-dir, or make it root's own (chown root, chmod go-w)", .0.display())]
    Untrusted(PathBuf),
    /// The cgroups cannot be used.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}

impl InstanceError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> InstanceError {
        move |source| InstanceError::Io { action, path: path.to_owned(), source }
    }
}

/// A claimed place. Dropping it gives everything back.
#[derive(Debug)]
pub struct Instance {
    directory: PathBuf,
    /// Or why there is none, for an ordinary user.
    tree: Result<Tree, CgroupError>,
    /// How its helpers see the host, where that is not as it is.
    view: Option<View>,
    _lock: Flock<File>,
}

impl Instance {
    /// Takes a new place below the state directory, after cleaning what dead instances left there. In a user
    /// namespace, [`make_state_dir`] comes before that is entered, and there may be no cgroups.
    ///
    /// # Errors
    /// [`InstanceError`] when the directory cannot be used, or root's cgroups cannot.
    pub fn claim(state_dir: &Path, rights: Rights) -> Result<Self, InstanceError> {
        raise_open_files_limit();
        let instances = match rights {
            Rights::Root => make_state_dir(state_dir, rights)?,
            // Seen from inside it would be nobody's.
            Rights::UserNamespace => instances_of(state_dir)?,
        };
        let (directory, lock) = {
            // Whoever makes or cleans instances holds this lock, so that none is seen half-made.
            let _all = lock(&instances.join(LOCK_FILE))?;
            clean_dead(&instances)?;
            let directory = instances.join(new_name());
            fs::create_dir(&directory).map_err(InstanceError::io("create", &directory))?;
            let lock = lock(&directory.join(LOCK_FILE))?;
            (directory, lock)
        };
        match make_tree(&directory, rights) {
            Ok(tree) => {
                let view = (rights == Rights::UserNamespace).then(|| View {
                    state_dir: instances.parent().unwrap_or(&instances).to_owned(),
                    without_sys: tree.is_err(),
                });
                Ok(Instance { directory, tree, view, _lock: lock })
            }
            Err(error) => {
                // What cannot be removed is for the next start.
                let _ = fs::remove_dir_all(&directory);
                Err(error)
            }
        }
    }

    /// The instance's own directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Which cgroups its limits are enforced with.
    ///
    /// # Errors
    /// Why there are none, for an ordinary user. Then nothing enforces [`LeafLimits`] but for processes, and
    /// nothing counts [`LeafUsage`](crate::LeafUsage).
    pub fn cgroup_mode(&self) -> Result<CgroupMode, &CgroupError> {
        self.tree.as_ref().map(Tree::mode)
    }

    /// Cpu time that this process, its zygotes and all their sandboxes have used so far, where there are cgroups to
    /// count it.
    pub fn cpu_time(&self) -> Option<Duration> {
        let own = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok()?;
        Some(self.tree.as_ref().ok()?.cpu_time().ok()? + Duration::from(own))
    }

    /// Memory that is charged to the zygotes, where there are cgroups to count it: also what their sandboxes share with them.
    pub fn zygotes_bytes(&self) -> Option<u64> {
        self.tree.as_ref().ok()?.zygotes_bytes()
    }

    /// `linux.cgroupsPath` for the container of a zygote.
    pub fn zygote_cgroup(&self, container: &str) -> PathBuf {
        match &self.tree {
            Ok(tree) => tree.zygote_path(container),
            // A name that no cgroup has.
            Err(_) => Path::new("/").join(CGROUP_PARENT).join(format!("{}-{container}", process::id())),
        }
    }

    /// Removes the cgroup of a container that did not come to be. One that is in use stays.
    pub fn remove_zygote_cgroup(&self, container: &str) {
        if let Ok(tree) = &self.tree {
            tree.remove_zygote(container);
        }
    }

    /// The leaf of a run, where there are cgroups.
    pub(crate) fn leaf(&self, name: &str, limits: &LeafLimits) -> Result<Option<Leaf>, CgroupError> {
        self.tree.as_ref().ok().map(|tree| tree.leaf(name, limits)).transpose()
    }

    /// What memory is charged to its cgroups now. `None` where it has none.
    pub fn charges(&self) -> Option<Charges> {
        self.tree.as_ref().ok()?.charges()
    }

    /// What memory is charged to the cgroup of a zygote now.
    pub(crate) fn zygote_charge(&self, container: &str) -> Option<ZygoteCharge> {
        self.tree.as_ref().ok()?.zygote_charge(container)
    }

    /// libcontainer's directory of containers.
    pub(crate) fn containers(&self) -> PathBuf {
        self.directory.join(CONTAINERS)
    }

    /// The file through which a helper joins the instance's cgroups, where there are some, by writing `0` to it.
    pub(crate) fn helpers_file(&self) -> Result<Option<PathBuf>, CgroupError> {
        self.tree.as_ref().ok().map(Tree::helpers_file).transpose()
    }

    pub(crate) fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }
}

/// Makes the cgroups of the instance with that directory, or tells why an ordinary user has none.
fn make_tree(directory: &Path, rights: Rights) -> Result<Result<Tree, CgroupError>, InstanceError> {
    let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let tree = Tree::new(Path::new(CGROUP_PARENT), &name);
    let list = tree.as_ref().map(Tree::directories).unwrap_or_default();
    let list: String = list.iter().map(|directory| format!("{}\n", directory.display())).collect();
    // Before there is anything to clean up: this process may be killed at any moment.
    let file = directory.join(CGROUPS_FILE);
    fs::write(&file, list).map_err(InstanceError::io("write", &file))?;
    let made = tree.and_then(|tree| match tree.create() {
        Ok(()) => Ok(tree),
        Err(error) => {
            // Half a tree is none.
            let _ = tree.remove();
            Err(error)
        }
    });
    match rights {
        Rights::Root => Ok(Ok(made?)),
        Rights::UserNamespace => Ok(made),
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Ok(Err(error)) = self.tree.as_ref().map(Tree::remove) {
            tracing::warn!(%error, "cgroups stay until the next start");
        }
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            tracing::warn!(%error, directory = %self.directory.display(), "directory stays until the next start");
        }
    }
}

/// Makes the directory of all instances below the state directory, and checks who could change what lies there.
/// The way to an ordinary user's may be closed to others: the helpers that need it open it for themselves. Also ends
/// what dead instances left running, which the user can do and another user namespace of the user's cannot
/// (user_namespaces(7), "Capabilities").
///
/// # Errors
/// [`InstanceError`] when it cannot be used.
pub fn make_state_dir(state_dir: &Path, rights: Rights) -> Result<PathBuf, InstanceError> {
    if rights == Rights::UserNamespace {
        // Containers are other users, who read what is made from here on; nobody but the user changes it.
        nix::sys::stat::umask(nix::sys::stat::Mode::S_IWGRP | nix::sys::stat::Mode::S_IWOTH);
    }
    let instances = instances_of(state_dir)?;
    let inner = match rights {
        Rights::Root => Path::new("/"),
        Rights::UserNamespace => instances.parent().unwrap_or(&instances),
    };
    check_open(&instances, inner)?;
    let _all = lock(&instances.join(LOCK_FILE))?;
    dead(&instances)?.iter().for_each(|instance| end_left_containers(&instance.join(CONTAINERS)));
    Ok(instances)
}

fn instances_of(state_dir: &Path) -> Result<PathBuf, InstanceError> {
    let instances = state_dir.join("instances");
    fs::create_dir_all(&instances).map_err(InstanceError::io("create", &instances))?;
    fs::canonicalize(&instances).map_err(InstanceError::io("read", &instances))
}

/// Each run takes a dozen descriptors of the daemon, and the soft limit is 1024 for the sake of programs that
/// use select(2). Where the limit cannot be raised, runs beyond it fail one by one and say so. Returns the limit
/// that is in force.
pub fn raise_open_files_limit() -> u64 {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}

/// The most descriptors that a process of this host's may have: a sandbox's as well, since it cannot raise the
/// limit that it inherits.
pub(crate) fn open_files_limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(_, hard)| hard)
}

/// The root of a container is an unprivileged user of the host, who has to reach its bundle from `inner` on; and
/// nobody but us and root may change what lies there.
fn check_open(directory: &Path, inner: &Path) -> Result<(), InstanceError> {
    const SEARCH_BY_OTHERS: u32 = 0o001;
    const WRITE_BY_OTHERS: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    let own = nix::unistd::geteuid().as_raw();
    for ancestor in directory.ancestors() {
        let metadata = fs::metadata(ancestor).map_err(InstanceError::io("read", ancestor))?;
        let mode = metadata.permissions().mode();
        // In a sticky directory others can add, but not rename or remove what is ours.
        let writable = mode & WRITE_BY_OTHERS != 0 && mode & STICKY == 0;
        if writable || ![0, own].contains(&metadata.uid()) {
            return Err(InstanceError::Untrusted(ancestor.to_owned()));
        }
        if mode & SEARCH_BY_OTHERS == 0 && ancestor.starts_with(inner) {
            return Err(InstanceError::Closed(ancestor.to_owned()));
        }
    }
    Ok(())
}

/// The process id alone would come again.
fn new_name() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}-{:x}", process::id(), now.as_nanos())
}

fn lock(path: &Path) -> Result<Flock<File>, InstanceError> {
    let file = File::create(path).map_err(InstanceError::io("create", path))?;
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, errno)| InstanceError::io("lock", path)(errno.into()))
}

/// The directories of instances whose lock nobody holds.
fn dead(instances: &Path) -> Result<Vec<PathBuf>, InstanceError> {
    let entries = fs::read_dir(instances).map_err(InstanceError::io("read", instances))?;
    let directories = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let is_alive = |directory: &PathBuf| {
        File::open(directory.join(LOCK_FILE))
            .is_ok_and(|file| Flock::lock(file, FlockArg::LockExclusiveNonblock).is_err())
    };
    Ok(directories.map(|entry| entry.path()).filter(|directory| !is_alive(directory)).collect())
}

/// Ends the processes and removes the cgroups and directories of dead instances.
fn clean_dead(instances: &Path) -> Result<(), InstanceError> {
    for directory in dead(instances)? {
        tracing::info!(directory = %directory.display(), "cleaning up after an instance that was killed");
        let list = fs::read_to_string(directory.join(CGROUPS_FILE)).unwrap_or_default();
        let own = Path::new(CGROUP_PARENT).join(directory.file_name().unwrap_or_default());
        for cgroup in list.lines().map(Path::new).filter(|cgroup| cgroup.ends_with(&own)) {
            cgroup::remove_tree(cgroup)?;
        }
        fs::remove_dir_all(&directory).map_err(InstanceError::io("remove", &directory))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_closed_to_others_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("below");
        fs::create_dir(&below).unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(
            matches!(check_open(&below, Path::new("/")), Err(InstanceError::Closed(path)) if path == directory.path())
        );
        // An ordinary user's home directory may be closed; what SoulBox has in it may not.
        check_open(&below, &below).unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711)).unwrap();
        check_open(&below, Path::new("/")).unwrap();
    }

    #[test]
    fn a_directory_that_others_can_change_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let mode = |mode| fs::set_permissions(directory.path(), fs::Permissions::from_mode(mode)).unwrap();
        mode(0o777);
        assert!(matches!(check_open(directory.path(), Path::new("/")), Err(InstanceError::Untrusted(_))));
        mode(0o1777);
        check_open(directory.path(), Path::new("/")).unwrap();
        mode(0o755);
        std::os::unix::fs::chown(directory.path(), Some(65534), None).unwrap();
        assert!(matches!(check_open(directory.path(), Path::new("/")), Err(InstanceError::Untrusted(_))));
    }

    #[test]
    fn names_do_not_come_again() {
        assert_ne!(new_name(), new_name());
    }
}
