//! The cgroup of one run: its limits, what it used, and its removal.
//!
//! Owns the names and forms of the files. It never decides what a limit should be.

use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::{CgroupError, CgroupMode, Hierarchies, make_directory, read, write};

/// The period over which a cpu quota is counted; the kernel's default (cgroup v2 documentation, "cpu.max").
const CPU_PERIOD_US: u64 = 100_000;

/// Buffers of a run's internet sockets on cgroup v1. All sandboxes share the kernel's own limits for them.
const MAX_SOCKET_BYTES: u64 = 16 << 20;

/// How long processes that have ended may still be seen in their cgroup.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(5);
const REMOVE_PAUSE: Duration = Duration::from_millis(5);

/// pid 1 of the sandbox counts as a process of the leaf, but not as one of the program.
const OWN_PIDS: u64 = 1;

/// What a run may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeafLimits {
    /// Memory in bytes, of all kinds that are charged: anonymous, tmpfs, page cache, kernel. No swap.
    pub memory_bytes: u64,
    /// Processes and threads at the same time.
    pub pids: u64,
    /// Cores: 0.5 is half of one core's time.
    pub cpus: f64,
}

/// What a run has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeafUsage {
    /// Cpu time of all its processes, in user and kernel mode (`cpu.stat`; v1 `cpuacct.usage`).
    pub cpu_time: Duration,
    /// The most memory charged at once (`memory.peak`; v1 `memory.max_usage_in_bytes`). Memory that the run
    /// shares with its zygote is charged to the zygote.
    pub memory_peak_bytes: u64,
    /// The most processes and threads at once (`pids.peak`).
    pub pids_peak: u64,
    /// How often a process or thread was refused for the limit (`pids.events`).
    pub pids_refused: u64,
    /// Processes that the kernel killed for the memory limit (`memory.events`; v1 `memory.oom_control`).
    pub oom_kills: u64,
}

/// A leaf cgroup. Dropping it removes it, in the background, for which its processes have to be gone.
#[derive(Debug)]
pub(crate) struct Leaf {
    files: Files,
    limits: LeafLimits,
    /// Cpu time that was used before it was anybody's.
    cpu_time_before: Duration,
    /// The directories that have been made and not removed.
    left: Vec<PathBuf>,
}

#[derive(Debug)]
enum Files {
    V2 { directory: PathBuf },
    V1 { memory: PathBuf, pids: PathBuf, cpu: PathBuf, cpuacct: PathBuf },
}

impl Leaf {
    pub(super) fn create(
        hierarchies: &Hierarchies,
        path: &Path,
        limits: &LeafLimits,
    ) -> Result<Self, CgroupError> {
        let files = match hierarchies {
            Hierarchies::V2 { root, .. } => Files::V2 { directory: root.join(path) },
            Hierarchies::V1 { memory, pids, cpu, cpuacct } => Files::V1 {
                memory: memory.join(path),
                pids: pids.join(path),
                cpu: cpu.join(path),
                cpuacct: cpuacct.join(path),
            },
        };
        Self::create_in(files, limits)
    }

    fn create_in(files: Files, limits: &LeafLimits) -> Result<Self, CgroupError> {
        let cpu_time_before = Duration::ZERO;
        let mut leaf = Leaf { files, limits: *limits, cpu_time_before, left: Vec::new() };
        let directories: Vec<_> = leaf.directories().into_iter().map(Path::to_owned).collect();
        for directory in directories {
            make_directory(&directory)?;
            leaf.left.push(directory);
        }
        leaf.write_limits(limits, false)?;
        Ok(leaf)
    }

    /// Changes the limits, where they differ.
    pub(crate) fn set_limits(&mut self, limits: &LeafLimits) -> Result<(), CgroupError> {
        if self.limits != *limits {
            self.write_limits(limits, limits.memory_bytes > self.limits.memory_bytes)?;
            self.limits = *limits;
        }
        Ok(())
    }

