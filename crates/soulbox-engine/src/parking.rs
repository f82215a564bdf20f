//! Parked sandboxes of one bundle: made ahead of the request, complete but for their job.
//!
//! Owns those that wait, and the making and ending of them: made in the background while there is time, ended when they
//! are more than are allotted. How many that is, the [pool](crate::pool) of all bundles says. A parked sandbox is used
//! once, as any other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use soulbox_sandbox::{Meter, Sandbox, Zygote, error_chain};

use crate::keeper::Keeper;
use crate::limits::Limits;
use crate::pool::Share;

/// So much of a surplus ends at a time: all at once would take the processor from whom a run comes for just then.
const ENDED_AT_ONCE: usize = 4;

/// So many wait with a new zygote before it takes the place of the old one, however much there is to do.
const RENEWED_ANYWAY: usize = 2;

/// A sandbox that waits for a job, and the zygote that it was forked from.
pub(crate) type Parked = (Arc<Zygote>, Sandbox);

/// The parked sandboxes of one keeper.
#[derive(Debug)]
pub(crate) struct Parking {
    bundle: String,
    share: Arc<Share>,
    /// The latest last. `None` when none may wait any more.
    parked: Mutex<Option<Vec<Parked>>>,
    /// Held by who makes them.
    refill: tokio::sync::Mutex<()>,
    next_name: AtomicU64,
}

impl Parking {
    pub(crate) fn new(bundle: &str, share: Arc<Share>) -> Self {
        let parked = Mutex::new(share.is_used().then(Vec::new));
        let (refill, next_name) = (Default::default(), AtomicU64::new(1));
        Parking { bundle: bundle.to_owned(), share, parked, refill, next_name }
    }

    fn parked(&self) -> MutexGuard<'_, Option<Vec<Parked>>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What its bundle has of the pool.
    pub(crate) fn share(&self) -> &Share {
        &self.share
    }

    /// One that lived a moment ago, and its zygote too.
    pub(crate) fn take(&self) -> Option<Parked> {
        let taken = {
            let mut parked = self.parked();
            let parked = parked.as_mut()?;
            let before = parked.len();
            parked.retain(|(zygote, sandbox)| !zygote.is_lost() && !sandbox.has_ended());
            let taken = parked.pop();
            self.tell(before, parked.len());
            taken
        };
        self.share.taken(taken.is_some());
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
    /// then: `take_place` tells. Nobody makes sandboxes of another zygote meanwhile. More than a few are made only as
    /// long as `there_is_time`; the others follow.
    pub(crate) async fn renew(
        &self,
        zygote: &Arc<Zygote>,
        limits: &Limits,
        there_is_time: impl Fn() -> bool,
        take_place: impl AsyncFnOnce() -> bool,
    ) {
        let _refill = self.refill.lock().await;
        let mut made = Vec::new();
        while made.len() < self.share.allotted()
            && (made.len() < RENEWED_ANYWAY || there_is_time())
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
        let started = Instant::now();
        match zygote.park(&name, &limits.leaf(), limits.disk_bytes).await {
            Ok(sandbox) => {
                self.share.made_in(started.elapsed());
                Some((Arc::clone(zygote), sandbox))
            }
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

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.parked().as_ref().map_or(0, Vec::len)
    }

    /// Those that wait, each with its zygote, to be looked at without holding up who takes one.
    pub(crate) fn meters(&self) -> Vec<(Arc<Zygote>, Option<Meter>)> {
        let parked = self.parked();
        let parked = parked.iter().flatten();
        parked.map(|(zygote, sandbox)| (Arc::clone(zygote), sandbox.meter())).collect()
    }

    fn missing(&self) -> usize {
        self.parked().as_ref().map_or(0, |parked| self.share.allotted().saturating_sub(parked.len()))
    }

    /// What the longest-waiting one takes of memory, all of whose making is behind it.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        self.parked().as_ref()?.first()?.1.memory_bytes()
    }

    /// Ends some of those that are more than are allotted, those that have waited longest.
    pub(crate) fn end_surplus(&self) {
        let ended: Vec<Parked> = {
            let mut parked = self.parked();
            let Some(parked) = parked.as_mut() else { return };
            let surplus = parked.len().saturating_sub(self.share.allotted()).min(ENDED_AT_ONCE);
            let ended = parked.drain(..surplus).collect();
            self.tell(parked.len() + surplus, parked.len());
            ended
        };
        // Not under the lock: whoever takes one need not wait for this.
        drop(ended);
    }

    /// Makes those that are missing, in the background, unless that is happening already, as long as `there_is_time`.
    pub(crate) fn refill(keeper: &Arc<Keeper>, mut there_is_time: impl FnMut() -> bool + Send + 'static) {
        if keeper.parking().missing() == 0 {
            return;
        }
        let keeper = Arc::clone(keeper);
        tokio::spawn(async move {
            let parking = keeper.parking();
            let Ok(_refill) = parking.refill.try_lock() else { return };
            while parking.missing() > 0
                && there_is_time()
                && let Some(zygote) = keeper.ready_zygote()
                && let Some(parked) = parking.make_one(&zygote, keeper.default_limits()).await
            {
                parking.put(parked);
            }
        });
    }
}
