//! What an operator gets to know of what is promised.
//!
//! Owns the shape of this document, and the sentence that says what each objective counts.

use serde::Serialize;
use soulbox_watch::slo::{BurnAlert, BurnRate, CapacityReport, Goal, Objective, ObjectiveReport, SloReport};
use utoipa::ToSchema;

use super::figures::millis;

/// What is promised, and how it stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Slo {
    /// The time that an error budget is for, in seconds.
    period_s: u64,
    /// How long ago the first observation was, in seconds; at most the period.
    observed_s: u64,
    objectives: Vec<SloObjective>,
    /// `null` where no capacity is promised.
    #[schema(required)]
    capacity: Option<SloCapacity>,
}

/// One objective.
#[derive(Debug, Serialize, ToSchema)]
struct SloObjective {
    /// `api_latency`, `execution`, `container_start`, `memory`, `errors` or `availability`.
    name: &'static str,
    /// What it counts.
    description: String,
    /// The share that has to be good.
    target: f64,
    /// Up to which time an execution is good.
    #[schema(required)]
    threshold_ms: Option<f64>,
    /// Up to which size an execution is good.
    #[schema(required)]
    threshold_bytes: Option<u64>,
    /// Good ones over the period.
    good: u64,
    /// All that count.
    total: u64,
    /// The share that was good; `null` when nothing was seen.
    #[schema(required)]
    ratio: Option<f64>,
    /// Whether the promise is kept over the period.
    met: bool,
    /// The share of the error budget that is left; negative when more was used than there was.
    budget_left: f64,
    /// When nothing will be left if it goes on as in the last hour, in seconds; `null` for not within the period.
    #[schema(required)]
    exhausted_in_s: Option<u64>,
    burn_rates: Vec<SloBurnRate>,
    alerts: Vec<SloBurnAlert>,
}

/// How fast the budget is used in one window.
#[derive(Debug, Serialize, ToSchema)]
struct SloBurnRate {
    /// Its name.
    #[schema(example = "1h")]
    window: &'static str,
    /// Its length in seconds.
    window_s: u64,
    /// Good ones in it.
    good: u64,
    /// All that count.
    total: u64,
    /// How many times as fast as it may be.
    burn_rate: f64,
}

/// When somebody is told.
#[derive(Debug, Serialize, ToSchema)]
struct SloBurnAlert {
    /// `page` or `ticket`.
    severity: &'static str,
    /// The window that says that it matters.
    long_window: &'static str,
    /// The window that says that it goes on.
    short_window: &'static str,
    /// From this rate on, in both.
    burn_rate: f64,
    /// Whether it is so now.
    firing: bool,
}

/// What the server can do.
#[derive(Debug, Serialize, ToSchema)]
struct SloCapacity {
    /// Executions per second, as measured; `null` as long as nothing was.
    #[schema(required)]
    per_s: Option<f64>,
    /// What is promised.
    target_per_s: f64,
    /// Whether it is kept, as far as is known.
    met: bool,
}

impl From<&SloReport> for Slo {
    fn from(report: &SloReport) -> Self {
        Slo {
            period_s: report.period.as_secs(),
            observed_s: report.observed.as_secs(),
            objectives: report.objectives.iter().map(SloObjective::from).collect(),
            capacity: report.capacity.map(SloCapacity::from),
        }
    }
}

impl From<&ObjectiveReport> for SloObjective {
    fn from(report: &ObjectiveReport) -> Self {
        let goal = report.goal;
        let of_kind = |time: bool| goal.objective.bound_is_time() == Some(time);
        SloObjective {
            name: goal.objective.as_str(),
            description: description(&goal, report.with_run),
            target: goal.target,
            threshold_ms: of_kind(true).then(|| rounded(goal.bound * 1e3)),
            threshold_bytes: of_kind(false).then_some(goal.bound as u64),
            good: report.counts.good,
            total: report.counts.total(),
            ratio: report.ratio(),
            met: report.is_met(),
            budget_left: rounded(report.budget_left),
            exhausted_in_s: report.exhausted_in.map(|time| time.as_secs()),
            burn_rates: report.burn_rates.iter().map(SloBurnRate::from).collect(),
            alerts: report.alerts.iter().map(SloBurnAlert::from).collect(),
        }
    }
}

impl From<&BurnRate> for SloBurnRate {
    fn from(rate: &BurnRate) -> Self {
        SloBurnRate {
            window: rate.window,
            window_s: rate.length.as_secs(),
            good: rate.counts.good,
            total: rate.counts.total(),
            burn_rate: rounded(rate.rate),
        }
    }
}

impl From<&BurnAlert> for SloBurnAlert {
    fn from(alert: &BurnAlert) -> Self {
        SloBurnAlert {
            severity: alert.severity.as_str(),
            long_window: alert.long,
            short_window: alert.short,
            burn_rate: rounded(alert.rate),
            firing: alert.firing,
        }
    }
}

impl From<CapacityReport> for SloCapacity {
    fn from(report: CapacityReport) -> Self {
        let CapacityReport { per_s, target_per_s } = report;
        SloCapacity { per_s: per_s.map(rounded), target_per_s, met: report.is_met() }
    }
}

/// To three decimals.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

fn description(goal: &Goal, with_run: bool) -> String {
    let share = rounded(goal.target * 100.0);
    let ms = millis(std::time::Duration::try_from_secs_f64(goal.bound).unwrap_or_default());
    match goal.objective {
        Objective::ApiLatency => format!(
            "{share} % of executions have at most {ms} ms of the server's own time: queue, start and finish, without \
             the program's compilation and run"
        ),
        Objective::Execution if with_run => {
            format!(
                "{share} % of executions take at most {ms} ms in all, the program's compilation and run included"
            )
        }
        Objective::Execution => {
            format!(
                "{share} % of executions have at most {ms} ms of the server's own time, as in api_latency"
            )
        }
        Objective::ContainerStart => {
            format!(
                "{share} % of sandboxes start their program at most {ms} ms after there was a place for it"
            )
        }
        Objective::Memory => {
            format!(
                "{share} % of executions use at most {:.1} MiB of memory",
                goal.bound / f64::from(1 << 20)
            )
        }
        Objective::Errors => format!("{share} % of executions do not end by an error inside the server"),
        Objective::Availability => format!(
            "{share} % of requests are taken and do not end by an error inside the server; what one API key asks for \
             beyond its share does not count"
        ),
    }
}
