//! `/v1/languages`.
//!
//! Owns that answer, and nothing of what a language is.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use soulbox_engine::Engine;

use crate::problem::ProblemDocument;
use crate::reply;
use crate::wire::LanguageList;

/// List languages.
#[utoipa::path(
    get, path = "/v1/languages", operation_id = "list_languages", tag = "languages",
    responses(
        (status = 200, description = "All languages, also those that are not available.", body = LanguageList),
        (status = 401, description = "No API key, or an unknown one.",
            body = ProblemDocument, content_type = "application/problem+json"),
    ),
    security(("bearer" = []), ("api_key" = []))
)]
pub(crate) async fn list_languages(State(engine): State<Arc<Engine>>) -> Response {
    reply::json(StatusCode::OK, 0, &LanguageList::from_iter(engine.languages()))
}
