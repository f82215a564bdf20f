//! Alerts on their way to a webhook.
//!
//! Owns that each is forwarded once, when it fires and when it is over. It never waits for a receiver.

use std::sync::Arc;

use soulbox_engine::Engine;
use soulbox_webhook::Webhook;
use tokio::sync::broadcast::error::RecvError;

use crate::wire::notice;

/// Forwards alerts for as long as the engine lives.
pub async fn forward_alerts(engine: Arc<Engine>, webhook: Arc<Webhook>) {
    let mut alerts = engine.subscribe_to_alerts();
    drop(engine);
    loop {
        match alerts.recv().await {
            Ok(alert) => {
                let (id, body) = notice(&alert);
                webhook.send(id, body);
            }
            // Sending never waits, so that this takes hundreds of alerts in one moment.
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "alerts were not forwarded to the webhook: they were too many");
            }
            Err(RecvError::Closed) => return,
        }
    }
}
