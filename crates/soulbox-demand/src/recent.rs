//! The last minutes: how often each depth was met, and how often requests come.
//!
//! Owns the forgetting.

use std::time::Duration;

/// Beyond so many uses, more of them do not keep a sandbox waiting longer after the last.
const MOST_USES: f64 = 8.0;

/// The mean rate is taken over these two times; a linear trend shows as their difference.
const SHORT_S: f64 = 10.0;
const LONG_S: f64 = 60.0;

/// So far ahead the rate is told.
const AHEAD_S: f64 = 10.0;

#[derive(Debug)]
pub(crate) struct Recent {
    /// In which uses fade to 1/e.
    memory_s: f64,
    /// By depth, faded.
    uses: Vec<f64>,
    short: f64,
    long: f64,
}

impl Recent {
    pub(crate) fn new(memory: Duration) -> Self {
        Recent { memory_s: memory.as_secs_f64(), uses: Vec::new(), short: 0.0, long: 0.0 }
    }

    /// Adds what was seen in the time since the last call.
    pub(crate) fn add(&mut self, elapsed: Duration, arrivals: u64, uses: &[u32]) {
        let elapsed_s = elapsed.as_secs_f64();
        let fade = (-elapsed_s / self.memory_s).exp();
        if self.uses.len() < uses.len() {
            self.uses.resize(uses.len(), 0.0);
        }
        for (index, sum) in self.uses.iter_mut().enumerate() {
            let new = uses.get(index).copied().map_or(0.0, f64::from);
            *sum = (*sum * fade + new).min(MOST_USES);
        }
        if elapsed_s > 0.0 {
            let rate = arrivals as f64 / elapsed_s;
            for (mean, time_s) in [(&mut self.short, SHORT_S), (&mut self.long, LONG_S)] {
                *mean += (1.0 - (-elapsed_s / time_s).exp()) * (rate - *mean);
            }
        }
    }

    /// Uses per second, by depth.
    pub(crate) fn rate_at(&self, depth: usize) -> f64 {
        self.uses.get(depth).map_or(0.0, |uses| uses / self.memory_s)
    }

    pub(crate) fn depths(&self) -> usize {
        self.uses.len()
    }

    /// Requests per second in a moment from now. The two means lag behind a trend by their times, and so tell where it
    /// leads.
    pub(crate) fn rate_ahead(&self) -> f64 {
        let slope = (self.short - self.long) / (LONG_S - SHORT_S);
        (self.short + slope * (SHORT_S + AHEAD_S)).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn uses_fade_and_many_fade_little_later() {
        let mut recent = Recent::new(100 * SECOND);
        recent.add(SECOND, 1000, &[1000, 1]);
        assert_eq!((recent.rate_at(0), recent.rate_at(1), recent.rate_at(2)), (0.08, 0.01, 0.0));
        recent.add(100 * SECOND, 0, &[]);
        let faded = recent.rate_at(1) / 0.01;
        assert!((faded - (-1.0f64).exp()).abs() < 1e-9, "{faded}");
    }

    #[test]
    fn a_rate_that_grows_is_told_ahead_of_itself() {
        let mut recent = Recent::new(100 * SECOND);
        for second in 0..600 {
            recent.add(SECOND, second, &[]);
        }
        assert!((recent.rate_ahead() - 610.0).abs() < 2.0, "{}", recent.rate_ahead());
        for _ in 0..600 {
            recent.add(SECOND, 5, &[]);
        }
        assert!((recent.rate_ahead() - 5.0).abs() < 0.1);
    }
}
