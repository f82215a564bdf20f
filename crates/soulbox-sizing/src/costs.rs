//! What runs cost: processor time of all processes, memory, and time in a place.
//!
//! Owns the figures of each language, from how runs have ended, and what is spent beside their own cgroups: by the daemon
//! and the zygotes, and for making and removing sandboxes. That is seen in sums alone, of all runs of a second, and told
//! apart by a fit.
//!
//! A run that has the machine for itself costs more than one among others: processors wake up for it, and caches are
//! cold. So both are told apart, and what a run costs under load is that of those that were among others, once some were.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::regression::{KINDS, Regression};
use crate::sketch::Sketch;

/// Languages that are told apart, each in runs that were undisturbed and in those that were not; the last kind of cost is
/// that of a second without any run.
const LANGUAGES: usize = (KINDS - 1) / 2;
const IDLE: usize = KINDS - 1;

/// So many runs among others tell what such a run costs.
const ENOUGH: u64 = 30;

/// A run that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// Its language.
    pub language: &'a str,
    /// Cpu time of its own cgroups.
    pub cpu_time: Duration,
    /// How long it held a place to run: from the end of its time in the queue to its outcome.
    pub in_place: Duration,
    /// The most memory that was charged to it.
    pub peak_bytes: u64,
    /// Memory times time.
    pub byte_seconds: f64,
    /// Whether there were hardly any others: how long it took is how long it takes.
    pub undisturbed: bool,
}

/// What the server has used in a while.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Used {
    /// How long the while was.
    pub elapsed: Duration,
    /// Cpu time of all its processes, those of sandboxes included.
    pub cpu_time: Duration,
}

/// What a language's runs cost.
#[derive(Clone, Debug)]
struct OfLanguage {
    /// Its kinds in the regression are this one and the next.
    kind: usize,
    undisturbed: Own,
    among_others: Own,
    /// Of those that were undisturbed.
    in_place: Sketch,
    memory: Sketch,
    byte_seconds: Mean,
}

/// What runs were charged themselves.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    runs: u64,
    cpu_s: Mean,
}

/// A mean that forgets.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    seen: f64,
    mean: f64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.seen = (self.seen + 1.0).min(1000.0);
        self.mean += (value - self.mean) / self.seen;
    }
}

/// What one run of a language costs.
#[derive(Clone, Debug)]
pub struct Cost {
    /// Runs that were seen.
    pub runs: u64,
    /// Those of them that were not alone: when there are enough, what a run costs is what they did.
    pub among_others: u64,
    /// Processor time of its own cgroups, seconds.
    pub program_cpu_s: f64,
    /// The same for everything else that was done for it.
    pub overhead_cpu_s: f64,
    /// How long it holds a place undisturbed, seconds.
    pub in_place_s: f64,
    /// The squared coefficient of variation of that.
    pub in_place_variation: f64,
    /// Its peak of memory: mean, and mean of the square.
    pub peak_bytes: f64,
    /// Square bytes.
    pub peak_square: f64,
    /// Memory times time.
    pub byte_seconds: f64,
    /// How long it takes undisturbed: seconds, with the share of runs. Empty when none was undisturbed.
    pub alone: Vec<(f64, f64)>,
}

impl Cost {
    /// Processor time of all processes, seconds.
    pub fn cpu_s(&self) -> f64 {
        self.program_cpu_s + self.overhead_cpu_s
    }
}

/// All that is known of costs.
#[derive(Clone, Debug)]
pub struct Costs {
    languages: BTreeMap<String, OfLanguage>,
    regression: Regression,
    /// Since the last while ended, by kind, and the cpu time of their cgroups.
    numbers: [f64; KINDS],
    own_cpu_s: f64,
    windows: u64,
    /// Runs, and what was spent on them beside their cgroups, of late.
    overhead: (f64, f64),
}

