//! The figures of an execution: where the time went and what was used.
//!
//! Owns their units and their rounding. It never measures anything.

use std::time::Duration;

use serde::Serialize;
use soulbox_engine::RefusedSyscall;
use utoipa::ToSchema;

/// Where the time went, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = ExecutionTiming)]
pub(super) struct Timing {
    /// Waiting for a place to run.
    #[schema(required)]
    queued_ms: Option<f64>,
    /// From there, or from the end of compiling, to the start of the program.
    #[schema(required)]
    start_ms: Option<f64>,
    /// Compiling; `null` for languages that are not compiled.
    #[schema(required)]
    compile_ms: Option<f64>,
    /// From the start of the program to its end.
    #[schema(required)]
    run_ms: Option<f64>,
    /// From submission to the outcome.
    #[schema(required)]
    total_ms: Option<f64>,
}

/// What an execution used. `null` stands for what nothing has counted: before the end, or where the limit of it is
/// among the `unenforced_limits`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = ExecutionUsage)]
pub(super) struct Usage {
    /// Cpu time of all its processes.
    #[schema(required)]
    cpu_time_ms: Option<f64>,
    /// The most memory charged to it at once.
    #[schema(required)]
    memory_peak_bytes: Option<u64>,
    /// The most processes and threads at once.
    #[schema(required)]
    pids_peak: Option<u64>,
    /// Bytes on its file system at the end, beyond the files it was given.
    #[schema(required)]
    disk_written_bytes: Option<u64>,
    /// What the execution cost, its compiler included, in the currency that `/v1/accounting` tells. Only there where the
    /// operator has set prices.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = f64, required = false)]
    cost: Option<f64>,
}

impl From<soulbox_engine::Timing> for Timing {
    fn from(timing: soulbox_engine::Timing) -> Self {
        Timing {
            queued_ms: Some(millis(timing.queued)),
            start_ms: Some(millis(timing.start)),
            compile_ms: timing.compile.map(millis),
            run_ms: Some(millis(timing.run)),
            total_ms: Some(millis(timing.total)),
        }
    }
}

impl From<soulbox_engine::Usage> for Usage {
    fn from(usage: soulbox_engine::Usage) -> Self {
        Usage {
            cpu_time_ms: usage.cpu_time.map(millis),
            memory_peak_bytes: usage.memory_peak_bytes,
            pids_peak: usage.pids_peak,
            disk_written_bytes: Some(usage.disk_written_bytes),
            cost: None,
        }
    }
}

impl Usage {
    /// The same with what it cost, where it cost something.
    pub(super) fn costing(self, cost: Option<f64>) -> Self {
        Usage { cost, ..self }
    }
}

/// Milliseconds to three decimals.
pub(super) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Any number to three decimals.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

/// A system call that was refused to a program.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeniedSyscall<'a> {
    /// Its name, as in syscalls(2).
    #[schema(example = "unshare")]
    name: &'a str,
    /// How often.
    count: u32,
}

impl<'a> From<&'a RefusedSyscall> for DeniedSyscall<'a> {
    fn from(refused: &'a RefusedSyscall) -> Self {
        DeniedSyscall { name: &refused.name, count: refused.count }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn an_execution_that_has_not_ended_has_no_figures_yet() {
        let timing = serde_json::to_value(Timing::default()).unwrap();
        assert!(timing.as_object().unwrap().values().all(Value::is_null));
        let usage = serde_json::to_value(Usage::default()).unwrap();
        assert!(usage.as_object().unwrap().values().all(Value::is_null));
    }

    #[test]
    fn milliseconds_have_three_decimals() {
        for (nanos, expected) in [(0, 0.0), (499, 0.0), (1_234_567, 1.235), (10_000_000_000, 10_000.0)] {
            assert_eq!(millis(Duration::from_nanos(nanos)), expected);
        }
    }
}
