//! Who may run now, who waits, and who is turned away.
//!
//! Owns the bounds on executions and on the daemon's memory for them. First come, first served; it knows
//! nothing of what runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory for output is given out in units of this, since a semaphore counts in 32 bits.
const OUTPUT_UNIT_BYTES: usize = 4 << 10;

/// The bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Executions that run at once.
    pub(crate) max_concurrent: usize,
    /// Executions that wait beyond those.
    pub(crate) max_queued: usize,
    /// Bytes of the requests of all executions that wait or run.
    pub(crate) max_request_bytes: usize,
    /// Bytes that the outputs of all executions that run may reach.
    pub(crate) max_output_bytes: usize,
}

/// The door of the engine.
#[derive(Debug)]
pub(crate) struct Admission {
    bounds: Bounds,
    running: Arc<Semaphore>,
    output: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    request_bytes: Arc<AtomicUsize>,
}

/// There is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueFull;

/// A place in the queue, given up when dropped.
#[derive(Debug)]
pub(crate) struct QueuePlace {
    running: Arc<Semaphore>,
    output: Arc<Semaphore>,
    output_units: u32,
    _waiting: Counted,
    request: Counted,
}

/// A place to run, given up when dropped.
#[derive(Debug)]
pub(crate) struct RunPlace {
    _running: OwnedSemaphorePermit,
    _output: OwnedSemaphorePermit,
    _request: Counted,
}

/// An amount that is counted while it exists.
#[derive(Debug)]
struct Counted {
    counter: Arc<AtomicUsize>,
    amount: usize,
}

impl Counted {
    /// Counts the amount, unless the sum would be above `most`.
    fn within(counter: &Arc<AtomicUsize>, amount: usize, most: usize) -> Result<Self, QueueFull> {
        let before = counter.fetch_add(amount, Ordering::AcqRel);
        // Takes the amount back also when it turns out to be too much.
        let counted = Counted { counter: Arc::clone(counter), amount };
        if before.saturating_add(amount) > most { Err(QueueFull) } else { Ok(counted) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counter.fetch_sub(self.amount, Ordering::AcqRel);
    }
}

fn units(bytes: usize) -> usize {
    bytes.div_ceil(OUTPUT_UNIT_BYTES)
}

impl Admission {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Admission {
            running: Arc::new(Semaphore::new(bounds.max_concurrent)),
            output: Arc::new(Semaphore::new(units(bounds.max_output_bytes))),
            waiting: Arc::default(),
            request_bytes: Arc::default(),
            bounds,
        }
    }

    /// Takes a place in the queue for a request of so many bytes, whose outputs can reach so many. Those who
    /// can run at once pass through it, so a queue of length 0 admits as many as can run.
    pub(crate) fn enter(&self, request_bytes: usize, output_bytes: usize) -> Result<QueuePlace, QueueFull> {
        let most = self.bounds.max_queued + self.running.available_permits();
        let waiting = Counted::within(&self.waiting, 1, most)?;
        let request = Counted::within(&self.request_bytes, request_bytes, self.bounds.max_request_bytes)?;
        // One that could never have so much gets all there is.
        let output_units = units(output_bytes).min(units(self.bounds.max_output_bytes));
        Ok(QueuePlace {
            running: Arc::clone(&self.running),
            output: Arc::clone(&self.output),
            output_units: u32::try_from(output_units).unwrap_or(u32::MAX),
            _waiting: waiting,
            request,
        })
    }

    /// Executions that wait.
    pub(crate) fn queued(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Executions that run.
    pub(crate) fn running(&self) -> usize {
        self.bounds.max_concurrent.saturating_sub(self.running.available_permits())
    }
}

impl QueuePlace {
    /// Waits for a place to run.
    pub(crate) async fn run(self) -> Option<RunPlace> {
        let running = Arc::clone(&self.running).acquire_owned().await.ok()?;
        let output = Arc::clone(&self.output).acquire_many_owned(self.output_units).await.ok()?;
        Some(RunPlace { _running: running, _output: output, _request: self.request })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1 << 10;

    fn admission(max_concurrent: usize, max_queued: usize) -> Admission {
        let (max_request_bytes, max_output_bytes) = (100, 100 * KIB);
        Admission::new(Bounds { max_concurrent, max_queued, max_request_bytes, max_output_bytes })
    }

    #[tokio::test]
    async fn as_many_run_as_may_and_as_many_wait_as_may() {
        let admission = admission(2, 1);
        let first = admission.enter(1, 1).unwrap().run().await.unwrap();
        let _second = admission.enter(1, 1).unwrap().run().await.unwrap();
        let third = admission.enter(1, 1).unwrap();
        assert_eq!((admission.running(), admission.queued()), (2, 1));
        assert_eq!(admission.enter(1, 1).unwrap_err(), QueueFull);
        drop(first);
        let _third = third.run().await.unwrap();
        assert_eq!((admission.running(), admission.queued()), (2, 0));
    }

    #[tokio::test]
    async fn a_place_given_up_while_waiting_is_free_again() {
        let admission = admission(1, 1);
        let _running = admission.enter(1, 1).unwrap().run().await.unwrap();
        let waiting = admission.enter(1, 1).unwrap();
        assert!(admission.enter(1, 1).is_err());
        drop(waiting);
        assert!(admission.enter(1, 1).is_ok());
    }

    #[tokio::test]
    async fn without_a_queue_only_free_places_admit() {
        let admission = admission(1, 0);
        let running = admission.enter(1, 1).unwrap().run().await.unwrap();
        assert!(admission.enter(1, 1).is_err());
        drop(running);
        assert!(admission.enter(1, 1).is_ok());
    }

    #[tokio::test]
    async fn requests_are_bounded_by_their_bytes_until_they_have_run() {
        let admission = admission(10, 10);
        let running = admission.enter(60, 1).unwrap().run().await.unwrap();
        assert_eq!(admission.enter(41, 1).unwrap_err(), QueueFull);
        assert!(admission.enter(40, 1).is_ok());
        drop(running);
        assert!(admission.enter(100, 1).is_ok());
    }

    #[tokio::test]
    async fn outputs_that_could_be_too_large_together_run_one_after_the_other() {
        let admission = admission(10, 10);
        let first = admission.enter(1, 60 * KIB).unwrap().run().await.unwrap();
        let mut second = Box::pin(admission.enter(1, 60 * KIB).unwrap().run());
        assert!(
            std::future::poll_fn(|cx| std::task::Poll::Ready(second.as_mut().poll(cx).is_pending())).await
        );
        drop(first);
        assert!(second.await.is_some());
        assert!(admission.enter(1, usize::MAX).unwrap().run().await.is_some());
    }
}
