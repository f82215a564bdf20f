//! What a machine can do, and what a load needs.
//!
//! Owns the answer to both, from measured costs and the models of [`queueing`](crate::queueing). It refuses where nothing
//! has been measured, and never guesses a cost.

use crate::costs::{Cost, Costs};
use crate::queueing::{Queueing, Response, Station, quantile_s};

/// Runs of a language, and whiles with runs, without which nothing is said.
const LEAST_RUNS: u64 = 30;
const LEAST_WINDOWS: u64 = 5;

/// The most cores that are thought about.
const MOST_CORES: usize = 4096;

/// So many deviations above the mean are exceeded once in a thousand times (of a normal distribution).
const RARELY: f64 = 3.1;

/// Points of the curve, from a tenth of the maximum on.
const POINTS: usize = 20;

/// The machine, and what the server takes of it without any run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// Processors.
    pub cores: usize,
    /// Executions that may run at once.
    pub places: usize,
    /// Memory for runs.
    pub memory_bytes: u64,
}

/// A load.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Requests in a second; without it, those at the knee.
    pub rps: Option<f64>,
    /// Languages with their shares, which add up to one; as they were seen, when it is empty.
    pub mix: Vec<(String, f64)>,
    /// A bound for the 99th percentile.
    pub p99_s: Option<f64>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too few runs of a language were seen, or none at all.
    TooFewRuns {
        /// Which; none when there were none.
        language: Option<String>,
        /// How many were seen.
        seen: u64,
        /// How many are needed.
        needed: u64,
    },
    /// It was not measured for long enough.
    TooShort {
        /// Seconds with runs.
        seen: u64,
        /// How many are needed.
        needed: u64,
    },
    /// There was always too much to do to see how long a run takes by itself.
    NeverUndisturbed {
        /// The language.
        language: String,
    },
}

/// What follows for a load.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Runs that it rests on, and seconds in which costs were measured.
    pub runs: u64,
    /// Of those seconds with runs.
    pub windows: u64,
    /// Requests in a second.
    pub rps: f64,
    /// Each language of the mix.
    pub languages: Vec<Language>,
    /// Processor time of a run, seconds, of the whole mix.
    pub cpu_s: f64,
    /// On this machine.
    pub here: Here,
    /// On any.
    pub needed: Needed,
}

/// A language of the mix.
#[derive(Clone, Debug)]
pub struct Language {
    /// Its name.
    pub name: String,
    /// Its share.
    pub share: f64,
    /// What a run costs.
    pub cost: Cost,
    /// How long a run takes undisturbed, seconds.
    pub p50_s: f64,
    /// The same.
    pub p99_s: f64,
}

/// What a machine does at a load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Requests in a second.
    pub rps: f64,
    /// The share of processor time that is used.
    pub utilization: f64,
    /// Seconds; nothing when the queue would grow without end.
    pub p50_s: Option<f64>,
    /// The same.
    pub p99_s: Option<f64>,
    /// Executions that run at once, on average.
    pub concurrent: f64,
}

/// What this machine does.
#[derive(Clone, Debug)]
pub struct Here {
    /// The most requests in a second that it can serve.
    pub maximum_rps: f64,
    /// What there is too little of then: `cpu`, `places` or `memory`.
    pub limited_by: &'static str,
    /// Where throughput divided by mean latency is largest (Kleinrock's power): beyond it, latency grows faster.
    pub knee_rps: f64,
    /// The most requests in a second for which the bound of the 99th percentile is kept, when one is asked for.
    pub rps_within_p99: Option<f64>,
    /// At the load that is asked for.
    pub offered: Point,
    /// From little load to nearly the maximum.
    pub curve: Vec<Point>,
}

/// What a load needs.
#[derive(Clone, Debug)]
pub struct Needed {
    /// Processors with which the load is below the knee, or keeps the bound that is asked for; nothing when no number
    /// does.
    pub cores: Option<usize>,
    /// What they do then.
    pub offered: Option<Point>,
    /// Executions at once: hardly ever more.
    pub concurrent: u64,
    /// Memory of their runs: hardly ever more.
    pub runs_bytes: u64,
}

/// The costs of a mix.
struct Mixed {
    languages: Vec<Language>,
    cpu_s: f64,
    /// Time in a place and its squared coefficient of variation, undisturbed.
    in_place_s: f64,
    in_place_variation: f64,
    peak_bytes: f64,
    peak_square: f64,
}

