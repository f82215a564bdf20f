//! Trials: a world is lived through, and what is found in it is counted.
//!
//! Owns the changes that are tried, and the two simple detectors that the real one is compared with.

use std::time::Duration;

use soulbox_watch::change::{Change, ChangeConfig, Changes, Measure};

use crate::world::{DAY, HOUR, Kind, Row, World, observation};

/// Between two looks.
const TICK: f64 = 10.0;

/// When a change is looked for: after a day that is known, and some more.
const KNOWN: f64 = 1.25 * DAY;

/// A change that is not found in this time is missed.
pub(crate) const PATIENCE: f64 = 12.0 * HOUR;

/// What becomes worse.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) words: &'static str,
    /// The series in which it should be found.
    pub(crate) found_in: &'static [Measure],
    pub(crate) change: fn(&mut Row, f64),
}

/// Each is told an even number between 0 and 1 for what happens sometimes.
pub(crate) const FAULTS: [Fault; 8] = [
    Fault { words: "starts 20 % slower", found_in: STARTS, change: |row, _| row.start *= 1.2 },
    Fault { words: "starts 50 % slower", found_in: STARTS, change: |row, _| row.start *= 1.5 },
    Fault {
        words: "answers 20 % later after the end",
        found_in: &[Measure::Finish],
        change: |row, _| row.finish *= 1.2,
    },
    Fault {
        words: "one program runs 20 % longer",
        found_in: &[Measure::Run],
        change: |row, _| row.run *= if row.program == 1 { 1.2 } else { 1.0 },
    },
    Fault {
        words: "one program takes 20 % more cpu time",
        found_in: &[Measure::CpuTime],
        change: |row, _| row.cpu *= if row.program == 0 { 1.2 } else { 1.0 },
    },
    Fault {
        words: "programs take 20 % more memory",
        found_in: &[Measure::Memory],
        change: |row, _| row.memory *= 1.2,
    },
    Fault {
        words: "half of all find no parked sandbox",
        found_in: &[Measure::Unparked],
        change: |row, even| row.parked &= even < 0.5,
    },
    Fault {
        words: "1 % server errors",
        found_in: &[Measure::Errors],
        change: |row, even| row.error = even < 0.01,
    },
];

const STARTS: &[Measure] = &[Measure::StartParked, Measure::StartZygote];

/// Finds changes.
pub(crate) trait Detector {
    fn see(&mut self, row: &Row, now: f64);
    /// What is worse since the last tick.
    fn tick(&mut self, now: f64) -> Vec<Measure>;
}

/// The one of the server.
pub(crate) struct Ours(Changes);

impl Ours {
    pub(crate) fn new() -> Self {
        Ours(Changes::new(ChangeConfig::default()))
    }
}

impl Detector for Ours {
    fn see(&mut self, row: &Row, now: f64) {
        self.0.ended(&observation(row), Duration::from_secs_f64(now));
    }

    fn tick(&mut self, now: f64) -> Vec<Measure> {
        let changes = self.0.tick(Duration::from_secs_f64(now)).into_iter();
        let worse = changes.filter(|(_, change)| matches!(change, Change::Worse { .. }));
        worse.map(|(series, _)| series.measure).collect()
    }
}

/// Each minute's mean start is compared with the mean and the standard deviation of the day's: three of them are an
/// alarm, as many dashboards have it.
#[derive(Default)]
pub(crate) struct ThreeSigma {
    minute: Vec<f64>,
    began: f64,
    day: std::collections::VecDeque<f64>,
    worse: bool,
}

impl Detector for ThreeSigma {
    fn see(&mut self, row: &Row, _now: f64) {
        self.minute.push(row.start);
    }

