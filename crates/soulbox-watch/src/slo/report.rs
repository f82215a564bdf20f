//! How objectives stand: budgets, burn rates, and which alerts follow.
//!
//! Owns the windows and the rates at which somebody is told. It never keeps anything.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ledger::{Counts, Ledger};
use super::objective::{Goal, Objective};
use super::{OBJECTIVES, SloConfig};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The windows that are shown.
const WINDOWS: [(&str, Duration); 5] = [
    ("5m", Duration::from_secs(5 * 60)),
    ("30m", Duration::from_secs(30 * 60)),
    ("1h", HOUR),
    ("6h", Duration::from_secs(6 * 3600)),
    ("3d", Duration::from_secs(3 * 24 * 3600)),
];

/// The SRE workbook's alerts: of the budget of 30 days, 2 % in an hour, 5 % in six, 10 % in three days.
const ALERTS: [(Severity, usize, usize, f64); 3] =
    [(Severity::Page, 2, 0, 0.02), (Severity::Page, 3, 1, 0.05), (Severity::Ticket, 4, 3, 0.10)];

/// Fewer bad ones than this in the long window wake nobody: on a server with few requests one is a high rate.
const LEAST_BAD: u64 = 5;

/// No rate is above that of a window in which all are bad; an alert must be able to fire before.
const REACHABLE: f64 = 0.8;

/// One that fires goes on until the rate is clearly below the alert's.
const CALM: f64 = 0.75;

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Somebody has to look now.
    Page,
    /// Somebody has to look on a working day.
    Ticket,
}

impl Severity {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Page => "page",
            Severity::Ticket => "ticket",
        }
    }
}

/// How all objectives stand.
#[derive(Clone, Debug, PartialEq)]
pub struct SloReport {
    /// The time that an error budget is for.
    pub period: Duration,
    /// How long ago the first observation was, at most the period.
    pub observed: Duration,
    /// In the order of the configuration.
    pub objectives: Vec<ObjectiveReport>,
    /// Where a capacity is promised.
    pub capacity: Option<CapacityReport>,
}

/// How one objective stands.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectiveReport {
    /// What is promised.
    pub goal: Goal,
    /// Whether the run of the program counts.
    pub with_run: bool,
    /// Over the period.
    pub counts: Counts,
    /// The share of the error budget that is left; negative when more was used than there was.
    pub budget_left: f64,
    /// When nothing will be left, if it goes on as in the last hour; `None` for not within the period.
    pub exhausted_in: Option<Duration>,
    /// By window.
    pub burn_rates: Vec<BurnRate>,
    /// When somebody is told.
    pub alerts: Vec<BurnAlert>,
}

/// How fast the budget is used in one window.
#[derive(Clone, Debug, PartialEq)]
pub struct BurnRate {
    /// Its name.
    pub window: &'static str,
    /// Its length.
    pub length: Duration,
    /// What was seen in it.
    pub counts: Counts,
    /// How many times as fast as it may be.
    pub rate: f64,
}

/// One pair of windows.
#[derive(Clone, Debug, PartialEq)]
pub struct BurnAlert {
    /// How urgent.
    pub severity: Severity,
    /// The window that says that it matters.
    pub long: &'static str,
    /// The window that says that it goes on.
    pub short: &'static str,
    /// From this rate on, in both.
    pub rate: f64,
    /// Whether it fires.
    pub firing: bool,
    /// Whether it would stop, if it fires.
    pub calm: bool,
}

/// What the server can do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CapacityReport {
    /// Executions per second, as measured; `None` as long as nothing was.
    pub per_s: Option<f64>,
    /// What is promised.
    pub target_per_s: f64,
}

impl CapacityReport {
    /// Whether it is kept, as far as is known.
    pub fn is_met(&self) -> bool {
        self.per_s.is_none_or(|rate| rate >= self.target_per_s)
    }
}

