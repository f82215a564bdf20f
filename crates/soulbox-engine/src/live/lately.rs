//! What has happened of late: rates over ten seconds, latencies, statuses and languages over a minute.
//!
//! Owns these windows, which forget by themselves. It knows no clock: whoever tells of an event tells when it was. What it
//! holds is bounded by the number of languages, however many executions there are.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::execution::{Outcome, StartKind};

/// Rates are of so many whole seconds, the current one excluded.
const RATE_SECONDS: u64 = 10;

/// The minute comes and goes in steps of this.
const SLOT_SECONDS: u64 = 5;
const SLOTS: u64 = 12;

/// Of recorded durations, which are in microseconds.
const SIGNIFICANT_DIGITS: u8 = 2;

/// How many events there were in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Requests for an execution, also those that were refused.
    pub arrivals: f64,
    /// Executions that ended, whatever their end was.
    pub completions: f64,
    /// Requests that were refused, as there was too much to do.
    pub rejections: f64,
}

/// Parts of a distribution; `None` where nothing was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// Half were shorter.
    pub p50: Option<Duration>,
    /// 95 of 100 were shorter.
    pub p95: Option<Duration>,
    /// 99 of 100 were shorter.
    pub p99: Option<Duration>,
}

/// What was seen of a language.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LanguageFigures {
    /// Its name.
    pub language: String,
    /// How many of its executions ended.
    pub count: u64,
    /// From the end of waiting, or of compiling, to the start of the program, of those that started.
    pub start: Percentiles,
    /// From submission to the outcome.
    pub total: Percentiles,
    /// What they started from: how many from a parked sandbox, from a zygote, and cold.
    pub start_kinds: BTreeMap<&'static str, u64>,
}

/// What has happened of late.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecentFigures {
    /// Over the last ten seconds.
    pub rates: Rates,
    /// From submission to the outcome, over the last minute.
    pub latency: Percentiles,
    /// How many ended with each status in the last minute.
    pub statuses: BTreeMap<&'static str, u64>,
    /// By language, those that had an execution end in the last minute.
    pub languages: Vec<LanguageFigures>,
    /// What those cost together that ended in the last minute, where something costs anything.
    pub cost: f64,
}

/// The windows.
#[derive(Debug)]
pub(crate) struct Lately {
    /// By their second, in a ring.
    seconds: [Second; RATE_SECONDS as usize + 1],
    slots: [Slot; SLOTS as usize],
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    second: u64,
    arrivals: u64,
    completions: u64,
    rejections: u64,
}

#[derive(Debug, Default)]
struct Slot {
    number: u64,
    statuses: BTreeMap<&'static str, u64>,
    languages: BTreeMap<String, Seen>,
    cost: f64,
}

/// What was seen of one language.
#[derive(Debug)]
struct Seen {
    start: Histogram<u32>,
    total: Histogram<u32>,
    start_kinds: [u64; StartKind::ALL.len()],
}

impl Default for Lately {
    fn default() -> Self {
        Lately { seconds: Default::default(), slots: std::array::from_fn(|_| Slot::default()) }
    }
}

impl Seen {
    fn new() -> Option<Self> {
        let histogram = || Histogram::new(SIGNIFICANT_DIGITS).ok();
        Some(Seen { start: histogram()?, total: histogram()?, start_kinds: Default::default() })
    }

    fn add(&mut self, other: &Seen) {
        // Both grow by themselves.
        let _ = (self.start.add(&other.start), self.total.add(&other.total));
        self.start_kinds.iter_mut().zip(other.start_kinds).for_each(|(own, other)| *own += other);
    }
}

fn percentiles(seen: &Histogram<u32>) -> Percentiles {
    let at = |quantile| (!seen.is_empty()).then(|| Duration::from_micros(seen.value_at_quantile(quantile)));
    Percentiles { p50: at(0.5), p95: at(0.95), p99: at(0.99) }
}

