//! A server in simulated time that always has more to run than there is memory for.
//!
//! Owns the clock, the memory that runs really take, and what happens when there is not enough. How much is set aside for
//! each run is a policy's to say.

use std::time::Duration;

use soulbox_sizing::{Learner, Policy, ProgramKey};

use crate::mixes::{Mix, Random, Run};

pub(crate) const MIB: f64 = 1048576.0;

/// The machine's memory for runs and for mistakes, and the limit that every run has.
pub(crate) const MEMORY_MIB: f64 = 4096.0;
pub(crate) const LIMIT_MIB: f64 = 128.0;

/// Of the memory, what is set aside for runs; and less than this part of it left is short.
const SHARE: f64 = 0.8;
const SHORT: f64 = 16.0;

/// A step of time: a run is looked at so often.
const STEP_S: f64 = 0.02;
/// As many come to run in one as processors can start.
const STARTS: usize = 20;

/// What a process of its own takes before it does anything.
const BASE_MIB: f64 = 1.3;

/// How much is set aside for a run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Setting {
    /// Its limit divided by this, whatever it takes.
    Blind(f64),
    /// What it will take, which nobody can know.
    Oracle,
    /// What it will probably take; whether more is set aside for one that takes more.
    Adaptive { confidence: f64, grows: bool },
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    /// Runs at once, on average.
    pub(crate) concurrent: f64,
    /// Runs that have ended.
    pub(crate) ended: u64,
    /// Runs that the kernel ended because the machine had no memory left.
    pub(crate) killed: u64,
    /// Runs that took no more than was set aside at first.
    pub(crate) covered: u64,
}

impl Figures {
    /// Of a hundred thousand.
    pub(crate) fn killed_of_100_000(&self) -> f64 {
        self.killed as f64 / (self.ended + self.killed).max(1) as f64 * 1e5
    }

    pub(crate) fn covered_share(&self) -> f64 {
        self.covered as f64 / self.ended.max(1) as f64
    }
}

struct Running {
    run: Run,
    since_s: f64,
    at_first_mib: f64,
    reserved_mib: f64,
}

impl Running {
    fn usage_mib(&self, now_s: f64) -> f64 {
        let age = (now_s - self.since_s) / (self.run.duration_s * self.run.ramp);
        BASE_MIB + (self.run.peak_mib - BASE_MIB).max(0.0) * age.min(1.0)
    }
}

/// Lets a mix run for so many seconds, after a while in which nothing is counted.
pub(crate) fn simulate(mix: &Mix, setting: Setting, warm_up_s: f64, length_s: f64) -> Figures {
    let (confidence, grows) = match setting {
        Setting::Adaptive { confidence, grows } => (confidence, grows),
        _ => (0.95, false),
    };
    let mut learner = Learner::new(Policy { confidence, overcommit: 8.0 });
    let mut random = Random(42);
    let budget_mib = MEMORY_MIB * SHARE;
    let (mut running, mut figures): (Vec<Running>, _) = (Vec::new(), Figures::default());
    let mut next = None;
    let steps = ((warm_up_s + length_s) / STEP_S) as u64;
    for step in 0..steps {
        let now_s = step as f64 * STEP_S;
        let now = Duration::from_secs_f64(now_s);
        let counts = now_s >= warm_up_s;
        let mut left = Vec::with_capacity(running.len());
        for mut it in running {
            if now_s - it.since_s >= it.run.duration_s {
                learner.ended(key(&it.run), (it.run.peak_mib * MIB) as u64, Duration::from_millis(1), now);
                if counts {
                    figures.ended += 1;
                    figures.covered += u64::from(it.run.peak_mib <= it.at_first_mib);
                }
                continue;
            }
            let usage_mib = it.usage_mib(now_s);
            if grows && usage_mib > it.reserved_mib {
                it.reserved_mib = (usage_mib * 2.0).min(LIMIT_MIB);
            }
            left.push(it);
        }
        running = left;
        let mut used_mib: f64 = running.iter().map(|it| it.usage_mib(now_s)).sum();
        while used_mib > MEMORY_MIB {
            // The kernel takes the largest.
            let sizes = running.iter().map(|it| it.usage_mib(now_s)).enumerate();
            let Some((at, usage_mib)) = sizes.max_by(|a, b| a.1.total_cmp(&b.1)) else { break };
            running.swap_remove(at);
            used_mib -= usage_mib;
            figures.killed += u64::from(counts);
        }
        let mut reserved_mib: f64 = running.iter().map(|it| it.reserved_mib).sum();
        let is_short =
            matches!(setting, Setting::Adaptive { .. }) && MEMORY_MIB - used_mib < budget_mib / SHORT;
        for _ in 0..STARTS {
            let run: Run = next.take().unwrap_or_else(|| mix.draw(&mut random, now_s));
            let wanted_mib = match setting {
                Setting::Blind(by) => LIMIT_MIB / by,
                Setting::Oracle => run.peak_mib,
                Setting::Adaptive { .. } => {
                    learner.predict(key(&run), (LIMIT_MIB * MIB) as u64, now).bytes as f64 / MIB
                }
            };
            if is_short || reserved_mib + wanted_mib > budget_mib {
                next = Some(run);
                break;
            }
            reserved_mib += wanted_mib;
            running.push(Running { run, since_s: now_s, at_first_mib: wanted_mib, reserved_mib: wanted_mib });
        }
        if counts {
            figures.concurrent += running.len() as f64 * STEP_S / length_s;
        }
    }
    figures
}

fn key(run: &Run) -> ProgramKey {
    ProgramKey { bundle: 1, program: run.program }
}
