//! `/v1/slo` and `/v1/alerts`.
//!
//! Owns these answers, which are for operators alone. It never decides what is good or what fires.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::auth::Caller;
use crate::problem::{Problem, ProblemDocument};
use crate::reply;
use crate::routes::App;
use crate::wire::{AlertList, Slo};

/// Show what is promised, and how it stands.
///
/// Each objective has an error budget over the period, and burn rates over several windows.
#[utoipa::path(
    get, path = "/v1/slo", operation_id = "get_slo", tag = "server",
    responses(
        (status = 200, description = "All objectives.", body = Slo),
        (status = 401, description = "No API key, or an unknown one.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The key is no operator's.",
            body = ProblemDocument, content_type = "application/problem+json"),
    ),
    security(("bearer" = []), ("api_key" = []))
)]
pub(crate) async fn get_slo(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.require_operator()?;
    Ok(reply::json(StatusCode::OK, 8 << 10, &Slo::from(&app.engine.slo())))
}

/// List alerts.
///
/// Those that fire and the latest that did, with what executions are compared with.
#[utoipa::path(
    get, path = "/v1/alerts", operation_id = "list_alerts", tag = "server",
    responses(
        (status = 200, description = "All alerts.", body = AlertList),
        (status = 401, description = "No API key, or an unknown one.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The key is no operator's.",
            body = ProblemDocument, content_type = "application/problem+json"),
    ),
    security(("bearer" = []), ("api_key" = []))
)]
pub(crate) async fn list_alerts(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.require_operator()?;
    let webhook = app.webhook.as_ref().map(|webhook| webhook.figures());
    Ok(reply::json(StatusCode::OK, 16 << 10, &AlertList::new(&app.engine.alerts(), webhook)))
}
