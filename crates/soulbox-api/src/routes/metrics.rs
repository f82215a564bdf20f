//! `/metrics`.
//!
//! Owns the gauges that are only known when asked for. Everything else was recorded where it happened.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use metrics::gauge;

use crate::problem::ProblemDocument;
use crate::routes::App;

/// The text format's media type, as Prometheus asks for it.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics for Prometheus.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "server",
    responses(
        (status = 200, description = "All metrics.", body = String, content_type = "text/plain"),
        (status = 401, description = "No API key, or an unknown one.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "This server records none.",
            body = ProblemDocument, content_type = "application/problem+json"),
    ),
    security(("bearer" = []), ("api_key" = []))
)]
pub(crate) async fn show_metrics(State(app): State<App>) -> Response {
    let (queued, running) = app.engine.load();
    gauge!("soulbox_executions_queued").set(queued as f64);
    gauge!("soulbox_executions_running").set(running as f64);
    gauge!("soulbox_ready").set(f64::from(u8::from(app.engine.is_ready())));
    gauge!("soulbox_adaptive_reserved_bytes").set(app.engine.reserved_bytes() as f64);
    gauge!("soulbox_queue_estimated_wait_seconds").set(app.engine.estimated_wait());
    let text = app.metrics.map(|metrics| metrics.render()).unwrap_or_default();
    ([(CONTENT_TYPE, PROMETHEUS_TEXT)], text).into_response()
}
