//! How much load, for how long, and how often.
//!
//! Owns which plans make sense. What the load consists of is the workload's.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::BenchError;

/// Who sends requests, and when.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Shape {
    /// Clients with a connection each, which send a request when the last one is answered.
    Closed {
        /// How many.
        clients: usize,
    },
    /// Requests at constant intervals, whatever became of those before.
    Open {
        /// How many in a second.
        rate_per_s: f64,
    },
}

/// When a run ends.
#[derive(Clone, Copy, Debug)]
pub enum Extent {
    /// After this time.
    Duration(Duration),
    /// When so many requests are answered.
    Requests(u64),
}

/// How a server is to be measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who sends requests, and when.
    pub shape: Shape,
    /// When a run ends.
    pub extent: Extent,
    /// Load before each run that is not measured.
    pub warm_up: Duration,
    /// What no answer may take, from when its request was due.
    pub timeout: Duration,
    /// How often the measurement is made.
    pub runs: usize,
    /// Connections that this process may have at once.
    pub max_connections: usize,
}

impl Plan {
    /// Whether it can be followed.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn check(&self) -> Result<(), BenchError> {
        const RATES: RangeInclusive<f64> = 1e-3..=1e6;
        const LONGEST: Duration = Duration::from_secs(86_400);
        let invalid = |reason| Err(BenchError::InvalidPlan(reason));
        match self.shape {
            Shape::Closed { clients: 0 } => return invalid("at least one client is needed"),
            Shape::Closed { clients } if clients > self.max_connections => {
                return Err(BenchError::TooManyClients { clients, limit: self.max_connections });
            }
            Shape::Open { rate_per_s } if !RATES.contains(&rate_per_s) => {
                return invalid("the rate is a number of requests in a second, from 0.001 to a million");
            }
            _ => {}
        }
        match self.extent {
            Extent::Duration(Duration::ZERO) => return invalid("the duration must be longer than nothing"),
            Extent::Requests(0) => return invalid("at least one request is needed"),
            _ => {}
        }
        let duration = if let Extent::Duration(duration) = self.extent { duration } else { Duration::ZERO };
        if [duration, self.warm_up, self.timeout].iter().any(|time| *time > LONGEST) {
            return invalid("no duration, warm-up or timeout may be longer than a day");
        }
        if self.timeout.is_zero() {
            return invalid("the timeout must be longer than nothing");
        }
        if self.runs == 0 {
            return invalid("at least one run is needed");
        }
        if self.max_connections == 0 {
            return invalid("the limit of open files leaves no connection: raise it (ulimit -n)");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_measures_nothing_is_none() {
        let plan = Plan {
            shape: Shape::Closed { clients: 2 },
            extent: Extent::Requests(1),
            warm_up: Duration::ZERO,
            timeout: Duration::from_secs(1),
            runs: 1,
            max_connections: 2,
        };
        let open = |rate_per_s| Plan { shape: Shape::Open { rate_per_s }, ..plan.clone() };
        assert!(plan.check().is_ok() && open(0.1).check().is_ok());
        for wrong in [
            Plan { shape: Shape::Closed { clients: 0 }, ..plan.clone() },
            Plan { shape: Shape::Closed { clients: 3 }, ..plan.clone() },
            open(0.0),
            open(-1.0),
            open(f64::NAN),
            open(f64::INFINITY),
            Plan { extent: Extent::Requests(0), ..plan.clone() },
            Plan { extent: Extent::Duration(Duration::ZERO), ..plan.clone() },
            Plan { timeout: Duration::ZERO, ..plan.clone() },
            Plan { runs: 0, ..plan.clone() },
            Plan { warm_up: Duration::MAX, ..plan.clone() },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
