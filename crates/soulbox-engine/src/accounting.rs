//! An outcome as accounts see it.
//!
//! Owns what counts as used by an execution: all that its sandboxes did, the compiler's among them. It keeps nothing.

use std::time::{Duration, SystemTime};

use soulbox_accounting::{Figures, Record, Times};
use soulbox_bundle::Digest;

use crate::execution::{Outcome, Status, Usage};
use crate::request::Tenant;

/// The record of an execution that has just ended.
pub(crate) fn record(outcome: &Outcome, tenant: Option<&Tenant>, bundle_digest: &Digest) -> Record {
    let timing = outcome.timing;
    Record {
        id: outcome.id.as_str().to_owned(),
        ended_at: SystemTime::now(),
        key: tenant.map(|tenant| tenant.as_str().to_owned()),
        language: outcome.language.clone(),
        bundle: outcome.bundle.clone(),
        bundle_digest: Some(*bundle_digest.as_bytes()),
        status: outcome.status.as_str(),
        start_kind: outcome.start_kind.map(|kind| kind.as_str()),
        figures: figures(outcome),
        times: Times {
            queued: timing.queued,
            start: timing.start,
            compile: timing.compile.unwrap_or_default(),
            run: timing.run,
            total: timing.total,
        },
    }
}

/// What its sandboxes used.
pub(crate) fn figures(outcome: &Outcome) -> Figures {
    let (own, run) = (&outcome.usage, outcome.timing.run);
    let compiler = outcome.compilation.as_ref().map(|compilation| (&compilation.usage, compilation.time));
    let (more, compile) = compiler.unwrap_or((&Usage::NOTHING, Duration::ZERO));
    let compiler_output = outcome.compilation.as_ref().filter(|it| !it.cached).map_or(0, |it| it.bytes());
    let output = outcome.stdout.len() + outcome.stderr.len() + compiler_output;
    Figures {
        cpu_time: both(own.cpu_time, more.cpu_time),
        memory_peak_bytes: own.memory_peak_bytes.max(more.memory_peak_bytes),
        memory_byte_seconds: both(byte_seconds(own, run), byte_seconds(more, compile)),
        oom_kills: own.memory_peak_bytes.map(|_| u64::from(outcome.status == Status::OutOfMemory)),
        pids_peak: own.pids_peak.max(more.pids_peak),
        disk_written_bytes: own.disk_written_bytes,
        output_bytes: output as u64,
        ..Figures::default()
    }
}

/// Nothing counts memory over time: as if it had its peak from the start to the end, which is no less.
fn byte_seconds(usage: &Usage, time: Duration) -> Option<f64> {
    usage.memory_peak_bytes.map(|bytes| bytes as f64 * time.as_secs_f64())
}

fn both<T: std::ops::Add<Output = T>>(left: Option<T>, right: Option<T>) -> Option<T> {
    Some(left? + right?)
}
