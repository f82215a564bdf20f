//! Parked sandboxes: made ahead of the request, complete but for their job.
//!
//! Owns how many wait and when more are made: when a run has ended, never while others want the processor.
//! A parked sandbox is used once, as any other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use soulbox_sandbox::{Sandbox, Zygote, error_chain};

use crate::keeper::Keeper;

/// A sandbox that waits for a job, and the zygote that it was forked from.
pub(crate) type Parked = (Arc<Zygote>, Sandbox);

/// The parked sandboxes of one bundle.
#[derive(Debug)]
pub(crate) struct Parking {
    bundle: String,
    wanted: usize,
    /// `None` when none may wait any more.
    parked: Mutex<Option<Vec<Parked>>>,
    refilling: AtomicBool,
    next_name: AtomicU64,
}

impl Parking {
    pub(crate) fn new(bundle: &str, wanted: usize) -> Self {
        let (refilling, next_name) = (AtomicBool::new(false), AtomicU64::new(1));
        let parked = Mutex::new(Some(Vec::new()));
        Parking { bundle: bundle.to_owned(), wanted, parked, refilling, next_name }
    }

    fn parked(&self) -> MutexGuard<'_, Option<Vec<Parked>>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of a zygote that lived a moment ago. Those of lost ones have ended with them.
    pub(crate) fn take(&self) -> Option<Parked> {
        let mut parked = self.parked();
        let parked = parked.as_mut()?;
        let before = parked.len();
        parked.retain(|(zygote, _)| !zygote.is_lost());
        let taken = parked.pop();
        self.tell(before, parked.len());
        taken
    }

    fn put(&self, sandbox: Parked) {
        // One that comes too late ends here.
        if let Some(parked) = self.parked().as_mut() {
            parked.push(sandbox);
            self.tell(parked.len() - 1, parked.len());
        }
    }

    /// By how many there are more or less: while a bundle is replaced, two keepers have sandboxes of it.
    fn tell(&self, before: usize, after: usize) {
        metrics::gauge!("soulbox_sandboxes_parked", "bundle" => self.bundle.clone())
            .increment(after as f64 - before as f64);
    }

    /// Ends all that wait, for good.
    pub(crate) fn close(&self) {
        let ended = self.parked().take();
        self.tell(ended.map_or(0, |parked| parked.len()), 0);
    }

    fn missing(&self) -> usize {
        self.parked().as_ref().map_or(0, |parked| self.wanted.saturating_sub(parked.len()))
    }

    /// Makes those that are missing, in the background, unless that is happening already.
    pub(crate) fn refill(keeper: &Arc<Keeper>) {
        let parking = keeper.parking();
        if parking.missing() == 0 || parking.refilling.swap(true, Ordering::AcqRel) {
            return;
        }
        let keeper = Arc::clone(keeper);
        tokio::spawn(async move {
            let parking = keeper.parking();
            while parking.missing() > 0
                && let Some(zygote) = keeper.ready_zygote()
            {
                let name =
                    format!("parked-{}-{}", zygote.id(), parking.next_name.fetch_add(1, Ordering::Relaxed));
                match zygote.spawn(&name, &keeper.default_limits().leaf()).await {
                    Ok(sandbox) => parking.put((zygote, sandbox)),
                    Err(error) => {
                        // The next request meets the same error, and tells it.
                        tracing::debug!(error = %error_chain(&error), "no sandbox can be parked");
                        break;
                    }
                }
            }
            parking.refilling.store(false, Ordering::Release);
        });
    }
}