impl Lately {
    fn second(&mut self, at: Duration) -> &mut Second {
        let second = at.as_secs();
        let place = &mut self.seconds[(second % (RATE_SECONDS + 1)) as usize];
        if place.second != second {
            *place = Second { second, ..Second::default() };
        }
        place
    }

    /// A request was taken.
    pub(crate) fn arrived(&mut self, at: Duration) {
        self.second(at).arrivals += 1;
    }

    /// A request was refused.
    pub(crate) fn refused(&mut self, at: Duration) {
        let second = self.second(at);
        second.arrivals += 1;
        second.rejections += 1;
    }

    /// An execution has ended.
    pub(crate) fn ended(&mut self, at: Duration, outcome: &Outcome) {
        self.second(at).completions += 1;
        let number = at.as_secs() / SLOT_SECONDS;
        let slot = &mut self.slots[(number % SLOTS) as usize];
        if slot.number != number {
            *slot = Slot { number, ..Slot::default() };
        }
        *slot.statuses.entry(outcome.status.as_str()).or_default() += 1;
        slot.cost += outcome.cost.unwrap_or_default();
        if !slot.languages.contains_key(&outcome.language) {
            let Some(seen) = Seen::new() else { return };
            slot.languages.insert(outcome.language.clone(), seen);
        }
        let Some(seen) = slot.languages.get_mut(&outcome.language) else { return };
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        // What is too long for any histogram is in none; no execution is.
        let _ = seen.total.record(micros(outcome.timing.total));
        if let Some(kind) = outcome.start_kind {
            let _ = seen.start.record(micros(outcome.timing.start));
            seen.start_kinds[kind as usize] += 1;
        }
    }

    /// What has happened until now.
    pub(crate) fn figures(&self, now: Duration) -> RecentFigures {
        let mut all: BTreeMap<&str, Seen> = BTreeMap::new();
        let mut statuses = BTreeMap::new();
        let mut cost = 0.0;
        let current = now.as_secs() / SLOT_SECONDS;
        // A slot that nobody has used has number 0, and holds nothing.
        for slot in self.slots.iter().filter(|slot| slot.number + SLOTS > current) {
            cost += slot.cost;
            for (status, count) in &slot.statuses {
                *statuses.entry(*status).or_default() += count;
            }
            for (language, seen) in &slot.languages {
                if let Some(sum) = all.get_mut(language.as_str()) {
                    sum.add(seen);
                } else if let Some(mut sum) = Seen::new() {
                    sum.add(seen);
                    all.insert(language, sum);
                }
            }
        }
        let latency = Seen::new().map(|mut sum| {
            all.values().for_each(|seen| sum.add(seen));
            percentiles(&sum.total)
        });
        let languages = all.iter().map(|(language, seen)| LanguageFigures {
            language: (*language).to_owned(),
            count: seen.total.len(),
            start: percentiles(&seen.start),
            total: percentiles(&seen.total),
            start_kinds: StartKind::ALL.map(|kind| (kind.as_str(), seen.start_kinds[kind as usize])).into(),
        });
        RecentFigures {
            rates: self.rates(now),
            latency: latency.unwrap_or_default(),
            statuses,
            languages: languages.collect(),
            cost,
        }
    }