impl Costs {
    /// Nothing is known.
    pub fn new() -> Self {
        Costs {
            languages: BTreeMap::new(),
            regression: Regression::new(),
            numbers: [0.0; KINDS],
            own_cpu_s: 0.0,
            windows: 0,
            overhead: (0.0, 0.0),
        }
    }

    /// A run has ended.
    pub fn ended(&mut self, run: &Ended<'_>, now: Duration) {
        if !self.languages.contains_key(run.language) {
            if self.languages.len() >= LANGUAGES {
                return;
            }
            let kind = self.languages.len() * 2;
            self.languages.insert(run.language.to_owned(), OfLanguage::new(kind));
        }
        let Some(of) = self.languages.get_mut(run.language) else { return };
        let own = if run.undisturbed { &mut of.undisturbed } else { &mut of.among_others };
        own.runs += 1;
        own.cpu_s.add(run.cpu_time.as_secs_f64());
        of.memory.add(run.peak_bytes as f64, now);
        of.byte_seconds.add(run.byte_seconds);
        if run.undisturbed {
            of.in_place.add(run.in_place.as_secs_f64(), now);
        }
        self.numbers[of.kind + usize::from(!run.undisturbed)] += 1.0;
        self.own_cpu_s += run.cpu_time.as_secs_f64();
    }

    /// A while is over, in which the server has used so much.
    pub fn used(&mut self, used: &Used) {
        let runs: f64 = self.numbers.iter().sum();
        let beside_s = used.cpu_time.as_secs_f64() - self.own_cpu_s;
        self.numbers[IDLE] = used.elapsed.as_secs_f64();
        self.regression.add(&self.numbers, beside_s);
        self.numbers = [0.0; KINDS];
        self.own_cpu_s = 0.0;
        if runs > 0.0 {
            self.windows += 1;
            let (all_runs, overhead_s) = self.overhead;
            let fade = 1.0 - runs / (runs + 10_000.0);
            self.overhead = (all_runs * fade + runs, overhead_s * fade + beside_s);
        }
    }

    /// How often costs beside the runs' own were measured while there were runs.
    pub fn windows(&self) -> u64 {
        self.windows
    }

    /// Runs that were seen.
    pub fn runs(&self) -> u64 {
        self.languages.values().map(OfLanguage::runs).sum()
    }

    /// The languages that were seen, each with its share of runs.
    pub fn mix(&self) -> Vec<(String, f64)> {
        let all = self.runs().max(1) as f64;
        self.languages.iter().map(|(name, of)| (name.clone(), of.runs() as f64 / all)).collect()
    }

    /// What a run of a language costs, where some were seen.
    pub fn of(&self, language: &str) -> Option<Cost> {
        let of = self.languages.get(language)?;
        let (runs, overhead_s) = self.overhead;
        let usual = if runs > 0.0 { (overhead_s / runs).max(0.0) } else { 0.0 };
        let mut before = [usual; KINDS];
        before[IDLE] = 0.0;
        let square =
            |sketch: &Sketch| sketch.shares().map(|(value, share)| value * value * share).sum::<f64>();
        let in_place_s = of.in_place.mean();
        let enough = of.among_others.runs >= ENOUGH;
        let (own, kind) = if enough { (of.among_others, of.kind + 1) } else { (of.undisturbed, of.kind) };
        let own = if own.runs > 0 { own } else { of.among_others };
        Some(Cost {
            runs: of.runs(),
            among_others: of.among_others.runs,
            program_cpu_s: own.cpu_s.mean,
            overhead_cpu_s: self.regression.costs(&before)[kind],
            in_place_variation: (square(&of.in_place) / (in_place_s * in_place_s).max(1e-12) - 1.0).max(0.0),
            in_place_s,
            peak_bytes: of.memory.mean(),
            peak_square: square(&of.memory),
            byte_seconds: of.byte_seconds.mean,
            alone: of.in_place.shares().collect(),
        })
    }
}

impl Default for Costs {
    fn default() -> Self {
        Self::new()
    }
}

