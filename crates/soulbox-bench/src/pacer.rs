//! The clock of an open loop.
//!
//! Owns a thread, since the runtime's timers know milliseconds only, which is as long as an execution takes.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Tells when requests are due, one after the other. Dropping it ends the clock.
#[derive(Debug)]
pub(crate) struct Pacer {
    due: UnboundedReceiver<Instant>,
    _stop: Sender<()>,
}

impl Pacer {
    /// Ticks from `begin` on at a constant rate.
    pub(crate) fn start(begin: Instant, rate_per_s: f64) -> std::io::Result<Self> {
        let (tick, due) = unbounded_channel();
        let (stop, stopped) = channel::<()>();
        std::thread::Builder::new().name("pacer".to_owned()).spawn(move || {
            for n in 0_u64.. {
                // Each time anew from the beginning, so that rounding does not add up.
                let at = begin + Duration::from_secs_f64(n as f64 / rate_per_s);
                let wait = at.saturating_duration_since(Instant::now());
                if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) || tick.send(at).is_err() {
                    break;
                }
            }
        })?;
        Ok(Pacer { due, _stop: stop })
    }

    /// When the next request is due; ready at that time. Can be dropped and called again.
    pub(crate) async fn next(&mut self) -> Option<Instant> {
        self.due.recv().await
    }
}
