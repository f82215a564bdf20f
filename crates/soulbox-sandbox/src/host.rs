//! Facts of the host that decide whether sandboxes can be made, for `soulbox doctor`.
//!
//! Owns the looking; it never changes anything and never judges.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cgroup::{CgroupError, CgroupMode, Hierarchies};
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

fn read_trimmed(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}
