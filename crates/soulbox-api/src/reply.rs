//! JSON responses.
//!
//! Owns how a document becomes a response. It never decides what is in it.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Room for the members of a document that do not depend on a user.
const FRAME_BYTES: usize = 1024;

/// A document as `application/json`; `content_bytes` is about how much of a user's text is in it.
pub(crate) fn json(status: StatusCode, content_bytes: usize, document: &impl Serialize) -> Response {
    self::document(status, "application/json", content_bytes, document)
}

/// A document of any JSON media type.
pub(crate) fn document(
    status: StatusCode,
    media_type: &'static str,
    content_bytes: usize,
    document: &impl Serialize,
) -> Response {
    let mut body = Vec::with_capacity(FRAME_BYTES + content_bytes);
    if let Err(error) = serde_json::to_writer(&mut body, document) {
        // Not possible for our documents: they have string keys, and a vector takes everything.
        tracing::error!(%error, "a response could not be serialized");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
