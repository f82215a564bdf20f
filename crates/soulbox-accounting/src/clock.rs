//! The host's clock, which may jump.
//!
//! Owns the judgement whether it can be trusted with what is old. Nothing is deleted for its age before the clock has
//! gone as time does for a while: a host that comes up in another century must not cost an operator the accounts.

use std::time::{Duration, Instant, SystemTime};

/// For so long it must have gone as time does.
const TRUSTED_AFTER: Duration = Duration::from_secs(60 * 60);

/// What clocks are set by without anybody's noticing.
const SLACK: Duration = Duration::from_secs(60);

/// The clock as it was last looked at.
#[derive(Debug)]
pub(crate) struct Clock {
    wall: SystemTime,
    monotonic: Instant,
    steady_since: Instant,
}

impl Clock {
    pub(crate) fn new(wall: SystemTime, monotonic: Instant) -> Self {
        Clock { wall, monotonic, steady_since: monotonic }
    }

    /// Looks at it again. Tells whether it has jumped meanwhile.
    pub(crate) fn look(&mut self, wall: SystemTime, monotonic: Instant) -> bool {
        let passed = monotonic.saturating_duration_since(self.monotonic);
        let jumped = match wall.duration_since(self.wall) {
            Ok(by_wall) => by_wall.abs_diff(passed) > SLACK,
            Err(back) => back.duration() + passed > SLACK,
        };
        if jumped {
            self.steady_since = monotonic;
        }
        (self.wall, self.monotonic) = (wall, monotonic);
        jumped
    }

    /// Whether what is old by it may go.
    pub(crate) fn is_trusted(&self) -> bool {
        self.monotonic.saturating_duration_since(self.steady_since) >= TRUSTED_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_trusted_when_it_has_gone_as_time_does_for_an_hour() {
        let (wall, start) = (SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000), Instant::now());
        let (minute, century) = (Duration::from_secs(60), Duration::from_secs(100 * 365 * 86_400));
        let mut clock = Clock::new(wall, start);
        for passed in 1..=60 {
            assert!(!clock.is_trusted());
            assert!(!clock.look(wall + minute * passed, start + minute * passed));
        }
        assert!(clock.is_trusted());
        let later = start + minute * 61;
        assert!(clock.look(wall + century, later));
        assert!(!clock.is_trusted());
        assert!(clock.look(wall, later));
        assert!(!clock.look(wall, later));
        assert!(!clock.is_trusted());
    }
}
