//! How fast waiting executions come to run: what an estimate of a wait is made of.
//!
//! Owns the measurement: the time between two that leave the queue, smoothed over the most recent. While nobody
//! waits nothing is measured, since how often clients come says nothing of how fast they could be served.
//!
//! Programs that were started together end together: first nothing for long, and then all. So a mean is taken over
//! more than run at once, and nothing counts as known before as many have left.

use std::time::{Duration, Instant};

/// The mean is taken over this many at least.
const SMOOTHED_OVER: usize = 50;

/// The measured pace of the queue.
#[derive(Debug)]
pub(super) struct Pace {
    at_once: usize,
    /// When the last one left this queue; `None` for the first.
    since: Option<Instant>,
    measured: usize,
    mean_seconds: f64,
}

impl Pace {
    /// For a queue before places for so many at once.
    pub(super) fn new(at_once: usize) -> Self {
        Pace { at_once, since: None, measured: 0, mean_seconds: 0.0 }
    }

    /// There was nobody in the queue, and now there is.
    pub(super) fn begin(&mut self) {
        self.since = None;
    }

    /// So many left the queue together.
    pub(super) fn left(&mut self, number: usize, now: Instant) {
        let Some(since) = self.since.replace(now) else { return };
        let interval = now.saturating_duration_since(since).as_secs_f64() / number as f64;
        let most = SMOOTHED_OVER.max(self.at_once.saturating_mul(2));
        for _ in 0..number {
            self.measured = (self.measured + 1).min(most);
            self.mean_seconds += (interval - self.mean_seconds) / self.measured as f64;
        }
    }

    /// How long it takes until so many have left; nothing as long as nothing is known.
    pub(super) fn time_for(&self, number: usize) -> Duration {
        if self.measured < self.at_once {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(self.mean_seconds * number as f64).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paced(at_once: usize, intervals_ms: impl IntoIterator<Item = u64>) -> Pace {
        let (mut pace, mut now) = (Pace::new(at_once), Instant::now());
        pace.begin();
        pace.left(1, now);
        for interval in intervals_ms {
            now += Duration::from_millis(interval);
            pace.left(1, now);
        }
        pace
    }

    #[track_caller]
    fn is_about(pace: &Pace, ms: f64) {
        let found = pace.time_for(100).as_secs_f64() * 10.0;
        assert!((found / ms - 1.0).abs() < 0.35, "{found} ms");
    }

    #[test]
    fn nothing_is_known_at_first() {
        assert_eq!(Pace::new(1).time_for(1000), Duration::ZERO);
        assert_eq!(paced(10, [1000; 9]).time_for(1000), Duration::ZERO);
    }

    #[test]
    fn the_first_few_tell_as_well_as_many() {
        is_about(&paced(2, [4, 6]), 5.0);
        is_about(&paced(100, [5; 1000]), 5.0);
    }

    #[test]
    fn those_that_end_together_are_smoothed() {
        let sleepers = (0..10).flat_map(|_| std::iter::once(10_000).chain((0..99).map(|_| 0)));
        is_about(&paced(100, sleepers), 100.0);
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        is_about(&paced(10, [1000; 100].into_iter().chain([2; 2000])), 2.0);
    }

    #[test]
    fn time_without_a_queue_does_not_count() {
        let mut pace = paced(1, [5, 5, 5]);
        let later = Instant::now() + Duration::from_secs(3600);
        pace.begin();
        pace.left(1, later);
        pace.left(5, later + Duration::from_millis(25));
        is_about(&pace, 5.0);
    }
}
