//! How an execution ended, in the words of the API's contract.
//!
//! Owns the translation of what a sandbox reports to a status and a sentence for a person.

use std::borrow::Borrow;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use soulbox_sandbox::{CollectedFile, Ended, IoBytes, RefusedSyscall, RunReport, Stream};
use ulid::{Generator, Ulid};

use crate::compile::Compilation;
use crate::limits::{LimitName, Limits, bytes};
use crate::request::Tenant;

/// The id of an execution: `exec_` and a ULID. The ids of one process sort in the order in which they were made, also
/// within a millisecond and when the clock is set back.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExecutionId(String);

impl ExecutionId {
    pub(crate) fn new() -> Self {
        static GENERATOR: Mutex<Generator> = Mutex::new(Generator::new());
        let next = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner).generate();
        // There is no next where 80 bits are used up within a millisecond.
        let ulid = next.unwrap_or_else(|_| Ulid::new());
        ExecutionId(format!("exec_{}", ulid.to_string().to_ascii_lowercase()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Looks the same up by its text.
impl Borrow<str> for ExecutionId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The state of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the API's contract")]
pub enum Status {
    Queued,
    Running,
    Succeeded,
    Failed,
    TimedOut,
    OutOfMemory,
    OutputLimitExceeded,
    Killed,
    Cancelled,
    CompileFailed,
    InternalError,
}

impl Status {
    /// Those with which an execution can end.
    pub(crate) const ENDS: [Status; 9] = [
        Status::Succeeded,
        Status::Failed,
        Status::TimedOut,
        Status::OutOfMemory,
        Status::OutputLimitExceeded,
        Status::Killed,
        Status::Cancelled,
        Status::CompileFailed,
        Status::InternalError,
    ];

    /// The name in the API and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Queued => "queued",
            Status::Running => "running",
            Status::Succeeded => "succeeded",
            Status::Failed => "failed",
            Status::TimedOut => "timed_out",
            Status::OutOfMemory => "out_of_memory",
            Status::OutputLimitExceeded => "output_limit_exceeded",
            Status::Killed => "killed",
            Status::Cancelled => "cancelled",
            Status::CompileFailed => "compile_failed",
            Status::InternalError => "internal_error",
        }
    }
}

/// What an execution had to start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartKind {
    /// A sandbox that was made before.
    Parked,
    /// A fork of a warm zygote.
    Zygote,
    /// The zygote's container itself had to be made first.
    Cold,
}

impl StartKind {
    pub(crate) const ALL: [StartKind; 3] = [StartKind::Parked, StartKind::Zygote, StartKind::Cold];

    /// The name in the API and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            StartKind::Parked => "parked",
            StartKind::Zygote => "zygote",
            StartKind::Cold => "cold",
        }
    }
}

/// Where the time went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Waiting for a place to run.
    pub queued: Duration,
    /// From there, or from the end of compiling, to the start of the program.
    pub start: Duration,
    /// The last part of that: from the hand-over of the job, when there was a sandbox.
    pub hand_over: Duration,
    /// Compiling, for languages that are compiled.
    pub compile: Option<Duration>,
    /// From the start of the program to its end.
    pub run: Duration,
    /// From submission to the outcome.
    pub total: Duration,
}

/// What an execution used, from its cgroup and its file system. Without a cgroup nothing counts but the last.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Cpu time of all its processes.
    pub cpu_time: Option<Duration>,
    /// Of that in user mode, as the kernel samples it.
    pub cpu_user: Option<Duration>,
    /// Of that in kernel mode.
    pub cpu_system: Option<Duration>,
    /// For how long its processes, each by itself, were held up for its limit of cores.
    pub throttled: Option<Duration>,
    /// The most memory charged to it at once; what it shares with its zygote is not.
    pub memory_peak_bytes: Option<u64>,
    /// Memory times time while the program ran, an estimate ([`MemoryTime`](soulbox_sandbox::MemoryTime)).
    pub memory_byte_seconds: Option<f64>,
    /// The most processes and threads at once.
    pub pids_peak: Option<u64>,
    /// Processes that the kernel ended for the memory limit.
    pub oom_kills: Option<u64>,
    /// What came from block devices and went to them, where the kernel counts it.
    pub io: Option<IoBytes>,
    /// Bytes on its file system at the end, beyond the files it was given.
    pub disk_written_bytes: u64,
}

