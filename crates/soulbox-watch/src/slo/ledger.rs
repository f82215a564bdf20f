//! Good and bad executions by the minute of the last hours, and by the hour of the period.
//!
//! Owns the bound on memory: minutes are kept for the windows that are looked at by the minute, and are hours after
//! that, so that a window of days begins at a whole hour. Minutes are counted by a clock that only goes forward; how
//! long a server was down is told by the clock of the day, once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::objective::{OBJECTIVES, Objective};

/// Windows up to this are exact to the minute.
const MINUTES: u64 = 6 * 60;

const MINUTES_AN_HOUR: u64 = 60;

/// Good and bad ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Within the objective.
    pub good: u64,
    /// Not.
    pub bad: u64,
}

type Row = [Counts; OBJECTIVES.len()];

/// What is saved of a ledger. By objective and not by place, so that a configuration can change.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SavedLedger {
    minute: u64,
    first: u64,
    minutes: BTreeMap<Objective, BTreeMap<u64, Counts>>,
    hours: BTreeMap<Objective, BTreeMap<u64, Counts>>,
}

#[derive(Clone, Debug)]
pub(super) struct Ledger {
    /// The minute at time zero of the clock.
    base: u64,
    /// The latest.
    minute: u64,
    /// The first that was ever observed.
    first: u64,
    /// Each at its number modulo their number.
    minutes: Vec<Row>,
    hours: Vec<Row>,
}

impl Counts {
    pub(super) fn add(&mut self, good: bool) {
        let counter = if good { &mut self.good } else { &mut self.bad };
        *counter = counter.saturating_add(1);
    }

    fn merge(&mut self, other: Counts) {
        self.good = self.good.saturating_add(other.good);
        self.bad = self.bad.saturating_add(other.bad);
    }

    /// All of them.
    pub fn total(self) -> u64 {
        self.good.saturating_add(self.bad)
    }
}

impl Ledger {
    pub(super) fn new(period: Duration) -> Self {
        let hours = period.as_secs().div_ceil(3600) + 1;
        Ledger {
            base: 0,
            minute: 0,
            first: 0,
            minutes: vec![Row::default(); MINUTES as usize],
            hours: vec![Row::default(); usize::try_from(hours).unwrap_or(1)],
        }
    }

    pub(super) fn add(&mut self, now: Duration, seen: &Row) {
        self.advance(self.base.saturating_add(now.as_secs() / 60));
        let (minute, hour) = (self.minute, self.minute / MINUTES_AN_HOUR);
        for (ring, at) in [(&mut self.minutes, minute), (&mut self.hours, hour)] {
            let cell = cell(ring, at);
            cell.iter_mut().zip(seen).for_each(|(sum, new)| sum.merge(*new));
        }
    }

    /// What lies between was not observed.
    fn advance(&mut self, to: u64) {
        let to = to.max(self.minute);
        clear(&mut self.minutes, self.minute, to);
        clear(&mut self.hours, self.minute / MINUTES_AN_HOUR, to / MINUTES_AN_HOUR);
        self.minute = to;
    }

    /// The sum over the latest time of this length.
    pub(super) fn over(&self, window: Duration, index: usize) -> Counts {
        let minutes = window.as_secs().div_ceil(60);
        let (ring, latest, number) = if minutes <= MINUTES {
            (&self.minutes, self.minute, minutes)
        } else {
            // The hour that has begun, and as many whole ones.
            (&self.hours, self.minute / MINUTES_AN_HOUR, minutes.div_ceil(MINUTES_AN_HOUR) + 1)
        };
        let number = number.min(ring.len() as u64).min(latest + 1);
        let mut sum = Counts::default();
        for back in 0..number {
            let at = ((latest - back) % ring.len() as u64) as usize;
            if let Some(counts) = ring.get(at).and_then(|row| row.get(index)) {
                sum.merge(*counts);
            }
        }
        sum
    }

    /// For how long it has been observed.
    pub(super) fn age(&self) -> Duration {
        Duration::from_secs(self.minute.saturating_sub(self.first).saturating_mul(60))
    }

    pub(super) fn saved(&self, objectives: impl Iterator<Item = Objective>) -> SavedLedger {
        let mut saved = SavedLedger { minute: self.minute, first: self.first, ..SavedLedger::default() };
        for (index, objective) in objectives.enumerate() {
            let of = |ring: &[Row], latest: u64| -> BTreeMap<u64, Counts> {
                let numbers = (0..ring.len() as u64).filter_map(|back| latest.checked_sub(back));
                let counts = numbers.filter_map(|number| {
                    let counts = *ring.get((number % ring.len() as u64) as usize)?.get(index)?;
                    (counts.total() > 0).then_some((number, counts))
                });
                counts.collect()
            };
            saved.minutes.insert(objective, of(&self.minutes, self.minute));
            saved.hours.insert(objective, of(&self.hours, self.minute / MINUTES_AN_HOUR));
        }
        saved
    }

