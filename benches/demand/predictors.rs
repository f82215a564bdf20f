//! The predictors that are compared.
//!
//! Owns those that were not chosen, each as its authors describe it, as far as a pool has what it needs.

use std::collections::VecDeque;
use std::time::Duration;

use soulbox_demand::{Bounds, Demand, History};

use crate::simulator::{Figures, Predictor, simulate};
use crate::traces::Trace;

/// The same for all: two sandboxes always wait, never more than 32.
pub(crate) const MIN: usize = 2;
pub(crate) const MAX: usize = 32;

/// A fixed number.
pub(crate) struct Fixed(pub(crate) usize);

impl Predictor for Fixed {
    fn tick(&mut self, _now: Duration) -> usize {
        self.0
    }
}

/// The smallest fixed pool with this share of hits or more, and its figures.
pub(crate) fn least_fixed(trace: &Trace, hit_rate: f64) -> (usize, Figures) {
    let figures = |number| simulate(&trace.arrivals, trace.length, &mut Fixed(number));
    let sufficient = |number: &usize| figures(*number).hit_rate() >= hit_rate;
    let numbers: Vec<usize> = (0..=MAX).collect();
    let number = numbers.partition_point(|number| !sufficient(number)).min(MAX);
    (number, figures(number))
}

/// Exponential smoothing of the rate, by Holt's method with a trend: as many as come in `horizon` with a probability
/// of 99 %, if they come independently.
pub(crate) struct Smoothed {
    horizon_s: f64,
    trend_weight: f64,
    arrivals: f64,
    level: f64,
    trend: f64,
}

impl Smoothed {
    pub(crate) fn new(horizon_s: f64, trend_weight: f64) -> Self {
        Smoothed { horizon_s, trend_weight, arrivals: 0.0, level: 0.0, trend: 0.0 }
    }
}

impl Predictor for Smoothed {
    fn take(&mut self, _now: Duration) {
        self.arrivals += 1.0;
    }

    fn tick(&mut self, _now: Duration) -> usize {
        const LEVEL_WEIGHT: f64 = 0.1;
        let before = self.level;
        self.level = LEVEL_WEIGHT * self.arrivals + (1.0 - LEVEL_WEIGHT) * (before + self.trend);
        self.level = self.level.max(0.0);
        self.trend = self.trend_weight * (self.level - before) + (1.0 - self.trend_weight) * self.trend;
        self.arrivals = 0.0;
        let mean = (self.level + self.trend).max(0.0) * self.horizon_s;
        // The quantile of the Poisson distribution.
        let (mut number, mut term, mut sum) = (0, (-mean).exp(), (-mean).exp());
        while sum < 0.99 && number < MAX {
            number += 1;
            term *= mean / number as f64;
            sum += term;
        }
        number.clamp(MIN, MAX)
    }
}

/// The most that came in a tenth of a second of the last ten minutes, as a fixed keep-alive has it.
#[derive(Default)]
pub(crate) struct RecentPeak {
    latest: VecDeque<Duration>,
    peak: usize,
    peaks: VecDeque<usize>,
}

impl Predictor for RecentPeak {
    fn take(&mut self, now: Duration) {
        const WINDOW: Duration = Duration::from_millis(100);
        self.latest.push_back(now);
        while self.latest.front().is_some_and(|first| now - *first > WINDOW) {
            self.latest.pop_front();
        }
        self.peak = self.peak.max(self.latest.len());
    }

    fn tick(&mut self, _now: Duration) -> usize {
        self.peaks.push_back(std::mem::take(&mut self.peak));
        if self.peaks.len() > 600 {
            self.peaks.pop_front();
        }
        self.peaks.iter().max().copied().unwrap_or(0).clamp(MIN, MAX)
    }
}

/// The hybrid histogram policy of Shahrad et al. (USENIX ATC 2020, section 4): from the histogram of idle times in
/// minutes, nothing waits until its 5th percentile, and then until its 99th. It says when, not how many: that is the
/// recent peak.
#[derive(Default)]
pub(crate) struct HybridHistogram {
    peak: RecentPeak,
    last_peak: usize,
    idle_minutes: Vec<u32>,
    last: Option<Duration>,
}

impl HybridHistogram {
    const RANGE_MINUTES: usize = 4 * 60;

    fn percentile(&self, share: f64) -> Option<usize> {
        let all: u32 = self.idle_minutes.iter().sum();
        let mut rest = (f64::from(all) * share).ceil();
        self.idle_minutes.iter().position(|count| {
            rest -= f64::from(*count);
            rest <= 0.0 && all > 0
        })
    }
}

impl Predictor for HybridHistogram {
    fn take(&mut self, now: Duration) {
        self.peak.take(now);
        if let Some(last) = self.last.replace(now) {
            let minutes = (now - last).as_secs() as usize / 60;
            self.idle_minutes.resize(Self::RANGE_MINUTES, 0);
            if let Some(count) = self.idle_minutes.get_mut(minutes) {
                *count += 1;
            }
        }
    }

    fn tick(&mut self, now: Duration) -> usize {
        let peak = self.peak.tick(now);
        if peak > MIN {
            self.last_peak = peak;
        }
        let Some(last) = self.last else { return MIN };
        let idle = (now - last).as_secs() as usize / 60;
        let from = self.percentile(0.05).unwrap_or(0);
        let to = self.percentile(0.99).unwrap_or(Self::RANGE_MINUTES);
        if (from..=to).contains(&idle) { self.last_peak.clamp(MIN, MAX) } else { MIN }
    }
}

/// What is shipped.
pub(crate) struct Marginal {
    demand: Demand,
    with_history: bool,
}

impl Marginal {
    const BOUNDS: Bounds = Bounds { min: MIN, max: MAX, max_idle: Duration::from_secs(10 * 60) };

    pub(crate) fn new(with_history: bool) -> Self {
        Marginal { demand: Demand::new(Self::BOUNDS, History::default(), Duration::ZERO), with_history }
    }
}

impl Predictor for Marginal {
    fn take(&mut self, now: Duration) {
        self.demand.take(now);
    }

    fn may_refill(&mut self, now: Duration) {
        self.demand.may_refill(now);
    }

    fn tick(&mut self, now: Duration) -> usize {
        // A slot of the day that never ends has no history.
        let time_s = if self.with_history { now.as_secs() } else { 0 };
        self.demand.tick(now, time_s).wanted
    }
}
