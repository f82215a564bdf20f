//! What `/proc` tells of processes: who is below whom, what memory they have, who sleeps.

use std::collections::BTreeSet;
use std::fs;

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

/// clock_nanosleep(2), in which Python's `time.sleep` waits.
#[cfg(target_arch = "x86_64")]
const CLOCK_NANOSLEEP: &str = "230 ";
#[cfg(not(target_arch = "x86_64"))]
const CLOCK_NANOSLEEP: &str = "115 ";

/// All processes that this one has started, and those that these have. Orphans are among them, since this process is
/// a subreaper.
pub(crate) fn all() -> BTreeSet<u32> {
    below(std::process::id())
}

/// All processes below another.
pub(crate) fn below(root: u32) -> BTreeSet<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> = pids.filter_map(|pid| Some((pid, parent_of(pid)?))).collect();
    let (mut found, mut last) = (BTreeSet::new(), BTreeSet::from([root]));
    while !last.is_empty() {
        last = parents.iter().filter(|(_, parent)| last.contains(parent)).map(|(pid, _)| *pid).collect();
        found.extend(&last);
    }
    found
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Buries orphans that have ended: nobody else waits for them. For moments when no command runs.
pub(crate) fn bury_orphans() {
    while let Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) =
        waitpid(None, Some(WaitPidFlag::WNOHANG))
    {}
}

/// Proportional set size of all of them together (proc(5), `smaps_rollup`); who has ended has none.
pub(crate) fn pss_bytes(pids: &BTreeSet<u32>) -> u64 {
    pids.iter().filter_map(|pid| kib_of(&format!("/proc/{pid}/smaps_rollup"), "Pss:")).sum::<u64>() * 1024
}

/// How many of them sleep, and so have come as far as their program.
pub(crate) fn sleeping(pids: &BTreeSet<u32>) -> usize {
    let in_sleep = |pid: &&u32| {
        let call = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
        call.starts_with(CLOCK_NANOSLEEP)
    };
    pids.iter().filter(in_sleep).count()
}

/// What a new program could have without swapping (proc(5), `meminfo`).
pub(crate) fn available_bytes() -> u64 {
    kib_of("/proc/meminfo", "MemAvailable:").unwrap_or_default() * 1024
}

fn kib_of(path: &str, label: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(label))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
