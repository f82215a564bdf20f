//! Where the figures of a cgroup stand: the names of the kernel's files, on cgroup v2 and on v1, and their forms.
//!
//! Owns those names and the reading of them. It never writes, and never says what a figure means.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{CgroupError, CgroupMode, read};

/// The directories of one cgroup: one on v2, one of each hierarchy on v1.
#[derive(Clone, Debug)]
pub(super) enum Files {
    V2 { directory: PathBuf },
    V1 { memory: PathBuf, pids: PathBuf, cpu: PathBuf, cpuacct: PathBuf },
}

/// A file with figures. Several are the same on v2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    /// Cpu time: `cpu.stat`; v1 `cpuacct.usage`.
    Cpu,
    /// Of that in user mode: `cpu.stat`; v1 `cpuacct.usage_user`.
    CpuUser,
    /// Of that in kernel mode: `cpu.stat`; v1 `cpuacct.usage_sys`.
    CpuSystem,
    /// Time held up for the quota: `cpu.stat` of either.
    Throttled,
    /// Memory that is charged now.
    Memory,
    /// The most memory that was charged at once.
    MemoryPeak,
    /// The kernel's kills for the memory limit.
    MemoryEvents,
    /// Processes and threads that there are now.
    Pids,
    /// The most of them at once (Linux 6.1 on v2).
    PidsPeak,
    /// How often one more was refused.
    PidsEvents,
    /// Bytes read from and written to block devices, where v2 counts them.
    Io,
}

impl Files {
    pub(super) fn mode(&self) -> CgroupMode {
        match self {
            Files::V2 { .. } => CgroupMode::V2,
            Files::V1 { .. } => CgroupMode::V1,
        }
    }

    /// The directories, each once.
    pub(super) fn directories(&self) -> Vec<&Path> {
        match self {
            Files::V2 { directory } => vec![directory],
            Files::V1 { memory, pids, cpu, cpuacct } => {
                let mut directories: Vec<&Path> = vec![memory, pids, cpu, cpuacct];
                directories.dedup();
                directories
            }
        }
    }

    /// Where a figure stands.
    pub(super) fn path(&self, figure: Figure) -> PathBuf {
        match self {
            Files::V2 { directory } => directory.join(match figure {
                Figure::Cpu | Figure::CpuUser | Figure::CpuSystem | Figure::Throttled => "cpu.stat",
                Figure::Memory => "memory.current",
                Figure::MemoryPeak => "memory.peak",
                Figure::MemoryEvents => "memory.events",
                Figure::Pids => "pids.current",
                Figure::PidsPeak => "pids.peak",
                Figure::PidsEvents => "pids.events",
                Figure::Io => "io.stat",
            }),
            Files::V1 { memory, pids, cpu, cpuacct } => match figure {
                Figure::Cpu => cpuacct.join("cpuacct.usage"),
                Figure::CpuUser => cpuacct.join("cpuacct.usage_user"),
                Figure::CpuSystem => cpuacct.join("cpuacct.usage_sys"),
                Figure::Throttled => cpu.join("cpu.stat"),
                Figure::Memory => memory.join("memory.usage_in_bytes"),
                Figure::MemoryPeak => memory.join("memory.max_usage_in_bytes"),
                Figure::MemoryEvents => memory.join("memory.oom_control"),
                Figure::Pids => pids.join("pids.current"),
                Figure::PidsPeak => pids.join("pids.peak"),
                Figure::PidsEvents => pids.join("pids.events"),
                // No run joins the hierarchy of `blkio`.
                Figure::Io => cpu.join("io.stat"),
            },
        }
    }
}

/// Files that were opened before they are needed.
#[derive(Debug, Default)]
pub(super) struct Opened(Vec<(Figure, File)>);

impl Opened {
    /// Opens them. One that is missing is found to be so when it is read.
    pub(super) fn open(files: &Files, figures: &[Figure]) -> Self {
        let open = |figure: &Figure| File::open(files.path(*figure)).ok().map(|file| (*figure, file));
        Opened(figures.iter().filter_map(open).collect())
    }

    /// The text of one, which is opened now where that was not done before.
    pub(super) fn read(&self, files: &Files, figure: Figure) -> Result<String, CgroupError> {
        let Some((_, file)) = self.0.iter().find(|(opened, _)| *opened == figure) else {
            return read(&files.path(figure));
        };
        let mut bytes = [0; 1024];
        let len = file.read_at(&mut bytes, 0).map_err(|e| CgroupError::io("read", &files.path(figure))(e))?;
        Ok(String::from_utf8_lossy(&bytes[..len]).into_owned())
    }
}

/// A figure that is all that its file holds.
pub(super) fn number(files: &Files, figure: Figure, text: &str) -> Result<u64, CgroupError> {
    text.trim().parse().map_err(|_| CgroupError::Malformed(files.path(figure)))
}

/// One value of a flat keyed file.
pub(super) fn flat_keyed(files: &Files, figure: Figure, text: &str, key: &str) -> Result<u64, CgroupError> {
    find_keyed(text, key).ok_or_else(|| CgroupError::Malformed(files.path(figure)))
}

/// One value of a flat keyed file (cgroup v2 documentation, "Format"): lines of a key, a space, a number.
pub(crate) fn find_keyed(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
    value.trim().parse().ok()
}

/// The sum over all devices of one value of a nested keyed file, as `io.stat` is.
pub(super) fn sum_nested(text: &str, key: &str) -> u64 {
    let values = text.split_whitespace().filter_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    values.filter_map(|value| value.parse::<u64>().ok()).sum()
}

pub(super) fn where_present<T>(result: Result<T, CgroupError>) -> Result<Option<T>, CgroupError> {
    match result {
        Err(CgroupError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_found_in_a_longer_one() {
        let text = "low 0\noom_kill_group 5\noom_kill 2\n";
        assert_eq!((find_keyed(text, "oom_kill"), find_keyed(text, "oom")), (Some(2), None));
        assert_eq!(find_keyed("oom_kill many\n", "oom_kill"), None);
    }

    #[test]
    fn devices_are_added_up() {
        let text = "8:16 rbytes=1459200 wbytes=314773504 rios=192\n8:0 rbytes=100 wbytes=0 rios=1 dbytes=7\n";
        assert_eq!((sum_nested(text, "rbytes"), sum_nested(text, "bytes")), (1_459_300, 0));
        assert_eq!(sum_nested("", "rbytes"), 0);
    }
}
