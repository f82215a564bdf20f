//! What the targets of `fuzz/` reach of this crate that is otherwise its own. Owns nothing; not part of the interface.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use soulbox_engine::ExecutionRequest;

use crate::body::{BodyRules, JsonBody};
use crate::problem::Problem;
use crate::wire::{CreateExecution, InvalidRequest};

/// Reads the body of `POST /v1/executions` as the server does.
///
/// # Errors
/// The status and the detail of the answer.
pub async fn read_execution(
    content_type: HeaderValue,
    body: Vec<u8>,
    max_bytes: usize,
) -> Result<ExecutionRequest, (u16, String)> {
    let mut request = Request::new(Body::from(body));
    request.headers_mut().insert(CONTENT_TYPE, content_type);
    let read = JsonBody::<CreateExecution>::from_request(request, &BodyRules::new(max_bytes)).await;
    let request = read.and_then(|JsonBody(wire)| {
        ExecutionRequest::try_from(wire).map_err(|error: InvalidRequest| Problem::from(error))
    });
    request.map_err(|problem| (problem.code.status().as_u16(), problem.detail))
}
