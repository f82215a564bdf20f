//! `/` and `/dashboard/…`, the page for people.
//!
//! Owns their answers. They are open to everyone, and tell nothing: what the page shows it asks for by the other
//! routes, with a key where one is needed.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::assets;
use crate::error_code::ErrorCode;
use crate::problem::{Problem, ProblemDocument};

/// The dashboard.
///
/// A page for browsers. It asks for an API key where one is needed.
#[utoipa::path(
    get, path = "/", operation_id = "dashboard", tag = "server",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html"))
)]
pub(crate) async fn show_dashboard(headers: HeaderMap) -> Response {
    assets::page().reply(&headers)
}

/// A file of the dashboard.
#[utoipa::path(
    get, path = "/dashboard/{file}", operation_id = "dashboard_file", tag = "server",
    params(("file" = String, Path, description = "The file's path.")),
    responses(
        (status = 200, description = "The file.", body = String, content_type = "*/*"),
        (status = 304, description = "The client has it already (`If-None-Match`)."),
        (status = 404, description = "There is no such file.",
            body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show_dashboard_file(
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asset = path.ok().and_then(|Path(path)| assets::find(&path));
    let asset = asset.ok_or_else(|| {
        Problem::new(ErrorCode::NotFound, "the dashboard has no such file; its page is at /")
    })?;
    Ok(asset.reply(&headers))
}
