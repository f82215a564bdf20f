//! Sends documents to a URL that an operator chose.
//!
//! Owns one thread, its queue and its patience: whoever sends is never delayed, and a receiver that hangs or fails costs
//! this thread's time alone. What cannot be sent is counted and given up. It never follows a redirect, asks no proxy,
//! and knows nothing of what it sends.
//!
//! Documents are signed as Standard Webhooks (standardwebhooks.com) describes: the headers `webhook-id`,
//! `webhook-timestamp` and, with a secret, `webhook-signature`, which is `v1,` and the base64 of the HMAC-SHA256 of
//! `ID.TIMESTAMP.BODY`.

mod signature;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ureq::Agent;
use ureq::http::Uri;

pub use signature::Secret;

/// Documents that wait for one that takes long.
const QUEUE: usize = 64;

/// How often one is tried.
const ATTEMPTS: u32 = 6;

/// Between the first two attempts; twice as long between the next two, and so on.
const PAUSE: Duration = Duration::from_secs(1);

/// Where documents go.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// An http or https URL.
    pub url: String,
    /// What they are signed with.
    pub secret: Option<Secret>,
    /// For one attempt, from the connection to the answer.
    pub timeout: Duration,
}

/// A webhook that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Its URL is none.
    #[error("{0:?} is no http or https URL")]
    Url(String),
    /// There is no thread for it.
    #[error("thread for the webhook cannot be started")]
    Thread(#[source] std::io::Error),
}

/// How it went so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Documents that were taken.
    pub delivered: u64,
    /// Documents that were given up.
    pub failed: u64,
    /// Documents for which the queue had no place.
    pub dropped: u64,
    /// Documents that wait, or are being sent.
    pub pending: u64,
}

#[derive(Debug, Default)]
struct Counters {
    delivered: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    pending: AtomicU64,
}

struct Document {
    id: String,
    body: Vec<u8>,
}

/// One URL, and the thread that sends to it. Cheap to share by `Arc`.
#[derive(Debug)]
pub struct Webhook {
    queue: SyncSender<Document>,
    counters: Arc<Counters>,
}

/// Why an attempt failed, and whether another may do better.
struct Failure {
    why: String,
    again: bool,
}

impl Webhook {
    /// Starts its thread, which ends when the webhook is dropped and nothing is pending, or with the process.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub fn start(config: WebhookConfig) -> Result<Self, WebhookError> {
        Self::start_with(config, PAUSE)
    }

    fn start_with(config: WebhookConfig, pause: Duration) -> Result<Self, WebhookError> {
        check_url(&config.url)?;
        metrics::describe_counter!(
            "soulbox_webhook_documents_total",
            "Documents for the webhook, by result: delivered, failed, dropped."
        );
        let (queue, documents) = sync_channel(QUEUE);
        let counters = Arc::<Counters>::default();
        let counted = Arc::clone(&counters);
        let work = move || send_all(&config, pause, &documents, &counted);
        thread::Builder::new().name("webhook".to_owned()).spawn(work).map_err(WebhookError::Thread)?;
        Ok(Webhook { queue, counters })
    }

    /// Sends a document, soon. `id` tells a receiver which ones it has already.
    pub fn send(&self, id: String, body: Vec<u8>) {
        self.counters.pending.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(Document { id, body }).is_err() {
            self.counters.pending.fetch_sub(1, Ordering::Relaxed);
            count(&self.counters.dropped, "dropped");
            tracing::warn!("a document for the webhook is dropped: too many wait already");
        }
    }

    /// How it went so far.
    pub fn figures(&self) -> Figures {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { delivered, failed, dropped, pending } = &*self.counters;
        Figures { delivered: of(delivered), failed: of(failed), dropped: of(dropped), pending: of(pending) }
    }
}

/// Whether documents can be sent there, as far as its form tells.
///
/// # Errors
/// [`WebhookError::Url`].
pub fn check_url(url: &str) -> Result<(), WebhookError> {
    let parsed = url.parse::<Uri>().ok();
    let usable = parsed.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    });
    if usable { Ok(()) } else { Err(WebhookError::Url(url.to_owned())) }
}

fn count(counter: &AtomicU64, result: &'static str) {
    counter.fetch_add(1, Ordering::Relaxed);
    metrics::counter!("soulbox_webhook_documents_total", "result" => result).increment(1);
}

fn send_all(config: &WebhookConfig, pause: Duration, documents: &Receiver<Document>, counters: &Counters) {
    let agent = Agent::config_builder()
        .timeout_global(Some(config.timeout))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .proxy(None)
        .max_idle_connections(0)
        .user_agent("soulbox")
        .build();
    let agent = Agent::new_with_config(agent);
    while let Ok(document) = documents.recv() {
        match send_one(config, pause, &agent, &document) {
            Ok(()) => count(&counters.delivered, "delivered"),
            Err(why) => {
                count(&counters.failed, "failed");
                tracing::warn!(id = document.id, error = why, "a document for the webhook is given up");
            }
        }
        counters.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

fn send_one(
    config: &WebhookConfig,
    pause: Duration,
    agent: &Agent,
    document: &Document,
) -> Result<(), String> {
    let mut wait = pause;
    let mut attempt = 1;
    loop {
        let Err(failure) = try_once(config, agent, document) else { return Ok(()) };
        if !failure.again || attempt == ATTEMPTS {
            return Err(failure.why);
        }
        tracing::debug!(id = document.id, attempt, error = failure.why, "the webhook is tried again");
        thread::sleep(wait);
        wait = wait.saturating_mul(2);
        attempt += 1;
    }
}

fn try_once(config: &WebhookConfig, agent: &Agent, document: &Document) -> Result<(), Failure> {
    let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut request = agent
        .post(&config.url)
        .header("content-type", "application/json")
        .header("webhook-id", &document.id)
        .header("webhook-timestamp", timestamp.to_string());
    if let Some(secret) = &config.secret {
        request = request.header("webhook-signature", secret.sign(&document.id, timestamp, &document.body));
    }
    let answer = request.send(&document.body).map_err(|error| {
        // What is in the URL may be a secret, and no error names more than its host.
        Failure { why: error.to_string(), again: true }
    })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    // Of what the receiver says of this document, only that it has no time is worth another attempt.
    let again = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
    Err(Failure { why: format!("the receiver answers {status}"), again })
}

#[cfg(test)]
mod tests;
