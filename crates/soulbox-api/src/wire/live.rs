//! What operators see of a server at a moment.
//!
//! Owns the shape of that document, for one answer and for each event of the stream. It never measures anything.

use std::collections::BTreeMap;

use serde::Serialize;
use soulbox_engine as engine;
use soulbox_watch::slo::ObjectiveReport;
use utoipa::ToSchema;

use crate::wire::figures::{millis, rounded};
use crate::wire::rfc_3339;

/// What a server does at this moment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Live {
    /// When (RFC 3339).
    #[schema(format = DateTime)]
    at: String,
    /// The server's version.
    version: &'static str,
    /// How long it has served.
    uptime_s: f64,
    /// Processors that it may use.
    cores: usize,
    /// All memory of the host.
    #[schema(required)]
    host_memory_bytes: Option<u64>,
    rate: LiveRate,
    latency: LiveLatency,
    /// How many executions ended with each status in the last minute.
    statuses: BTreeMap<&'static str, u64>,
    /// By language, those that had an execution end in the last minute.
    languages: Vec<LiveLanguage>,
    queue: LiveQueue,
    /// The bundles that are served, and their parked sandboxes.
    pools: Vec<LivePool>,
    /// Where memory is; `null` where the server has no cgroups.
    #[schema(required)]
    memory: Option<LiveMemory>,
    /// How much of the last ten seconds work of the host waited, in percent; `null` where the kernel does not tell.
    #[schema(required)]
    pressure: Option<LivePressure>,
    /// What the executions cost; `null` where no prices are configured.
    #[schema(required)]
    cost: Option<LiveCost>,
    /// How what is promised stands; `/v1/slo` has more.
    slo: LiveSlo,
    /// Alerts that fire.
    alerts: u64,
    /// The executions that run, with the most memory first, up to 200.
    running: Vec<LiveRunning>,
}

/// What executions cost.
#[derive(Debug, Serialize, ToSchema)]
struct LiveCost {
    /// What an hour like the last minute costs.
    per_hour: f64,
    currency: String,
}

/// How what is promised stands.
#[derive(Debug, Serialize, ToSchema)]
struct LiveSlo {
    objectives: Vec<LiveObjective>,
}

/// One objective.
#[derive(Debug, Serialize, ToSchema)]
struct LiveObjective {
    /// As in `/v1/slo`.
    name: &'static str,
    /// Whether the promise is kept over the period.
    met: bool,
    /// The share of the error budget that is left; negative when more was used than there was.
    budget_left: f64,
}

/// Events a second, over the last ten.
#[derive(Debug, Serialize, ToSchema)]
struct LiveRate {
    /// Requests for an execution, also those that were refused.
    arrivals_per_s: f64,
    /// Executions that ended.
    completions_per_s: f64,
    /// Requests that were refused, since there was too much to do.
    rejections_per_s: f64,
}

/// From submission to the outcome, over the last minute. `null` where nothing ended.
#[derive(Debug, Serialize, ToSchema)]
struct LiveLatency {
    #[schema(required)]
    p50_ms: Option<f64>,
    #[schema(required)]
    p95_ms: Option<f64>,
    #[schema(required)]
    p99_ms: Option<f64>,
}

/// What was seen of a language in the last minute.
#[derive(Debug, Serialize, ToSchema)]
struct LiveLanguage {
    language: String,
    /// How many executions ended.
    count: u64,
    /// From the end of waiting, or of compiling, to the start of the program.
    #[schema(required)]
    start_p50_ms: Option<f64>,
    #[schema(required)]
    start_p95_ms: Option<f64>,
    /// From submission to the outcome.
    #[schema(required)]
    total_p50_ms: Option<f64>,
    #[schema(required)]
    total_p95_ms: Option<f64>,
    /// What they started from: `parked`, `zygote`, `cold`.
    start_kinds: BTreeMap<&'static str, u64>,
}

/// Executions that wait.
#[derive(Debug, Serialize, ToSchema)]
struct LiveQueue {
    queued: usize,
    running: usize,
    /// How many can run at once.
    max_concurrent: usize,
    /// How long it will probably take until those that wait have come to run.
    estimated_wait_ms: f64,
}

/// The parked sandboxes of a bundle.
#[derive(Debug, Serialize, ToSchema)]
struct LivePool {
    bundle: String,
    /// How many wait for a job.
    parked: usize,
    /// How many shall.
    wanted: usize,
    /// How many would, if there were memory for all.
    predicted: usize,
    /// Requests a second that are expected.
    arrivals_per_s: f64,
    /// Requests that found one.
    hits: u64,
    /// Requests that found none.
    misses: u64,
    /// What those that wait take by themselves.
    memory_bytes: u64,
    /// Whether a zygote is ready.
    zygote_up: bool,
}

/// Where the server's memory is.
#[derive(Debug, Serialize, ToSchema)]
struct LiveMemory {
    /// Charged to the cgroups of the programs that run.
    runs_private_bytes: u64,
    /// What those share with their zygotes, apportioned by proportional set size.
    runs_shared_bytes: u64,
    /// The zygotes' own.
    zygotes_bytes: u64,
    /// Sandboxes that wait for a job.
    parked_bytes: u64,
    /// Charged to nobody who is there: caches that ended runs have left, and sandboxes that come or go just now.
    remains_bytes: u64,
    /// The server itself.
    daemon_bytes: u64,
    /// All of these.
    total_bytes: u64,
    /// What the kernel counts for the server's cgroups as a whole.
    cgroup_bytes: u64,
    /// Whether the server itself is in `cgroup_bytes`.
    daemon_in_cgroup: bool,
}

