//! The targets that every run is held to. Owns their bounds, and how each is computed from the results.

use crate::cpu::FORK_LOOP;
use crate::payloads::Language::{JavaScript, Python};
use crate::peer::{BARE, COLD, PARKED, ZYGOTE};
use crate::results::{Results, median, median_ratio};

const MB: f64 = 1e6;

/// A bound, and what was measured, if it was.
pub(crate) struct Target {
    pub(crate) what: &'static str,
    pub(crate) measured: Option<f64>,
    pub(crate) bound: Bound,
    pub(crate) unit: &'static str,
}

/// Which side is good.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    /// Nothing measured is nothing met.
    pub(crate) fn is_met(&self) -> bool {
        self.measured.is_some_and(|measured| match self.bound {
            Bound::AtMost(bound) => measured <= bound,
            Bound::AtLeast(bound) => measured >= bound,
        })
    }
}

/// All targets, of these results.
pub(crate) fn all(results: &Results) -> Vec<Target> {
    use Bound::{AtLeast, AtMost};
    let target = |what, measured, bound, unit| Target { what, measured, bound, unit };
    let starts = |peer, language| results.starts_of(peer, language);
    let to_bare = |peer, percent, language| {
        let ours = starts(peer, language)?.percentiles_ms(percent);
        median_ratio(&ours, &starts(BARE, language)?.percentiles_ms(50))
    };
    let cold = |language| Some(starts(COLD, language)?.percentile_ms(50));
    let rates = |peer, clients| {
        let load = results.load_of(peer, clients)?;
        Some(load.rounds.iter().map(|rate| rate.per_s).collect::<Vec<_>>())
    };
    let hundred = results.load_of(PARKED, 100);
    let thousand = results.load_of(PARKED, 1000);
    let memory = results.memory_of(PARKED);
    let of_hundred_sleepers = || {
        let memory = memory?;
        let (_, taken) = memory.sleepers.iter().find(|(count, _)| *count == 100)?;
        Some((taken.as_ref().ok()?.available - memory.idle.available) as f64 / MB)
    };
    let cpu = |peer| Some(results.cpu_of(peer, Python)?.seconds_per_1000.as_slice());
    let crowd = results.crowd.filter(|crowd| crowd.sandboxes >= 1000);
    vec![
        target("Python print, parked, P50 to one bare spawn", to_bare(PARKED, 50, Python), AtMost(0.06), "×"),
        target(
            "Python print, parked, P99 to one bare spawn's median",
            to_bare(PARKED, 99, Python),
            AtMost(0.3),
            "×",
        ),
        target("Python print, zygote, P50 to one bare spawn", to_bare(ZYGOTE, 50, Python), AtMost(0.3), "×"),
        target(
            "JavaScript print, parked, P50 to one bare spawn",
            to_bare(PARKED, 50, JavaScript),
            AtMost(0.04),
            "×",
        ),
        target("Python, new server to first answer, P50", cold(Python), AtMost(100.0), "ms"),
        target("JavaScript, new server to first answer, P50", cold(JavaScript), AtMost(200.0), "ms"),
        target(
            "Fibonacci, 100 clients",
            hundred.map(|load| load.median(|rate| rate.per_s)),
            AtLeast(600.0),
            "/s",
        ),
        target(
            "Fibonacci, 100 clients, to two loops of bare spawns",
            (|| median_ratio(&rates(PARKED, 100)?, &rates(BARE, 2)?))(),
            AtLeast(3.0),
            "×",
        ),
        target(
            "Fibonacci, 100 clients, errors",
            hundred.map(|load| load.error_share() * 100.0),
            AtMost(0.01),
            "%",
        ),
        target(
            "Fibonacci, 1,000 clients, to 100 clients",
            (|| median_ratio(&rates(PARKED, 1000)?, &rates(PARKED, 100)?))(),
            AtLeast(0.9),
            "×",
        ),
        target(
            "Fibonacci, 1,000 clients, P99 to clients / throughput",
            thousand.map(|load| load.median(|rate| rate.p99_ms * rate.per_s / 1e3 / 1000.0)),
            AtMost(3.0),
            "×",
        ),
        target(
            "CPU of a Python print, all processes, to fork, exec, wait of a warm interpreter",
            (|| median_ratio(cpu(PARKED)?, cpu(FORK_LOOP)?))(),
            AtMost(1.3),
            "×",
        ),
        target(
            "1,000 sleeping sandboxes: until all run",
            crowd.map(|crowd| crowd.until_all_ran.as_secs_f64()),
            AtMost(2.0),
            "s",
        ),
        target(
            "1,000 sleeping sandboxes: MemAvailable each",
            crowd.map(|crowd| crowd.available_each / MB),
            AtMost(1.6),
            "MB",
        ),
        target("1,000 sleeping sandboxes: errors", crowd.map(|crowd| crowd.errors as f64), AtMost(0.0), ""),
        target(
            "idle: daemon, Python and Node zygotes, parked sandboxes, PSS",
            memory.map(|memory| memory.idle.pss as f64 / MB),
            AtMost(64.0),
            "MB",
        ),
        target("100 sleeping Python programs, MemAvailable", of_hundred_sleepers(), AtMost(200.0), "MB"),
    ]
}

/// Programs a second and core, with the load at which targets are set.
pub(crate) fn per_core(results: &Results) -> Option<f64> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let rates = results.load_of(PARKED, 100)?.rounds.iter().map(|rate| rate.per_s);
    Some(median(rates) / cores as f64)
}
