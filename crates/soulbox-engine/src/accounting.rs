//! An outcome as accounts see it.
//!
//! Owns what counts as used by an execution: all that its sandboxes did, the compiler's among them. It keeps nothing.

use std::time::SystemTime;

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
    let own = &outcome.usage;
    let out_of_memory = outcome.status == Status::OutOfMemory;
    let more = outcome.compilation.as_ref().map_or(&Usage::NOTHING, |compilation| &compilation.usage);
    let compiler_output = outcome.compilation.as_ref().filter(|it| !it.cached).map_or(0, |it| it.bytes());
    let output = outcome.stdout.len() + outcome.stderr.len() + compiler_output;
    Figures {
        cpu_time: both(own.cpu_time, more.cpu_time),
        memory_peak_bytes: own.memory_peak_bytes.max(more.memory_peak_bytes),
        cpu_user: both(own.cpu_user, more.cpu_user),
        cpu_system: both(own.cpu_system, more.cpu_system),
        throttled: both(own.throttled, more.throttled),
        memory_byte_seconds: both(own.memory_byte_seconds, more.memory_byte_seconds),
        // On cgroup v1 the daemon is sooner than the kernel, which then counts none.
        oom_kills: both(own.oom_kills, more.oom_kills).map(|kills| kills.max(u64::from(out_of_memory))),
        io_read_bytes: own.io.map(|io| io.read + more.io.unwrap_or_default().read),
        io_written_bytes: own.io.map(|io| io.written + more.io.unwrap_or_default().written),
        pids_peak: own.pids_peak.max(more.pids_peak),
        disk_written_bytes: own.disk_written_bytes,
        output_bytes: output as u64,
    }
}

fn both<T: std::ops::Add<Output = T>>(left: Option<T>, right: Option<T>) -> Option<T> {
    Some(left? + right?)
}
