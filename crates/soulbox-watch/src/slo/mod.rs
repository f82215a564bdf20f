//! Objectives: what share of executions has to be good, and how fast the rest is used up.
//!
//! Owns the counting. An execution is good or bad for each objective that it says something about; the share that may
//! be bad over the period is the error budget, and how many times as fast as that it is used is the burn rate. Alerts
//! look at a long and a short window together, as the SRE workbook does ("Alerting on SLOs"): the long one says that it
//! matters, the short one that it still goes on.

mod ledger;
mod objective;
mod report;

use std::time::Duration;

use crate::observation::{Observation, Verdict};

pub use ledger::{Counts, SavedLedger};
pub use objective::{Goal, OBJECTIVES, Objective};
pub use report::{BurnAlert, BurnRate, CapacityReport, ObjectiveReport, Severity, SloReport};

use ledger::Ledger;
pub(crate) use report::spoken;

/// The usual period.
const PERIOD: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Between which bounds a period is kept: its hours take memory.
pub const PERIODS: (Duration, Duration) =
    (Duration::from_secs(60 * 60), Duration::from_secs(92 * 24 * 60 * 60));

/// What an operator promises.
#[derive(Clone, Debug, PartialEq)]
pub struct SloConfig {
    /// The time that an error budget is for.
    pub period: Duration,
    /// What is promised; an objective that is not here is not watched.
    pub goals: Vec<Goal>,
    /// Whether the run of the program counts as a part of the objective `execution`.
    pub execution_with_run: bool,
    /// Executions per second that the server has to be able to do; `None` where nobody asks.
    pub capacity_per_s: Option<f64>,
}

impl Default for SloConfig {
    fn default() -> Self {
        SloConfig {
            period: PERIOD,
            goals: OBJECTIVES.map(Goal::usual).to_vec(),
            execution_with_run: false,
            capacity_per_s: Some(1000.0),
        }
    }
}

/// What has been seen of the objectives.
#[derive(Clone, Debug)]
pub struct Slo {
    config: SloConfig,
    ledger: Ledger,
    /// Since the last tick, by objective.
    current: [Counts; OBJECTIVES.len()],
    /// By the latest measurement.
    capacity_per_s: Option<f64>,
}

impl Slo {
    /// Nothing has been seen yet.
    pub fn new(config: SloConfig) -> Self {
        let period = config.period.clamp(PERIODS.0, PERIODS.1);
        let current = Default::default();
        Slo {
            ledger: Ledger::new(period),
            config: SloConfig { period, ..config },
            current,
            capacity_per_s: None,
        }
    }

    /// An execution has ended.
    pub fn ended(&mut self, seen: &Observation<'_>) {
        let with_run = self.config.execution_with_run;
        for (index, goal) in self.config.goals.iter().enumerate() {
            let Some(counts) = self.current.get_mut(index) else { return };
            if let Some(good) = goal.judge(seen, with_run) {
                counts.add(good);
            }
        }
    }

    /// A request was turned away though nobody but the server was the reason.
    pub fn refused(&mut self) {
        let availability =
            self.config.goals.iter().position(|goal| goal.objective == Objective::Availability);
        if let Some(counts) = availability.and_then(|index| self.current.get_mut(index)) {
            counts.add(false);
        }
    }

    /// How many executions per second the server can do, as was measured.
    pub fn set_capacity(&mut self, per_s: Option<f64>) {
        self.capacity_per_s = per_s.filter(|rate| rate.is_finite()).or(self.capacity_per_s);
    }

    /// Takes account of what was seen since the last tick. All times are of one clock that only goes forward.
    pub fn tick(&mut self, now: Duration) {
        self.ledger.add(now, &std::mem::take(&mut self.current));
    }

    /// How it stands.
    pub fn report(&self) -> SloReport {
        report::report(&self.config, &self.ledger, self.capacity_per_s)
    }

    /// What the next server has to know.
    pub fn saved(&self) -> SavedLedger {
        self.ledger.saved(self.config.goals.iter().map(|goal| goal.objective))
    }

    /// Goes on from what was saved so long ago.
    pub fn resume(&mut self, saved: &SavedLedger, ago: Duration) {
        let objectives: Vec<Objective> = self.config.goals.iter().map(|goal| goal.objective).collect();
        self.ledger.resume(saved, &objectives, ago);
    }
}

/// Whether an execution says anything of the server: one that was cancelled ended when its client wanted it to.
fn tells(seen: &Observation<'_>) -> bool {
    seen.verdict != Verdict::Cancelled
}