impl OfLanguage {
    fn new(kind: usize) -> Self {
        OfLanguage {
            kind,
            undisturbed: Own::default(),
            among_others: Own::default(),
            in_place: Sketch::of_seconds(),
            memory: Sketch::of_bytes(),
            byte_seconds: Mean::default(),
        }
    }

    fn runs(&self) -> u64 {
        self.undisturbed.runs + self.among_others.runs
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    pub(crate) fn run(language: &str, cpu_ms: u32) -> Ended<'_> {
        let time = cpu_ms * MS;
        let peak_bytes = 2 << 20;
        let byte_seconds = peak_bytes as f64 * time.as_secs_f64();
        Ended { language, cpu_time: time, in_place: time, peak_bytes, byte_seconds, undisturbed: true }
    }

    /// A server whose runs of Python cost 1 ms and 0.5 beside it, and those of JavaScript 4 and 2.
    pub(crate) fn measured(seconds: u32) -> Costs {
        let mut costs = Costs::new();
        for second in 0..seconds {
            let (python, javascript) = (100 + second % 7 * 10, 20 + second % 5 * 10);
            (0..python).for_each(|_| costs.ended(&run("python", 1), second * SECOND));
            (0..javascript).for_each(|_| costs.ended(&run("javascript", 4), second * SECOND));
            let cpu_time = (python * 15 + javascript * 60) * MS / 10 + 3 * MS;
            costs.used(&Used { elapsed: SECOND, cpu_time });
        }
        costs
    }

    #[test]
    fn each_language_has_its_own_costs() {
        let costs = measured(60);
        let (python, javascript) = (costs.of("python").unwrap(), costs.of("javascript").unwrap());
        assert!((python.cpu_s() * 1e3 - 1.5).abs() < 0.05, "{python:?}");
        assert!((javascript.cpu_s() * 1e3 - 6.0).abs() < 0.1, "{javascript:?}");
        assert!((python.in_place_s - 0.001).abs() < 1e-4 && python.in_place_variation < 0.1, "{python:?}");
        assert!(costs.of("perl").is_none());
        assert_eq!(costs.windows(), 60);
    }

    #[test]
    fn a_run_among_others_costs_what_those_did() {
        let mut costs = Costs::new();
        for second in 0..60 {
            let (alone, others) = (20 + second % 3 * 10, 10 + second % 5 * 10);
            (0..alone).for_each(|_| costs.ended(&run("python", 2), second * SECOND));
            let busy = Ended { undisturbed: false, ..run("python", 1) };
            (0..others).for_each(|_| costs.ended(&busy, second * SECOND));
            costs.used(&Used { elapsed: SECOND, cpu_time: (alone * 40 + others * 15) * MS / 10 });
        }
        let cost = costs.of("python").unwrap();
        assert!((cost.cpu_s() * 1e3 - 1.5).abs() < 0.1, "{cost:?}");
        assert!((cost.in_place_s - 0.002).abs() < 2e-4, "{cost:?}");
    }

    #[test]
    fn what_an_idle_server_uses_is_no_runs() {
        let mut costs = Costs::new();
        (0..600).for_each(|_| costs.used(&Used { elapsed: SECOND, cpu_time: 5 * MS }));
        (0..10).for_each(|_| costs.ended(&run("python", 1), SECOND));
        costs.used(&Used { elapsed: SECOND, cpu_time: 20 * MS });
        let cost = costs.of("python").unwrap();
        assert!(cost.overhead_cpu_s < 0.0011, "{cost:?}");
        assert_eq!(costs.windows(), 1);
    }

    #[test]
    fn languages_are_told_apart_in_a_bounded_number() {
        let mut costs = Costs::new();
        (0..100).for_each(|n| costs.ended(&run(&format!("language-{n}"), 1), SECOND));
        assert_eq!(costs.mix().len(), LANGUAGES);
    }
}
