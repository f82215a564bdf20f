//! The cgroup of one run: its limits, what it used, and its removal.
//!
//! Owns the names and forms of the files. It never decides what a limit should be.

use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::files::{Figure, Files, Opened, number, where_present};
use super::usage::{self, AT_THE_END, CpuTimes, LeafUsage, Meter, OWN_PIDS};
use super::{CgroupError, Hierarchies, make_directory, write};

/// The period over which a cpu quota is counted; the kernel's default (cgroup v2 documentation, "cpu.max").
const CPU_PERIOD_US: u64 = 100_000;

/// Buffers of a run's internet sockets on cgroup v1. All sandboxes share the kernel's own limits for them.
const MAX_SOCKET_BYTES: u64 = 16 << 20;

/// Pauses between attempts to remove a cgroup in which processes that have ended may still be seen: each is twice as
/// long as the one before.
const SHORTEST_REMOVE_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_REMOVE_PAUSE: Duration = Duration::from_secs(1);
/// When an operator is told that a cgroup is not free yet.
const REMOVE_WARNING: Duration = Duration::from_secs(10);

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

/// A leaf cgroup. Dropping it removes it, in the background, for which its processes have to be gone.
#[derive(Debug)]
pub(crate) struct Leaf {
    files: Arc<Files>,
    limits: LeafLimits,
    /// Cpu time that was used before it was anybody's.
    before: CpuTimes,
    /// Files to be read when there will be no time to open them.
    opened: Opened,
    /// Whether the kernel counts what it reads from and writes to block devices.
    counts_io: bool,
    /// Whether all others have the processor first.
    gives_way: bool,
    /// The directories that have been made and not removed.
    left: Vec<PathBuf>,
}

impl Leaf {
    pub(super) fn create(
        hierarchies: &Hierarchies,
        path: &Path,
        limits: &LeafLimits,
    ) -> Result<Self, CgroupError> {
        let mut leaf = Self::create_in(hierarchies.files(path), limits)?;
        leaf.counts_io = hierarchies.counts_io();
        Ok(leaf)
    }

