//! What an operator gets to know of the machine's capacity.
//!
//! Owns the shape of this document. It never calculates.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;
use soulbox_engine::{LanguageCost, Point};
use utoipa::ToSchema;

use crate::wire::rfc_3339;

/// What this machine can do, and what a load needs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Capacity)]
pub(crate) struct Capacity {
    /// When it was calculated.
    #[schema(format = DateTime)]
    at: String,
    observed: CapacityObserved,
    asked: CapacityAsked,
    machine: CapacityMachine,
    /// The languages of the mix, and what one execution of each costs.
    languages: Vec<CapacityLanguage>,
    /// Processor time of one execution of the mix, of all processes: the program's, the zygote's, the server's.
    cpu_ms_per_run: f64,
    here: CapacityHere,
    needed: CapacityNeeded,
}

/// What the answer rests on.
#[derive(Debug, Serialize, ToSchema)]
struct CapacityObserved {
    /// Executions.
    runs: u64,
    /// Seconds in which the cpu time of all processes was measured while something ran.
    seconds: u64,
}

/// The load.
#[derive(Debug, Serialize, ToSchema)]
struct CapacityAsked {
    /// Requests in a second.
    rps: f64,
    /// Shares, which add up to one.
    mix: BTreeMap<String, f64>,
    /// The bound for the 99th percentile, where one was asked for.
    #[schema(required)]
    p99_ms: Option<f64>,
}

/// The machine as it is.
#[derive(Debug, Serialize, ToSchema)]
struct CapacityMachine {
    cores: usize,
    /// Memory for executions (`adaptive.memory`).
    memory_bytes: u64,
    /// Executions that may run at once.
    max_concurrent: usize,
}

/// What an execution costs.
#[derive(Debug, Serialize, ToSchema)]
struct CapacityLanguage {
    language: String,
    share: f64,
    /// Executions that were seen.
    runs: u64,
    /// Those of them that were not alone. An execution among others costs less, and when there are thirty of them, costs are
    /// what they had.
    runs_among_others: u64,
    /// Processor time of all processes: the sum of the next two.
    cpu_ms: f64,
    /// Of its own sandboxes, compiler included.
    program_cpu_ms: f64,
    /// Of the server and the zygote, and for making and removing sandboxes.
    overhead_cpu_ms: f64,
    /// The mean of peaks.
    memory_peak_bytes: f64,
    /// The mean of memory times time.
    memory_byte_seconds: f64,
    /// How long it takes undisturbed, without waiting.
    p50_ms: f64,
    /// The same.
    p99_ms: f64,
}

/// What this machine does.
#[derive(Debug, Serialize, ToSchema)]
struct CapacityHere {
    /// The most requests in a second that it can serve.
    maximum_rps: f64,
    /// What there is too little of then: `cpu`, `places` (`max_concurrent`) or `memory`.
    limited_by: &'static str,
    /// Where throughput divided by mean latency is largest: beyond it, latency grows faster than throughput.
    knee_rps: f64,
    /// The most requests in a second within the bound for the 99th percentile, where one was asked for.
    #[schema(required)]
    rps_within_p99: Option<f64>,
    /// Whether the load is below the maximum.
    sustainable: bool,
    #[serde(flatten)]
    offered: CapacityPoint,
    /// From little load to nearly the maximum.
    curve: Vec<CapacityPoint>,
}

/// What is to be expected at a load.
#[derive(Debug, Serialize, ToSchema)]
struct CapacityPoint {
    /// Requests in a second.
    rps: f64,
    /// The part of all processor time that is used.
    utilization: f64,
    /// `null` when the queue would grow without end.
    #[schema(required)]
    p50_ms: Option<f64>,
    /// The same.
    #[schema(required)]
    p99_ms: Option<f64>,
    /// Executions that run at once, on average.
    concurrent: f64,
}

/// What the load needs.
#[derive(Debug, Serialize, ToSchema)]
struct CapacityNeeded {
    /// Processors with which it is below the knee, or within the bound for the 99th percentile; `null` when no number
    /// is enough.
    #[schema(required)]
    cores: Option<usize>,
    /// What is to be expected with those.
    #[schema(required)]
    p50_ms: Option<f64>,
    /// The same.
    #[schema(required)]
    p99_ms: Option<f64>,
    /// Executions at once that are hardly ever exceeded (once in a thousand times): `max_concurrent`.
    concurrent: u64,
    /// Of all that follows.
    memory_bytes: u64,
    memory: CapacityMemory,
    /// How many sandboxes would wait for a job.
    pools: Vec<CapacityPool>,
}

