//! `/healthz` and `/readyz`, for those who watch a server.
//!
//! Owns their two answers. When a server is ready is the engine's to say.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use soulbox_engine::Engine;

use crate::error_code::ErrorCode;
use crate::problem::{Problem, ProblemDocument};
use crate::reply;
use crate::wire::Health;

/// Whether the server is alive.
#[utoipa::path(
    get, path = "/healthz", operation_id = "healthz", tag = "server",
    responses((status = 200, description = "It is.", body = Health, example = json!({"status": "ok"})))
)]
pub(crate) async fn healthz() -> Response {
    reply::json(StatusCode::OK, 0, &Health { status: "ok" })
}

/// Whether executions start without delay.
#[utoipa::path(
    get, path = "/readyz", operation_id = "readyz", tag = "server",
    responses(
        (status = 200, description = "They do.", body = Health, example = json!({"status": "ready"})),
        (status = 503, description = "Zygotes are still being started, or the server is shutting down.",
            body = ProblemDocument, content_type = "application/problem+json",
            headers(("retry-after" = u16, description = "Seconds to wait."))),
    )
)]
pub(crate) async fn readyz(State(engine): State<Arc<Engine>>) -> Result<Response, Problem> {
    if !engine.is_ready() {
        let detail = "zygotes are still being started, or the server is shutting down";
        return Err(Problem::new(ErrorCode::NotReady, detail));
    }
    Ok(reply::json(StatusCode::OK, 0, &Health { status: "ready" }))
}
