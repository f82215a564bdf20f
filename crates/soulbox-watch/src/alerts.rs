//! Alerts: what somebody is told, while it is so and for some time after.
//!
//! Owns which alerts fire and how many are remembered. It never decides that one shall fire, and tells nobody itself.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::change::Unit;
use crate::slo::Severity;

/// So many that are over are remembered.
const REMEMBERED: usize = 256;

/// So many fire at once; what comes beyond is counted.
const MOST_FIRING: usize = 256;

/// What somebody is told.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// Its id, which no other has.
    pub id: String,
    /// What kind of alert it is. There are only so many.
    pub name: String,
    /// How urgent it is.
    pub severity: Severity,
    /// What it is of.
    pub labels: BTreeMap<String, String>,
    /// One sentence for a person.
    pub summary: String,
    /// Since when it fires, in milliseconds of Unix time.
    pub since_unix_ms: u64,
    /// Until when it did.
    pub resolved_unix_ms: Option<u64>,
    /// What was measured.
    pub value: f64,
    /// What it was measured against.
    pub baseline: f64,
    /// What both are counted in; `None` for rates.
    pub unit: Option<Unit>,
}

/// An alert that shall fire.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    pub(crate) name: &'static str,
    pub(crate) severity: Severity,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) summary: String,
    pub(crate) value: f64,
    pub(crate) baseline: f64,
    pub(crate) unit: Option<Unit>,
}

/// All alerts that fire, and the latest that did.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AlertBook {
    /// By what they are of.
    firing: BTreeMap<String, Alert>,
    /// Oldest first.
    resolved: VecDeque<Alert>,
    given: u64,
    forgotten: u64,
}

impl AlertBook {
    /// Has an alert fire, unless it does already.
    pub(crate) fn fire(&mut self, key: &str, draft: Draft, unix_ms: u64) -> Option<Alert> {
        if self.firing.contains_key(key) {
            return None;
        }
        if self.firing.len() >= MOST_FIRING {
            self.forgotten = self.forgotten.saturating_add(1);
            return None;
        }
        self.given = self.given.wrapping_add(1);
        let Draft { name, severity, labels, summary, value, baseline, unit } = draft;
        let alert = Alert {
            // Two servers with one state directory may count alike, but hardly in the same millisecond.
            id: format!("alert_{unix_ms:012x}{:04x}", self.given & 0xffff),
            name: name.to_owned(),
            severity,
            labels,
            summary,
            since_unix_ms: unix_ms,
            resolved_unix_ms: None,
            value,
            baseline,
            unit,
        };
        self.firing.insert(key.to_owned(), alert.clone());
        Some(alert)
    }

    /// It is over, if it was.
    pub(crate) fn resolve(&mut self, key: &str, unix_ms: u64) -> Option<Alert> {
        let mut alert = self.firing.remove(key)?;
        // A clock that was set back does not have it end before it began.
        alert.resolved_unix_ms = Some(unix_ms.max(alert.since_unix_ms));
        if self.resolved.len() >= REMEMBERED {
            self.resolved.pop_front();
            self.forgotten = self.forgotten.saturating_add(1);
        }
        self.resolved.push_back(alert.clone());
        Some(alert)
    }

    /// The keys of those that fire and begin so.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        self.firing.keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    /// Those that fire, the latest first, and then those that are over, the latest first.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        let mut firing: Vec<&Alert> = self.firing.values().collect();
        firing.sort_by(|one, other| other.since_unix_ms.cmp(&one.since_unix_ms).then(other.id.cmp(&one.id)));
        firing.into_iter().chain(self.resolved.iter().rev())
    }

    /// How many fire.
    pub fn firing(&self) -> usize {
        self.firing.len()
    }

    /// How many fire, by their names.
    pub fn firing_by_name(&self) -> BTreeMap<&str, usize> {
        let mut numbers = BTreeMap::new();
        for alert in self.firing.values() {
            *numbers.entry(alert.name.as_str()).or_insert(0) += 1;
        }
        numbers
    }

    /// How many are remembered no more, or were too many.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(crate) fn is_possible(&self) -> bool {
        let mut all = self.firing.values().chain(&self.resolved);
        self.firing.len() <= MOST_FIRING
            && self.resolved.len() <= REMEMBERED
            && all.all(|alert| alert.value.is_finite() && alert.baseline.is_finite())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn draft() -> Draft {
        Draft {
            name: "start_slower",
            severity: Severity::Ticket,
            labels: BTreeMap::new(),
            summary: "slower".to_owned(),
            value: 2.0,
            baseline: 1.0,
            unit: Some(Unit::Seconds),
        }
    }

    #[test]
    fn an_alert_fires_once_and_is_over_once() {
        let mut book = AlertBook::default();
        let fired = book.fire("a", draft(), 1000).unwrap();
        assert_eq!(book.fire("a", draft(), 2000), None);
        assert_eq!(book.firing_by_name(), BTreeMap::from([("start_slower", 1)]));
        let over = book.resolve("a", 500).unwrap();
        assert_eq!((over.id, over.resolved_unix_ms), (fired.id.clone(), Some(1000)));
        assert_eq!(book.resolve("a", 3000), None);
        assert_ne!(book.fire("a", draft(), 1000).unwrap().id, fired.id);
        assert_eq!(book.alerts().map(|alert| alert.resolved_unix_ms).collect::<Vec<_>>(), [None, Some(1000)]);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_not_is_counted() {
        let mut book = AlertBook::default();
        for number in 0..1000 {
            book.fire(&number.to_string(), draft(), number);
        }
        assert_eq!((book.firing(), book.forgotten()), (MOST_FIRING, 744));
        for number in 0..1000 {
            book.resolve(&number.to_string(), number);
            book.fire("again", draft(), number);
            book.resolve("again", number);
        }
        assert_eq!(book.alerts().count(), REMEMBERED);
        assert_eq!(book.forgotten(), 744 + 1000);
    }
}
