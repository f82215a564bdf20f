//! Facts of the host: those that decide whether sandboxes can be made, for `soulbox doctor`, and how busy it is now.
//!
//! Owns the looking; it never changes anything and never judges.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cgroup::{CgroupError, CgroupMode, Hierarchies, Pss};
use crate::rootless::Rights;

/// What was found.
#[derive(Debug)]
pub struct HostFacts {
    /// `uname -r`.
    pub kernel_release: String,
    /// Whether this process is root in the initial sense: it may make cgroups and map any id.
    pub root: bool,
    /// How many user namespaces the host allows (`user.max_user_namespaces`); `None` without the file.
    pub max_user_namespaces: Option<u64>,
    /// Which cgroups are used, or why none can be.
    pub cgroups: Result<CgroupMode, CgroupError>,
    /// On cgroup v2, the cgroup below which all others are made.
    pub cgroup_place: Option<PathBuf>,
    /// The actions that the kernel's seccomp knows (`actions_avail`); empty without seccomp.
    pub seccomp_actions: Vec<String>,
}

impl HostFacts {
    /// Looks.
    pub fn gather() -> Self {
        let cgroups = Hierarchies::detect();
        HostFacts {
            kernel_release: read_trimmed("/proc/sys/kernel/osrelease").unwrap_or_default(),
            root: Rights::of_root().is_some(),
            max_user_namespaces: read_trimmed("/proc/sys/user/max_user_namespaces")
                .and_then(|text| text.parse().ok()),
            cgroup_place: cgroups.as_ref().ok().and_then(Hierarchies::place).map(Path::to_owned),
            cgroups: cgroups.map(|hierarchies| hierarchies.mode()),
            seccomp_actions: read_trimmed("/proc/sys/kernel/seccomp/actions_avail")
                .map(|text| text.split_whitespace().map(str::to_owned).collect())
                .unwrap_or_default(),
        }
    }
}

/// The share of the last ten seconds in which work waited for something, in percent (proc_pressure(5)): *some* of it,
/// or all that could have been done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// Some waited for a processor.
    pub cpu_some: f64,
    /// Some waited for memory.
    pub memory_some: f64,
    /// All waited for memory.
    pub memory_full: f64,
    /// Some waited for a block device.
    pub io_some: f64,
}

impl Pressure {
    /// Of the whole host. `None` where the kernel does not tell.
    pub fn of_host() -> Option<Self> {
        let read = |resource| fs::read_to_string(format!("/proc/pressure/{resource}")).ok();
        let (cpu, memory, io) = (read("cpu")?, read("memory")?, read("io")?);
        Some(Pressure {
            cpu_some: average(&cpu, "some")?,
            memory_some: average(&memory, "some")?,
            memory_full: average(&memory, "full")?,
            io_some: average(&io, "some")?,
        })
    }
}

fn average(text: &str, kind: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(' '))?;
    line.split(' ').find_map(|word| word.strip_prefix("avg10=")?.parse().ok())
}

/// All memory of the host, in bytes.
pub fn host_memory_bytes() -> Option<u64> {
    meminfo_bytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

/// A line of `/proc/meminfo` (proc_meminfo(5)).
pub(crate) fn meminfo_bytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

/// The memory that this process has by itself, and its share of what it has in common with others: its proportional set
/// size.
pub fn own_memory_bytes() -> Option<u64> {
    Pss::of("self").map(|pss| pss.all)
}

fn read_trimmed(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_read_as_the_kernel_documents_it() {
        let text = "some avg10=35.24 avg60=21.78 avg300=8.86 total=41694007\nfull avg10=0.50 avg60=0 avg300=0 total=0\n";
        assert_eq!((average(text, "some"), average(text, "full")), (Some(35.24), Some(0.5)));
        assert_eq!((average("", "some"), average("some total=1\n", "some")), (None, None));
    }

    #[test]
    fn a_host_has_more_memory_than_this_process() {
        assert!(host_memory_bytes() > own_memory_bytes() && own_memory_bytes() > Some(0));
    }
}
