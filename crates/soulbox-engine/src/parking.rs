//! Parked sandboxes: made ahead of the request, complete but for their job.
//!
//! Owns how many wait and when more are made: when a run has ended, never while others want the processor.
//! A parked sandbox is used once, as any other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use soulbox_sandbox::{Sandbox, Zygote, error_chain};

use crate::keeper::Keeper;
use crate::limits::Limits;

/// A sandbox that waits for a job, and the zygote that it was forked from.
pub(crate) type Parked = (Arc<Zygote>, Sandbox);

/// The parked sandboxes of one bundle.
#[derive(Debug)]
pub(crate) struct Parking {
    bundle: String,
    wanted: usize,
    /// `None` when none may wait any more.
    parked: Mutex<Option<Vec<Parked>>>,
    /// Held by who makes them.
    refill: tokio::sync::Mutex<()>,
    next_name: AtomicU64,
}

impl Parking {
    pub(crate) fn new(bundle: &str, wanted: usize) -> Self {
        let (parked, next_name) = (Mutex::new(Some(Vec::new())), AtomicU64::new(1));
        Parking { bundle: bundle.to_owned(), wanted, parked, refill: Default::default(), next_name }
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

    /// Makes sandboxes of this zygote, and has them wait instead of those that do, which end, if it takes its place
    /// then: `take_place` tells. Nobody makes sandboxes of another zygote meanwhile.
    pub(crate) async fn renew(
        &self,
        zygote: &Arc<Zygote>,
        limits: &Limits,
        take_place: impl AsyncFnOnce() -> bool,
    ) {
        let _refill = self.refill.lock().await;
        let mut made = Vec::new();
        while made.len() < self.wanted
            && let Some(parked) = self.make_one(zygote, limits).await
        {
            made.push(parked);
        }
        let takes_place = take_place().await;
        let mut parked = self.parked();
        if let Some(parked) = parked.as_mut().filter(|_| takes_place) {
            std::mem::swap(parked, &mut made);
            self.tell(made.len(), parked.len());
        }
    }

    async fn make_one(&self, zygote: &Arc<Zygote>, limits: &Limits) -> Option<Parked> {
        let name = format!("parked-{}-{}", zygote.id(), self.next_name.fetch_add(1, Ordering::Relaxed));
        match zygote.park(&name, &limits.leaf(), limits.disk_bytes).await {
            Ok(sandbox) => Some((Arc::clone(zygote), sandbox)),
            Err(error) => {
                // The next request meets the same error, and tells it.
                tracing::debug!(error = %error_chain(&error), "no sandbox can be parked");
                None
            }
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
        if keeper.parking().missing() == 0 {
            return;
        }
        let keeper = Arc::clone(keeper);
        tokio::spawn(async move {
            let parking = keeper.parking();
            let Ok(_refill) = parking.refill.try_lock() else { return };
            while parking.missing() > 0
                && let Some(zygote) = keeper.ready_zygote()
                && let Some(parked) = parking.make_one(&zygote, keeper.default_limits()).await
            {
                parking.put(parked);
            }
        });
    }
}