/// An execution that has ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its id.
    pub id: ExecutionId,
    /// The name of its language.
    pub language: String,
    /// The name of the bundle it ran in.
    pub bundle: String,
    /// How it ended.
    pub status: Status,
    /// The program's exit code, when it exited.
    pub exit_code: Option<i32>,
    /// The signal that ended the program, when one did.
    pub signal: Option<i32>,
    /// What it wrote to standard output, at most as much as its limit.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, likewise.
    pub stderr: Vec<u8>,
    /// Whether there was more on standard output.
    pub stdout_truncated: bool,
    /// Whether there was more on standard error.
    pub stderr_truncated: bool,
    /// One sentence for a person whenever it did not succeed.
    pub detail: Option<String>,
    /// The system calls that its seccomp filter refused, most often refused first.
    pub denied_syscalls: Vec<RefusedSyscall>,
    /// What it had to start from; `None` when it never started.
    pub start_kind: Option<StartKind>,
    /// Where the time went.
    pub timing: Timing,
    /// What it used.
    pub usage: Usage,
    /// What that cost, where use costs something.
    pub cost: Option<f64>,
    /// The limits that it was given.
    pub limits: Limits,
    /// Those of them that were not in force.
    pub unenforced: &'static [LimitName],
    /// The output files that were asked for.
    pub files: Vec<CollectedFile>,
    /// The compile step, for languages that are compiled.
    pub compilation: Option<Compilation>,
    /// When it was submitted.
    pub created_at: SystemTime,
}

/// What is known of an execution from its submission on.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) id: ExecutionId,
    pub(crate) language: String,
    pub(crate) bundle: String,
    /// Whose it is.
    pub(crate) tenant: Option<Tenant>,
    pub(crate) limits: Limits,
    pub(crate) unenforced: &'static [LimitName],
    pub(crate) created_at: SystemTime,
}

impl Outcome {
    /// An execution of which no program ran.
    pub(crate) fn without_run(subject: Subject, status: Status, detail: String, timing: Timing) -> Self {
        Outcome {
            id: subject.id,
            language: subject.language,
            bundle: subject.bundle,
            status,
            exit_code: None,
            signal: None,
            stdout: Vec::new(),
            stderr: Vec::new(),
            stdout_truncated: false,
            stderr_truncated: false,
            detail: Some(detail),
            denied_syscalls: Vec::new(),
            start_kind: None,
            timing,
            usage: Usage::NOTHING,
            cost: None,
            limits: subject.limits,
            unenforced: subject.unenforced,
            files: Vec::new(),
            compilation: None,
            created_at: subject.created_at,
        }
    }

    /// An execution whose program did not compile.
    pub(crate) fn not_compiled(
        subject: Subject,
        status: Status,
        detail: String,
        timing: Timing,
        compilation: Compilation,
    ) -> Self {
        let compilation = Some(compilation);
        Outcome { compilation, ..Self::without_run(subject, status, detail, timing) }
    }

    /// An execution as its sandbox reports it.
    pub(crate) fn of_run(
        subject: Subject,
        report: RunReport,
        kind: StartKind,
        timing: Timing,
        compilation: Option<Compilation>,
    ) -> Self {
        let (status, detail) = judge(&report, &subject.limits);
        let (exit_code, signal) = main_ended(&report);
        Outcome {
            id: subject.id,
            language: subject.language,
            bundle: subject.bundle,
            status,
            exit_code,
            signal,
            usage: Usage::of(&report),
            cost: None,
            stdout: report.stdout.bytes,
            stderr: report.stderr.bytes,
            stdout_truncated: report.stdout.truncated,
            stderr_truncated: report.stderr.truncated,
            detail,
            denied_syscalls: report.refused,
            start_kind: Some(kind),
            timing,
            limits: subject.limits,
            unenforced: subject.unenforced,
            files: report.collected.files,
            compilation,
            created_at: subject.created_at,
        }
    }
}

