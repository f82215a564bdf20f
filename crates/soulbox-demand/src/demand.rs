//! The demand for one bundle: what is told of its requests, and what is predicted from it.
//!
//! Owns the order of things at a tick. A request costs a few additions; the prediction is made at ticks alone.

use std::time::Duration;

use crate::MAX_DEPTH;
use crate::backlog::Backlog;
use crate::history::{History, Today};
use crate::recent::Recent;
use crate::worth::worth_keeping;

/// The part of `max_idle` in which what was seen fades to 1/e. With this one, a sandbox that was needed once waits
/// for 0.7 of `max_idle` to be needed again, and one that was needed again and again waits twice as long.
const MEMORY: f64 = 0.5;

/// Between which numbers a pool is kept, and what it may cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// So many wait always.
    pub min: usize,
    /// More never wait.
    pub max: usize,
    /// A sandbox that is needed less often than once in this time is not worth keeping.
    pub max_idle: Duration,
}

/// What is expected of a bundle.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prediction {
    /// Sandboxes that shall wait.
    pub wanted: usize,
    /// Requests per second in a moment from now.
    pub rate: f64,
}

/// The demand for one bundle.
#[derive(Debug)]
pub struct Demand {
    bounds: Bounds,
    backlog: Backlog,
    /// Since the last tick.
    arrivals: u64,
    /// By depth, since the last tick.
    uses: Vec<u32>,
    ticked: Duration,
    recent: Recent,
    today: Today,
    history: History,
    /// By the latest prediction.
    wanted: usize,
}

impl Demand {
    /// What is to be expected after these days. All times are of one clock that only goes forward.
    pub fn new(bounds: Bounds, history: History, now: Duration) -> Self {
        let bounds = Bounds { max: bounds.max.min(MAX_DEPTH), min: bounds.min.min(bounds.max), ..bounds };
        let max_idle = bounds.max_idle.max(Duration::from_millis(1));
        Demand {
            backlog: Backlog::new(bounds.max),
            arrivals: 0,
            uses: Vec::new(),
            ticked: now,
            recent: Recent::new(max_idle.mul_f64(MEMORY)),
            today: Today::default(),
            history,
            wanted: bounds.min,
            bounds: Bounds { max_idle, ..bounds },
        }
    }

    /// A request takes a sandbox, or would like to.
    pub fn take(&mut self, now: Duration) {
        self.arrivals += 1;
        let Some(depth) = self.backlog.take(now) else { return };
        if self.uses.len() <= depth {
            self.uses.resize(depth + 1, 0);
        }
        if let Some(uses) = self.uses.get_mut(depth) {
            *uses += 1;
        }
    }

    /// A run has ended, and there is time to make sandboxes.
    pub fn may_refill(&mut self, now: Duration) {
        self.backlog.may_fill(now);
    }

    /// How long it took to make one.
    pub fn made_in(&mut self, took: Duration) {
        self.backlog.made_in(took);
    }

    /// Takes account of what was seen since the last tick, and predicts.
    pub fn tick(&mut self, now: Duration, unix_time_s: u64) -> Prediction {
        let elapsed = now.saturating_sub(self.ticked);
        self.ticked = now;
        self.recent.add(elapsed, self.arrivals, &self.uses);
        self.today.add(&mut self.history, unix_time_s, elapsed, &self.uses);
        self.arrivals = 0;
        self.uses.clear();

        let depths = self.recent.depths().max(self.history.depths()).min(self.bounds.max);
        let rate = |depth| self.recent.rate_at(depth).max(self.history.rate_at(unix_time_s, depth));
        let rates: Vec<f64> = (0..depths).map(rate).collect();
        let price = 1.0 / self.bounds.max_idle.as_secs_f64();
        let worth = worth_keeping(&rates, price, self.wanted);
        self.wanted = worth.clamp(self.bounds.min, self.bounds.max);
        Prediction { wanted: self.wanted, rate: self.recent.rate_ahead() }
    }

    /// What is known for the days to come, with all that was seen until now.
    pub fn history(&mut self, now: Duration, unix_time_s: u64) -> History {
        self.tick(now, unix_time_s);
        self.today.with(&self.history)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const BOUNDS: Bounds = Bounds { min: 2, max: 20, max_idle: Duration::from_secs(600) };

    fn demand() -> Demand {
        Demand::new(BOUNDS, History::default(), Duration::ZERO)
    }

    /// So many requests at once.
    fn burst(demand: &mut Demand, at: Duration, size: usize) {
        (0..size).for_each(|_| demand.take(at));
        demand.may_refill(at);
    }

    #[test]
    fn a_pool_grows_with_demand_within_its_bounds_and_shrinks_after() {
        let mut demand = demand();
        let mut wanted = Vec::new();
        for second in 1..1200 {
            if second == 10 {
                burst(&mut demand, 10 * SECOND, 7);
            }
            if second == 20 {
                burst(&mut demand, 20 * SECOND, 100);
            }
            wanted.push(demand.tick(second as u32 * SECOND, 0).wanted);
        }
        wanted.dedup();
        assert_eq!(wanted[..3], [2, 7, 20]);
        assert_eq!(wanted.last(), Some(&2));
        assert!(wanted[2..].is_sorted_by(|one, next| one > next), "{wanted:?}");
    }

    #[test]
    fn a_burst_that_never_comes_again_is_waited_for_less_than_max_idle() {
        let mut demand = demand();
        burst(&mut demand, SECOND, 7);
        let waits = (1..1200).take_while(|second| demand.tick(*second * SECOND, 0).wanted == 7).count();
        assert!((300..600).contains(&waits), "{waits} s");
    }

    #[test]
    fn the_history_of_days_is_ready_before_the_first_request() {
        let mut demand = demand();
        let nine = 9 * 3600;
        for day in 0..3 {
            demand.tick(SECOND, day * 24 * 3600 + nine - 3600);
            for step in 0..5 {
                let now = SECOND * (day * 1000 + step * 180 + 2) as u32;
                burst(&mut demand, now, 12);
                demand.tick(now, day * 24 * 3600 + nine + step * 180);
            }
        }
        let history = demand.history(4000 * SECOND, 3 * 24 * 3600);
        let mut next = Demand::new(BOUNDS, history, Duration::ZERO);
        assert_eq!(next.tick(SECOND, 100 * 24 * 3600 + nine - 3600).wanted, 2);
        assert_eq!(next.tick(2 * SECOND, 100 * 24 * 3600 + nine - 60).wanted, 12);
    }

    #[test]
    fn bounds_that_cross_keep_the_ceiling() {
        let bounds = Bounds { min: 9, max: 4, ..BOUNDS };
        assert_eq!(Demand::new(bounds, History::default(), SECOND).tick(SECOND, 0).wanted, 4);
    }
}
