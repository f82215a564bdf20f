//! The traces that runs may leave: what a server has of the host when it is idle, counted and compared.
//!
//! Owns what may grow and by how much. Where nothing is said, nothing may.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use super::host::{cgroups_of, mounts_of, namespace_pids, processes_below};
use super::{Process, Server};

/// Network namespaces that are kept for each zygote.
const KEPT_NETWORKS: f64 = 32.0;
/// What the soak's server may keep.
pub(crate) const KEPT_EXECUTABLES_MIB: f64 = 8.0;
/// Files of what a server has learnt, which it saves from time to time.
const LEARNT: [&str; 2] = ["demand.json", "watch.json"];
const MIB: f64 = 1024.0 * 1024.0;

/// What is there, by name, and by how much it may have grown in the end.
#[derive(Debug)]
pub(crate) struct Traces {
    /// Sandboxes that wait.
    pub(crate) parked: usize,
    counts: BTreeMap<&'static str, (f64, f64)>,
}

impl Traces {
    /// What there is now, or why the server is not idle.
    pub(crate) fn take(server: &Server) -> Result<Self, String> {
        // Opens the store of accounts, where nothing has yet.
        server.get("/v1/accounting");
        let leaves = server.leaves();
        let names: BTreeSet<_> = leaves.iter().map(|leaf| leaf.file_name().unwrap()).collect();
        if names.iter().any(|name| !name.to_string_lossy().starts_with("parked-")) {
            return Err(format!("there are sandboxes: {names:?}"));
        }
        let below = |part: &str| -> BTreeSet<Process> {
            server.cgroups().iter().flat_map(|cgroup| processes_below(&cgroup.join(part))).collect()
        };
        let sandboxed = below("runs");
        let zygotes: BTreeSet<Process> = below("zygotes").difference(&sandboxed).copied().collect();
        // A sandbox that is being made has not joined its cgroup yet, or is one process as yet.
        let all_made = sandboxed.len() == 2 * names.len()
            && zygotes.iter().all(|zygote| namespace_pids(zygote.pid).get(1..) == Some(&[1]));
        // The daemon opens files of one that is complete.
        let parked = server.metrics().sum("soulbox_sandboxes_parked", &[]);
        if !all_made || parked != names.len() as f64 {
            return Err(format!("{parked} of {} are parked, {sandboxed:?}, of {zygotes:?}", names.len()));
        }
        let pid = server.pid().as_raw();
        let descriptors = descriptors(pid);
        let descriptor = |kind: &str| descriptors.get(kind).copied().unwrap_or_default();
        let networks = KEPT_NETWORKS * zygotes.len() as f64;
        let mut counts = BTreeMap::new();
        let mut count = |name, value: f64, may_grow_by: f64| {
            counts.insert(name, (value, may_grow_by));
        };
        count("processes", (sandboxed.len() + zygotes.len()) as f64, 0.0);
        count("cgroups", leaves.len() as f64, 0.0);
        count("mounts seen by the daemon", mounts_of(pid) as f64, 0.0);
        let mounts: usize = zygotes.iter().map(|zygote| mounts_of(zygote.pid)).sum();
        count("mounts seen by zygotes", mounts as f64, 0.0);
        // As many as are kept, whatever there was before.
        let held = descriptor("net");
        count("network namespaces, kept", held, networks - held);
        // No job is at hand: all that is in memory files are executables.
        let executables = memory_files_of(pid) / MIB;
        count("executables, kept, MiB", executables, KEPT_EXECUTABLES_MIB - executables);
        // A connection that was about to be closed may count.
        count("descriptors: sockets", descriptor("socket"), 4.0);
        let known = ["net", "/memfd", "socket"];
        let others = descriptors.iter().filter(|(kind, _)| !known.contains(&kind.as_str()));
        // One or two that belong to a moment, and not one for each of thousands of runs.
        count("descriptors: others", others.map(|(_, count)| count).sum(), 4.0);
        let learnt = LEARNT.iter().filter(|name| server.state_dir().join(name).exists()).count();
        let files = files_below(server.state_dir()) - learnt;
        count("files below the state directory", files as f64, 0.0);
        count("memory of the daemon, MiB", memory_of(pid, "Pss:") / MIB, 12.0);
        let shared: f64 = zygotes.iter().map(|zygote| memory_of(zygote.pid, "Pss:")).sum();
        count("memory of zygotes, MiB", shared / MIB, 8.0);
        count("memory of the kernel (host), MiB", meminfo("SUnreclaim:") / MIB, 64.0);
        Ok(Traces { parked: names.len(), counts })
    }
}

