//! The stream of what a server does: one look a second for all who listen.
//!
//! Owns when it is looked, that nobody looks while nobody listens, and how many may listen. Who listens slowly misses
//! events and holds up nobody; the connection's own timeout ends who takes nothing at all.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream;
use soulbox_engine::Engine;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::wire::Live;

/// Between two looks.
const PACE: Duration = Duration::from_secs(1);

/// What was seen is shown again to who asks this soon after.
const FRESH: Duration = Duration::from_millis(500);

/// An event does not go to all who listen at once, but to one part after the other: writing to a thousand connections
/// would hold up executions for some milliseconds.
const PARTS: u64 = 64;
const BETWEEN_PARTS: Duration = Duration::from_millis(8);

/// The stream.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    engine: Arc<Engine>,
    /// The event, as it goes over the wire. Nothing before the first look.
    event: watch::Sender<Bytes>,
    /// Whether somebody looks once a second.
    looking: Mutex<bool>,
    /// The last look of all, and held while one is made.
    last: tokio::sync::Mutex<Option<(Instant, Bytes)>>,
    places: Arc<Semaphore>,
}

/// Somebody who listens.
struct Listener {
    events: watch::Receiver<Bytes>,
    engine: Arc<Engine>,
    /// How much later than others the event comes.
    delay: Duration,
    first: bool,
    _place: OwnedSemaphorePermit,
}

impl Feed {
    /// For so many who listen at once.
    pub(crate) fn new(engine: Arc<Engine>, max_listeners: usize) -> Self {
        let shared = Shared {
            engine,
            event: watch::Sender::new(Bytes::new()),
            looking: Mutex::new(false),
            last: tokio::sync::Mutex::new(None),
            places: Arc::new(Semaphore::new(max_listeners.min(Semaphore::MAX_PERMITS))),
        };
        Feed { shared: Arc::new(shared) }
    }

    /// The document as it is now, or was a moment ago.
    pub(crate) async fn look(&self) -> Bytes {
        self.shared.look(FRESH).await
    }

    /// A body that goes on until the client hangs up or the server shuts down. `None` when too many listen.
    pub(crate) fn listen(&self) -> Option<Body> {
        let place = Arc::clone(&self.shared.places).try_acquire_owned().ok()?;
        let events = self.shared.event.subscribe();
        self.shared.begin_to_look();
        let part = self.shared.places.available_permits() as u64 % PARTS;
        let listener = Listener {
            events,
            engine: Arc::clone(&self.shared.engine),
            delay: BETWEEN_PARTS * part as u32,
            first: true,
            _place: place,
        };
        Some(Body::from_stream(stream::unfold(listener, Listener::next)))
    }
}

impl Listener {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let engine = Arc::clone(&self.engine);
        let event = async {
            // What others have just seen need not be waited for.
            let can_begin = std::mem::take(&mut self.first) && !self.events.borrow().is_empty();
            if !can_begin {
                self.events.changed().await.ok()?;
                sleep(self.delay).await;
            }
            Some(self.events.borrow_and_update().clone())
        };
        let event = tokio::select! {
            event = event => event?,
            () = engine.draining() => return None,
        };
        Some((Ok(event), self))
    }
}

impl Shared {
    /// The document, not older than this.
    async fn look(self: &Arc<Self>, fresh: Duration) -> Bytes {
        let mut last = self.last.lock().await;
        if let Some((_, document)) = last.as_ref().filter(|(at, _)| at.elapsed() < fresh) {
            return document.clone();
        }
        let shared = Arc::clone(self);
        let made = tokio::task::spawn_blocking(move || {
            let live = Live::from(shared.engine.live());
            // Serialization cannot fail: the document has string keys only.
            Bytes::from(serde_json::to_vec(&live).unwrap_or_default())
        });
        let document = made.await.unwrap_or_default();
        *last = Some((Instant::now(), document.clone()));
        document
    }

    /// Has somebody look once a second, as long as there are listeners.
    fn begin_to_look(self: &Arc<Self>) {
        let mut looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut *looking, true) {
            tokio::spawn(Arc::clone(self).look_on());
        }
    }

    async fn look_on(self: Arc<Self>) {
        let mut next = Instant::now();
        loop {
            let document = self.look(PACE / 2).await;
            let event = [b"event: live\ndata: ".as_slice(), &document, b"\n\n"].concat();
            self.event.send_replace(Bytes::from(event));
            next = (next + PACE).max(Instant::now());
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.engine.draining() => return,
            }
            let mut looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
            if self.event.receiver_count() == 0 {
                *looking = false;
                // Whoever listens next does not get what is old by then.
                self.event.send_replace(Bytes::new());
                return;
            }
        }
    }
}