/// Answers, or says what has to be measured first.
///
/// # Errors
/// [`Refused`].
pub fn answer(costs: &Costs, machine: &Machine, asked: &Asked) -> Result<Answer, Refused> {
    let mixed = mixed(costs, asked)?;
    let (maximum_rps, limited_by) = mixed.maximum(machine);
    let knee_rps = mixed.knee(machine);
    let rps = asked.rps.unwrap_or(knee_rps);
    let within = |p99_s| mixed.within(machine, p99_s);
    let curve = (1..=POINTS).map(|n| mixed.at(machine, maximum_rps * n as f64 / (POINTS as f64 + 0.5)));
    let here = Here {
        maximum_rps,
        limited_by,
        knee_rps,
        rps_within_p99: asked.p99_s.map(within),
        offered: mixed.at(machine, rps),
        curve: curve.collect(),
    };
    let cores = mixed.cores_for(rps, asked.p99_s);
    let of_cores = |cores| Machine { cores, places: usize::MAX, memory_bytes: u64::MAX };
    let offered = cores.map(|cores| mixed.at(&of_cores(cores), rps));
    let concurrent = offered.map_or(rps * mixed.in_place_s, |point| point.concurrent);
    // A compound Poisson distribution: so many at once, each with its peak.
    let bytes = concurrent * mixed.peak_bytes + RARELY * (concurrent * mixed.peak_square).sqrt();
    let needed = Needed {
        cores,
        offered,
        concurrent: (concurrent + RARELY * concurrent.sqrt()).ceil() as u64,
        runs_bytes: bytes.max(mixed.peak_square.sqrt()) as u64,
    };
    let (runs, windows) = (costs.runs(), costs.windows());
    Ok(Answer { runs, windows, rps, cpu_s: mixed.cpu_s, languages: mixed.languages, here, needed })
}

/// The most requests in a second that a machine can serve of what was seen.
///
/// # Errors
/// [`Refused`].
pub fn maximum_rps(costs: &Costs, machine: &Machine) -> Result<f64, Refused> {
    let asked = Asked { rps: None, mix: Vec::new(), p99_s: None };
    Ok(mixed(costs, &asked)?.maximum(machine).0)
}

fn mixed(costs: &Costs, asked: &Asked) -> Result<Mixed, Refused> {
    let seen = costs.mix();
    if seen.is_empty() {
        return Err(Refused::TooFewRuns { language: None, seen: 0, needed: LEAST_RUNS });
    }
    let mix = if asked.mix.is_empty() {
        // What was seen too seldom is too little of the load to spoil the answer.
        let enough = |name: &str| costs.of(name).is_some_and(|cost| cost.runs >= LEAST_RUNS);
        let often: Vec<_> = seen.iter().filter(|(name, _)| enough(name)).cloned().collect();
        if often.is_empty() { seen } else { often }
    } else {
        asked.mix.clone()
    };
    let sum: f64 = mix.iter().map(|(_, share)| share).sum();
    let mut languages = Vec::new();
    for (name, share) in mix {
        let cost = costs.of(&name);
        let seen = cost.as_ref().map_or(0, |cost| cost.runs);
        let Some(cost) = cost.filter(|_| seen >= LEAST_RUNS) else {
            return Err(Refused::TooFewRuns { language: Some(name), seen, needed: LEAST_RUNS });
        };
        if cost.alone.is_empty() {
            return Err(Refused::NeverUndisturbed { language: name });
        }
        let (processor, place) = (Queueing::default(), Queueing::default());
        let alone = Response { alone: cost.alone.clone(), processor, place };
        let quantile = |share| quantile_s(&[(1.0, alone.clone())], share);
        let (p50_s, p99_s) = (quantile(0.5), quantile(0.99));
        languages.push(Language { name, share: share / sum, cost, p50_s, p99_s });
    }
    if costs.windows() < LEAST_WINDOWS {
        return Err(Refused::TooShort { seen: costs.windows(), needed: LEAST_WINDOWS });
    }
    let mean = |of: &dyn Fn(&Cost) -> f64| languages.iter().map(|it| it.share * of(&it.cost)).sum::<f64>();
    let in_place_s = mean(&|cost| cost.in_place_s);
    let square = mean(&|cost| cost.in_place_s * cost.in_place_s * (1.0 + cost.in_place_variation));
    Ok(Mixed {
        cpu_s: mean(&|cost| cost.cpu_s()).max(1e-9),
        in_place_s: in_place_s.max(1e-9),
        in_place_variation: (square / (in_place_s * in_place_s).max(1e-18) - 1.0).max(0.0),
        peak_bytes: mean(&|cost| cost.peak_bytes),
        peak_square: mean(&|cost| cost.peak_square),
        languages,
    })
}

impl Mixed {
    /// Runs that fit at once, and what bounds them.
    fn places(&self, machine: &Machine) -> (usize, &'static str) {
        // The cast saturates.
        let by_memory = (machine.memory_bytes as f64 / self.peak_bytes.max(1.0)) as usize;
        if by_memory < machine.places { (by_memory.max(1), "memory") } else { (machine.places, "places") }
    }