impl Usage {
    /// Where nothing has run.
    pub(crate) const NOTHING: Usage = Usage {
        cpu_time: Some(Duration::ZERO),
        cpu_user: Some(Duration::ZERO),
        cpu_system: Some(Duration::ZERO),
        throttled: Some(Duration::ZERO),
        memory_peak_bytes: Some(0),
        memory_byte_seconds: Some(0.0),
        pids_peak: Some(0),
        oom_kills: Some(0),
        io: None,
        disk_written_bytes: 0,
    };

    pub(crate) fn of(report: &RunReport) -> Self {
        let disk_written_bytes = report.disk_written_bytes;
        let Some(usage) = report.usage else { return Usage { disk_written_bytes, ..Usage::default() } };
        Usage {
            cpu_time: Some(usage.cpu_time),
            cpu_user: Some(usage.cpu_user),
            cpu_system: Some(usage.cpu_system),
            throttled: Some(usage.throttled),
            memory_peak_bytes: Some(usage.memory_peak_bytes),
            memory_byte_seconds: Some(usage.memory_byte_seconds),
            pids_peak: Some(usage.pids_peak),
            oom_kills: Some(usage.oom_kills),
            io: usage.io,
            disk_written_bytes,
        }
    }
}

const SIGKILL: i32 = 9;

/// The exit code and the signal of a run's main process, whichever there is.
pub(crate) fn main_ended(report: &RunReport) -> (Option<i32>, Option<i32>) {
    match (report.main_ended, report.ended) {
        (Some(Ended::Exited(code)), _) => (Some(code), None),
        (Some(Ended::Signaled(signal)), _) => (None, Some(signal)),
        // Ended by the kernel's or our own signal; which limit it was is in the status.
        (_, Ended::WallTime | Ended::CpuTime | Ended::OutOfMemory | Ended::OutputLimit(_)) => {
            (None, Some(SIGKILL))
        }
        _ => (None, None),
    }
}

/// The status of a run and a sentence for a person.
pub(crate) fn judge(report: &RunReport, limits: &Limits) -> (Status, Option<String>) {
    // What is not counted ends no run: the figures of these sentences are always there.
    let usage = report.usage.unwrap_or_default();
    let (status, detail) = match report.ended {
        Ended::Exited(0) => {
            let left_out = report.collected.left_out;
            let detail = (left_out > 0).then(|| {
                format!(
                    "{left_out} output files were left out: they were too many, too large or not readable"
                )
            });
            return (Status::Succeeded, detail);
        }
        Ended::Exited(code) => {
            let hint = exhausted(report, limits).map(|what| format!("; {what}")).unwrap_or_default();
            (Status::Failed, format!("the program exited with code {code}{hint}"))
        }
        Ended::Signaled(signal) => {
            let hint = exhausted(report, limits).map(|what| format!("; {what}")).unwrap_or_default();
            (Status::Killed, format!("the program was ended by signal {}{hint}", signal_name(signal)))
        }
        Ended::WallTime => {
            let (limit, reached) = (millis(limits.wall_time), millis(report.run_time));
            (Status::TimedOut, format!("wall time limit of {limit} reached; ended after {reached}"))
        }
        Ended::CpuTime => (
            Status::TimedOut,
            format!("cpu time limit of {} reached; {} used", millis(limits.cpu_time), millis(usage.cpu_time)),
        ),
        Ended::OutOfMemory => (
            Status::OutOfMemory,
            format!(
                "memory limit of {} reached; peak {}",
                bytes(limits.memory_bytes),
                bytes(usage.memory_peak_bytes)
            ),
        ),
        Ended::OutputLimit(stream) => {
            let name = match stream {
                Stream::Stdout => "standard output",
                Stream::Stderr => "standard error",
            };
            (
                Status::OutputLimitExceeded,
                format!("output limit of {} on {name} exceeded", bytes(limits.output_bytes)),
            )
        }
        Ended::Cancelled => (Status::Cancelled, "cancelled while it was running".to_owned()),
        Ended::SetupFailed(error) => {
            let why = io::Error::from_raw_os_error(error.errno);
            (Status::InternalError, format!("the sandbox could not be made: {error}: {why}"))
        }
        Ended::SetupTimeout => (Status::InternalError, "the sandbox took too long to set up".to_owned()),
        Ended::ZygoteLost => (
            Status::InternalError,
            "the sandbox was ended from outside, with the zygote that it was forked from or alone; it can be \
             tried again"
                .to_owned(),
        ),
    };
    (status, Some(detail))
}

