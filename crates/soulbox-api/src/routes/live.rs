//! `/v1/live`.
//!
//! Owns its two answers, one document and a stream of them. What is in them, and when it is looked, is others'.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use crate::auth::Caller;
use crate::error_code::ErrorCode;
use crate::feed::Feed;
use crate::problem::{Problem, ProblemDocument};
use crate::wire::Live;

/// Show what the server does.
///
/// For operators. Who asks again within half a second gets the same.
#[utoipa::path(
    get, path = "/v1/live", operation_id = "get_live", tag = "operators",
    responses(
        (status = 200, description = "What it does at this moment.", body = Live),
        (status = 401, description = "No API key, or an unknown one.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The API key is no operator's.",
            body = ProblemDocument, content_type = "application/problem+json"),
    ),
    security(("bearer" = []), ("api_key" = []))
)]
pub(crate) async fn get_live(State(feed): State<Feed>, caller: Caller) -> Result<Response, Problem> {
    caller.require_operator()?;
    let document = feed.look().await;
    if document.is_empty() {
        return Err(Problem::new(ErrorCode::InternalError, "the server could not look at itself"));
    }
    Ok(([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], document).into_response())
}

/// Follow what the server does.
///
/// Server-sent events: one `live` a second, with the document of `/v1/live` as its data, until the client hangs up or
/// the server shuts down. Who reads slowly misses some. For operators.
#[utoipa::path(
    get, path = "/v1/live/events", operation_id = "follow_live", tag = "operators",
    responses(
        (status = 200, description = "The stream.", body = String, content_type = "text/event-stream"),
        (status = 401, description = "No API key, or an unknown one.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The API key is no operator's.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "Too many listen already.",
            body = ProblemDocument, content_type = "application/problem+json",
            headers(("retry-after" = u16, description = "Seconds to wait."))),
    ),
    security(("bearer" = []), ("api_key" = []))
)]
pub(crate) async fn follow_live(State(feed): State<Feed>, caller: Caller) -> Result<Response, Problem> {
    caller.require_operator()?;
    let Some(stream) = feed.listen() else {
        let detail = "as many listen as this server lets (max_listeners); ask for /v1/live now and then";
        return Err(Problem::new(ErrorCode::TooManyListeners, detail));
    };
    Ok(([(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")], stream).into_response())
}