    fn write_limits(&self, limits: &LeafLimits, memory_grows: bool) -> Result<(), CgroupError> {
        let memory = limits.memory_bytes.to_string();
        let pids_max = (limits.pids + OWN_PIDS).to_string();
        let quota_us = (limits.cpus * CPU_PERIOD_US as f64) as u64;
        match &self.files {
            Files::V2 { directory } => {
                write(&directory.join("memory.max"), &memory)?;
                write_where_present(&directory.join("memory.swap.max"), "0")?;
                write(&directory.join("memory.oom.group"), "1")?;
                write(&directory.join("pids.max"), &pids_max)?;
                write(&directory.join("cpu.max"), &format!("{quota_us} {CPU_PERIOD_US}"))
            }
            Files::V1 { memory: directory, pids, cpu, .. } => {
                // Memory and swap together: with the same limit as memory there is no swap. The kernel refuses
                // one below that of memory at any moment.
                let memory_and_swap = directory.join("memory.memsw.limit_in_bytes");
                if memory_grows {
                    write_where_present(&memory_and_swap, &memory)?;
                }
                write(&directory.join("memory.limit_in_bytes"), &memory)?;
                write_where_present(&memory_and_swap, &memory)?;
                // v1 charges the buffers of internet sockets here and not to the memory limit.
                let sockets = (limits.memory_bytes / 4).min(MAX_SOCKET_BYTES).to_string();
                write_where_present(&directory.join("memory.kmem.tcp.limit_in_bytes"), &sockets)?;
                write(&pids.join("pids.max"), &pids_max)?;
                write(&cpu.join("cpu.cfs_quota_us"), &quota_us.to_string())
            }
        }
    }

    /// The directories of the leaf, each once.
    fn directories(&self) -> Vec<&Path> {
        match &self.files {
            Files::V2 { directory } => vec![directory],
            Files::V1 { memory, pids, cpu, cpuacct } => {
                let mut directories: Vec<&Path> = vec![memory, pids, cpu, cpuacct];
                directories.dedup();
                directories
            }
        }
    }

    /// Opens the files through which a process without threads joins the leaf, by writing `0` to each.
    pub(crate) fn open_join_files(&self) -> Result<Vec<File>, CgroupError> {
        let mode = match self.files {
            Files::V2 { .. } => CgroupMode::V2,
            Files::V1 { .. } => CgroupMode::V1,
        };
        let open = |directory: &Path| {
            let path = directory.join(mode.join_file());
            OpenOptions::new().write(true).open(&path).map_err(CgroupError::io("open", &path))
        };
        self.directories().into_iter().map(open).collect()
    }

    /// Counts cpu time from now on.
    pub(crate) fn count_from_now(&mut self) -> Result<(), CgroupError> {
        self.cpu_time_before = self.whole_cpu_time()?;
        Ok(())
    }

    /// Cpu time used so far.
    pub(crate) fn cpu_time(&self) -> Result<Duration, CgroupError> {
        self.whole_cpu_time().map(|time| time.saturating_sub(self.cpu_time_before))
    }

    fn whole_cpu_time(&self) -> Result<Duration, CgroupError> {
        match &self.files {
            Files::V2 { directory } => {
                flat_keyed(&directory.join("cpu.stat"), "usage_usec").map(Duration::from_micros)
            }
            Files::V1 { cpuacct, .. } => number(&cpuacct.join("cpuacct.usage")).map(Duration::from_nanos),
        }
    }

    /// What the run has used until now.
    pub(crate) fn usage(&self) -> Result<LeafUsage, CgroupError> {
        let (memory_peak, oom, pids) = match &self.files {
            Files::V2 { directory } => {
                (directory.join("memory.peak"), directory.join("memory.events"), directory)
            }
            Files::V1 { memory, pids, .. } => {
                (memory.join("memory.max_usage_in_bytes"), memory.join("memory.oom_control"), pids)
            }
        };
        Ok(LeafUsage {
            cpu_time: self.cpu_time()?,
            memory_peak_bytes: number(&memory_peak)?,
            pids_peak: number_where_present(&pids.join("pids.peak"))?.saturating_sub(OWN_PIDS),
            pids_refused: flat_keyed(&pids.join("pids.events"), "max")?,
            oom_kills: flat_keyed(&oom, "oom_kill")?,
        })
    }

    /// On v1, an event for each time that the kernel found the memory limit reached (cgroup v1 memory
    /// documentation, "OOM Control"). On v2 the kernel ends the whole group by itself (`memory.oom.group`).
    pub(crate) fn oom_event(&self) -> Result<Option<OwnedFd>, CgroupError> {
        let Files::V1 { memory, .. } = &self.files else { return Ok(None) };
        let control = memory.join("cgroup.event_control");
        let path = memory.join("memory.oom_control");
        let oom_control = File::open(&path).map_err(CgroupError::io("open", &path))?;
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|errno| CgroupError::io("make an eventfd for", &path)(errno.into()))?;
        let registration = format!("{} {}", event.as_fd().as_raw_fd(), oom_control.as_raw_fd());
        write(&control, &registration)?;
        Ok(Some(event.into()))
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        let directories = std::mem::take(&mut self.left);
        if let (false, Ok(runtime)) = (directories.is_empty(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(remove_until_gone(directories));
        }
    }
}