/// A limit that the program met without being ended by it, or what was refused to it: likely why it failed.
fn exhausted(report: &RunReport, limits: &Limits) -> Option<String> {
    if report.disk_full {
        return Some(format!("its disk limit of {} was reached", bytes(limits.disk_bytes)));
    }
    let refused = report.usage.map_or(0, |usage| usage.pids_refused);
    if refused > 0 {
        let limit = limits.pids;
        return Some(format!(
            "its limit of {limit} processes and threads was reached and {refused} were refused"
        ));
    }
    (!report.refused.is_empty()).then(|| {
        let names: Vec<_> = report.refused.iter().map(|call| call.name.as_str()).take(NAMED_CALLS).collect();
        let more = if report.refused.len() > NAMED_CALLS { " and others" } else { "" };
        format!("system calls were refused to it: {}{more}", names.join(", "))
    })
}

/// How many refused system calls the sentence names.
const NAMED_CALLS: usize = 3;

fn millis(duration: Duration) -> String {
    format!("{} ms", (duration.as_secs_f64() * 1e6).round() / 1e3)
}

/// signal(7)'s name with the number, which differs between architectures.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS, a system call that its seccomp profile forbids",
        _ => return signal.to_string(),
    };
    format!("{signal} ({name})")
}

#[cfg(test)]
mod tests {
    use soulbox_sandbox::{Collected, LeafUsage, Output};

    use super::*;
    use crate::limits::LimitPolicy;

    fn detail(ended: Ended, change: impl FnOnce(&mut RunReport)) -> (Status, String) {
        let mut report = RunReport {
            ended,
            stdout: Output::default(),
            stderr: Output::default(),
            usage: Some(LeafUsage { memory_peak_bytes: 67_000_000, ..LeafUsage::default() }),
            refused: Vec::new(),
            disk_written_bytes: 0,
            disk_full: false,
            collected: Collected::default(),
            made: None,
            start_time: Duration::ZERO,
            main_ended: None,
            started: false,
            since_start: Duration::ZERO,
            run_time: Duration::ZERO,
        };
        change(&mut report);
        let limits = Limits { memory_bytes: 64 << 20, ..LimitPolicy::default().default };
        let (status, detail) = judge(&report, &limits);
        (status, detail.unwrap_or_default())
    }

    #[test]
    fn details_name_the_limit_its_value_and_what_was_reached() {
        let (status, text) = detail(Ended::OutOfMemory, |_| {});
        assert_eq!(
            (status, text.as_str()),
            (Status::OutOfMemory, "memory limit of 64.0 MiB reached; peak 63.9 MiB")
        );
        let (status, text) = detail(Ended::WallTime, |_| {});
        assert_eq!(
            (status, text.as_str()),
            (Status::TimedOut, "wall time limit of 10000 ms reached; ended after 0 ms")
        );
        let (_, text) = detail(Ended::Exited(1), |report| report.disk_full = true);
        assert_eq!(text, "the program exited with code 1; its disk limit of 64.0 MiB was reached");
        let (_, text) = detail(Ended::Exited(1), |report| {
            report.usage = Some(LeafUsage { pids_refused: 3, ..LeafUsage::default() });
        });
        assert!(text.contains("64 processes and threads"), "{text}");
        let (_, text) = detail(Ended::Exited(1), |report| {
            let call = |name: &str| RefusedSyscall { name: name.to_owned(), count: 1 };
            report.refused = ["bpf", "mount", "setns", "unshare"].map(call).to_vec();
        });
        assert_eq!(
            text,
            "the program exited with code 1; system calls were refused to it: bpf, mount, setns and others"
        );
    }

    #[test]
    fn a_success_needs_no_words() {
        assert_eq!(detail(Ended::Exited(0), |_| {}), (Status::Succeeded, String::new()));
    }

    #[test]
    fn ids_sort_as_they_were_made() {
        let ids: Vec<_> = (0..1000).map(|_| ExecutionId::new()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert!(ids[0].as_str().starts_with("exec_"));
    }
}
