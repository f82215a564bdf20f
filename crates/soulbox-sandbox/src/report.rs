//! What is told of a run. Owns the words for it; it judges nothing.

use std::io;
use std::time::Duration;

use soulbox_protocol::SetupError;

use crate::cgroup::LeafUsage;
use crate::collect::Collected;
use crate::executable::Executable;
use crate::output::Output;
use crate::refused::RefusedSyscall;

/// One of a program's output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The main process exited with this code.
    Exited(i32),
    /// The main process was ended by this signal, which was not ours.
    Signaled(i32),
    /// Ended at the wall time limit.
    WallTime,
    /// Ended at the cpu time limit.
    CpuTime,
    /// The kernel ended a process at the memory limit, and with it the run.
    OutOfMemory,
    /// Ended because this stream exceeded the output limit.
    OutputLimit(Stream),
    /// Ended because the caller cancelled it.
    Cancelled,
    /// The sandbox could not be finished; no untrusted code ran.
    SetupFailed(SetupError),
    /// The sandbox took too long to set up; no untrusted code ran.
    SetupTimeout,
    /// The zygote ended, and the kernel ended the sandbox with it.
    ZygoteLost,
}

/// All that is known of a run when nothing of it is left.
#[derive(Debug)]
pub struct RunReport {
    /// How it ended.
    pub ended: Ended,
    /// How the main process ended, where it did so by itself: [`Ended::Exited`] or [`Ended::Signaled`].
    pub main_ended: Option<Ended>,
    /// What it wrote to standard output.
    pub stdout: Output,
    /// What it wrote to standard error.
    pub stderr: Output,
    /// What its cgroup counted; nothing does without one.
    pub usage: Option<LeafUsage>,
    /// The system calls that its seccomp filter refused, by how often.
    pub refused: Vec<RefusedSyscall>,
    /// Bytes on its tmpfs at the end, beyond the files it was given. 0 when it did not end by itself.
    pub disk_written_bytes: u64,
    /// Whether its tmpfs was full at the end.
    pub disk_full: bool,
    /// The files that were asked for; none when it did not end by itself.
    pub collected: Collected,
    /// The executable that it was to make, or why there is none.
    pub made: Option<io::Result<Executable>>,
    /// Whether untrusted code ran at all.
    pub started: bool,
    /// From the hand-over of the job to the start of the program.
    pub start_time: Duration,
    /// From the start of the program until all of it was gone and known.
    pub since_start: Duration,
    /// From the start of the program to its end.
    pub run_time: Duration,
}