/// Memory by what has it.
#[derive(Debug, Serialize, ToSchema)]
struct CapacityMemory {
    /// Executions: hardly ever exceeded.
    runs_bytes: u64,
    /// As it is now.
    zygotes_bytes: u64,
    parked_bytes: u64,
    /// As it is now.
    daemon_bytes: u64,
}

/// Parked sandboxes of a bundle.
#[derive(Debug, Serialize, ToSchema)]
struct CapacityPool {
    bundle: String,
    parked: usize,
}

fn ms(seconds: f64) -> f64 {
    // To the microsecond, which is more than the model knows.
    (seconds * 1e6).round() / 1e3
}

impl From<soulbox_engine::Capacity> for Capacity {
    fn from(capacity: soulbox_engine::Capacity) -> Self {
        let soulbox_engine::Capacity { answer, machine, zygotes_bytes, daemon_bytes, pools, p99_ms } =
            capacity;
        let parked_bytes = pools.iter().map(|(_, parked, bytes)| *parked as u64 * bytes).sum();
        let memory = CapacityMemory {
            runs_bytes: answer.needed.runs_bytes,
            zygotes_bytes: zygotes_bytes.unwrap_or_default(),
            parked_bytes,
            daemon_bytes: daemon_bytes.unwrap_or_default(),
        };
        let offered = answer.needed.offered;
        let (here, mix) = (answer.here, &answer.languages);
        Capacity {
            at: rfc_3339(SystemTime::now()),
            observed: CapacityObserved { runs: answer.runs, seconds: answer.windows },
            asked: CapacityAsked {
                rps: answer.rps,
                mix: mix.iter().map(|language| (language.name.clone(), language.share)).collect(),
                p99_ms,
            },
            machine: CapacityMachine {
                cores: machine.cores,
                memory_bytes: machine.memory_bytes,
                max_concurrent: machine.places,
            },
            cpu_ms_per_run: ms(answer.cpu_s),
            here: CapacityHere {
                maximum_rps: here.maximum_rps,
                limited_by: here.limited_by,
                knee_rps: here.knee_rps,
                rps_within_p99: here.rps_within_p99,
                sustainable: here.offered.p99_s.is_some(),
                offered: here.offered.into(),
                curve: here.curve.into_iter().map(CapacityPoint::from).collect(),
            },
            needed: CapacityNeeded {
                cores: answer.needed.cores,
                p50_ms: offered.and_then(|offered| offered.p50_s).map(ms),
                p99_ms: offered.and_then(|offered| offered.p99_s).map(ms),
                concurrent: answer.needed.concurrent,
                memory_bytes: memory.runs_bytes
                    + memory.zygotes_bytes
                    + memory.parked_bytes
                    + memory.daemon_bytes,
                memory,
                pools: pools.into_iter().map(|(bundle, parked, _)| CapacityPool { bundle, parked }).collect(),
            },
            languages: answer.languages.into_iter().map(CapacityLanguage::from).collect(),
        }
    }
}

impl From<LanguageCost> for CapacityLanguage {
    fn from(language: LanguageCost) -> Self {
        let cost = language.cost;
        CapacityLanguage {
            language: language.name,
            share: language.share,
            runs: cost.runs,
            runs_among_others: cost.among_others,
            cpu_ms: ms(cost.cpu_s()),
            program_cpu_ms: ms(cost.program_cpu_s),
            overhead_cpu_ms: ms(cost.overhead_cpu_s),
            memory_peak_bytes: cost.peak_bytes,
            memory_byte_seconds: cost.byte_seconds,
            p50_ms: ms(language.p50_s),
            p99_ms: ms(language.p99_s),
        }
    }
}

impl From<Point> for CapacityPoint {
    fn from(point: Point) -> Self {
        CapacityPoint {
            rps: point.rps,
            utilization: point.utilization,
            p50_ms: point.p50_s.map(ms),
            p99_ms: point.p99_s.map(ms),
            concurrent: point.concurrent,
        }
    }
}
