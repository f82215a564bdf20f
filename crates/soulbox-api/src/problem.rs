//! Problem documents (RFC 9457): the one shape of every error.
//!
//! Owns their JSON and their headers. It never decides what is an error.

use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error_code::ErrorCode;
use crate::reply;

/// The media type of problem documents.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// An error on its way to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: ErrorCode,
    pub(crate) detail: String,
    pub(crate) retry_after_seconds: Option<u64>,
}

/// An error, after RFC 9457.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "about:blank", "title": "Bad Request", "status": 400, "code": "unknown_language",
    "detail": "language \"cobol\" is unknown; this server has python, node"
}))]
pub(crate) struct ProblemDocument {
    /// Always `about:blank`: `code` says which error it is.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status of the response.
    status: u16,
    /// What went wrong, for a person.
    detail: String,
    /// What went wrong, for a program; stable.
    code: ErrorCode,
}

impl Problem {
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Problem { code, detail: detail.into(), retry_after_seconds: code.retry_after() }
    }

    /// When the same request may succeed, in the whole seconds that the header knows.
    pub(crate) fn retry_after(mut self, time: Duration) -> Self {
        self.retry_after_seconds = Some(time.as_secs() + u64::from(time.subsec_nanos() > 0));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let content_bytes = self.detail.len();
        let document = ProblemDocument {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: self.detail,
            code: self.code,
        };
        let mut response = reply::document(status, PROBLEM_JSON, content_bytes, &document);
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.code == ErrorCode::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        problem.into_response()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::{Value, json};

    use super::*;

    #[tokio::test]
    async fn a_problem_has_the_five_members_and_its_media_type() {
        let response = Problem::new(ErrorCode::QueueFull, "too many").into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["retry-after"], "1");
        let body = to_bytes(response.into_body(), 1000).await.unwrap();
        let expected = json!({
            "type": "about:blank", "title": "Too Many Requests", "status": 429,
            "detail": "too many", "code": "queue_full"
        });
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
    }

    #[test]
    fn an_unauthorized_client_is_told_how() {
        let response = Problem::new(ErrorCode::Unauthorized, "no key").into_response();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["www-authenticate"]),
            (401, &"Bearer".parse().unwrap())
        );
    }
}
