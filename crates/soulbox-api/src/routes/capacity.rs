//! `/v1/capacity`.
//!
//! Owns how a question is read from a URL. What a machine can do is the engine's to say.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use soulbox_engine::{CapacityError, CapacityRequest, Engine};
use utoipa::IntoParams;

use crate::auth::Caller;
use crate::error_code::ErrorCode;
use crate::problem::{Problem, ProblemDocument};
use crate::reply;
use crate::wire::Capacity;

/// More requests in a second are a slip of the pen.
const MOST_RPS: f64 = 1e7;

/// A load to be judged.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct CapacityParams {
    /// Requests in a second; without it, as many as this machine serves best (`knee_rps`).
    #[param(value_type = Option<f64>, example = 1000.0)]
    rps: Option<String>,
    /// Languages with their shares; without it, as they were seen of late.
    #[param(example = "python=0.8,javascript=0.2")]
    mix: Option<String>,
    /// A bound for the 99th percentile of latency, milliseconds.
    #[param(value_type = Option<f64>, example = 50.0)]
    p99_ms: Option<String>,
}

/// Show what this machine can do, and what a load needs.
///
/// Rests on what executions have cost until now: cpu time of all processes, memory, and how long they take undisturbed.
/// Processors are shared by all that run (M/G/c processor sharing), places to run are first come, first served
/// (M/G/m by Allen and Cunneen). Latencies are the server's own, without the network.
#[utoipa::path(
    get, path = "/v1/capacity", operation_id = "capacity", tag = "server",
    params(CapacityParams),
    responses(
        (status = 200, description = "What it can do.", body = Capacity),
        (status = 400, description = "A parameter is at fault; `detail` names it.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "No API key, or an unknown one.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "The key is no operator's.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "Too little has been measured yet to say anything (`not_measured`); `detail` says \
            what is lacking.",
            body = ProblemDocument, content_type = "application/problem+json"),
    ),
    security(("bearer" = []), ("api_key" = []))
)]
pub(crate) async fn show_capacity(
    State(engine): State<Arc<Engine>>,
    caller: Caller,
    params: Result<Query<CapacityParams>, QueryRejection>,
) -> Result<Response, Problem> {
    caller.require_operator()?;
    let Query(params) = params.map_err(|rejection| invalid(&rejection.body_text()))?;
    let request = params.request()?;
    // It simulates thousands of requests.
    let judged = tokio::task::spawn_blocking(move || engine.capacity(&request)).await;
    let judged =
        judged.map_err(|_| Problem::new(ErrorCode::InternalError, "the calculation was interrupted"))?;
    Ok(reply::json(StatusCode::OK, 4096, &Capacity::from(judged?)))
}

impl CapacityParams {
    fn request(&self) -> Result<CapacityRequest, Problem> {
        Ok(CapacityRequest {
            rps: self.rps.as_deref().map(|text| positive("rps", text, MOST_RPS)).transpose()?,
            mix: self.mix.as_deref().map_or(Ok(Vec::new()), mix)?,
            p99_ms: self.p99_ms.as_deref().map(|text| positive("p99_ms", text, f64::MAX)).transpose()?,
        })
    }
}

fn invalid(detail: &str) -> Problem {
    Problem::new(ErrorCode::InvalidRequest, detail)
}

fn positive(name: &str, text: &str, most: f64) -> Result<f64, Problem> {
    let number = text.parse::<f64>().ok().filter(|number| *number > 0.0 && *number <= most);
    number
        .ok_or_else(|| invalid(&format!("{name} is {text:?}, which is no number above 0 that can be meant")))
}

/// Languages with shares, which add up to one afterwards.
fn mix(text: &str) -> Result<Vec<(String, f64)>, Problem> {
    let mut mix: Vec<(String, f64)> = Vec::new();
    for part in text.split(',') {
        let (name, share) = part.split_once('=').unwrap_or((part, "1"));
        let share = positive(&format!("mix: the share of {name:?}"), share, 1e9)?;
        if name.is_empty() {
            return Err(invalid(
                "mix has a part without a language; write for example mix=python=0.8,bash=0.2",
            ));
        }
        if mix.iter().any(|(other, _)| other == name) {
            return Err(invalid(&format!("mix has {name} twice")));
        }
        mix.push((name.to_owned(), share));
    }
    let sum: f64 = mix.iter().map(|(_, share)| share).sum();
    mix.iter_mut().for_each(|(_, share)| *share /= sum);
    Ok(mix)
}

impl From<CapacityError> for Problem {
    fn from(error: CapacityError) -> Self {
        let code = match &error {
            CapacityError::UnknownLanguage { .. } => ErrorCode::UnknownLanguage,
            CapacityError::NotMeasured(_) => ErrorCode::NotMeasured,
        };
        Problem::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_one() {
        assert_eq!(mix("python").unwrap(), [("python".to_owned(), 1.0)]);
        assert_eq!(mix("python=4,bash").unwrap(), [("python".to_owned(), 0.8), ("bash".to_owned(), 0.2)]);
    }

    #[test]
    fn what_is_at_fault_is_named() {
        for (params, named) in [
            (CapacityParams { rps: Some("many".to_owned()), ..Default::default() }, "rps"),
            (CapacityParams { rps: Some("-1".to_owned()), ..Default::default() }, "rps"),
            (CapacityParams { rps: Some("inf".to_owned()), ..Default::default() }, "rps"),
            (CapacityParams { p99_ms: Some("0".to_owned()), ..Default::default() }, "p99_ms"),
            (CapacityParams { p99_ms: Some("NaN".to_owned()), ..Default::default() }, "p99_ms"),
            (CapacityParams { mix: Some("python=half".to_owned()), ..Default::default() }, "python"),
            (
                CapacityParams { mix: Some("python,python=2".to_owned()), ..Default::default() },
                "python twice",
            ),
            (CapacityParams { mix: Some("".to_owned()), ..Default::default() }, "mix"),
        ] {
            let problem = params.request().unwrap_err();
            assert_eq!(problem.code, ErrorCode::InvalidRequest);
            assert!(problem.detail.contains(named), "{params:?}: {}", problem.detail);
        }
    }
}
