//! Memory that is set aside for a run, and the watch over whether it takes more.
//!
//! Owns when that is looked at. It never limits anything: the limit of a run is its leaf's, and what is done about one
//! that takes more than was set aside is the caller's.
//!
//! A run that ends within some milliseconds is never looked at: it cannot fault in more than a few megabytes in that
//! time. From then on, on cgroup v2, the kernel tells by an event when the run reaches `memory.high`, which
//! is what was set aside; that slows it down by some milliseconds at most, until it is raised. On v1, whose events for
//! thresholds cost a grace period of RCU to ask for, it is looked at again whenever its age has doubled, and once a second.

use std::fmt;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use crate::cgroup::Leaf;
use crate::sys;

/// Until this age nothing is looked at.
const FIRST_LOOK: Duration = Duration::from_millis(10);
/// Afterwards whenever its age has doubled, but after this time at the latest.
const LONGEST: Duration = Duration::from_secs(1);

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
    reservation: Option<&'a dyn Reservation>,
    /// What the run may take.
    limit_bytes: u64,
    started: Option<Instant>,
    next_look: Option<Instant>,
    /// On cgroup v2: told when `memory.high` is reached.
    alarm: Option<AsyncFd<OwnedFd>>,
    looked: bool,
}

impl<'a> MemoryWatch<'a> {
    /// Without a reservation there is nothing to watch; neither is there when it is all that the run may have.
    pub(crate) fn new(reservation: Option<&'a dyn Reservation>, limit_bytes: u64) -> Self {
        let reservation = reservation.filter(|reservation| reservation.bytes() < limit_bytes);
        MemoryWatch { reservation, limit_bytes, started: None, next_look: None, alarm: None, looked: false }
    }

    /// The program runs.
    pub(crate) fn started(&mut self, at: Instant) {
        self.started = Some(at);
        self.next_look = self.reservation.map(|_| at + FIRST_LOOK);
    }

    /// When it is to be looked at.
    pub(crate) fn next_look(&self) -> Option<Instant> {
        self.next_look
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
        self.alarm = None;
        let Some(reservation) = self.reservation else { return };
        // Before all else: it is slowed down until then.
        let raised = leaf.set_high(None);
        // What the kernel took from it on the way does not count.
        let used = leaf.memory_bytes().unwrap_or(0).max(reservation.bytes() + 1);
        self.next_look = Some(Instant::now() + FIRST_LOOK);
        self.tell(used);
        if let Err(error) = raised {
            tracing::warn!(%error, "a run that takes more memory than was set aside is slowed down");
        }
    }

    /// Looks, if it is time.
    pub(crate) fn look(&mut self, leaf: &Leaf, now: Instant) {
        let (Some(reservation), Some(started)) = (self.reservation, self.started) else { return };
        if self.next_look.is_none_or(|at| now < at) {
            return;
        }
        self.next_look = Some(now + now.saturating_duration_since(started).clamp(FIRST_LOOK, LONGEST));
        // What cannot be read is found at the end of the run as well, and told then.
        let Ok(used) = leaf.memory_bytes() else { return };
        if used > reservation.bytes() {
            self.tell(used);
        } else if !self.looked {
            self.watch_high(leaf, reservation.bytes());
        }
        self.looked = true;
    }

    fn tell(&mut self, used_bytes: u64) {
        let Some(reservation) = self.reservation else { return };
        reservation.exceeded(used_bytes);
        if reservation.bytes() >= self.limit_bytes {
            // It cannot take any more.
            (self.reservation, self.next_look, self.alarm) = (None, None, None);
        }
    }

    /// Asks the kernel for its word, where it gives it. Then there is no need to look.
    fn watch_high(&mut self, leaf: &Leaf, bytes: u64) {
        let Ok(Some(events)) = leaf.events_of_memory() else { return };
        match sys::watch(events, Interest::PRIORITY) {
            Ok(alarm) if leaf.set_high(Some(bytes)).is_ok() => {
                self.alarm = Some(alarm);
                self.next_look = None;
            }
            // It is looked at instead.
            _ => {}
        }
    }
}