    fn create_in(files: Files, limits: &LeafLimits) -> Result<Self, CgroupError> {
        let mut leaf = Leaf {
            files: Arc::new(files),
            limits: *limits,
            before: CpuTimes::default(),
            opened: Opened::default(),
            counts_io: false,
            gives_way: false,
            left: Vec::new(),
        };
        let directories: Vec<_> = leaf.files.directories().into_iter().map(Path::to_owned).collect();
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
        match &*self.files {
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

    /// Opens the files through which a process without threads joins the leaf, by writing `0` to each.
    pub(crate) fn open_join_files(&self) -> Result<Vec<File>, CgroupError> {
        let open = |directory: &Path| {
            let path = directory.join(self.files.mode().join_file());
            OpenOptions::new().write(true).open(&path).map_err(CgroupError::io("open", &path))
        };
        self.files.directories().into_iter().map(open).collect()
    }

    /// Lets all others have the processor first (`cpu.idle`, Linux 5.15), until [`Leaf::count_from_now`].
    pub(crate) fn give_way(&mut self) -> Result<(), CgroupError> {
        self.gives_way = true;
        self.write_idle("1")
    }

    /// Counts cpu time from now on, and takes its share of the processor as any other.
    pub(crate) fn count_from_now(&mut self) -> Result<(), CgroupError> {
        self.take_turn()?;
        self.opened = Opened::open(&self.files, &AT_THE_END);
        self.before = CpuTimes::read(&self.files, &self.opened)?;
        Ok(())
    }

    fn take_turn(&mut self) -> Result<(), CgroupError> {
        self.gives_way = false;
        self.write_idle("0")
    }

    fn write_idle(&self, value: &str) -> Result<(), CgroupError> {
        let (Files::V2 { directory: cpu } | Files::V1 { cpu, .. }) = &*self.files;
        write_where_present(&cpu.join("cpu.idle"), value)
    }

    /// Cpu time used so far.
    pub(crate) fn cpu_time(&self) -> Result<Duration, CgroupError> {
        Ok(CpuTimes::read(&self.files, &self.opened)?.all.saturating_sub(self.before.all))
    }

    /// Memory that is charged now.
    pub(crate) fn memory_bytes(&self) -> Result<u64, CgroupError> {
        number(&self.files, Figure::Memory, &self.opened.read(&self.files, Figure::Memory)?)
    }

    /// On v2, where the kernel shall tell that so much memory is charged (`memory.high`); nowhere with `None`.
    pub(crate) fn set_high(&self, bytes: Option<u64>) -> Result<(), CgroupError> {
        let Files::V2 { directory } = &*self.files else { return Ok(()) };
        let high = bytes.map_or_else(|| "max".to_owned(), |bytes| bytes.to_string());
        write(&directory.join("memory.high"), &high)
    }

    /// On v2, the file whose change tells that `memory.high` was reached (poll(2), `POLLPRI`).
    pub(crate) fn events_of_memory(&self) -> Result<Option<OwnedFd>, CgroupError> {
        let Files::V2 { directory } = &*self.files else { return Ok(None) };
        let path = directory.join("memory.events");
        let file = File::open(&path).map_err(CgroupError::io("open", &path))?;
        // What has happened before it is read for the first time counts as a change.
        file.read_at(&mut [0; 1024], 0).map_err(CgroupError::io("read", &path))?;
        Ok(Some(file.into()))
    }

    /// To look at it while it is somebody else's.
    pub(crate) fn meter(&self) -> Meter {
        Meter::new(&self.files, &self.before)
    }

    /// What the run has used until now, but for its memory over time.
    pub(crate) fn usage(&self) -> Result<LeafUsage, CgroupError> {
        let quota = Duration::from_micros(CPU_PERIOD_US).mul_f64(self.limits.cpus);
        usage::usage(&self.files, &self.opened, &self.before, quota, self.counts_io)
    }

    /// On v1, an event for each time that the kernel found the memory limit reached (cgroup v1 memory
    /// documentation, "OOM Control"). On v2 the kernel ends the whole group by itself (`memory.oom.group`).
    pub(crate) fn oom_event(&self) -> Result<Option<OwnedFd>, CgroupError> {
        let Files::V1 { memory, .. } = &*self.files else { return Ok(None) };
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
        // Processes that are to end need the processor for that, and would wait for it for as long as others are busy.
        if self.gives_way
            && let Err(error) = self.take_turn()
        {
            tracing::warn!(%error, "a sandbox that is not needed ends with all others before it");
        }
        let directories = std::mem::take(&mut self.left);
        if let (false, Ok(runtime)) = (directories.is_empty(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(remove_until_gone(directories));
        }
    }
}

/// The kernel tells nobody on v1 when a cgroup is free, and takes a process out of it a moment after that process's
/// end is told; on a host without time to spare the moment may be long.
async fn remove_until_gone(mut directories: Vec<PathBuf>) {
    let (since, mut warned) = (Instant::now(), false);
    let mut pause = SHORTEST_REMOVE_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        directories.retain(|directory| match fs::remove_dir(directory) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => true,
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, directory = %directory.display(), "a run's cgroup stays");
                false
            }
            _ => false,
        });
        let Some(directory) = directories.first() else { return };
        if !warned && since.elapsed() > REMOVE_WARNING {
            tracing::warn!(directory = %directory.display(), "the cgroup of a run that has ended is still in use");
            warned = true;
        }
        pause = (pause * 2).min(LONGEST_REMOVE_PAUSE);
    }
}

