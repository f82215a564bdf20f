//! The looks at the memory of a run: for what it holds over time, and for whether it takes more than was set aside.
//!
//! Owns when it is looked at, once for both. It never limits anything: the limit of a run is its leaf's, and what is done
//! about one that takes more than was set aside is the caller's.
//!
//! A run that ends within some milliseconds is never looked at: it cannot fault in more than a few megabytes in that
//! time. From then on, on cgroup v2, the kernel tells by an event when the run reaches `memory.high`, which is what was
//! set aside; that slows it down by some milliseconds at most, until it is raised. On v1, whose events for thresholds
//! cost a grace period of RCU to ask for, a young run is looked at whenever its age has doubled, and an older one when
//! [`MemoryTime`] wants to know.

use std::fmt;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use crate::cgroup::{Leaf, MemoryTime};
use crate::sys;

/// Until this age nothing is looked at; and looks are never closer.
const FIRST_LOOK: Duration = Duration::from_millis(10);

/// Memory that is set aside for a run.
pub trait Reservation: fmt::Debug + Sync {
    /// How much.
    fn bytes(&self) -> u64;

    /// The run takes more than that. Called from its task, at most once in ten milliseconds.
    fn exceeded(&self, used_bytes: u64);
}

/// The watch over one run.
#[derive(Debug)]
pub(crate) struct MemoryWatch<'a> {
    time: MemoryTime,
    /// As long as it may be exceeded.
    reservation: Option<&'a dyn Reservation>,
    /// What the run may take.
    limit_bytes: u64,
    /// Once the program runs.
    started: Option<Instant>,
    next_for_time: Option<Instant>,
    /// Where that is sooner.
    next_for_reservation: Option<Instant>,
    /// On cgroup v2: told when `memory.high` is reached.
    alarm: Option<AsyncFd<OwnedFd>>,
}

impl<'a> MemoryWatch<'a> {
    /// There may be no reservation, and one that is all that the run may have cannot be exceeded.
    pub(crate) fn new(reservation: Option<&'a dyn Reservation>, limit_bytes: u64) -> Self {
        MemoryWatch {
            time: MemoryTime::default(),
            reservation: reservation.filter(|reservation| reservation.bytes() < limit_bytes),
            limit_bytes,
            started: None,
            next_for_time: None,
            next_for_reservation: None,
            alarm: None,
        }
    }

    /// The program runs.
    pub(crate) fn started(&mut self, at: Instant) {
        self.started = Some(at);
        self.next_for_time = Some(at + self.time.next_look());
        self.next_for_reservation = self.reservation.map(|_| at + FIRST_LOOK);
    }

    /// Memory times time, of a run that has ended after `run_time`.
    pub(crate) fn byte_seconds(&self, run_time: Duration, peak_bytes: u64) -> f64 {
        self.time.until(run_time, peak_bytes)
    }

    /// When it is to be looked at.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        self.next_for_time.into_iter().chain(self.next_for_reservation).min()
    }

    /// Looks, if it is time.
    pub(crate) fn look(&mut self, leaf: &Leaf, now: Instant) {
        let Some(started) = self.started.filter(|_| self.next_look().is_some_and(|at| now >= at)) else {
            return;
        };
        let age = now.saturating_duration_since(started);
        // What cannot be read ends no run: it is no limit.
        let bytes = leaf.memory_bytes().ok();
        if self.next_for_time.is_some_and(|at| now >= at) {
            if let Some(bytes) = bytes {
                self.time.see(age, bytes);
            }
            self.next_for_time = Some((started + self.time.next_look()).max(now + FIRST_LOOK));
        }
        let doubled = now + age.max(FIRST_LOOK);
        self.next_for_reservation =
            self.reservation.map(|_| doubled).filter(|at| self.next_for_time.is_none_or(|other| *at < other));
        if let Some(bytes) = bytes {
            self.compare(leaf, bytes);
        }
    }

    /// Resolves when the kernel says that the run takes more than was set aside.
    pub(crate) async fn alarmed(&self) {
        match &self.alarm {
            Some(alarm) if alarm.ready(Interest::PRIORITY).await.is_ok() => {}
            _ => std::future::pending().await,
        }
    }

    /// The kernel has said so.
    pub(crate) fn alarm(&mut self, leaf: &Leaf) {
        let Some(reservation) = self.reservation else { return };
        // What the kernel took from it on the way does not count.
        let used_bytes = leaf.memory_bytes().unwrap_or(0).max(reservation.bytes() + 1);
        self.exceeded(reservation, leaf, used_bytes);
        // The next look asks the kernel again, by what is set aside then.
        self.next_for_reservation = self.reservation.map(|_| Instant::now() + FIRST_LOOK);
    }

    fn compare(&mut self, leaf: &Leaf, used_bytes: u64) {
        let Some(reservation) = self.reservation else { return };
        if used_bytes > reservation.bytes() {
            self.exceeded(reservation, leaf, used_bytes);
        }
        if self.reservation.is_some() && self.alarm.is_none() {
            self.watch_high(leaf, reservation.bytes());
        }
        if self.alarm.is_some() {
            self.next_for_reservation = None;
        }
    }

    fn exceeded(&mut self, reservation: &dyn Reservation, leaf: &Leaf, used_bytes: u64) {
        // First of all: it is slowed down until then.
        if self.alarm.take().is_some()
            && let Err(error) = leaf.set_high(None)
        {
            tracing::warn!(%error, "a run that takes more memory than was set aside is slowed down");
        }
        reservation.exceeded(used_bytes);
        if reservation.bytes() >= self.limit_bytes {
            // It cannot take any more.
            (self.reservation, self.next_for_reservation) = (None, None);
        }
    }

    /// Asks the kernel for its word, where it gives it. Then there is no need to look.
    fn watch_high(&mut self, leaf: &Leaf, bytes: u64) {
        let Ok(Some(events)) = leaf.events_of_memory() else { return };
        match sys::watch(events, Interest::PRIORITY) {
            Ok(alarm) if leaf.set_high(Some(bytes)).is_ok() => self.alarm = Some(alarm),
            // It is looked at instead.
            _ => {}
        }
    }
}
