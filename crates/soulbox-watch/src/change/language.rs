//! The series of one language, or of one program of it.
//!
//! Owns which observation belongs to which series.

use std::sync::Arc;
use std::time::Duration;

use super::block::BlockRule;
use super::series::Series;
use super::{Measure, SavedGroup};
use crate::observation::{Observation, Started, Verdict};

/// What is compared of a language, whatever the program.
const OF_LANGUAGES: [Measure; 5] =
    [Measure::StartParked, Measure::StartZygote, Measure::Finish, Measure::Unparked, Measure::Errors];

/// Series by measure, for times that are not busy and for those that are. They are made when there is something to
/// compare.
#[derive(Clone, Debug, Default)]
pub(super) struct Group(Vec<(Measure, [Option<Box<Series>>; 2])>);

impl Group {
    fn add(&mut self, measure: Measure, busy: bool, value: f64, rule: &BlockRule, now: Duration) {
        let index = match self.0.iter().position(|(other, _)| *other == measure) {
            Some(index) => index,
            None => {
                self.0.push((measure, [None, None]));
                self.0.len() - 1
            }
        };
        let Some((_, pair)) = self.0.get_mut(index) else { return };
        let [quiet, other] = pair;
        let series = if busy { other } else { quiet };
        series.get_or_insert_with(|| Box::new(Series::new(measure.test(), rule, now))).add(value, now);
    }

    pub(super) fn len(&self) -> usize {
        self.all().count()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (Measure, bool, &Series)> {
        self.0.iter().flat_map(|(measure, pair)| {
            let with_load = pair.iter().zip([false, true]);
            with_load.filter_map(|(series, busy)| Some((*measure, busy, &**series.as_ref()?)))
        })
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = (Measure, bool, &mut Series)> {
        self.0.iter_mut().flat_map(|(measure, pair)| {
            let measure = *measure;
            let with_load = pair.iter_mut().zip([false, true]);
            with_load.filter_map(move |(series, busy)| Some((measure, busy, &mut **series.as_mut()?)))
        })
    }

    pub(super) fn saved(&self) -> SavedGroup {
        let save = |series: &Option<Box<Series>>| series.as_ref().map(|series| series.saved());
        self.0.iter().map(|(measure, [quiet, busy])| (*measure, [save(quiet), save(busy)])).collect()
    }

    pub(super) fn resume(&mut self, saved: &SavedGroup, rule: &BlockRule) {
        for (measure, pair) in saved {
            let series = pair.each_ref().map(|saved| {
                let saved = saved.as_ref()?;
                Some(Box::new(Series::resume(measure.test(), saved, rule)))
            });
            self.0.push((*measure, series));
        }
    }

    /// What is compared of one program.
    pub(super) fn of_program(&mut self, seen: &Observation<'_>, rule: &BlockRule, now: Duration) {
        if matches!(seen.verdict, Verdict::Cancelled | Verdict::ServerError) || seen.started.is_none() {
            return;
        }
        let mut add = |measure, value| self.add(measure, seen.busy, value, rule, now);
        let failed = seen.verdict == Verdict::Failed;
        add(Measure::Failures, f64::from(u8::from(failed)));
        // How far one came that failed is another matter.
        if failed {
            return;
        }
        add(Measure::Run, seen.run.as_secs_f64());
        if let Some(time) = seen.cpu_time {
            add(Measure::CpuTime, time.as_secs_f64());
        }
        if let Some(bytes) = seen.memory_peak_bytes {
            add(Measure::Memory, bytes as f64);
        }
    }

    fn of_language(&mut self, seen: &Observation<'_>, rule: &BlockRule, now: Duration) {
        if seen.verdict == Verdict::Cancelled {
            return;
        }
        let mut add = |measure, value| self.add(measure, seen.busy, value, rule, now);
        add(Measure::Errors, f64::from(u8::from(seen.verdict == Verdict::ServerError)));
        let Some(started) = seen.started.filter(|_| seen.verdict != Verdict::ServerError) else { return };
        add(Measure::Unparked, f64::from(u8::from(started != Started::Parked)));
        match started {
            Started::Parked => add(Measure::StartParked, seen.start.as_secs_f64()),
            Started::Zygote => add(Measure::StartZygote, seen.start.as_secs_f64()),
            // Seldom, and each another matter: their share is what tells.
            Started::Cold => {}
        }
        add(Measure::Finish, seen.finish().as_secs_f64());
    }
}

/// One language.
#[derive(Clone, Debug)]
pub(super) struct Language {
    name: Arc<str>,
    group: Group,
}

impl Language {
    pub(super) fn new(name: &str) -> Self {
        Language { name: name.into(), group: Group(Vec::with_capacity(OF_LANGUAGES.len())) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    pub(super) fn len(&self) -> usize {
        self.group.len()
    }

    pub(super) fn ended(&mut self, seen: &Observation<'_>, rule: &BlockRule, now: Duration) {
        self.group.of_language(seen, rule, now);
    }

    pub(super) fn group(&self) -> &Group {
        &self.group
    }

    pub(super) fn group_mut(&mut self) -> &mut Group {
        &mut self.group
    }
}
