//! The cgroup of one run: its limits, what it used, and its removal.
//!
//! Owns the names and forms of the files. It never decides what a limit should be.

use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
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
    /// Files to be read when there will be no time to open them.
    open: Vec<(PathBuf, File)>,
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
        let mut leaf = Leaf { files, limits: *limits, cpu_time_before, open: Vec::new(), left: Vec::new() };
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

    /// Lets all others have the processor first (`cpu.idle`, Linux 5.15), until [`Leaf::count_from_now`].
    pub(crate) fn give_way(&self) -> Result<(), CgroupError> {
        self.write_idle("1")
    }

    /// Counts cpu time from now on, and takes its share of the processor as any other.
    pub(crate) fn count_from_now(&mut self) -> Result<(), CgroupError> {
        self.write_idle("0")?;
        self.cpu_time_before = self.whole_cpu_time()?;
        // One that is missing is found to be so when it is read.
        let open = |path: PathBuf| File::open(&path).ok().map(|file| (path, file));
        self.open = self.usage_paths().into_iter().filter_map(open).collect();
        Ok(())
    }

    fn write_idle(&self, value: &str) -> Result<(), CgroupError> {
        let (Files::V2 { directory: cpu } | Files::V1 { cpu, .. }) = &self.files;
        write_where_present(&cpu.join("cpu.idle"), value)
    }

    /// Cpu time used so far.
    pub(crate) fn cpu_time(&self) -> Result<Duration, CgroupError> {
        self.whole_cpu_time().map(|time| time.saturating_sub(self.cpu_time_before))
    }

    fn whole_cpu_time(&self) -> Result<Duration, CgroupError> {
        let [path, ..] = self.usage_paths();
        match &self.files {
            Files::V2 { .. } => {
                flat_keyed(&path, &self.read(&path)?, "usage_usec").map(Duration::from_micros)
            }
            Files::V1 { .. } => parse(&path, &self.read(&path)?).map(Duration::from_nanos),
        }
    }

    /// Memory that is charged now.
    pub(crate) fn memory_bytes(&self) -> Result<u64, CgroupError> {
        let path = match &self.files {
            Files::V2 { directory } => directory.join("memory.current"),
            Files::V1 { memory, .. } => memory.join("memory.usage_in_bytes"),
        };
        parse(&path, &read(&path)?)
    }

    /// On v2, where the kernel shall tell that so much memory is charged (`memory.high`); nowhere with `None`.
    pub(crate) fn set_high(&self, bytes: Option<u64>) -> Result<(), CgroupError> {
        let Files::V2 { directory } = &self.files else { return Ok(()) };
        let high = bytes.map_or_else(|| "max".to_owned(), |bytes| bytes.to_string());
        write(&directory.join("memory.high"), &high)
    }

    /// On v2, the file whose change tells that `memory.high` was reached (poll(2), `POLLPRI`).
    pub(crate) fn events_of_memory(&self) -> Result<Option<OwnedFd>, CgroupError> {
        let Files::V2 { directory } = &self.files else { return Ok(None) };
        let path = directory.join("memory.events");
        let file = File::open(&path).map_err(CgroupError::io("open", &path))?;
        // What has happened before it is read for the first time counts as a change.
        file.read_at(&mut [0; 1024], 0).map_err(CgroupError::io("read", &path))?;
        Ok(Some(file.into()))
    }

    /// What the run has used until now.
    pub(crate) fn usage(&self) -> Result<LeafUsage, CgroupError> {
        let [_, memory_peak, oom, pids_peak, pids_events] = self.usage_paths();
        // Older kernels lack it (`pids.peak` is of Linux 6.1): it counts 0.
        let peak = where_present(self.read(&pids_peak))?.map_or(Ok(0), |text| parse(&pids_peak, &text))?;
        Ok(LeafUsage {
            cpu_time: self.cpu_time()?,
            memory_peak_bytes: parse(&memory_peak, &self.read(&memory_peak)?)?,
            pids_peak: peak.saturating_sub(OWN_PIDS),
            pids_refused: flat_keyed(&pids_events, &self.read(&pids_events)?, "max")?,
            oom_kills: flat_keyed(&oom, &self.read(&oom)?, "oom_kill")?,
        })
    }

    /// Where usage is: cpu time, the most memory, memory events, the most processes, events of processes.
    fn usage_paths(&self) -> [PathBuf; 5] {
        match &self.files {
            Files::V2 { directory } => {
                ["cpu.stat", "memory.peak", "memory.events", "pids.peak", "pids.events"]
                    .map(|name| directory.join(name))
            }
            Files::V1 { memory, pids, cpuacct, .. } => [
                cpuacct.join("cpuacct.usage"),
                memory.join("memory.max_usage_in_bytes"),
                memory.join("memory.oom_control"),
                pids.join("pids.peak"),
                pids.join("pids.events"),
            ],
        }
    }

    fn read(&self, path: &Path) -> Result<String, CgroupError> {
        let Some((_, file)) = self.open.iter().find(|(open, _)| open == path) else { return read(path) };
        let mut bytes = [0; 1024];
        let len = file.read_at(&mut bytes, 0).map_err(CgroupError::io("read", path))?;
        Ok(String::from_utf8_lossy(&bytes[..len]).into_owned())
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

pub(super) fn parse(path: &Path, text: &str) -> Result<u64, CgroupError> {
    text.trim().parse().map_err(|_| CgroupError::Malformed(path.to_owned()))
}

/// For limits of what a kernel may have been built without (swap), or is too old for.
fn write_where_present(path: &Path, value: &str) -> Result<(), CgroupError> {
    use std::io::Write;
    // Without O_CREAT, which the kernel refuses with another error than that the file is missing.
    let written =
        OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(value.as_bytes()));
    where_present(written.map_err(CgroupError::io("write to", path))).map(drop)
}

fn where_present<T>(result: Result<T, CgroupError>) -> Result<Option<T>, CgroupError> {
    match result {
        Err(CgroupError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// One value of a flat keyed file (cgroup v2 documentation, "Format"): lines of a key, a space, a number.
pub(super) fn flat_keyed(path: &Path, text: &str, key: &str) -> Result<u64, CgroupError> {
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
    fn what_was_used_while_others_came_first_is_not_counted() {
        let (root, mut leaf) = v2_fixture();
        set(&leaf, "cpu.idle", "0\n");
        leaf.give_way().unwrap();
        let idle = || fs::read_to_string(root.path().join("leaf/cpu.idle")).unwrap().trim().to_owned();
        assert_eq!(idle(), "1");
        set(&leaf, "cpu.stat", "usage_usec 1500\n");
        leaf.count_from_now().unwrap();
        assert_eq!(idle(), "0");
        set(&leaf, "cpu.stat", "usage_usec 1700\n");
        assert_eq!(leaf.cpu_time().unwrap(), Duration::from_micros(200));
    }

    #[test]
    fn v2_usage_is_read_without_pid_1() {
        let (_root, leaf) = v2_fixture();
        set(&leaf, "cpu.stat", "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n");
        set(&leaf, "memory.peak", "4096\n");
        set(&leaf, "memory.current", "2048\n");
        assert_eq!(leaf.memory_bytes().unwrap(), 2048);
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