/// How much of the last ten seconds work waited, in percent.
#[derive(Debug, Serialize, ToSchema)]
struct LivePressure {
    cpu_some_avg10: f64,
    memory_some_avg10: f64,
    memory_full_avg10: f64,
    io_some_avg10: f64,
}

/// An execution that runs. `null` stands for what nothing counts, or not yet.
#[derive(Debug, Serialize, ToSchema)]
struct LiveRunning {
    id: String,
    language: String,
    bundle: String,
    /// The API key, by its name in accounting; `null` without one.
    #[schema(required)]
    key: Option<String>,
    status: &'static str,
    /// Since it came to run.
    elapsed_ms: f64,
    #[schema(required)]
    cpu_time_ms: Option<f64>,
    /// How many processors it uses.
    #[schema(required)]
    cpu_cores: Option<f64>,
    #[schema(required)]
    memory_bytes: Option<u64>,
    memory_limit_bytes: u64,
    /// Processes and threads.
    #[schema(required)]
    pids: Option<u64>,
}

impl From<engine::Live> for Live {
    fn from(live: engine::Live) -> Self {
        let engine::RecentFigures { rates, latency, statuses, languages, cost: _ } = live.recent;
        Live {
            at: rfc_3339(live.at),
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: rounded(live.uptime.as_secs_f64()),
            cores: live.cores,
            host_memory_bytes: live.host_memory_bytes,
            rate: LiveRate {
                arrivals_per_s: rounded(rates.arrivals),
                completions_per_s: rounded(rates.completions),
                rejections_per_s: rounded(rates.rejections),
            },
            latency: LiveLatency {
                p50_ms: latency.p50.map(millis),
                p95_ms: latency.p95.map(millis),
                p99_ms: latency.p99.map(millis),
            },
            statuses,
            languages: languages.into_iter().map(LiveLanguage::from).collect(),
            queue: LiveQueue {
                queued: live.queue.queued,
                running: live.queue.running,
                max_concurrent: live.queue.max_concurrent,
                estimated_wait_ms: millis(live.queue.estimated_wait),
            },
            pools: live.pools.into_iter().map(LivePool::from).collect(),
            memory: live.memory.map(LiveMemory::from),
            pressure: live.pressure.map(|pressure| LivePressure {
                cpu_some_avg10: pressure.cpu_some,
                memory_some_avg10: pressure.memory_some,
                memory_full_avg10: pressure.memory_full,
                io_some_avg10: pressure.io_some,
            }),
            cost: live.cost.map(|cost| LiveCost { per_hour: cost.per_hour, currency: cost.currency }),
            slo: LiveSlo { objectives: live.slo.objectives.iter().map(LiveObjective::from).collect() },
            alerts: live.alerts_firing as u64,
            running: live.running.into_iter().map(LiveRunning::from).collect(),
        }
    }
}

impl From<&ObjectiveReport> for LiveObjective {
    fn from(report: &ObjectiveReport) -> Self {
        LiveObjective {
            name: report.goal.objective.as_str(),
            met: report.is_met(),
            budget_left: rounded(report.budget_left),
        }
    }
}

impl From<engine::LanguageFigures> for LiveLanguage {
    fn from(figures: engine::LanguageFigures) -> Self {
        LiveLanguage {
            language: figures.language,
            count: figures.count,
            start_p50_ms: figures.start.p50.map(millis),
            start_p95_ms: figures.start.p95.map(millis),
            total_p50_ms: figures.total.p50.map(millis),
            total_p95_ms: figures.total.p95.map(millis),
            start_kinds: figures.start_kinds,
        }
    }
}

impl From<engine::PoolFigures> for LivePool {
    fn from(figures: engine::PoolFigures) -> Self {
        LivePool {
            bundle: figures.bundle,
            parked: figures.parked,
            wanted: figures.wanted,
            predicted: figures.predicted,
            arrivals_per_s: rounded(figures.arrivals_per_second),
            hits: figures.hits,
            misses: figures.misses,
            memory_bytes: figures.memory_bytes,
            zygote_up: figures.zygote_up,
        }
    }
}

impl From<engine::Memory> for LiveMemory {
    fn from(memory: engine::Memory) -> Self {
        LiveMemory {
            runs_private_bytes: memory.runs_private,
            runs_shared_bytes: memory.runs_shared,
            zygotes_bytes: memory.zygotes,
            parked_bytes: memory.parked,
            remains_bytes: memory.remains,
            daemon_bytes: memory.daemon,
            total_bytes: memory.total,
            cgroup_bytes: memory.cgroup,
            daemon_in_cgroup: memory.daemon_in_cgroup,
        }
    }
}

impl From<engine::RunningFigures> for LiveRunning {
    fn from(figures: engine::RunningFigures) -> Self {
        LiveRunning {
            id: figures.id.to_string(),
            language: figures.language,
            bundle: figures.bundle,
            key: figures.tenant.map(|tenant| tenant.as_str().to_owned()),
            status: "running",
            elapsed_ms: millis(figures.elapsed),
            cpu_time_ms: figures.cpu_time.map(millis),
            cpu_cores: figures.cpu_cores.map(rounded),
            memory_bytes: figures.memory_bytes,
            memory_limit_bytes: figures.memory_limit_bytes,
            pids: figures.pids,
        }
    }
}
