//! What happens when a client hangs up: the execution it waits for is cancelled.
//!
//! Owns that decision, for all routes. It never sees a connection: the server drops a request's future when
//! the connection closes (also when the client only closes its sending half), and that is noticed here.
//!
//! A client that does not wait (`"wait": false`) holds nothing by its connection, and loses nothing with it.

/// Waits for an outcome; calls `cancel` when it is dropped before there is one.
pub(crate) async fn while_connected<T>(outcome: impl Future<Output = T>, cancel: impl FnOnce()) -> T {
    let mut hang_up = HangUp(Some(cancel));
    let outcome = outcome.await;
    hang_up.0 = None;
    outcome
}

struct HangUp<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for HangUp<F> {
    fn drop(&mut self) {
        if let Some(cancel) = self.0.take() {
            cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn an_outcome_cancels_nothing() {
        let cancelled = Cell::new(false);
        assert_eq!(while_connected(async { 7 }, || cancelled.set(true)).await, 7);
        assert!(!cancelled.get());
    }

    #[tokio::test]
    async fn hanging_up_cancels_once() {
        let cancelled = Cell::new(0);
        let waiting = while_connected(pending::<()>(), || cancelled.set(cancelled.get() + 1));
        assert!(tokio::time::timeout(Duration::from_millis(1), waiting).await.is_err());
        assert_eq!(cancelled.get(), 1);
    }
}
