//! The days before: how often each depth was met at which time of the day.
//!
//! Owns the slots of the day, how older days fade, and the form in which histories are saved. It opens no file.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::MAX_DEPTH;

const DAY_S: u64 = 24 * 60 * 60;
const SLOT_S: u64 = 15 * 60;
const SLOTS: u64 = DAY_S / SLOT_S;

/// After a whole slot that was observed, what was known of it counts half: that of a day before, a quarter.
const FADE: f64 = 0.5;

/// A slot that was observed for a moment alone tells little.
const DOUBT_S: f64 = SLOT_S as f64 / 4.0;

/// Who comes every day comes a little earlier or later.
const EARLIER_OR_LATER_S: u64 = 2 * 60;

const FORMAT: &str = "soulbox-demand";
const VERSION: u32 = 1;

/// Of so many bundles a history is saved.
const MAX_BUNDLES: usize = 256;

/// Histories that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// They are no JSON, or not of this form.
    #[error("it is not a history of demand")]
    Malformed(#[from] serde_json::Error),
    /// They are of another program or version.
    #[error("it has format {format:?}, version {version}, where {FORMAT:?}, version {VERSION} is read")]
    Foreign {
        /// What it says.
        format: String,
        /// What it says.
        version: u32,
    },
    /// A number in them cannot be.
    #[error("bundle {0:?} has numbers that cannot be observed")]
    Impossible(String),
    /// They would take too much memory.
    #[error("it has {0} bundles, more than {MAX_BUNDLES}")]
    TooMany(usize),
}

/// One slot of the day, over the days that were observed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Slot {
    /// For how long it was observed.
    seconds: f64,
    /// How often each depth was met in that time.
    uses: Vec<f64>,
}

/// The days of one bundle.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct History {
    slots: BTreeMap<u64, Slot>,
}

impl History {
    fn is_possible(&self) -> bool {
        let possible = |number: &f64| number.is_finite() && *number >= 0.0;
        self.slots.iter().all(|(slot, it)| {
            *slot < SLOTS
                && it.uses.len() <= MAX_DEPTH
                && possible(&it.seconds)
                && it.uses.iter().all(possible)
        })
    }

    fn add(&mut self, slot: u64, seen: &Slot) {
        // Of a day without any, as long as nothing is known of others, nothing needs to be known.
        if seen.uses.is_empty() && !self.slots.contains_key(&slot) {
            return;
        }
        let sum = self.slots.entry(slot).or_default();
        let fade = FADE.powf(seen.seconds / SLOT_S as f64);
        sum.seconds = sum.seconds * fade + seen.seconds;
        if sum.uses.len() < seen.uses.len() {
            sum.uses.resize(seen.uses.len(), 0.0);
        }
        for (index, uses) in sum.uses.iter_mut().enumerate() {
            *uses = *uses * fade + seen.uses.get(index).copied().unwrap_or(0.0);
        }
        // Seldom ones fade away, and the file stays small.
        while sum.uses.last().is_some_and(|uses| *uses < 0.01) {
            sum.uses.pop();
        }
        if sum.uses.is_empty() {
            self.slots.remove(&slot);
        }
    }

    fn rate_in(&self, slot: u64, depth: usize) -> f64 {
        let slot = self.slots.get(&slot);
        slot.and_then(|it| Some(it.uses.get(depth)? / (it.seconds + DOUBT_S))).unwrap_or(0.0)
    }

    /// Uses per second around this time of other days, by depth.
    pub(crate) fn rate_at(&self, unix_time_s: u64, depth: usize) -> f64 {
        let earlier = slot_of(unix_time_s.saturating_sub(EARLIER_OR_LATER_S));
        let later = slot_of(unix_time_s.saturating_add(EARLIER_OR_LATER_S));
        self.rate_in(earlier, depth).max(self.rate_in(later, depth))
    }

    /// Up to where [`History::rate_at`] may be more than 0.
    pub(crate) fn depths(&self) -> usize {
        self.slots.values().map(|slot| slot.uses.len()).max().unwrap_or(0)
    }
}

fn slot_of(unix_time_s: u64) -> u64 {
    unix_time_s % DAY_S / SLOT_S
}

/// What is seen of today, which is history when its slot is over: what the last minutes tell already must not
/// count twice.
#[derive(Debug, Default)]
pub(crate) struct Today {
    slot: u64,
    seen: Slot,
}

impl Today {
    /// Adds what was seen in the time until now. How long it was is told by another clock than what time it is: a
    /// clock that was set has one slot end sooner, and that is all.
    pub(crate) fn add(&mut self, history: &mut History, unix_time_s: u64, elapsed: Duration, uses: &[u32]) {
        let slot = slot_of(unix_time_s);
        if slot != self.slot {
            history.add(self.slot, &std::mem::take(&mut self.seen));
            self.slot = slot;
        }
        // A host that was suspended has observed nothing meanwhile.
        self.seen.seconds = (self.seen.seconds + elapsed.as_secs_f64()).min(SLOT_S as f64);
        if self.seen.uses.len() < uses.len() {
            self.seen.uses.resize(uses.len(), 0.0);
        }
        self.seen.uses.iter_mut().zip(uses).for_each(|(sum, new)| *sum += f64::from(*new));
    }

    /// The history with what is seen until now.
    pub(crate) fn with(&self, history: &History) -> History {
        let mut history = history.clone();
        history.add(self.slot, &self.seen);
        history
    }
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    version: u32,
    bundles: BTreeMap<String, History>,
}

