//! One ended execution, as accounts see it.
//!
//! Owns the list of figures. It never measures any: a figure that nothing on the host has counted is `None`.

use std::time::{Duration, SystemTime};

/// One ended execution.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// When it ended, by the host's clock.
    pub ended_at: SystemTime,
    /// The name of the API key, which is no secret; `None` on a server without keys.
    pub key: Option<String>,
    /// The name of its language.
    pub language: String,
    /// The name of the bundle it ran in.
    pub bundle: String,
    /// The version of that bundle: the bytes of its SHA-256.
    pub bundle_digest: Option<[u8; 32]>,
    /// How it ended.
    pub status: &'static str,
    /// What it started from; `None` when it never started.
    pub start_kind: Option<&'static str>,
    /// What it used.
    pub figures: Figures,
    /// Where its time went.
    pub times: Times,
}

/// What an execution used, its compiler included.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Cpu time of all its processes (`cpu.stat`, `cpuacct.usage`).
    pub cpu_time: Option<Duration>,
    /// The part of it outside of the kernel.
    pub cpu_user: Option<Duration>,
    /// The part of it in the kernel.
    pub cpu_system: Option<Duration>,
    /// The most memory charged to it at once; what it shares with its zygote is not.
    pub memory_peak_bytes: Option<u64>,
    /// Memory charged to it, by how long it was.
    pub memory_byte_seconds: Option<f64>,
    /// How often the kernel ended a process of it for want of memory.
    pub oom_kills: Option<u64>,
    /// The most processes and threads at once.
    pub pids_peak: Option<u64>,
    /// Bytes read from block devices.
    pub io_read_bytes: Option<u64>,
    /// Bytes written to block devices.
    pub io_written_bytes: Option<u64>,
    /// How long it was kept from running by its limit of cores.
    pub throttled: Option<Duration>,
    /// Bytes on its file system at the end, beyond the files it was given.
    pub disk_written_bytes: u64,
    /// Bytes that it wrote to its output streams, as far as they were taken.
    pub output_bytes: u64,
}

/// Where an execution's time went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Waiting for a place to run.
    pub queued: Duration,
    /// From there to the start of the program, without compiling.
    pub start: Duration,
    /// Compiling.
    pub compile: Duration,
    /// From the start of the program to its end.
    pub run: Duration,
    /// From submission to the outcome.
    pub total: Duration,
}
