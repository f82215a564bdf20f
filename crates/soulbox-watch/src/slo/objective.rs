//! The objectives, and which executions are good for each.
//!
//! Owns what counts. What a program does is never the server's error: neither how long it runs, nor how it ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::tells;
use crate::observation::{Observation, Verdict};

/// All of them, in the order in which they are shown.
pub const OBJECTIVES: [Objective; 6] = [
    Objective::ApiLatency,
    Objective::Execution,
    Objective::ContainerStart,
    Objective::Memory,
    Objective::Errors,
    Objective::Availability,
];

/// What can be promised of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// The server's own time, which is what it adds to the run of a program (queue, start, finish), is short.
    ApiLatency,
    /// The same, with a bound for the few that take longest; on request with the run of the program.
    Execution,
    /// From a place to run to the start of the program.
    ContainerStart,
    /// The most memory that was charged to an execution.
    Memory,
    /// Executions do not end by an error inside the server.
    Errors,
    /// Requests are taken, and executed without such an error.
    Availability,
}

/// What is promised of one objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// Of which.
    pub objective: Objective,
    /// The share that has to be good, less than 1.
    pub target: f64,
    /// Up to where an execution is good: in seconds or bytes, by the objective. Nothing for the last two.
    pub bound: f64,
}

impl Objective {
    /// The name in the API and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Objective::ApiLatency => "api_latency",
            Objective::Execution => "execution",
            Objective::ContainerStart => "container_start",
            Objective::Memory => "memory",
            Objective::Errors => "errors",
            Objective::Availability => "availability",
        }
    }

    /// Whether its bound is a time, a size, or there is none.
    pub fn bound_is_time(self) -> Option<bool> {
        match self {
            Objective::ApiLatency | Objective::Execution | Objective::ContainerStart => Some(true),
            Objective::Memory => Some(false),
            Objective::Errors | Objective::Availability => None,
        }
    }
}

impl Goal {
    /// The usual one.
    pub fn usual(objective: Objective) -> Self {
        let (target, bound) = match objective {
            Objective::ApiLatency => (0.95, 0.050),
            Objective::Execution => (0.99, 0.200),
            Objective::ContainerStart => (0.99, 0.100),
            Objective::Memory => (0.99, (128 << 20) as f64),
            Objective::Errors | Objective::Availability => (0.999, 0.0),
        };
        Goal { objective, target, bound }
    }

    /// Whether an execution is good; `None` when it says nothing of this objective.
    pub(super) fn judge(&self, seen: &Observation<'_>, with_run: bool) -> Option<bool> {
        let within = |time: Duration| time.as_secs_f64() <= self.bound;
        match self.objective {
            // One that was cancelled after it had waited for too long was bad before that.
            Objective::ApiLatency => of_time(seen, within(seen.added())),
            Objective::Execution if with_run => of_time(seen, within(seen.total)),
            Objective::Execution => of_time(seen, within(seen.added())),
            Objective::ContainerStart => seen.started.map(|_| within(seen.start)),
            Objective::Memory => {
                let peak = seen.memory_peak_bytes.filter(|_| seen.started.is_some())?;
                Some(peak as f64 <= self.bound)
            }
            Objective::Errors | Objective::Availability => {
                tells(seen).then_some(seen.verdict != Verdict::ServerError)
            }
        }
    }
}

fn of_time(seen: &Observation<'_>, good: bool) -> Option<bool> {
    (tells(seen) || !good).then_some(good)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Started;

    const MS: Duration = Duration::from_millis(1);

    fn seen() -> Observation<'static> {
        Observation {
            language: "python",
            program: None,
            verdict: Verdict::Succeeded,
            started: Some(Started::Parked),
            busy: false,
            queued: MS,
            start: MS,
            compile: Duration::ZERO,
            run: MS,
            total: 4 * MS,
            cpu_time: Some(MS),
            memory_peak_bytes: Some(1 << 20),
        }
    }

    fn judged(objective: Objective, seen: &Observation<'_>) -> Option<bool> {
        Goal::usual(objective).judge(seen, false)
    }

    #[test]
    fn what_a_program_does_is_not_the_servers_error() {
        let program = Observation {
            verdict: Verdict::Failed,
            compile: 3000 * MS,
            run: 9000 * MS,
            total: 12_003 * MS,
            ..seen()
        };
        for objective in OBJECTIVES {
            assert_eq!(judged(objective, &program), Some(true), "{objective:?}");
        }
        assert_eq!(Goal::usual(Objective::Execution).judge(&program, true), Some(false));
    }

    #[test]
    fn what_the_server_adds_counts() {
        let slow = Observation { total: 60 * MS, ..seen() };
        assert_eq!(judged(Objective::ApiLatency, &slow), Some(false));
        assert_eq!(judged(Objective::Execution, &slow), Some(true));
        let late = Observation { start: 101 * MS, total: 300 * MS, ..seen() };
        assert_eq!(judged(Objective::ContainerStart, &late), Some(false));
        assert_eq!(judged(Objective::Execution, &late), Some(false));
        let large = Observation { memory_peak_bytes: Some(129 << 20), ..seen() };
        assert_eq!(judged(Objective::Memory, &large), Some(false));
        let error = Observation { verdict: Verdict::ServerError, started: None, ..seen() };
        assert_eq!(judged(Objective::Errors, &error), Some(false));
        assert_eq!(judged(Objective::Availability, &error), Some(false));
        assert_eq!(judged(Objective::ContainerStart, &error), None);
    }

    #[test]
    fn who_leaves_says_nothing_unless_it_had_waited_for_too_long() {
        let cancelled = Observation { verdict: Verdict::Cancelled, started: None, ..seen() };
        for objective in OBJECTIVES {
            assert_eq!(judged(objective, &cancelled), None, "{objective:?}");
        }
        let after_long =
            Observation { queued: 5000 * MS, run: Duration::ZERO, total: 5000 * MS, ..cancelled };
        assert_eq!(judged(Objective::ApiLatency, &after_long), Some(false));
    }
}
