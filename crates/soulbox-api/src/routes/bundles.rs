//! `/v1/bundles`.
//!
//! Owns these answers, and nothing of what a bundle is or when one takes another's place.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use soulbox_engine::Engine;

use crate::error_code::ErrorCode;
use crate::problem::{Problem, ProblemDocument};
use crate::reply;
use crate::wire::{Bundle, BundleList};

/// List bundles.
#[utoipa::path(
    get, path = "/v1/bundles", operation_id = "list_bundles", tag = "bundles",
    responses(
        (status = 200, description = "All bundles, also those that are not available.", body = BundleList),
        (status = 401, description = "No API key, or an unknown one.",
            body = ProblemDocument, content_type = "application/problem+json"),
    ),
    security(("bearer" = []), ("api_key" = []))
)]
pub(crate) async fn list_bundles(State(engine): State<Arc<Engine>>) -> Response {
    reply::json(StatusCode::OK, 0, &BundleList::from_iter(engine.bundles()))
}

/// Show a bundle.
#[utoipa::path(
    get, path = "/v1/bundles/{name}", operation_id = "get_bundle", tag = "bundles",
    params(("name" = String, Path, description = "The bundle's name.")),
    responses(
        (status = 200, description = "The version that is in service.", body = Bundle),
        (status = 401, description = "No API key, or an unknown one.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such bundle.",
            body = ProblemDocument, content_type = "application/problem+json"),
    ),
    security(("bearer" = []), ("api_key" = []))
)]
pub(crate) async fn get_bundle(
    State(engine): State<Arc<Engine>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let bundle = engine.bundle(&known(name)?).ok_or_else(not_found)?;
    Ok(reply::json(StatusCode::OK, 0, &Bundle::from(bundle)))
}

/// Bring a bundle's current version into service.
///
/// Answers when programs are executed in it. What runs or waits finishes in the version that it came to. A
/// version that is not valid, or does not start, never replaces one that is in service.
#[utoipa::path(
    post, path = "/v1/bundles/{name}/reload", operation_id = "reload_bundle", tag = "bundles",
    params(("name" = String, Path, description = "The bundle's name.")),
    responses(
        (status = 200, description = "The current version is in service.", body = Bundle),
        (status = 401, description = "No API key, or an unknown one.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such bundle, or it has been removed.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "The current version is not valid, or does not start; the version before \
            stays in service.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "The server is shutting down.",
            body = ProblemDocument, content_type = "application/problem+json"),
    ),
    security(("bearer" = []), ("api_key" = []))
)]
pub(crate) async fn reload_bundle(
    State(engine): State<Arc<Engine>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let bundle = engine.reload(&known(name)?).await?;
    Ok(reply::json(StatusCode::OK, 0, &Bundle::from(bundle)))
}

/// A path that is not even text names no bundle either.
fn known(name: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    name.map(|Path(name)| name).map_err(|_| not_found())
}

fn not_found() -> Problem {
    Problem::new(ErrorCode::BundleNotFound, "there is no such bundle; see /v1/bundles")
}
