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
    parked: Mutex<Vec<Parked>>,
    refilling: AtomicBool,
    next_name: AtomicU64,
}

impl Parking {
    pub(crate) fn new(bundle: &str, wanted: usize) -> Self {
        let (refilling, next_name) = (AtomicBool::new(false), AtomicU64::new(1));
        Parking { bundle: bundle.to_owned(), wanted, parked: Mutex::default(), refilling, next_name }
    }

    fn parked(&self) -> MutexGuard<'_, Vec<Parked>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of a zygote that lived a moment ago. Those of lost ones have ended with them.
    pub(crate) fn take(&self) -> Option<Parked> {
        let mut parked = self.parked();
        parked.retain(|(zygote, _)| !zygote.is_lost());
        let taken = parked.pop();
        self.tell(parked.len());
        taken
    }

    fn put(&self, sandbox: Parked) {
        let mut parked = self.parked();
        parked.push(sandbox);
        self.tell(parked.len());
    }

    fn tell(&self, number: usize) {
        metrics::gauge!("soulbox_sandboxes_parked", "bundle" => self.bundle.clone()).set(number as f64);
    }

    /// Ends all that wait.
    pub(crate) fn clear(&self) {
        self.parked().clear();
        self.tell(0);
    }

    fn missing(&self) -> usize {
        self.wanted.saturating_sub(self.parked().len())
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