    fn maximum(&self, machine: &Machine) -> (f64, &'static str) {
        let (places, which) = self.places(machine);
        let by_cpu = machine.cores as f64 / self.cpu_s;
        let by_places = places as f64 / self.in_place_s;
        if by_cpu <= by_places { (by_cpu, "cpu") } else { (by_places, which) }
    }

    /// How long each kind of run takes at a load; nothing when the queue has no end.
    fn responses(&self, machine: &Machine, rps: f64) -> Option<Vec<(f64, Response)>> {
        let processors =
            Station { servers: machine.cores, rate: rps, service_s: self.cpu_s, variability: 1.0 };
        let processor = processors.queueing()?;
        let places = Station {
            servers: self.places(machine).0,
            rate: rps,
            service_s: self.in_place_s + processor.mean_of_all_s(),
            variability: f64::midpoint(1.0, self.in_place_variation),
        };
        // With very many places nobody waits for one.
        let place = if places.servers > 1_000_000 { Queueing::default() } else { places.queueing()? };
        let response = |language: &Language| {
            let processor = processor.of_size(language.cost.cpu_s() / self.cpu_s);
            (language.share, Response { alone: language.cost.alone.clone(), processor, place })
        };
        Some(self.languages.iter().map(response).collect())
    }

    fn at(&self, machine: &Machine, rps: f64) -> Point {
        let utilization = rps * self.cpu_s / machine.cores as f64;
        let processors =
            Station { servers: machine.cores, rate: rps, service_s: self.cpu_s, variability: 1.0 };
        let waiting_s = processors.queueing().map_or(0.0, |queueing| queueing.mean_of_all_s());
        let (places, _) = self.places(machine);
        let concurrent = (rps * (self.in_place_s + waiting_s)).min(places as f64);
        let kinds = self.responses(machine, rps);
        let quantile = |share| kinds.as_ref().map(|kinds| quantile_s(kinds, share));
        Point { rps, utilization, p50_s: quantile(0.5), p99_s: quantile(0.99), concurrent }
    }

