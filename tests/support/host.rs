//! What the host shows of a server: processes, cgroups, descriptors, mounts.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use super::Server;

/// A process that is told from others which get its pid later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// Clock ticks after boot (proc_pid_stat(5), "starttime").
    started: u64,
}

impl Process {
    /// The process that has this pid now.
    pub(crate) fn find(pid: i32) -> Option<Self> {
        let (state, started) = state_and_start(pid)?;
        (!matches!(state, 'Z' | 'X')).then_some(Process { pid, started })
    }

    /// Whether it still runs. One that only waits to be reaped does not.
    pub(crate) fn is_alive(&self) -> bool {
        Self::find(self.pid) == Some(*self)
    }
}

fn state_and_start(pid: i32) -> Option<(char, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// All processes that a process has started, and those that these have, sandboxes and zygotes included: whoever is
/// orphaned becomes a child of the server's.
pub(crate) fn descendants_of(pid: Pid) -> Vec<Process> {
    let parent_of = |pid: i32| -> Option<i32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    let pids = directories_in(Path::new("/proc")).into_iter();
    let pids = pids.filter_map(|path| path.file_name()?.to_str()?.parse::<i32>().ok());
    let parents: Vec<(i32, i32)> = pids.filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
    let (mut found, mut looked_at) = (vec![pid.as_raw()], 0);
    while let Some(&parent) = found.get(looked_at) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        looked_at += 1;
    }
    found[1..].iter().filter_map(|pid| Process::find(*pid)).collect()
}

/// The pids of a process in each of its namespaces, outermost first.
pub(crate) fn namespace_pids(pid: i32) -> Vec<i32> {
    numbers_of_status(pid, "NSpid:")
}

/// The user that a process is, as the host numbers users. `None` when it is gone.
pub(crate) fn user_of(pid: i32) -> Option<i32> {
    numbers_of_status(pid, "Uid:").first().copied()
}

/// A line of proc_pid_status(5); nothing of a process that is gone.
fn numbers_of_status(pid: i32, name: &str) -> Vec<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    numbers.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// All processes in a cgroup and those below it.
pub(crate) fn processes_below(cgroup: &Path) -> Vec<Process> {
    let procs = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    let mut processes: Vec<_> =
        procs.lines().filter_map(|line| line.parse().ok()).filter_map(Process::find).collect();
    for directory in directories_in(cgroup) {
        processes.extend(processes_below(&directory));
    }
    processes
}

/// The zygotes of a server, by their pids on the host: pid 1 of a namespace directly below the host's.
pub(crate) fn zygotes_of(server: &Server) -> Vec<i32> {
    let below = server.cgroups().into_iter().flat_map(|cgroup| processes_below(&cgroup.join("zygotes")));
    let pids: BTreeSet<i32> = below.map(|process| process.pid).collect();
    let is_zygote = |pid: &i32| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains("launcher.py") && namespace_pids(*pid)[1..] == [1]
    };
    pids.into_iter().filter(is_zygote).collect()
}

/// The cgroups of a server's executions that exist now.
pub(crate) fn leaves_of(server: &Server) -> Vec<PathBuf> {
    server.cgroups().into_iter().flat_map(|cgroup| directories_in(&cgroup.join("runs"))).collect()
}

fn directories_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// The cgroups of the instance that a process has made, in every hierarchy, listed anywhere or not.
pub(crate) fn cgroups_of(pid: Pid) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = directories_in(root).into_iter().chain([root.to_owned()]);
    let instances = hierarchies.flat_map(|hierarchy| directories_in(&hierarchy.join("soulbox")));
    let prefix = format!("{pid}-");
    instances
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
        .collect()
}

/// How many descriptors a process has open.
pub(crate) fn open_files_of(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// How many mounts a process sees.
pub(crate) fn mounts_of(pid: i32) -> usize {
    fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap().lines().count()
}

/// Memory that a process has resident now, and the most that it ever had.
pub(crate) fn resident_bytes(pid: i32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    (kib("VmRSS:") * 1024, kib("VmHWM:") * 1024)
}

/// What a server holds of the host.
#[derive(Debug)]
pub(crate) struct Holdings {
    pub(crate) open_files: usize,
    pub(crate) mounts: usize,
    pub(crate) leaves: Vec<PathBuf>,
    pub(crate) processes: Vec<Process>,
}

impl Holdings {
    /// All that must be the same after runs as it was before.
    pub(crate) fn without_files(&self) -> (usize, &[PathBuf], &[Process]) {
        (self.mounts, &self.leaves, &self.processes)
    }
}

/// What a server holds of the host now.
pub(crate) fn holdings(server: &Server) -> Holdings {
    // The store of accounts is opened when there is something to write. Whoever asks waits for that.
    server.get("/v1/accounting");
    let pid = server.pid().as_raw();
    let mut processes: Vec<_> = server.cgroups().iter().flat_map(|cgroup| processes_below(cgroup)).collect();
    processes.sort();
    processes.dedup();
    Holdings { open_files: open_files_of(pid), mounts: mounts_of(pid), leaves: server.leaves(), processes }
}

impl Server {
    /// The directories of the instances in its state directory, dead ones included.
    pub(crate) fn instances(&self) -> Vec<PathBuf> {
        directories_in(&self.state_dir().join("instances"))
    }

    /// Its own instance's directory.
    pub(crate) fn instance(&self) -> PathBuf {
        let prefix = format!("{}-", self.pid());
        let own = |directory: &PathBuf| {
            directory.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
        };
        self.instances().into_iter().find(own).expect("the server has a directory for its instance")
    }

    /// Its cgroups, one in each hierarchy.
    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        let list = fs::read_to_string(self.instance().join("cgroups")).unwrap();
        list.lines().map(PathBuf::from).collect()
    }

    /// The cgroups of its executions that exist now.
    pub(crate) fn leaves(&self) -> Vec<PathBuf> {
        leaves_of(self)
    }
}
