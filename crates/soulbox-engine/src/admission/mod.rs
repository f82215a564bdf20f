//! Who may run now, who waits, and who is turned away.
//!
//! Owns the bounds on executions and on the daemon's memory for them, and the places that are given out within
//! them. Whose turn it is, is the business of [`queue`]. It knows nothing of what runs.
//!
//! A request is refused at once when there is no place to wait, or when it would probably wait for too long. One
//! that was let in and then waits longer than was estimated is run nevertheless: its client still wants the answer
//! (who hangs up leaves the queue), and refused so late it would come back to wait once more.

mod pace;
mod queue;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::request::Tenant;
use queue::Queue;
pub(crate) use queue::{Demand, Revise};

/// When to come again is told in this range: sooner is a burden, and later is a guess.
const RETRY_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Executions that run at once.
    pub(crate) max_concurrent: usize,
    /// Those of them that are one tenant's.
    pub(crate) max_concurrent_per_tenant: Option<usize>,
    /// Executions that wait beyond those.
    pub(crate) max_queued: usize,
    /// How long one may probably have to wait.
    pub(crate) max_queue_wait: Option<Duration>,
    /// Bytes of the requests of all executions that wait or run.
    pub(crate) max_request_bytes: usize,
    /// Bytes that the outputs of all executions that run may reach.
    pub(crate) max_output_bytes: usize,
    /// Bytes of memory that are set aside for the sandboxes of all executions that run, when one comes to run.
    pub(crate) max_run_bytes: usize,
    /// Whether there are several tenants, which leave something to each other.
    pub(crate) shared: bool,
}

/// A request that is not taken now, for no fault of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// What there is too much of.
    pub reason: RefusalReason,
    /// An estimate: by then those who wait now have come to run.
    pub retry_after: Duration,
}

/// What there is too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusalReason {
    /// Executions that wait.
    #[error("the queue is full: {running} executions run and {queued} wait")]
    QueueFull {
        /// Executions that run.
        running: usize,
        /// Executions that wait.
        queued: usize,
    },
    /// Time that this one would wait.
    #[error("the queue is too long: this execution would wait for about {} s, and may for {} s", estimate.as_secs(), maximum.as_secs())]
    QueueWait {
        /// How long it would wait.
        estimate: Duration,
        /// How long one may.
        maximum: Duration,
    },
    /// What this tenant holds already, so that the rest is left to others.
    #[error("this API key holds its share of the server: {running} of its executions run and {queued} wait")]
    TenantShare {
        /// The tenant's executions that run.
        running: usize,
        /// The tenant's executions that wait.
        queued: usize,
    },
    /// Bytes of requests.
    #[error("the requests of {running} executions that run and {queued} that wait fill the memory for them")]
    RequestMemory {
        /// Executions that run.
        running: usize,
        /// Executions that wait.
        queued: usize,
    },
}

impl RefusalReason {
    /// All names in metrics.
    pub(crate) const NAMES: [&str; 4] = ["queue_full", "queue_wait", "key_share", "request_memory"];

    /// The name in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            RefusalReason::QueueFull { .. } => "queue_full",
            RefusalReason::QueueWait { .. } => "queue_wait",
            RefusalReason::TenantShare { .. } => "key_share",
            RefusalReason::RequestMemory { .. } => "request_memory",
        }
    }
}

/// The door of the engine.
#[derive(Debug)]
pub(crate) struct Admission {
    queue: Arc<Mutex<Queue>>,
}

/// A place in the queue, and then one to run. Given up when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    queue: Arc<Mutex<Queue>>,
    tenant: Option<Tenant>,
    number: u64,
    demand: Mutex<Demand>,
    turn: oneshot::Receiver<usize>,
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    // Nothing in there panics between two changes that belong together.
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Admission {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Admission { queue: Arc::new(Mutex::new(Queue::new(bounds))) }
    }

    /// Whether a request of this tenant would be taken now. Costs next to nothing, so that it can be asked before
    /// the request is even read.
    pub(crate) fn check(&self, tenant: Option<&Tenant>) -> Result<(), Refusal> {
        lock(&self.queue).check(&tenant.cloned(), Demand::default(), Instant::now()).map(drop)
    }

    /// Takes a place in the queue for a request that needs so much, and of memory for its run what `revise` says when
    /// it has waited. Those who can run at once pass through it, so a queue of length 0 admits as many as can run.
    pub(crate) fn enter(
        &self,
        tenant: Option<&Tenant>,
        demand: Demand,
        revise: Option<Revise>,
    ) -> Result<Place, Refusal> {
        let tenant = tenant.cloned();
        let (wake, turn) = oneshot::channel();
        let (number, demand) = lock(&self.queue).enter(&tenant, demand, revise, wake, Instant::now())?;
        Ok(Place { queue: Arc::clone(&self.queue), tenant, number, demand: Mutex::new(demand), turn })
    }

    /// Executions that wait.
    pub(crate) fn queued(&self) -> usize {
        lock(&self.queue).waiting()
    }

    /// Executions that run.
    pub(crate) fn running(&self) -> usize {
        lock(&self.queue).running()
    }

    /// How long it will probably take until all that wait have come to run.
    pub(crate) fn estimated_wait(&self) -> Duration {
        lock(&self.queue).estimated_wait()
    }

    /// Memory that is set aside for all that run.
    pub(crate) fn run_bytes(&self) -> usize {
        lock(&self.queue).run_bytes()
    }

    /// Whether the host is short of memory, by what was told last.
    pub(crate) fn is_host_short(&self) -> bool {
        lock(&self.queue).is_host_short()
    }

    /// The host is short of memory, or not any more. As long as it is, nobody else comes to run, unless nothing does.
    pub(crate) fn set_host_short(&self, short: bool) {
        lock(&self.queue).set_host_short(short, Instant::now());
    }
}

impl Place {
    /// Waits for the turn to run.
    pub(crate) async fn turn(&mut self) {
        match (&mut self.turn).await {
            Ok(run_bytes) => self.demand().run_bytes = run_bytes,
            // The queue keeps the sender until the turn comes or this place is dropped.
            Err(_) => std::future::pending::<()>().await,
        }
    }

    /// Memory that is set aside for its sandbox.
    pub(crate) fn run_bytes(&self) -> usize {
        self.demand().run_bytes
    }

    /// Sets more aside, for one that runs and takes more than was thought. Others wait for it to end.
    pub(crate) fn grow(&self, run_bytes: usize) {
        let mut demand = self.demand();
        *demand = lock(&self.queue).grow(&self.tenant, *demand, run_bytes);
    }

    fn demand(&self) -> MutexGuard<'_, Demand> {
        self.demand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut demand = *self.demand();
        let mut queue = lock(&self.queue);
        // Its turn may have come without its knowledge.
        if let Ok(run_bytes) = self.turn.try_recv() {
            demand.run_bytes = run_bytes;
        }
        queue.leave(&self.tenant, self.number, demand, Instant::now());
    }
}

#[cfg(test)]
mod tests;
