//! What a server does at this moment, for those who run it.
//!
//! Owns the view: what has happened [of late](lately), who runs and with how much, the pools, and [where the
//! memory is](ledger). All but the first is read when somebody looks, and nothing is read before.

mod lately;
mod ledger;
mod running;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use soulbox_sandbox::{Instance, Meter, Pressure, Zygote, host_memory_bytes, own_memory_bytes};
use soulbox_watch::slo::SloReport;

use lately::Lately;
pub use lately::{LanguageFigures, Percentiles, Rates, RecentFigures};
pub use ledger::Memory;
use ledger::{ParkedMemory, Readings};
pub use running::RunningFigures;
pub(crate) use running::{Gauge, RunningNow};

use crate::engine::Engine;
use crate::execution::Outcome;

/// What a server does at a moment.
#[derive(Clone, Debug)]
pub struct Live {
    /// When that was.
    pub at: SystemTime,
    /// Since the engine was made.
    pub uptime: Duration,
    /// Processors that it may use.
    pub cores: usize,
    /// All memory of the host.
    pub host_memory_bytes: Option<u64>,
    /// What has happened of late.
    pub recent: RecentFigures,
    /// Who waits.
    pub queue: QueueFigures,
    /// The bundles that are served, by name.
    pub pools: Vec<PoolFigures>,
    /// Where memory is; `None` where there are no cgroups to tell.
    pub memory: Option<Memory>,
    /// How long work of the host waits; `None` where the kernel does not tell.
    pub pressure: Option<Pressure>,
    /// What an hour like the last minute costs, where something costs anything.
    pub cost: Option<CostRate>,
    /// How what is promised stands.
    pub slo: SloReport,
    /// How many alerts fire.
    pub alerts_firing: usize,
    /// Those that run, with the most memory first, up to 200.
    pub running: Vec<RunningFigures>,
}

/// What executions cost by time.
#[derive(Clone, Debug, PartialEq)]
pub struct CostRate {
    /// In an hour.
    pub per_hour: f64,
    /// Of what.
    pub currency: String,
}

/// What is seen in a minute, for an hour.
const MINUTES_PER_HOUR: f64 = 60.0;

/// The queue of executions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueFigures {
    /// Executions that wait.
    pub queued: usize,
    /// Executions that run.
    pub running: usize,
    /// How many can run at once.
    pub max_concurrent: usize,
    /// How long it will probably take until all that wait have come to run.
    pub estimated_wait: Duration,
}

/// The parked sandboxes of a bundle, and the demand for them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PoolFigures {
    /// The bundle.
    pub bundle: String,
    /// How many wait.
    pub parked: usize,
    /// How many shall wait.
    pub wanted: usize,
    /// How many would be worth it if there were memory for all.
    pub predicted: usize,
    /// Requests a second that are expected.
    pub arrivals_per_second: f64,
    /// Requests that found one.
    pub hits: u64,
    /// Requests that found none.
    pub misses: u64,
    /// What those that wait take, by themselves.
    pub memory_bytes: u64,
    /// Whether a zygote is ready.
    pub zygote_up: bool,
}

/// The statistics that are kept while nobody looks.
#[derive(Debug)]
pub(crate) struct LiveStatistics {
    began: Instant,
    lately: Mutex<Lately>,
}

impl LiveStatistics {
    pub(crate) fn new() -> Self {
        LiveStatistics { began: Instant::now(), lately: Mutex::default() }
    }

    fn lately(&self) -> MutexGuard<'_, Lately> {
        // A wrong count is forgotten within a minute.
        self.lately.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn arrived(&self) {
        self.lately().arrived(self.began.elapsed());
    }

    pub(crate) fn refused(&self) {
        self.lately().refused(self.began.elapsed());
    }

    pub(crate) fn ended(&self, outcome: &Outcome) {
        self.lately().ended(self.began.elapsed(), outcome);
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn figures(&self) -> RecentFigures {
        self.lately().figures(self.began.elapsed())
    }
}

/// Reads where memory is. `parked` are the sandboxes that wait, each with its zygote.
fn look_at_memory(
    instance: &Instance,
    runs: u64,
    zygotes: &[Arc<Zygote>],
    parked: &[(Arc<Zygote>, Option<Meter>)],
) -> Option<Memory> {
    let mut readings = Readings { runs, daemon_pss: own_memory_bytes()?, ..Readings::default() };
    for (zygote, meter) in parked {
        let of_zygote: &mut ParkedMemory = readings.parked.entry(zygote.id()).or_default();
        of_zygote.sandboxes += 1;
        of_zygote.charged += meter.as_ref().and_then(Meter::memory_bytes).unwrap_or(0);
    }
    readings.zygotes = zygotes.iter().filter_map(|zygote| Some((zygote.id(), zygote.memory()?))).collect();
    // Last, so that what was read before is in it.
    readings.charges = instance.charges()?;
    Some(Memory::divide(&readings))
}

impl Engine {
    /// Looks at everything. Reads some files for each program that runs, and must not be called by who serves requests.
    pub fn live(&self) -> Live {
        let (running, runs) = running::look(self.running());
        let keepers = self.keepers();
        let parked: Vec<_> = keepers.iter().flat_map(|keeper| keeper.parking().meters()).collect();
        let memory = look_at_memory(self.instance(), runs, &self.zygotes(), &parked);
        let pools = keepers.iter().map(|keeper| keeper.pool_figures()).collect();
        let (queued, running_now) = self.load();
        let recent = self.statistics().figures();
        let cost = self.prices().map(|prices| CostRate {
            per_hour: recent.cost * MINUTES_PER_HOUR,
            currency: prices.currency.clone(),
        });
        Live {
            at: SystemTime::now(),
            uptime: self.statistics().uptime(),
            cores: self.cores(),
            host_memory_bytes: host_memory_bytes(),
            recent,
            queue: QueueFigures {
                queued,
                running: running_now,
                max_concurrent: self.max_concurrent(),
                estimated_wait: self.estimated_wait(),
            },
            pools,
            memory,
            pressure: Pressure::of_host(),
            cost,
            slo: self.slo(),
            alerts_firing: self.alerts_firing(),
            running,
        }
    }
}