/// Only what says what it is.
#[derive(Debug, Deserialize)]
struct Heading {
    format: String,
    version: u32,
}

/// The histories of all bundles, by their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histories(BTreeMap<String, History>);

impl Histories {
    /// Reads what [`Histories::encode`] wrote.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, HistoryError> {
        let Heading { format, version } = serde_json::from_slice(bytes)?;
        if format != FORMAT || version != VERSION {
            return Err(HistoryError::Foreign { format, version });
        }
        let bundles = serde_json::from_slice::<File>(bytes)?.bundles;
        if bundles.len() > MAX_BUNDLES {
            return Err(HistoryError::TooMany(bundles.len()));
        }
        match bundles.iter().find(|(_, history)| !history.is_possible()) {
            Some((name, _)) => Err(HistoryError::Impossible(name.clone())),
            None => Ok(Histories(bundles)),
        }
    }

    /// In the form of a file.
    ///
    /// # Errors
    /// [`HistoryError`], which no history has.
    pub fn encode(&self) -> Result<Vec<u8>, HistoryError> {
        let bundles = self.0.clone();
        Ok(serde_json::to_vec(&File { format: FORMAT.to_owned(), version: VERSION, bundles })?)
    }

    /// That of a bundle; one that knows nothing where there is none.
    pub fn of(&self, bundle: &str) -> History {
        self.0.get(bundle).cloned().unwrap_or_default()
    }

    /// Keeps that of a bundle, where there is place.
    pub fn put(&mut self, bundle: &str, history: History) {
        if history == History::default() {
            self.0.remove(bundle);
        } else if self.0.len() < MAX_BUNDLES || self.0.contains_key(bundle) {
            self.0.insert(bundle.to_owned(), history);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A history of so many days with `uses` in the slot from 9:00 on.
    fn days(number: u64, uses: &[u32]) -> History {
        let (mut history, mut today) = (History::default(), Today::default());
        for second in 0..number * DAY_S {
            let at_nine = second % DAY_S == 9 * 3600;
            today.add(&mut history, second, SECOND, if at_nine { uses } else { &[] });
        }
        today.add(&mut history, number * DAY_S, SECOND, &[]);
        history
    }

    #[test]
    fn what_came_on_other_days_is_expected_at_its_time() {
        let history = days(3, &[9, 3]);
        let at = |hours: f64, depth| history.rate_at((hours * 3600.0) as u64, depth) * SLOT_S as f64;
        assert!((6.0..9.0).contains(&at(9.1, 0)), "{}", at(9.1, 0));
        assert!((2.0..3.0).contains(&at(9.1, 1)), "{}", at(9.1, 1));
        assert!(at(8.98, 0) > 6.0, "a little earlier");
        assert_eq!((at(8.5, 0), at(9.5, 0), at(9.1, 2)), (0.0, 0.0, 0.0));
    }

    #[test]
    fn what_comes_no_more_is_forgotten() {
        let (mut history, mut today) = (days(3, &[9]), Today::default());
        for second in 0..20 * DAY_S {
            today.add(&mut history, second, SECOND, &[]);
        }
        assert_eq!(history, History::default());
    }

    #[test]
    fn a_clock_that_is_set_loses_nothing_but_the_time_of_day() {
        let (mut history, mut today) = (days(3, &[9]), Today::default());
        let before = history.clone();
        for time in [0, u64::MAX, 5, 9 * 3600, 3, 10 * DAY_S + 9 * 3600] {
            today.add(&mut history, time, SECOND, &[]);
        }
        today.add(&mut history, 0, 1000 * DAY_S as u32 * SECOND, &[]);
        let change = history.rate_at(9 * 3600, 0) / before.rate_at(9 * 3600, 0);
        assert!((0.99..1.0).contains(&change), "{change}");
    }

    #[test]
    fn histories_are_read_as_they_were_written() {
        let mut histories = Histories::default();
        histories.put("python", days(2, &[5, 1]));
        let bytes = histories.encode().unwrap();
        assert_eq!(Histories::decode(&bytes).unwrap(), histories);
        assert_eq!(histories.of("perl"), History::default());
    }

    #[test]
    fn what_is_no_history_is_refused_by_its_reason() {
        let error = |text: &str| Histories::decode(text.as_bytes()).unwrap_err();
        assert!(matches!(error("{\"form"), HistoryError::Malformed(_)));
        assert!(matches!(
            error("{\"format\": \"soulbox-demand\", \"version\": 2, \"bundles\": []}"),
            HistoryError::Foreign { version: 2, .. }
        ));
        let with = |slots: &str| {
            error(&format!("{{\"format\":\"soulbox-demand\",\"version\":1,\"bundles\":{{\"b\":{slots}}}}}"))
        };
        for slots in [
            "{\"96\":{\"seconds\":1,\"uses\":[1]}}",
            "{\"0\":{\"seconds\":-1,\"uses\":[]}}",
            "{\"0\":{\"seconds\":1,\"uses\":[-0.5]}}",
        ] {
            assert!(matches!(with(slots), HistoryError::Impossible(_)), "{slots}");
        }
        assert!(matches!(
            with("{\"0\":{\"seconds\":1,\"uses\":[1],\"more\":1}}"),
            HistoryError::Malformed(_)
        ));
    }

    proptest! {
        #[test]
        fn no_file_is_a_surprise(bytes: Vec<u8>) {
            let _ = Histories::decode(&bytes);
        }
    }
}