impl ObjectiveReport {
    /// Which.
    pub fn objective(&self) -> Objective {
        self.goal.objective
    }

    /// The share that was good; `None` when nothing was seen.
    pub fn ratio(&self) -> Option<f64> {
        let total = self.counts.total();
        (total > 0).then(|| self.counts.good as f64 / total as f64)
    }

    /// Whether the promise is kept over the period.
    pub fn is_met(&self) -> bool {
        self.ratio().is_none_or(|ratio| ratio >= self.goal.target)
    }

    /// The rate of one window.
    pub fn burn_rate(&self, window: &str) -> f64 {
        self.burn_rates.iter().find(|rate| rate.window == window).map_or(0.0, |rate| rate.rate)
    }
}

pub(super) fn report(config: &SloConfig, ledger: &Ledger, capacity_per_s: Option<f64>) -> SloReport {
    let goals = config.goals.iter().take(OBJECTIVES.len()).enumerate();
    let objectives = goals.map(|(index, goal)| objective(config, ledger, index, *goal)).collect();
    let capacity = config.capacity_per_s;
    SloReport {
        period: config.period,
        observed: ledger.age().min(config.period),
        objectives,
        capacity: capacity.map(|target_per_s| CapacityReport { per_s: capacity_per_s, target_per_s }),
    }
}

fn objective(config: &SloConfig, ledger: &Ledger, index: usize, goal: Goal) -> ObjectiveReport {
    let allowed = 1.0 - goal.target;
    let rate = |counts: Counts| match counts.total() {
        0 => 0.0,
        total => counts.bad as f64 / total as f64 / allowed,
    };
    let burn_rates: Vec<BurnRate> = WINDOWS
        .iter()
        .map(|(window, length)| {
            let counts = ledger.over(*length, index);
            BurnRate { window, length: *length, counts, rate: rate(counts) }
        })
        .collect();
    let counts = ledger.over(config.period, index);
    let budget_left = 1.0 - rate(counts);
    let last_hour = burn_rates.iter().find(|rate| rate.length == HOUR).map_or(0.0, |rate| rate.rate);
    // Who used it up has nothing left now; who uses it no faster than it may will never use it up.
    let exhausted_in = match budget_left {
        left if left <= 0.0 => Some(Duration::ZERO),
        _ if last_hour <= 1.0 => None,
        left => Some(config.period.mul_f64(left / last_hour)),
    };
    let alerts = ALERTS
        .iter()
        .filter_map(|(severity, long, short, share)| {
            let (long, short) = (burn_rates.get(*long)?, burn_rates.get(*short)?);
            let usual = share * config.period.as_secs_f64() / long.length.as_secs_f64();
            let at = usual.min(REACHABLE / allowed);
            let enough = long.counts.bad >= LEAST_BAD;
            Some(BurnAlert {
                severity: *severity,
                long: long.window,
                short: short.window,
                rate: at,
                firing: enough && long.rate >= at && short.rate >= at,
                calm: short.rate < CALM * at || long.rate < CALM * at,
            })
        })
        .collect();
    let with_run = config.execution_with_run && goal.objective == Objective::Execution;
    ObjectiveReport { goal, with_run, counts, budget_left, exhausted_in, burn_rates, alerts }
}

