//! A load generator for SoulBox servers.
//!
//! Owns what is sent and when (a closed or an open loop), how answers are judged, what is told of them, and
//! whether two measurements differ. It knows a server by its HTTP API alone, and shares nothing else with it:
//! it never looks into one, and never starts or ends one.
//!
//! It may run beside the server that it measures, so it is made to cost little: one thread, requests that are
//! made once, answers that are parsed no further than needed.

mod client;
mod comparison;
mod error;
mod load;
mod pacer;
mod plan;
mod preflight;
mod report;
mod statistics;
mod table;
mod tally;
mod target;
mod workload;

use std::future::Future;
use std::pin::pin;

pub use comparison::{Comparison, Line, MIN_RUNS, Method, Tolerance, Verdict};
pub use error::BenchError;
pub use plan::{Extent, Plan, Shape};
pub use report::{Latency, Report, Run, Summary};
pub use statistics::Estimate;
pub use table::table;
pub use target::Target;
pub use workload::{Mix, Payload, Workload};

/// How far it has come, for a person who waits.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Measurements that have ended.
    pub ended: usize,
    /// Measurements altogether.
    pub all: usize,
}

/// Measures servers in turns, each of them `plan.runs` times, and reports on each in the same order. Ends early,
/// with what there is, when `interrupted` is ready or a server answers no more.
///
/// # Errors
///
/// When a server cannot be reached, lets nobody in, or does not execute every program of the workload rightly.
pub async fn run(
    targets: &[Target],
    workload: &Workload,
    plan: &Plan,
    interrupted: impl Future<Output = ()>,
    mut progress: impl FnMut(Progress),
) -> Result<Vec<Report>, BenchError> {
    let mut interrupted = pin!(interrupted);
    let mut reports: Vec<_> = targets.iter().map(|target| Report::new(target, workload, plan)).collect();
    let all = plan.runs * targets.len();
    let mut endpoints = Vec::new();
    for target in targets {
        tokio::select! {
            endpoint = preflight::check(target, workload, plan) => endpoints.push(endpoint?),
            () = &mut interrupted => return Err(BenchError::NothingMeasured),
        }
    }
    for ended in 0..all {
        progress(Progress { ended, all });
        let turn = ended % targets.len();
        let (endpoint, report) = (endpoints[turn], &mut reports[turn]);
        let run = load::measure(endpoint, workload, plan, interrupted.as_mut()).await?;
        let going_on = !run.interrupted && !run.unanswered;
        report.interrupted |= run.interrupted;
        report.unanswered |= run.unanswered;
        report.runs.extend(run.run);
        if !going_on {
            break;
        }
    }
    if reports.iter().all(|report| report.runs.is_empty()) {
        return Err(BenchError::NothingMeasured);
    }
    reports.iter_mut().for_each(Report::summarize);
    Ok(reports)
}
