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
    pub(crate) fn with(name: &str, pids: impl IntoIterator<Item = u32>, others: Vec<PathBuf>) -> anyhow::Result<Self> {
        let cgroup = hierarchy().join(PARENT).join(name);
        fs::create_dir_all(&cgroup).with_context(|| format!("cannot make {}", cgroup.display()))?;
        for pid in pids {
            fs::write(cgroup.join("cgroup.procs"), pid.to_string())
                .with_context(|| format!("cannot move process {pid} to {}", cgroup.display()))?;
        }
        let mut counted = others;
        counted.push(cgroup.clone());
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
        let of = |cgroup: &PathBuf| {
            // On v1 the same path is in another hierarchy.
            let path = cgroup.to_string_lossy().replace("/cpuacct/", "/memory/").replace("/cpu,cpuacct/", "/memory/");
            let files = ["memory.usage_in_bytes", "memory.current"];
            files.iter().find_map(|file| fs::read_to_string(Path::new(&path).join(file)).ok()?.trim().parse().ok())
        };
        self.counted.iter().map(of).reduce(|sum, bytes: Option<u64>| Some(sum.unwrap_or(0) + bytes.unwrap_or(0)))?
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        let Some(made) = &self.made else { return };
        // A container runtime makes the same in every hierarchy.
        let name = made.strip_prefix(hierarchy()).unwrap_or(made);
        for hierarchy in fs::read_dir(ROOT).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let _ = fs::remove_dir(hierarchy.join(name));
            let _ = fs::remove_dir(hierarchy.join(PARENT));
        }
        let _ = fs::remove_dir(made);
        let _ = fs::remove_dir(hierarchy().join(PARENT));
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
