//! How fast waiting executions come to run: what an estimate of a wait is made of.
//!
//! Owns the measurement: the time between two that leave the queue, smoothed over the most recent. While nobody
//! waits nothing is measured, since how often clients come says nothing of how fast they could be served.

use std::time::{Duration, Instant};

/// Over how many the mean is taken. Programs that were started together end together, so that many intervals are
/// nothing and one is long; this many are more than run at once by default.
const SMOOTHED_OVER: f64 = 200.0;

/// The measured pace of the queue.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the last one left the queue, or, if that is later, when the queue began.
    since: Option<Instant>,
    measured: f64,
    mean_seconds: f64,
}

impl Pace {
    /// From now on somebody waits.
    pub(super) fn begin(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// So many left the queue together.
    pub(super) fn left(&mut self, number: usize, now: Instant) {
        let Some(since) = self.since.replace(now).filter(|_| number > 0) else { return };
        let interval = now.saturating_duration_since(since).as_secs_f64() / number as f64;
        for _ in 0..number {
            self.measured = (self.measured + 1.0).min(SMOOTHED_OVER);
            self.mean_seconds += (interval - self.mean_seconds) / self.measured;
        }
    }

    /// How long it takes until so many have left; nothing as long as nothing is known.
    pub(super) fn time_for(&self, number: usize) -> Duration {
        Duration::try_from_secs_f64(self.mean_seconds * number as f64).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paced(intervals_ms: impl IntoIterator<Item = u64>) -> Pace {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        pace.begin(now);
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
        assert_eq!(Pace::default().time_for(1000), Duration::ZERO);
    }

    #[test]
    fn the_first_few_tell_as_well_as_many() {
        is_about(&paced([4, 6]), 5.0);
        is_about(&paced((0..1000).map(|_| 5)), 5.0);
    }

    #[test]
    fn those_that_end_together_are_smoothed() {
        let sleepers = (0..10).flat_map(|_| std::iter::once(10_000).chain((0..99).map(|_| 0)));
        is_about(&paced(sleepers), 100.0);
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        is_about(&paced((0..100).map(|_| 1000).chain((0..2000).map(|_| 2))), 2.0);
    }

    #[test]
    fn time_without_a_queue_does_not_count() {
        let mut pace = paced([5, 5, 5]);
        let later = Instant::now() + Duration::from_secs(3600);
        pace.begin(later);
        pace.left(5, later + Duration::from_millis(25));
        is_about(&pace, 5.0);
    }
}
