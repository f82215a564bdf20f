//! Memory times time: what a run has held, and for how long.
//!
//! Owns when it is looked at, and the sum of what was seen. It reads no file and no clock.

use std::time::Duration;

/// Runs that end before this are never looked at.
const FIRST_LOOK: Duration = Duration::from_millis(50);

/// Looks are this part of a run's age apart, so that a long one costs little more than a short one.
const PART_OF_AGE: u32 = 8;

/// But no farther apart than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The memory of one run over its time, an estimate: each value that was seen counts for the time since the one before,
/// the last one until the end. Looks are 50 ms apart in the first 400 ms, then an eighth of the run's age, and a second
/// at most; what comes and goes between two of them is not seen. A run that ended before the first look counts with its
/// peak for all its time, which is too much rather than too little.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MemoryTime {
    byte_seconds: f64,
    /// When it was looked at last, and what was seen.
    last: Option<(Duration, u64)>,
}

impl MemoryTime {
    /// The age of the run at which it is to be looked at next.
    pub fn next_look(&self) -> Duration {
        match self.last {
            None => FIRST_LOOK,
            Some((at, _)) => at + (at / PART_OF_AGE).clamp(FIRST_LOOK, LONGEST_PAUSE),
        }
    }

    /// So much was charged when the run had this age.
    pub fn see(&mut self, age: Duration, bytes: u64) {
        let before = self.last.map_or(Duration::ZERO, |(at, _)| at);
        self.byte_seconds += bytes as f64 * age.saturating_sub(before).as_secs_f64();
        self.last = Some((age.max(before), bytes));
    }

    /// The run has ended at this age, and has never held more than its peak.
    pub fn until(&self, end: Duration, peak_bytes: u64) -> f64 {
        let (at, bytes) = self.last.unwrap_or((Duration::ZERO, peak_bytes));
        self.byte_seconds + bytes as f64 * end.saturating_sub(at).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_short_run_counts_with_its_peak() {
        let seconds = MemoryTime::default().until(ms(2), 3 * MIB);
        assert!((seconds - 0.002 * 3.0 * MIB as f64).abs() < 1.0, "{seconds}");
    }

    #[test]
    fn what_is_held_half_of_the_time_counts_half() {
        let mut time = MemoryTime::default();
        let held = |age: Duration| if age <= ms(5000) { 100 * MIB } else { 2 * MIB };
        while time.next_look() < ms(10_000) {
            let age = time.next_look();
            time.see(age, held(age));
        }
        let (seconds, exact) = (time.until(ms(10_000), 100 * MIB), (500.0 + 10.0) * MIB as f64);
        assert!((seconds / exact - 1.0).abs() < 0.15, "{} MiB·s", seconds / MIB as f64);
    }

    #[test]
    fn looks_become_rarer_and_never_rarer_than_one_a_second() {
        let looks = |end: Duration| {
            let (mut time, mut looks) = (MemoryTime::default(), 0);
            while time.next_look() < end {
                time.see(time.next_look(), MIB);
                looks += 1;
            }
            looks
        };
        assert_eq!((looks(ms(50)), looks(ms(51)), looks(ms(400))), (0, 1, 7));
        assert!(looks(ms(10_000)) < 40, "{}", looks(ms(10_000)));
        assert!((50..100).contains(&(looks(ms(70_000)) - looks(ms(10_000)))));
    }

    #[test]
    fn a_look_that_comes_late_or_twice_counts_no_time_twice() {
        let mut time = MemoryTime::default();
        time.see(ms(300), MIB);
        time.see(ms(300), 8 * MIB);
        time.see(ms(200), 8 * MIB);
        assert!((time.until(ms(300), 8 * MIB) - 0.3 * MIB as f64).abs() < 1.0);
    }
}