/// For limits of what a kernel may have been built without (swap), or is too old for.
fn write_where_present(path: &Path, value: &str) -> Result<(), CgroupError> {
    use std::io::Write;
    // Without O_CREAT, which the kernel refuses with another error than that the file is missing.
    let written =
        OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(value.as_bytes()));
    where_present(written.map_err(CgroupError::io("write to", path))).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::IoBytes;

    const LIMITS: LeafLimits = LeafLimits { memory_bytes: 1 << 20, pids: 10, cpus: 0.5 };

    fn v2_fixture() -> (tempfile::TempDir, Leaf) {
        let root = tempfile::tempdir().unwrap();
        let files = Files::V2 { directory: root.path().join("leaf") };
        let leaf = Leaf::create_in(files, &LIMITS).unwrap();
        (root, leaf)
    }

    /// With all controllers in one hierarchy, so that one directory has all files.
    fn v1_fixture() -> (tempfile::TempDir, Leaf) {
        let root = tempfile::tempdir().unwrap();
        let leaf = || root.path().join("leaf");
        let files = Files::V1 { memory: leaf(), pids: leaf(), cpu: leaf(), cpuacct: leaf() };
        let leaf = Leaf::create_in(files, &LIMITS).unwrap();
        for (file, text) in [
            ("cpuacct.usage", "9000000\n"),
            ("cpuacct.usage_user", "8000000\n"),
            ("cpuacct.usage_sys", "4000000\n"),
            ("cpu.stat", "nr_periods 5\nnr_throttled 3\nthrottled_time 70000000\n"),
            ("memory.max_usage_in_bytes", "8192\n"),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"),
            ("pids.peak", "2\n"),
            ("pids.events", "max 0\n"),
        ] {
            set(&leaf, file, text);
        }
        (root, leaf)
    }

    fn set(leaf: &Leaf, file: &str, text: &str) {
        fs::write(leaf.files.directories()[0].join(file), text).unwrap();
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
    fn what_gave_way_has_its_turn_when_it_is_to_end() {
        let (root, mut leaf) = v2_fixture();
        set(&leaf, "cpu.idle", "0\n");
        leaf.give_way().unwrap();
        drop(leaf);
        assert_eq!(fs::read_to_string(root.path().join("leaf/cpu.idle")).unwrap().trim(), "0");
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
                cpu_user: Duration::from_micros(1000),
                cpu_system: Duration::from_micros(500),
                throttled: Duration::ZERO,
                memory_peak_bytes: 4096,
                memory_byte_seconds: 0.0,
                pids_peak: 2,
                pids_refused: 7,
                oom_kills: 2,
                io: None,
            }
        );
        let reading = leaf.meter().read();
        assert_eq!(reading, None, "there is no pids.current");
        set(&leaf, "pids.current", "3\n");
        let reading = leaf.meter().read().unwrap();
        assert_eq!((reading.memory_bytes, reading.pids), (2048, 2));
        assert_eq!(reading.cpu_time, Duration::from_micros(1500));
    }

    #[test]
    fn v2_tells_what_was_held_up_and_what_came_from_disks() {
        let (_root, mut leaf) = v2_fixture();
        set(&leaf, "cpu.stat", "usage_usec 50\nuser_usec 30\nsystem_usec 20\nthrottled_usec 7\n");
        for (file, text) in [("memory.peak", "1"), ("pids.peak", "2"), ("pids.events", "max 0")] {
            set(&leaf, file, text);
        }
        set(&leaf, "memory.events", "oom_kill 0\n");
        set(&leaf, "io.stat", "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n");
        leaf.count_from_now().unwrap();
        set(&leaf, "cpu.stat", "usage_usec 950\nuser_usec 630\nsystem_usec 320\nthrottled_usec 207\n");
        leaf.counts_io = true;
        let usage = leaf.usage().unwrap();
        let us = Duration::from_micros;
        assert_eq!((usage.cpu_time, usage.cpu_user, usage.cpu_system), (us(900), us(600), us(300)));
        assert_eq!((usage.throttled, usage.io), (us(200), Some(IoBytes { read: 4096, written: 0 })));
    }

    #[test]
    fn v1_divides_cpu_time_by_what_ticks_have_seen() {
        let (_root, leaf) = v1_fixture();
        let usage = leaf.usage().unwrap();
        let ms = Duration::from_millis;
        assert_eq!((usage.cpu_time, usage.cpu_user, usage.cpu_system), (ms(9), ms(6), ms(3)));
        assert_eq!((usage.memory_peak_bytes, usage.pids_peak, usage.io), (8192, 1, None));
        set(&leaf, "cpuacct.usage", "900000\n");
        assert_eq!(leaf.usage().unwrap().cpu_user, Duration::from_micros(900), "shorter than a tick");
    }

    #[test]
    fn v1_is_asked_what_was_held_up_only_where_something_can_have_been() {
        let (_root, leaf) = v1_fixture();
        // Half a core is 50 ms of each 100.
        assert_eq!(leaf.usage().unwrap().throttled, Duration::ZERO);
        set(&leaf, "cpuacct.usage", "13000000\n");
        assert_eq!(leaf.usage().unwrap().throttled, Duration::from_millis(70));
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
