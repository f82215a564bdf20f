//! What is told of one execution that has ended.
//!
//! Owns what of its time is the server's own. It never looks at a program.

use std::time::Duration;

/// Whose doing the end was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The program succeeded.
    Succeeded,
    /// The program did not: by its own error, or by a limit.
    Failed,
    /// Whoever asked for it did not want it any more.
    Cancelled,
    /// The server could not run it.
    ServerError,
}

/// What a program had to start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// A sandbox that was made before.
    Parked,
    /// A fork of a warm zygote.
    Zygote,
    /// The zygote had to be made first.
    Cold,
}

/// One execution that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The name of its language.
    pub language: &'a str,
    /// The same for the same program, where that is known.
    pub program: Option<u64>,
    /// Whose doing the end was.
    pub verdict: Verdict,
    /// `None` when it never started.
    pub started: Option<Started>,
    /// Whether more executions ran than there are processors.
    pub busy: bool,
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
    /// Cpu time of the program.
    pub cpu_time: Option<Duration>,
    /// The most memory that was charged to it.
    pub memory_peak_bytes: Option<u64>,
}

impl Observation<'_> {
    /// What the server added: queue, start and finish.
    pub fn added(&self) -> Duration {
        self.total.saturating_sub(self.run).saturating_sub(self.compile)
    }

    /// From the end of the program to the outcome.
    pub fn finish(&self) -> Duration {
        self.added().saturating_sub(self.queued).saturating_sub(self.start)
    }
}