    fn tick(&mut self, now: f64) -> Vec<Measure> {
        if now - self.began < 60.0 || self.minute.is_empty() {
            return Vec::new();
        }
        self.began = now;
        let number = self.day.len() as f64;
        let latest = self.minute.iter().sum::<f64>() / self.minute.len() as f64;
        self.minute.clear();
        let mean = self.day.iter().sum::<f64>() / number;
        let variance = self.day.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / number;
        let before = self.worse;
        self.worse = number >= 60.0 && latest > mean + 3.0 * variance.sqrt();
        self.day.push_back(latest);
        if self.day.len() > 1440 {
            self.day.pop_front();
        }
        if self.worse && !before { vec![Measure::StartParked] } else { Vec::new() }
    }
}

/// Every ten minutes the starts of the last ten are compared with those of ten minutes before by the test of Mann and
/// Whitney, at a level at which there would be one false alarm a week if executions were independent.
#[derive(Default)]
pub(crate) struct MannWhitney {
    before: Vec<f64>,
    latest: Vec<f64>,
    began: f64,
}

/// The normal quantile of 1 - 1 / (7 * 144).
const WEEKLY: f64 = 3.09;

impl Detector for MannWhitney {
    fn see(&mut self, row: &Row, _now: f64) {
        self.latest.push(row.start);
    }

    fn tick(&mut self, now: f64) -> Vec<Measure> {
        if now - self.began < 600.0 {
            return Vec::new();
        }
        self.began = now;
        let (before, latest) = (std::mem::take(&mut self.before), std::mem::take(&mut self.latest));
        let mut all: Vec<(f64, bool)> = before.iter().map(|value| (*value, false)).collect();
        all.extend(latest.iter().map(|value| (*value, true)));
        all.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (n, m) = (before.len() as f64, latest.len() as f64);
        let ranks = all.iter().zip(1..).filter(|((_, late), _)| *late);
        let sum: f64 = ranks.map(|(_, rank)| f64::from(rank)).sum();
        let z = (sum - m * (n + m + 1.0) / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt();
        self.before = latest;
        if n >= 25.0 && m >= 25.0 && z > WEEKLY { vec![Measure::StartParked] } else { Vec::new() }
    }
}

/// Alarms in so many weeks in which nothing changed, after a day without any change.
pub(crate) fn false_alarms(
    kind: Kind,
    rows: &[Row],
    weeks: f64,
    seed: u64,
    detector: &mut dyn Detector,
) -> usize {
    let mut world = World::new(kind, rows, seed);
    let (mut now, mut ticked, mut alarms) = (0.0, 0.0, 0);
    while now < weeks * 7.0 * DAY {
        now += world.pause(now);
        while ticked + TICK <= now {
            ticked += TICK;
            alarms += detector.tick(ticked).len();
        }
        let row = world.row(now);
        detector.see(&row, now);
    }
    alarms
}

/// Until a fault is found, in seconds, from each of several beginnings; infinite when it is not.
pub(crate) fn delays(
    kind: Kind,
    rows: &[Row],
    fault: &Fault,
    trials: u64,
    detector: impl Fn() -> Box<dyn Detector>,
) -> Vec<f64> {
    let delay = |trial: u64| {
        let mut world = World::new(kind, rows, 1000 + trial);
        let mut detector = detector();
        // At all times of the day.
        let begins = KNOWN + DAY * trial as f64 / trials as f64;
        let (mut now, mut ticked) = (0.0, 0.0);
        while now < begins + PATIENCE {
            now += world.pause(now);
            while ticked + TICK <= now {
                ticked += TICK;
                let found = detector.tick(ticked);
                if ticked > begins && found.iter().any(|measure| fault.found_in.contains(measure)) {
                    return ticked - begins;
                }
            }
            let mut row = world.row(now);
            if now >= begins {
                let even = (now * 1e3).fract();
                (fault.change)(&mut row, even);
            }
            detector.see(&row, now);
        }
        f64::INFINITY
    };
    let mut delays: Vec<f64> = (0..trials).map(delay).collect();
    delays.sort_by(f64::total_cmp);
    delays
}