    fn rates(&self, now: Duration) -> Rates {
        let now = now.as_secs();
        let recent = self.seconds.iter().filter(|it| it.second < now && it.second + RATE_SECONDS >= now);
        let sum = recent.fold(Second::default(), |sum, it| Second {
            second: 0,
            arrivals: sum.arrivals + it.arrivals,
            completions: sum.completions + it.completions,
            rejections: sum.rejections + it.rejections,
        });
        // Of a server that has just started there are fewer.
        let seconds = now.clamp(1, RATE_SECONDS) as f64;
        let rate = |count: u64| count as f64 / seconds;
        Rates {
            arrivals: rate(sum.arrivals),
            completions: rate(sum.completions),
            rejections: rate(sum.rejections),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::execution::{ExecutionId, Status, Subject, Timing};
    use crate::limits::LimitPolicy;

    fn s(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn outcome(language: &str, status: Status, start_kind: Option<StartKind>, total_ms: u64) -> Outcome {
        let subject = Subject {
            id: ExecutionId::new(),
            language: language.to_owned(),
            bundle: language.to_owned(),
            tenant: None,
            limits: LimitPolicy::default().default,
            unenforced: &[],
            created_at: SystemTime::now(),
        };
        let total = Duration::from_millis(total_ms);
        let timing = Timing { total, start: total / 10, ..Timing::default() };
        Outcome { start_kind, ..Outcome::without_run(subject, status, String::new(), timing) }
    }

    fn near(duration: Option<Duration>, ms: f64) -> bool {
        duration.is_some_and(|duration| (duration.as_secs_f64() * 1e3 / ms - 1.0).abs() < 0.02)
    }

    #[test]
    fn nothing_has_no_percentiles() {
        let figures = Lately::default().figures(s(3.0));
        assert_eq!(figures, RecentFigures::default());
        assert_eq!(figures.latency.p99, None);
    }

    #[test]
    fn rates_are_of_the_last_ten_whole_seconds() {
        let mut lately = Lately::default();
        for second in 0..30 {
            (0..second).for_each(|_| lately.arrived(s(f64::from(second) + 0.5)));
        }
        // Seconds 20 to 29, and not the current one.
        lately.arrived(s(30.1));
        assert_eq!(lately.figures(s(30.2)).rates.arrivals, 24.5);
        assert_eq!(lately.figures(s(39.0)).rates.arrivals, (29.0 + 1.0) / 10.0);
        assert_eq!(lately.figures(s(1000.0)).rates, Rates::default());
    }

    #[test]
    fn a_server_that_has_just_started_is_not_slow() {
        let mut lately = Lately::default();
        (0..100).for_each(|_| lately.refused(s(0.5)));
        let rates = lately.figures(s(2.0)).rates;
        assert_eq!((rates.arrivals, rates.rejections, rates.completions), (50.0, 50.0, 0.0));
    }

    #[test]
    fn percentiles_are_those_of_a_minute_by_language_and_of_all() {
        let mut lately = Lately::default();
        for ms in 1..=100 {
            lately.ended(
                s(ms as f64 / 2.0),
                &outcome("python", Status::Succeeded, Some(StartKind::Parked), ms),
            );
        }
        lately.ended(s(50.0), &outcome("go", Status::CompileFailed, None, 500));
        let figures = lately.figures(s(51.0));
        let [go, python] = &figures.languages[..] else { panic!("{figures:?}") };
        assert!(near(python.total.p50, 50.0) && near(python.total.p99, 99.0), "{python:?}");
        assert!(near(python.start.p95, 9.5), "{python:?}");
        assert_eq!((python.count, go.count, go.start.p50), (100, 1, None));
        assert_eq!(python.start_kinds, BTreeMap::from([("parked", 100), ("zygote", 0), ("cold", 0)]));
        assert!(near(figures.latency.p50, 51.0) && near(figures.latency.p99, 100.0), "{figures:?}");
        assert_eq!(figures.statuses, BTreeMap::from([("succeeded", 100), ("compile_failed", 1)]));
    }

    #[test]
    fn what_is_older_than_a_minute_is_forgotten() {
        let mut lately = Lately::default();
        let ended = |lately: &mut Lately, at: f64, language: &str| {
            lately.ended(s(at), &outcome(language, Status::Succeeded, Some(StartKind::Zygote), 5));
        };
        ended(&mut lately, 1.0, "python");
        ended(&mut lately, 58.0, "bash");
        assert_eq!(lately.figures(s(59.9)).languages.len(), 2);
        let later = lately.figures(s(60.0));
        assert_eq!(later.languages.iter().map(|it| it.language.as_str()).collect::<Vec<_>>(), ["bash"]);
        // The place of a slot is used again.
        ended(&mut lately, 3601.0, "perl");
        assert_eq!(lately.figures(s(3602.0)).languages.len(), 1);
    }
}
