//! The depth: how many sandboxes would be on order if the pool were never empty.
//!
//! Owns the model of the refill: one after the other, from the end of a run on, not while runs want the processor.

use std::time::Duration;

/// How much the latest refill counts in the mean of their times.
const LATEST: f64 = 0.1;

/// Until refills have been seen.
const USUAL_REFILL: Duration = Duration::from_millis(3);

#[derive(Debug)]
pub(crate) struct Backlog {
    most: usize,
    on_order: f64,
    /// Since when orders are being filled; `None` while nobody may.
    filling_since: Option<Duration>,
    refill_s: f64,
}

impl Backlog {
    /// Of a pool that never has more than `most`.
    pub(crate) fn new(most: usize) -> Self {
        Backlog { most, on_order: 0.0, filling_since: None, refill_s: USUAL_REFILL.as_secs_f64() }
    }

    /// A request comes: at which depth, where a pool of the most would have served it.
    pub(crate) fn take(&mut self, now: Duration) -> Option<usize> {
        self.fill(now);
        // The next run that ends may begin to fill again.
        self.filling_since = None;
        // One that is half made cannot be taken.
        let depth = self.on_order.ceil() as usize;
        if depth >= self.most {
            return None;
        }
        self.on_order += 1.0;
        Some(depth)
    }

    /// Orders may be filled from now on.
    pub(crate) fn may_fill(&mut self, now: Duration) {
        self.fill(now);
        self.filling_since = Some(now);
    }

    /// How long it took to make one.
    pub(crate) fn made_in(&mut self, took: Duration) {
        self.refill_s += LATEST * (took.as_secs_f64() - self.refill_s);
    }

    fn fill(&mut self, now: Duration) {
        if let Some(since) = self.filling_since {
            let filled = now.saturating_sub(since).as_secs_f64() / self.refill_s.max(1e-6);
            self.on_order = (self.on_order - filled).max(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn requests_at_once_are_each_a_step_deeper() {
        let mut backlog = Backlog::new(3);
        let depths = [0, 0, 0, 0].map(|_| backlog.take(MS));
        assert_eq!(depths, [Some(0), Some(1), Some(2), None]);
    }

    #[test]
    fn orders_are_filled_one_after_the_other_once_they_may_be() {
        let mut backlog = Backlog::new(10);
        for _ in 0..4 {
            backlog.take(MS);
        }
        // Time alone fills nothing.
        assert_eq!(backlog.take(1000 * MS), Some(4));
        backlog.may_fill(2000 * MS);
        // Two of five are filled in twice the time of one, and the third is half made.
        assert_eq!(backlog.take(2000 * MS + MS * 15 / 2), Some(3));
        backlog.may_fill(2010 * MS);
        assert_eq!(backlog.take(3000 * MS), Some(0));
    }

    #[test]
    fn a_slow_refill_is_learnt() {
        let mut backlog = Backlog::new(10);
        for _ in 0..100 {
            backlog.made_in(100 * MS);
        }
        backlog.take(MS);
        backlog.may_fill(2 * MS);
        assert_eq!(backlog.take(80 * MS), Some(1));
    }
}
