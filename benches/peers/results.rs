//! What was measured, as it was measured, and the medians of it. Owns no figure's meaning: tables and targets do.

use std::time::Duration;

use crate::payloads::Language;

/// Everything of one run of the command.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// What describes the machine and the run, as names and values.
    pub(crate) machine: Vec<(&'static str, String)>,
    /// Peers that could not run, and why.
    pub(crate) skipped: Vec<(String, String)>,
    pub(crate) starts: Vec<Starts>,
    pub(crate) loads: Vec<Load>,
    pub(crate) memory: Vec<Memory>,
    pub(crate) crowd: Option<Crowd>,
    pub(crate) cpu: Vec<Cpu>,
}

/// Times from the wish to run a print until its output was there, one client, by rounds.
#[derive(Debug)]
pub(crate) struct Starts {
    pub(crate) peer: &'static str,
    pub(crate) language: Language,
    pub(crate) rounds: Vec<Vec<Duration>>,
    pub(crate) errors: usize,
    /// Those that met a sandbox of SoulBox's pool.
    pub(crate) parked: usize,
}

impl Starts {
    /// In milliseconds, of all rounds together.
    pub(crate) fn percentile_ms(&self, percent: usize) -> f64 {
        percentile_ms(self.rounds.iter().flatten(), percent)
    }

    /// In milliseconds, of each round.
    pub(crate) fn percentiles_ms(&self, percent: usize) -> Vec<f64> {
        self.rounds.iter().map(|round| percentile_ms(round, percent)).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.rounds.iter().map(Vec::len).sum()
    }
}

/// Programs per second with so many clients, by rounds.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) peer: &'static str,
    pub(crate) clients: usize,
    pub(crate) rounds: Vec<Rate>,
}

/// One round of a [`Load`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) per_s: f64,
    pub(crate) runs: u64,
    pub(crate) errors: u64,
    pub(crate) rejected: u64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Load {
    pub(crate) fn median(&self, of: impl Fn(&Rate) -> f64) -> f64 {
        median(self.rounds.iter().map(of))
    }

    pub(crate) fn errors(&self) -> u64 {
        self.rounds.iter().map(|rate| rate.errors).sum()
    }

    pub(crate) fn rejected(&self) -> u64 {
        self.rounds.iter().map(|rate| rate.rejected).sum()
    }

    /// Of those that were accepted.
    pub(crate) fn error_share(&self) -> f64 {
        let runs: u64 = self.rounds.iter().map(|rate| rate.runs + rate.errors).sum();
        self.errors() as f64 / (runs.max(1)) as f64
    }
}

/// Memory of a peer that does nothing, and with programs that sleep.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) peer: &'static str,
    pub(crate) idle: Taken,
    pub(crate) sleepers: Vec<(usize, Result<Taken, String>)>,
}

/// Memory by three ways of counting, bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    /// All its processes.
    pub(crate) pss: u64,
    /// Its cgroups, where a server has some.
    pub(crate) cgroup: Option<u64>,
    /// What `MemAvailable` lost.
    pub(crate) available: i64,
}

/// A thousand sandboxes at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crowd {
    pub(crate) sandboxes: usize,
    /// So often; the other figures are medians.
    pub(crate) rounds: usize,
    /// From the first request until all programs ran.
    pub(crate) until_all_ran: Duration,
    pub(crate) pss_each: f64,
    pub(crate) available_each: f64,
    /// Of all rounds.
    pub(crate) errors: usize,
}

/// Cpu seconds of a thousand prints, all processes, by rounds.
#[derive(Debug)]
pub(crate) struct Cpu {
    pub(crate) peer: &'static str,
    pub(crate) language: Language,
    pub(crate) seconds_per_1000: Vec<f64>,
}

impl Results {
    pub(crate) fn starts_of(&self, peer: &str, language: Language) -> Option<&Starts> {
        self.starts.iter().find(|starts| starts.peer == peer && starts.language == language)
    }

    pub(crate) fn load_of(&self, peer: &str, clients: usize) -> Option<&Load> {
        self.loads.iter().find(|load| load.peer == peer && load.clients == clients)
    }

    pub(crate) fn memory_of(&self, peer: &str) -> Option<&Memory> {
        self.memory.iter().find(|memory| memory.peer == peer)
    }

    pub(crate) fn cpu_of(&self, peer: &str, language: Language) -> Option<&Cpu> {
        self.cpu.iter().find(|cpu| cpu.peer == peer && cpu.language == language)
    }
}

/// Of ratios within each round.
pub(crate) fn median_ratio(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
    (!ratios.is_empty()).then(|| median(ratios))
}

/// The middle one, or the mean of the two.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

/// In milliseconds.
pub(crate) fn percentile_ms<'a>(times: impl IntoIterator<Item = &'a Duration>, percent: usize) -> f64 {
    let mut times: Vec<Duration> = times.into_iter().copied().collect();
    if times.is_empty() { f64::NAN } else { crate::support::percentile(&mut times, percent) }
}