/// What cannot be removed in time stays until the instance ends, and is no failure of the run.
async fn remove_until_gone(mut directories: Vec<PathBuf>) {
    let deadline = Instant::now() + REMOVE_TIMEOUT;
    loop {
        // The kernel tells nobody on v1 when a cgroup is free, and takes a process out of it a moment after that
        // process's end is told.
        tokio::time::sleep(REMOVE_PAUSE).await;
        directories.retain(|directory| match fs::remove_dir(directory) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => Instant::now() < deadline || {
                tracing::warn!(directory = %directory.display(), "a run's cgroup is still in use, and stays");
                false
            },
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, directory = %directory.display(), "a run's cgroup stays");
                false
            }
            _ => false,
        });
        if directories.is_empty() {
            return;
        }
    }
}

fn parse(path: &Path, text: &str) -> Result<u64, CgroupError> {
    text.trim().parse().map_err(|_| CgroupError::Malformed(path.to_owned()))
}

fn number(path: &Path) -> Result<u64, CgroupError> {
    parse(path, &read(path)?)
}

/// For files that older kernels lack (`pids.peak` is of Linux 6.1): they count 0.
fn number_where_present(path: &Path) -> Result<u64, CgroupError> {
    where_present(number(path)).map(Option::unwrap_or_default)
}

/// For limits of what a kernel may have been built without (swap).
fn write_where_present(path: &Path, value: &str) -> Result<(), CgroupError> {
    where_present(write(path, value)).map(drop)
}

fn where_present<T>(result: Result<T, CgroupError>) -> Result<Option<T>, CgroupError> {
    match result {
        Err(CgroupError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// One value of a flat keyed file (cgroup v2 documentation, "Format"): lines of a key, a space, a number.
fn flat_keyed(path: &Path, key: &str) -> Result<u64, CgroupError> {
    let text = read(path)?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    value.map_or_else(|| Err(CgroupError::Malformed(path.to_owned())), |value| parse(path, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2_fixture() -> (tempfile::TempDir, Leaf) {
        let root = tempfile::tempdir().unwrap();
        let limits = LeafLimits { memory_bytes: 1 << 20, pids: 10, cpus: 0.5 };
        let files = Files::V2 { directory: root.path().join("leaf") };
        let leaf = Leaf::create_in(files, &limits).unwrap();
        (root, leaf)
    }

    fn set(leaf: &Leaf, file: &str, text: &str) {
        fs::write(leaf.directories()[0].join(file), text).unwrap();
    }

    #[test]
    fn v2_limits_are_written_as_the_kernel_documents_them() {
        let (root, _leaf) = v2_fixture();
        let read = |file| fs::read_to_string(root.path().join("leaf").join(file)).unwrap();
        assert_eq!(read("memory.max"), "1048576");
        assert_eq!(read("memory.oom.group"), "1");
        assert_eq!(read("pids.max"), "11");
        assert_eq!(read("cpu.max"), "50000 100000");
    }

    #[test]
    fn v2_usage_is_read_without_pid_1() {
        let (_root, leaf) = v2_fixture();
        set(&leaf, "cpu.stat", "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n");
        set(&leaf, "memory.peak", "4096\n");
        set(&leaf, "memory.events", "low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\noom_group_kill 1\n");
        set(&leaf, "pids.peak", "3\n");
        set(&leaf, "pids.events", "max 7\n");
        let usage = leaf.usage().unwrap();
        assert_eq!(
            usage,
            LeafUsage {
                cpu_time: Duration::from_micros(1500),
                memory_peak_bytes: 4096,
                pids_peak: 2,
                pids_refused: 7,
                oom_kills: 2
            }
        );
    }

    #[test]
    fn a_file_in_another_form_is_named() {
        let (_root, leaf) = v2_fixture();
        set(&leaf, "cpu.stat", "usage_usec many\n");
        assert!(matches!(leaf.cpu_time(), Err(CgroupError::Malformed(path)) if path.ends_with("cpu.stat")));
        set(&leaf, "cpu.stat", "usage_usecs 1\n");
        assert!(matches!(leaf.cpu_time(), Err(CgroupError::Malformed(_))));
    }
}