/// In words.
pub(crate) fn spoken(time: Duration) -> String {
    match time {
        time if time >= 2 * DAY => format!("{:.1} days", time.as_secs_f64() / DAY.as_secs_f64()),
        time if time >= 2 * HOUR => format!("{:.1} hours", time.as_secs_f64() / HOUR.as_secs_f64()),
        time => format!("{:.0} minutes", time.as_secs_f64() / MINUTE.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::slo::Slo;

    /// A server on which so many of so many are bad, each minute for a time.
    fn after(target: f64, phases: &[(u64, u64, u64)]) -> ObjectiveReport {
        let goal = Goal { objective: Objective::Errors, target, bound: 0.0 };
        let mut slo = Slo::new(SloConfig { goals: vec![goal], ..SloConfig::default() });
        let mut minute = 0;
        for (minutes, good, bad) in phases {
            for _ in 0..*minutes {
                slo.current[0] = Counts { good: *good, bad: *bad };
                slo.tick(MINUTE * minute);
                minute += 1;
            }
        }
        slo.report().objectives.remove(0)
    }

    fn firing(report: &ObjectiveReport) -> Vec<&'static str> {
        report.alerts.iter().filter(|alert| alert.firing).map(|alert| alert.long).collect()
    }

    #[test]
    fn rates_are_the_workbooks() {
        let report = after(0.999, &[(1, 1, 0)]);
        let rates: Vec<_> = report.alerts.iter().map(|alert| (alert.rate * 10.0).round() / 10.0).collect();
        assert_eq!(rates, [14.4, 6.0, 1.0]);
        let pairs: Vec<_> = report.alerts.iter().map(|alert| (alert.long, alert.short)).collect();
        assert_eq!(pairs, [("1h", "5m"), ("6h", "30m"), ("3d", "6h")]);
    }

    #[test]
    fn a_fast_burn_fires_while_it_goes_on() {
        // 2 % errors of 0.1 % allowed.
        let burning = after(0.999, &[(600, 100, 0), (60, 98, 2)]);
        assert!((burning.burn_rate("1h") - 20.0).abs() < 0.1);
        assert_eq!(firing(&burning), ["1h", "3d"]);
        let over = after(0.999, &[(600, 100, 0), (60, 98, 2), (6, 100, 0)]);
        assert_eq!(firing(&over), ["3d"], "it was a part of what three days may have");
        assert!(over.alerts[0].calm);
    }

    #[test]
    fn a_slow_burn_fires_later_and_less_urgently() {
        let report = after(0.999, &[(3 * 24 * 60, 998, 2)]);
        assert_eq!(firing(&report), ["3d"]);
        assert_eq!(report.alerts[2].severity, Severity::Ticket);
        assert!((report.budget_left + 1.0).abs() < 0.01, "{}", report.budget_left);
        assert_eq!(report.exhausted_in, Some(Duration::ZERO));
    }

    #[test]
    fn a_burn_as_fast_as_it_may_be_never_ends_the_budget() {
        let report = after(0.99, &[(24 * 60, 995, 5)]);
        assert!((report.budget_left - 0.5).abs() < 0.01);
        assert_eq!(report.exhausted_in, None);
        let faster = after(0.99, &[(24 * 60, 1000, 0), (60, 960, 40)]);
        let left = faster.exhausted_in.unwrap().as_secs_f64() / DAY.as_secs_f64();
        assert!((left - 30.0 * faster.budget_left / 4.0).abs() < 0.1, "{left} days");
    }

    #[test]
    fn few_requests_wake_nobody() {
        let report = after(0.999, &[(60, 1, 0), (1, 0, LEAST_BAD - 1)]);
        assert!(report.burn_rate("1h") > 14.4 && firing(&report).is_empty());
    }

    #[test]
    fn a_loose_objective_can_fire_as_well() {
        let report = after(0.9, &[(60, 0, 10)]);
        assert!(firing(&report).contains(&"1h"), "{:?}", report.alerts);
    }

    proptest! {
        #[test]
        fn figures_are_finite_and_agree(target in 0.5f64..0.99999, good in 0u64..1000, bad in 0u64..1000) {
            let report = after(target, &[(3, good, bad)]);
            prop_assert!(report.budget_left.is_finite() && report.budget_left <= 1.0);
            prop_assert_eq!(report.is_met(), report.budget_left >= -1e-9 || report.counts.total() == 0);
            for rate in &report.burn_rates {
                prop_assert!(rate.rate.is_finite() && rate.rate >= 0.0);
            }
            for alert in &report.alerts {
                prop_assert!(!(alert.firing && alert.calm));
            }
        }
    }
}
