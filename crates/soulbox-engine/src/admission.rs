//! Who may run now, who waits, and who is turned away.
//!
//! Owns the two bounds and the door's closing. First come, first served; it knows nothing of what runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The door of the engine.
#[derive(Debug)]
pub(crate) struct Admission {
    running: Arc<Semaphore>,
    max_concurrent: usize,
    waiting: Arc<AtomicUsize>,
    max_queued: usize,
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueFull;

/// A place in the queue, given up when dropped.
#[derive(Debug)]
pub(crate) struct QueuePlace {
    running: Arc<Semaphore>,
    _waiting: Waiting,
}

/// A place to run, given up when dropped.
#[derive(Debug)]
pub(crate) struct RunPlace {
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Admission {
    pub(crate) fn new(max_concurrent: usize, max_queued: usize) -> Self {
        Admission {
            running: Arc::new(Semaphore::new(max_concurrent)),
            max_concurrent,
            waiting: Arc::default(),
            max_queued,
        }
    }

    /// Takes a place in the queue. Those who can run at once pass through it, so a queue of length 0 admits
    /// as many as can run.
    pub(crate) fn enter(&self) -> Result<QueuePlace, QueueFull> {
        let waiting = Waiting(Arc::clone(&self.waiting));
        // `waiting` gives its place back also when it turns out to be one too many.
        let before = self.waiting.fetch_add(1, Ordering::AcqRel);
        if before >= self.max_queued + self.running.available_permits() {
            drop(waiting);
            return Err(QueueFull);
        }
        Ok(QueuePlace { running: Arc::clone(&self.running), _waiting: waiting })
    }

    /// Executions that wait.
    pub(crate) fn queued(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Executions that run.
    pub(crate) fn running(&self) -> usize {
        self.max_concurrent.saturating_sub(self.running.available_permits())
    }
}

impl QueuePlace {
    /// Waits for a place to run.
    pub(crate) async fn run(self) -> Option<RunPlace> {
        let permit = Arc::clone(&self.running).acquire_owned().await.ok()?;
        Some(RunPlace { _permit: permit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn as_many_run_as_may_and_as_many_wait_as_may() {
        let admission = Admission::new(2, 1);
        let first = admission.enter().unwrap().run().await.unwrap();
        let _second = admission.enter().unwrap().run().await.unwrap();
        let third = admission.enter().unwrap();
        assert_eq!((admission.running(), admission.queued()), (2, 1));
        assert_eq!(admission.enter().unwrap_err(), QueueFull);
        drop(first);
        let _third = third.run().await.unwrap();
        assert_eq!((admission.running(), admission.queued()), (2, 0));
    }

    #[tokio::test]
    async fn a_place_given_up_while_waiting_is_free_again() {
        let admission = Admission::new(1, 1);
        let _running = admission.enter().unwrap().run().await.unwrap();
        let waiting = admission.enter().unwrap();
        assert!(admission.enter().is_err());
        drop(waiting);
        assert!(admission.enter().is_ok());
    }

    #[tokio::test]
    async fn without_a_queue_only_free_places_admit() {
        let admission = Admission::new(1, 0);
        let running = admission.enter().unwrap().run().await.unwrap();
        assert!(admission.enter().is_err());
        drop(running);
        assert!(admission.enter().is_ok());
    }
}
