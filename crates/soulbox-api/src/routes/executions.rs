//! `/v1/executions`.
//!
//! Owns which answer an execution gets. What it does and when it ends is the engine's.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use soulbox_engine::{Engine, ExecutionRequest, Listing, Outcome, Snapshot, Ticket, TraceContext};

use crate::auth::Caller;
use crate::body::{self, BodyRules, JsonBody};
use crate::disconnect::while_connected;
use crate::error_code::ErrorCode;
use crate::problem::{Problem, ProblemDocument};
use crate::query::Parameters;
use crate::reply;
use crate::wire::{CreateExecution, Execution, ExecutionList, InvalidRequest, ListExecutions};

/// Execute a program.
///
/// Answers when it has ended, also when it failed: `status` says how it went. A client that hangs up before
/// cancels it. With `"wait": false` the answer comes at once and the execution goes on by itself.
#[utoipa::path(
    post, path = "/v1/executions", operation_id = "create_execution", tag = "executions",
    params(
        ("traceparent" = Option<String>, Header, description = "The client's trace, as W3C Trace Context has it."),
        ("tracestate" = Option<String>, Header, description = "More of it."),
    ),
    request_body = CreateExecution,
    responses(
        (status = 200, description = "The execution has ended.", body = Execution<'_>),
        (status = 202, description = "The execution was taken, and nobody waits for it.", body = Execution<'_>,
            headers(("location" = String, description = "Where it can be asked for."))),
        (status = 400, description = "The request is at fault; `code` and `detail` say how.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "No API key, or an unknown one.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 408, description = "The body was not complete in time.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "The body is not `application/json`.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "Too many executions wait already, this one would wait for too long, or the \
            API key holds its share of the server; `detail` says which. It is told at once.",
            body = ProblemDocument, content_type = "application/problem+json",
            headers(("retry-after" = u64,
                description = "Seconds until those who wait now have probably come to run."))),
        (status = 503, description = "The language is not available, or the server is shutting down.",
            body = ProblemDocument, content_type = "application/problem+json"),
    ),
    security(("bearer" = []), ("api_key" = []))
)]
pub(crate) async fn create_execution(
    State(engine): State<Arc<Engine>>,
    State(rules): State<BodyRules>,
    Caller { tenant, .. }: Caller,
    body: Request,
) -> Result<Response, Problem> {
    // Who is refused for the load is refused before anything is done for it.
    if let Err(error) = engine.check_load(tenant.as_ref()) {
        body::discard(body, rules).await;
        return Err(error.into());
    }
    let trace_context = trace_context(body.headers());
    let JsonBody(wire) = JsonBody::<CreateExecution>::from_request(body, &rules).await?;
    let wait = wire.wait();
    let mut request = ExecutionRequest::try_from(wire).map_err(|error: InvalidRequest| error)?;
    request.tenant = tenant;
    request.trace_context = trace_context;
    let ticket = engine.submit(request)?;
    if wait {
        return Ok(reply_outcome(while_connected(ticket.outcome(), || ticket.cancel()).await).await);
    }
    let mut response = reply(StatusCode::ACCEPTED, &Execution::from(&ticket.snapshot()));
    if let Ok(location) = HeaderValue::try_from(format!("/v1/executions/{}", ticket.id())) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// List executions.
///
/// Those that wait, that run, and the most recent of those that have ended, newest first: the API key's own, and all for
/// operators.
#[utoipa::path(
    get, path = "/v1/executions", operation_id = "list_executions", tag = "executions",
    params(ListExecutions),
    responses(
        (status = 200, description = "The executions.", body = ExecutionList),
        (status = 400, description = "A query parameter is unknown, or has another form.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "No API key, or an unknown one.",
            body = ProblemDocument, content_type = "application/problem+json"),
    ),
    security(("bearer" = []), ("api_key" = []))
)]
pub(crate) async fn list_executions(
    State(engine): State<Arc<Engine>>,
    Caller { tenant, operator }: Caller,
    Parameters(wanted): Parameters<ListExecutions>,
) -> Result<Response, Problem> {
    let limit = wanted.limit().map_err(|detail| Problem::new(ErrorCode::InvalidRequest, detail))?;
    let of = (!operator).then_some(tenant.as_ref());
    let listing = Listing { of, status: wanted.status(), before: wanted.before(), limit };
    Ok(reply::json(StatusCode::OK, 0, &ExecutionList::from_iter(engine.executions(&listing))))
}

