//! Cgroups that count what a peer's server uses: cpu time and memory. Owns the ones that it makes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

const ROOT: &str = "/sys/fs/cgroup";
const PARENT: &str = "soulbox-peers";

/// Cgroups whose use is a peer's.
#[derive(Debug, Default)]
pub(crate) struct Cgroups {
    made: Option<PathBuf>,
    counted: Vec<PathBuf>,
}

impl Cgroups {
    /// A new cgroup with these processes; whatever they start is in it, or in one of those in `others`.
    pub(crate) fn with(
        name: &str,
        pids: impl IntoIterator<Item = u32>,
        others: Vec<PathBuf>,
    ) -> anyhow::Result<Self> {
        let cgroup = hierarchy().join(PARENT).join(name);
        fs::create_dir_all(&cgroup).with_context(|| format!("cannot make {}", cgroup.display()))?;
        for pid in pids {
            fs::write(cgroup.join("cgroup.procs"), pid.to_string())
                .with_context(|| format!("cannot move process {pid} to {}", cgroup.display()))?;
        }
        let mut counted = others;
        counted.push(cgroup.clone());
        counted.retain(|cgroup| cpu_time_of(cgroup).is_some());
        Ok(Cgroups { made: Some(cgroup), counted })
    }

    /// The path that runtimes name the cgroup by, as a parent of their own ones.
    pub(crate) fn parent(name: &str) -> String {
        format!("/{PARENT}/{name}")
    }

    /// Cpu time of all that are or were in them.
    pub(crate) fn cpu_time(&self) -> Duration {
        self.counted.iter().filter_map(|cgroup| cpu_time_of(cgroup)).sum()
    }

    /// Memory charged to them, page cache and the kernel's included.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        self.sum("memory", &["memory.usage_in_bytes", "memory.current"])
    }

    /// Processes and threads that are in them.
    pub(crate) fn tasks(&self) -> Option<u64> {
        self.sum("pids", &["pids.current"])
    }

    /// Of the first of these files that there is in each, of the controller's hierarchy on v1.
    fn sum(&self, controller: &str, files: &[&str]) -> Option<u64> {
        let of = |cgroup: &PathBuf| -> Option<u64> {
            let name = cgroup.strip_prefix(hierarchy()).ok()?;
            let v1 = Path::new(ROOT).join(controller).join(name);
            let directory = if v1.exists() { &v1 } else { cgroup };
            files.iter().find_map(|file| fs::read_to_string(directory.join(file)).ok()?.trim().parse().ok())
        };
        self.counted.iter().filter_map(of).reduce(|sum, value| sum + value)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        let Some(made) = &self.made else { return };
        // Whoever lives longer, as this process itself, goes back to where it may be.
        for pid in fs::read_to_string(made.join("cgroup.procs")).unwrap_or_default().lines() {
            let _ = fs::write(hierarchy().join("cgroup.procs"), pid);
        }
        let _ = fs::remove_dir(made);
    }
}

/// Removes whatever was made, here and by container runtimes, which make the same in every hierarchy.
pub(crate) fn remove_all() {
    let directories =
        |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    for hierarchy in directories(Path::new(ROOT)).chain([ROOT.into()]) {
        let parent = hierarchy.join(PARENT);
        for cgroup in directories(&parent) {
            let _ = fs::remove_dir(cgroup);
        }
        let _ = fs::remove_dir(parent);
    }
}

/// Where cpu time is counted.
fn hierarchy() -> PathBuf {
    let v1 = ["cpuacct", "cpu,cpuacct"].map(|name| Path::new(ROOT).join(name));
    v1.into_iter().find(|path| path.join("cpuacct.usage").exists()).unwrap_or_else(|| ROOT.into())
}

fn cpu_time_of(cgroup: &Path) -> Option<Duration> {
    if let Ok(ns) = fs::read_to_string(cgroup.join("cpuacct.usage")) {
        return ns.trim().parse().ok().map(Duration::from_nanos);
    }
    let stat = fs::read_to_string(cgroup.join("cpu.stat")).ok()?;
    let us = stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
    us.trim().parse().ok().map(Duration::from_micros)
}