    pub(super) fn resume(&mut self, saved: &SavedLedger, objectives: &[Objective], ago: Duration) {
        // Numbers that no clock has reached yet are of no clock: what is added to them must not overflow.
        let bound = u64::MAX / 4;
        let minute = saved.minute.min(bound);
        self.minute = minute;
        self.first = saved.first.min(minute);
        for (index, objective) in objectives.iter().enumerate() {
            for (ring, latest, counts) in [
                (&mut self.minutes, minute, saved.minutes.get(objective)),
                (&mut self.hours, minute / MINUTES_AN_HOUR, saved.hours.get(objective)),
            ] {
                for (number, counts) in counts.into_iter().flatten() {
                    let known = latest.checked_sub(*number).is_some_and(|back| back < ring.len() as u64);
                    if let Some(cell) = cell(ring, *number).get_mut(index).filter(|_| known) {
                        *cell = *counts;
                    }
                }
            }
        }
        let down = (ago.as_secs() / 60).min(bound);
        self.advance(minute + down);
        self.base = self.minute;
    }
}

fn cell(ring: &mut [Row], number: u64) -> &mut Row {
    let at = (number % ring.len() as u64) as usize;
    // There is always one: rings are never empty.
    &mut ring[at]
}

/// Empties the cells after `from`, up to `to`.
fn clear(ring: &mut [Row], from: u64, to: u64) {
    let number = (to - from).min(ring.len() as u64);
    for back in 0..number {
        *cell(ring, to - back) = Row::default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);
    const PERIOD: Duration = Duration::from_secs(30 * 24 * 3600);
    const ALL: [Objective; 1] = [Objective::ApiLatency];

    fn row(good: u64, bad: u64) -> Row {
        let mut row = Row::default();
        row[0] = Counts { good, bad };
        row
    }

    #[test]
    fn what_is_older_than_a_window_is_not_in_it() {
        let mut ledger = Ledger::new(PERIOD);
        ledger.add(Duration::ZERO, &row(0, 7));
        ledger.add(3 * MINUTE, &row(5, 1));
        assert_eq!(ledger.over(5 * MINUTE, 0), Counts { good: 5, bad: 8 });
        ledger.add(6 * MINUTE, &row(1, 0));
        assert_eq!(ledger.over(5 * MINUTE, 0), Counts { good: 6, bad: 1 });
        assert_eq!(ledger.over(HOUR, 0), Counts { good: 6, bad: 8 });
        ledger.add(80 * HOUR, &row(0, 0));
        assert_eq!(ledger.over(72 * HOUR, 0), Counts::default());
        assert_eq!(ledger.over(PERIOD, 0), Counts { good: 6, bad: 8 });
        ledger.add(PERIOD + 2 * HOUR, &row(0, 0));
        assert_eq!(ledger.over(PERIOD, 0), Counts::default());
    }

    #[test]
    fn a_restart_keeps_all_but_what_became_too_old_meanwhile() {
        let mut ledger = Ledger::new(PERIOD);
        ledger.add(10 * MINUTE, &row(5, 1));
        let saved = ledger.saved(ALL.into_iter());
        let resumed = |ago| {
            let mut next = Ledger::new(PERIOD);
            next.resume(&saved, &ALL, ago);
            next.add(MINUTE, &row(1, 0));
            next
        };
        let soon = resumed(Duration::from_secs(30));
        assert_eq!(soon.over(5 * MINUTE, 0), Counts { good: 6, bad: 1 });
        let late = resumed(2 * HOUR);
        assert_eq!(late.over(HOUR, 0), Counts { good: 1, bad: 0 });
        assert_eq!(late.over(PERIOD, 0), Counts { good: 6, bad: 1 });
        assert_eq!(late.age(), 131 * MINUTE);
    }

    #[test]
    fn a_clock_that_leaps_far_ahead_leaves_nothing_and_harms_nothing() {
        let mut ledger = Ledger::new(PERIOD);
        ledger.add(MINUTE, &row(5, 1));
        let mut next = Ledger::new(PERIOD);
        next.resume(&ledger.saved(ALL.into_iter()), &ALL, Duration::MAX);
        next.add(Duration::MAX, &row(2, 0));
        assert_eq!(next.over(PERIOD, 0), Counts { good: 2, bad: 0 });
    }

    proptest! {
        #[test]
        fn sums_are_those_of_a_list(events in proptest::collection::vec((0u64..400, 0u64..5, 0u64..5), 1..200)) {
            let mut ledger = Ledger::new(PERIOD);
            let (mut now, mut list) = (Duration::ZERO, Vec::new());
            for (minutes, good, bad) in events {
                now += MINUTE * minutes as u32;
                ledger.add(now, &row(good, bad));
                list.push((now.as_secs() / 60, good, bad));
            }
            let latest = now.as_secs() / 60;
            for (window, unit) in [(5, 1), (30, 1), (360, 1), (3 * 24 * 60, 60)] {
                let first = if unit == 1 { (latest + 1).saturating_sub(window) }
                    else { (latest / unit).saturating_sub(window / unit) * unit };
                let inside = list.iter().filter(|(minute, ..)| *minute >= first);
                let sum = inside.fold((0, 0), |(good, bad), (_, more, worse)| (good + more, bad + worse));
                let found = ledger.over(MINUTE * window as u32, 0);
                prop_assert_eq!((found.good, found.bad), sum, "{} minutes", window);
            }
        }
    }
}