/// Show an execution.
///
/// Executions that have ended are remembered for a while: the most recent ones. Those of other API keys are unknown, but
/// for operators.
#[utoipa::path(
    get, path = "/v1/executions/{id}", operation_id = "get_execution", tag = "executions",
    params(("id" = String, Path, description = "The execution's id.")),
    responses(
        (status = 200, description = "The execution as it is now.", body = Execution<'_>),
        (status = 401, description = "No API key, or an unknown one.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such execution, or it is forgotten.",
            body = ProblemDocument, content_type = "application/problem+json"),
    ),
    security(("bearer" = []), ("api_key" = []))
)]
pub(crate) async fn get_execution(
    State(engine): State<Arc<Engine>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    match find(&engine, id, &caller)?.snapshot() {
        Snapshot::Ended(outcome) => Ok(reply_outcome(outcome).await),
        pending @ Snapshot::Pending { .. } => Ok(reply(StatusCode::OK, &Execution::from(&pending))),
    }
}

/// Cancel an execution.
///
/// Answers when it has ended: `cancelled`, or as it ended by itself before. Those of other API keys are unknown, but
/// for operators.
#[utoipa::path(
    delete, path = "/v1/executions/{id}", operation_id = "cancel_execution", tag = "executions",
    params(("id" = String, Path, description = "The execution's id.")),
    responses(
        (status = 200, description = "The execution has ended.", body = Execution<'_>),
        (status = 401, description = "No API key, or an unknown one.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such execution, or it is forgotten.",
            body = ProblemDocument, content_type = "application/problem+json"),
    ),
    security(("bearer" = []), ("api_key" = []))
)]
pub(crate) async fn cancel_execution(
    State(engine): State<Arc<Engine>>,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let ticket = find(&engine, id, &caller)?;
    ticket.cancel();
    Ok(reply_outcome(ticket.outcome().await).await)
}

/// The client's trace, where it says that it has one.
fn trace_context(headers: &HeaderMap) -> Option<TraceContext> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    TraceContext::new(header("traceparent"), header("tracestate"))
}

/// A path that is not even text names no execution either.
fn find(
    engine: &Engine,
    id: Result<Path<String>, PathRejection>,
    caller: &Caller,
) -> Result<Ticket, Problem> {
    let known = |id: &str| {
        if caller.operator { engine.find_any(id) } else { engine.find(id, caller.tenant.as_ref()) }
    };
    id.ok().and_then(|Path(id)| known(&id)).ok_or_else(|| {
        let detail = "there is no such execution, or it has ended and is forgotten";
        Problem::new(ErrorCode::ExecutionNotFound, detail)
    })
}

/// Writing a large document takes milliseconds, in which a worker would see to no other execution's limits.
async fn reply_outcome(outcome: Arc<Outcome>) -> Response {
    const LARGE_BYTES: usize = 256 << 10;
    let write = |outcome: &Outcome| reply(StatusCode::OK, &Execution::from(outcome));
    if Execution::from(&*outcome).content_bytes() < LARGE_BYTES {
        return write(&outcome);
    }
    tokio::task::spawn_blocking(move || write(&outcome)).await.unwrap_or_else(|error| {
        tracing::error!(%error, "writing an answer failed");
        Problem::new(ErrorCode::InternalError, "the answer could not be written").into()
    })
}

fn reply(status: StatusCode, execution: &Execution<'_>) -> Response {
    reply::json(status, execution.content_bytes(), execution)
}