/// Shows what has become of each count, and tells what has grown beyond its bound.
#[allow(clippy::print_stdout, reason = "the report of the soak")]
pub(crate) fn growth(before: &Traces, halfway: &Traces, after: &Traces) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, (first, may_grow_by)) in &before.counts {
        let (middle, last) = (halfway.counts[name].0, after.counts[name].0);
        println!("{name:<44}{first:>12.1}{middle:>12.1}{last:>12.1}");
        if last > first + may_grow_by {
            faults.push(format!("{name}: {first:.1} before, {middle:.1} halfway, {last:.1} after"));
        }
    }
    faults
}

/// Ends the server, and tells what is left of it and what it complained of.
pub(crate) fn leftovers(server: Server) -> Vec<String> {
    let (cgroups, instance, pid) = (server.cgroups(), server.instance(), server.pid());
    let processes: Vec<Process> = cgroups.iter().flat_map(|cgroup| processes_below(cgroup)).collect();
    server.signal(Signal::SIGTERM);
    let mut faults = Vec::new();
    let status = server.wait();
    if status.code() != Some(0) {
        faults.push(format!("the server ended with {status}"));
    }
    // A run that fails is a program's matter, and that a server with too much to do misses its objectives is the load's;
    // that a sandbox failed or a zygote was lost is not.
    let log = server.log();
    faults.extend(
        log.lines()
            .filter(|line| [" WARN ", " ERROR "].iter().any(|level| line.contains(level)))
            .filter(|line| !line.contains("an alert fires"))
            .map(str::to_owned),
    );
    let alive: Vec<_> = processes.iter().filter(|process| process.is_alive()).collect();
    if !alive.is_empty() {
        faults.push(format!("processes are left: {alive:?}"));
    }
    let cgroups = cgroups_of(pid);
    if !cgroups.is_empty() || instance.exists() {
        faults.push(format!("left of the instance: {cgroups:?} {instance:?}"));
    }
    faults
}

/// How many descriptors of each kind a process has: what stands before the first colon of their links.
fn descriptors(pid: i32) -> BTreeMap<String, f64> {
    let mut kinds = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
        let link = fs::read_link(entry.path()).unwrap_or_default();
        let kind = link.to_string_lossy().split(':').next().unwrap_or_default().to_owned();
        *kinds.entry(kind).or_default() += 1.0;
    }
    kinds
}

/// The bytes in memory files that a process has open.
fn memory_files_of(pid: i32) -> f64 {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten().map(|entry| entry.path());
    let of_memory = |path: &PathBuf| {
        fs::read_link(path).is_ok_and(|link| link.to_string_lossy().starts_with("/memfd:program"))
    };
    entries.filter(of_memory).filter_map(|path| Some(fs::metadata(path).ok()?.len() as f64)).sum()
}

fn files_below(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let count = |entry: fs::DirEntry| {
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        1 + if is_directory { files_below(&entry.path()) } else { 0 }
    };
    entries.map(count).sum()
}

/// A line of smaps_rollup (proc_pid_smaps(5)), in bytes.
fn memory_of(pid: i32, name: &str) -> f64 {
    kib_of(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap(), name) * 1024.0
}

/// A line of proc_meminfo(5), in bytes.
fn meminfo(name: &str) -> f64 {
    kib_of(&fs::read_to_string("/proc/meminfo").unwrap(), name) * 1024.0
}

fn kib_of(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