    /// Where throughput divided by mean latency is largest.
    fn knee(&self, machine: &Machine) -> f64 {
        const STEPS: usize = 200;
        let (maximum, _) = self.maximum(machine);
        let loads = (1..STEPS).map(|n| maximum * n as f64 / STEPS as f64);
        let power = |rps: f64| {
            let kinds = self.responses(machine, rps);
            let mean_s =
                kinds.map(|kinds| kinds.iter().map(|(share, kind)| share * kind.mean_s()).sum::<f64>());
            mean_s.map_or(0.0, |mean_s| rps / mean_s)
        };
        let powers = loads.map(|rps| (rps, power(rps)));
        powers.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0.0, |(rps, _)| rps)
    }

    /// The most requests in a second with which the 99th percentile is within a bound.
    fn within(&self, machine: &Machine, p99_s: f64) -> f64 {
        let keeps =
            |rps: f64| self.responses(machine, rps).is_some_and(|kinds| quantile_s(&kinds, 0.99) <= p99_s);
        let (mut low, mut high) = (0.0, self.maximum(machine).0);
        if !keeps(low) {
            return 0.0;
        }
        for _ in 0..40 {
            let middle = f64::midpoint(low, high);
            if keeps(middle) { low = middle } else { high = middle }
        }
        low
    }

    /// The fewest cores that are enough; places and memory grow with them.
    fn cores_for(&self, rps: f64, p99_s: Option<f64>) -> Option<usize> {
        let enough = |cores: usize| {
            let machine = Machine { cores, places: usize::MAX, memory_bytes: u64::MAX };
            match p99_s {
                Some(p99_s) => {
                    self.responses(&machine, rps).is_some_and(|kinds| quantile_s(&kinds, 0.99) <= p99_s)
                }
                None => rps <= self.knee(&machine) * (1.0 + 1e-9),
            }
        };
        if !enough(MOST_CORES) {
            return None;
        }
        let (mut too_few, mut cores) = (0, MOST_CORES);
        while cores - too_few > 1 {
            let middle = usize::midpoint(too_few, cores);
            if enough(middle) { cores = middle } else { too_few = middle }
        }
        Some(cores)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::costs::tests::measured;

    const MACHINE: Machine = Machine { cores: 2, places: 100, memory_bytes: 16 << 30 };

    fn asked(rps: Option<f64>, mix: &[(&str, f64)], p99_s: Option<f64>) -> Asked {
        let mix = mix.iter().map(|(name, share)| ((*name).to_owned(), *share)).collect();
        Asked { rps, mix, p99_s }
    }

    fn ask(rps: f64, mix: &[(&str, f64)]) -> Answer {
        answer(&measured(60), &MACHINE, &asked(Some(rps), mix, None)).unwrap()
    }

    #[test]
    fn the_maximum_is_cores_by_cost() {
        // A run of Python is 1.5 ms, and one of JavaScript 6.
        for (mix, expected) in [
            (&[("python", 1.0)][..], 2.0 / 0.0015),
            (&[("javascript", 1.0)], 2.0 / 0.006),
            (&[("python", 0.8), ("javascript", 0.2)], 2.0 / 0.0024),
            (&[("python", 4.0), ("javascript", 1.0)], 2.0 / 0.0024),
        ] {
            let here = ask(100.0, mix).here;
            assert!((here.maximum_rps / expected - 1.0).abs() < 0.05, "{mix:?}: {}", here.maximum_rps);
            assert_eq!(here.limited_by, "cpu");
            assert!(here.knee_rps < here.maximum_rps && here.knee_rps > 0.3 * here.maximum_rps, "{here:?}");
        }
    }

    #[test]
    fn too_few_places_or_too_little_memory_are_the_maximum_where_they_are() {
        let of =
            |machine| answer(&measured(60), &machine, &asked(None, &[("python", 1.0)], None)).unwrap().here;
        assert_eq!(of(Machine { places: 1, ..MACHINE }).limited_by, "places");
        assert_eq!(of(Machine { memory_bytes: 2 << 20, ..MACHINE }).limited_by, "memory");
    }

    #[test]
    fn what_was_not_measured_is_not_guessed() {
        let refused = |costs: &Costs, mix: &[(&str, f64)]| {
            answer(costs, &MACHINE, &asked(Some(1.0), mix, None)).unwrap_err()
        };
        let none = Refused::TooFewRuns { language: None, seen: 0, needed: LEAST_RUNS };
        assert_eq!(refused(&Costs::new(), &[]), none);
        let perl = Refused::TooFewRuns { language: Some("perl".to_owned()), seen: 0, needed: LEAST_RUNS };
        assert_eq!(refused(&measured(60), &[("python", 0.5), ("perl", 0.5)]), perl);
        let short = Refused::TooShort { seen: 2, needed: LEAST_WINDOWS };
        assert_eq!(refused(&measured(2), &[("python", 1.0)]), short);
    }

    #[test]
    fn without_a_mix_it_is_the_one_that_was_seen() {
        let answer = ask(10.0, &[]);
        let python = answer.languages.iter().find(|it| it.name == "python").unwrap();
        assert!((0.7..0.85).contains(&python.share), "{}", python.share);
    }

    #[test]
    fn enough_cores_keep_the_bound_and_one_less_does_not() {
        let mix = [("python", 0.8), ("javascript", 0.2)];
        let costs = measured(60);
        let within = |p99_s| answer(&costs, &MACHINE, &asked(Some(5000.0), &mix, Some(p99_s))).unwrap();
        let needed = within(0.02).needed;
        let cores = needed.cores.unwrap();
        assert!(cores > 12, "5000 × 2.4 ms are 12 cores: {cores}");
        assert!(needed.offered.unwrap().p99_s.unwrap() <= 0.02);
        let fewer = Machine { cores: cores - 1, places: usize::MAX, memory_bytes: u64::MAX };
        let fewer = answer(&costs, &fewer, &asked(Some(5000.0), &mix, None)).unwrap().here.offered;
        assert!(fewer.p99_s.is_none_or(|p99_s| p99_s > 0.02), "{fewer:?}");
        assert_eq!(within(0.001).needed.cores, None, "a run of JavaScript takes 4 ms");
        let rps = within(0.02).here.rps_within_p99.unwrap();
        let at = answer(&costs, &MACHINE, &asked(Some(rps), &mix, None)).unwrap().here.offered;
        assert!((at.p99_s.unwrap() - 0.02).abs() < 1e-4, "{at:?}");
    }

    proptest! {
        #[test]
        fn more_load_is_never_faster_and_more_cores_never_slower(
            low in 1.0..400.0, more in 1.0..400.0, cores in 1..16usize,
        ) {
            let costs = measured(20);
            let mix = [("python", 0.8), ("javascript", 0.2)];
            let p99 = |rps, cores| {
                let machine = Machine { cores, ..MACHINE };
                let here = answer(&costs, &machine, &asked(Some(rps), &mix, None)).unwrap().here;
                here.offered.p99_s.unwrap_or(f64::INFINITY)
            };
            prop_assert!(p99(low, cores) <= p99(low + more, cores));
            prop_assert!(p99(low, cores + 1) <= p99(low, cores));
        }
    }
}
