//! `/v1/accounting`.
//!
//! Owns how a question is read from a URL, who may ask for whose executions, and in which form the answer goes out.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use serde::Deserialize;
use soulbox_accounting::{Accounts, Dimension, Query, QueryError, Resolution, Scope};
use soulbox_engine::Engine;
use tokio::sync::Semaphore;
use utoipa::IntoParams;

use crate::auth::Caller;
use crate::error_code::ErrorCode;
use crate::problem::{Problem, ProblemDocument};
use crate::query::Parameters;
use crate::reply;
use crate::wire::Accounting;

/// The time that is told of where no beginning was asked for.
const USUAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Answers that are put together at once; others wait for them. Many who ask shall not take the processors.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

const CSV: &str = "text/csv";

/// What is asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct AccountingParams {
    /// Names that rows are told apart by, with commas: `key`, `language`, `bundle`, `status`, `start_kind`. One row
    /// without.
    #[param(example = "key,language")]
    group_by: Option<String>,
    /// Executions that ended from then on: RFC 3339, a date, or a time before now such as `24h`, which is also the
    /// default.
    #[param(example = "24h")]
    from: Option<String>,
    /// And before then; now where it is absent.
    to: Option<String>,
    /// Rows are also told apart by steps of time: `minute`, `hour` or `day` (UTC).
    #[param(example = "hour")]
    bucket: Option<String>,
    /// `json` or `csv`; without it the header `accept` says.
    format: Option<String>,
}

/// Show what executions used.
///
/// Sums of all executions that have ended, by names and time; those of the caller's API key alone, unless it is an
/// operator's. Long times are answered from sums by hour and day, so that they take no longer.
#[utoipa::path(
    get, path = "/v1/accounting", operation_id = "accounting", tag = "server",
    params(AccountingParams),
    responses(
        (status = 200, description = "What they used.", content((Accounting = "application/json"), (String = "text/csv"))),
        (status = 400, description = "A parameter is at fault, or the answer would be too large; `detail` says what to \
            ask for.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "No API key, or an unknown one.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "This server keeps no accounts.",
            body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "The store cannot be read at present; executions go on.",
            body = ProblemDocument, content_type = "application/problem+json"),
    ),
    security(("bearer" = []), ("api_key" = []))
)]
pub(crate) async fn show_accounting(
    State(engine): State<Arc<Engine>>,
    caller: Caller,
    headers: HeaderMap,
    Parameters(params): Parameters<AccountingParams>,
) -> Result<Response, Problem> {
    let csv = params.wants_csv(&headers)?;
    let key = caller.tenant.map(|tenant| tenant.as_str().to_owned());
    let scope = if caller.operator { Scope::All } else { Scope::Key(key) };
    let query = params.query(SystemTime::now(), scope)?;
    let Some(accounts) = engine.accounts() else {
        let detail = "this server keeps no accounts: accounting.enabled is false in its configuration";
        return Err(Problem::new(ErrorCode::AccountingOff, detail));
    };
    let accounts = Arc::clone(accounts);
    // Never closed.
    let _turn = AT_ONCE.acquire().await;
    let asked = tokio::task::spawn_blocking(move || ask(&accounts, query)).await;
    let (query, answer, state) = asked.map_err(|error| {
        tracing::error!(%error, "asking accounts failed");
        Problem::new(ErrorCode::InternalError, "an error inside the server ended this request")
    })?;
    let document = Accounting::new(&query, answer?, state, engine.prices(), caller.operator);
    let mut response = if csv { table(&document)? } else { reply::json(StatusCode::OK, 4096, &document) };
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

fn ask(
    accounts: &Accounts,
    query: Query,
) -> (Query, Result<soulbox_accounting::Answer, QueryError>, soulbox_accounting::State) {
    let answer = accounts.query(&query);
    (query, answer, accounts.state())
}

fn table(document: &Accounting) -> Result<Response, Problem> {
    let table = document.to_csv().map_err(|error| {
        tracing::error!(%error, "a table could not be written");
        Problem::new(ErrorCode::InternalError, "the answer could not be written")
    })?;
    Ok(([(CONTENT_TYPE, "text/csv; charset=utf-8; header=present")], table).into_response())
}

impl AccountingParams {
    fn wants_csv(&self, headers: &HeaderMap) -> Result<bool, Problem> {
        match self.format.as_deref() {
            Some("csv") => Ok(true),
            Some("json") => Ok(false),
            Some(other) => Err(invalid("format", format_args!("{other:?} is none of json, csv"))),
            None => {
                let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
                let mut types = accepted.flat_map(|value| value.split(','));
                Ok(types
                    .any(|kind| kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(CSV)))
            }
        }
    }

    fn query(&self, now: SystemTime, scope: Scope) -> Result<Query, Problem> {
        let names = self.group_by.as_deref().unwrap_or_default();
        let mut group_by = Vec::new();
        for name in names.split(',').filter(|name| !name.is_empty()) {
            let dimension = name.parse::<Dimension>().map_err(|error| invalid("group_by", error))?;
            // Twice is once.
            if !group_by.contains(&dimension) {
                group_by.push(dimension);
            }
        }
        let bucket = self.bucket.as_deref().map(str::parse::<Resolution>).transpose();
        let to =
            self.to.as_deref().map_or(Ok(now), |text| time(text, now).map_err(|why| invalid("to", why)))?;
        let from = match self.from.as_deref() {
            Some(text) => time(text, now).map_err(|why| invalid("from", why))?,
            None => to.checked_sub(USUAL).unwrap_or(to),
        };
        Ok(Query { from, to, group_by, bucket: bucket.map_err(|error| invalid("bucket", error))?, scope })
    }
}

fn invalid(parameter: &str, why: impl std::fmt::Display) -> Problem {
    Problem::new(ErrorCode::InvalidRequest, format!("{parameter}: {why}"))
}

/// A moment, as people and programs write it.
fn time(text: &str, now: SystemTime) -> Result<SystemTime, String> {
    // In a query `+` stands for a space, as every form has it.
    if let Ok(timestamp) = text.replace(' ', "+").parse::<jiff::Timestamp>() {
        return Ok(timestamp.into());
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>() {
        // The last day of all is no moment everywhere on earth.
        let day = date.to_zoned(TimeZone::UTC).map_or(jiff::Timestamp::MAX, |day| day.timestamp());
        return Ok(day.into());
    }
    let ago = humantime::parse_duration(text).ok().and_then(|ago| now.checked_sub(ago));
    ago.ok_or_else(|| {
        format!(
            "{text:?} is no time; write 2026-01-31T12:00:00Z, 2026-01-31, or for a time before now 90m, 24h or 7days"
        )
    })
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let code = match &error {
            QueryError::Empty
            | QueryError::TooManyBuckets { .. }
            | QueryError::TooOld { .. }
            | QueryError::TooMuch { .. } => ErrorCode::InvalidTimeRange,
            QueryError::Store(store) => {
                tracing::error!(error = %store, "accounts cannot be read");
                ErrorCode::AccountingUnavailable
            }
        };
        Problem::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn seconds(text: &str) -> Result<u64, String> {
        time(text, now()).map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs())
    }

    #[test]
    fn a_time_is_a_moment_a_day_or_a_time_ago() {
        for (text, expected) in [
            ("2027-01-15T08:00:00Z", 1_800_000_000),
            ("2027-01-15T09:00:00+01:00", 1_800_000_000),
            ("2027-01-15T09:00:00 01:00", 1_800_000_000),
            ("2027-01-15", 1_799_971_200),
            ("1h", 1_799_996_400),
            ("9999-12-31", 253_402_207_200),
            ("7days", 1_799_395_200),
            ("0s", 1_800_000_000),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for wrong in ["", "yesterday", "2027-13-01", "12", "-1h", "99999999999999years"] {
            assert!(seconds(wrong).unwrap_err().contains("24h"), "{wrong}");
        }
    }

    #[test]
    fn a_question_is_read_from_the_parameters_or_told_what_is_wrong() {
        let params = |group_by: &str, bucket: Option<&str>| AccountingParams {
            group_by: Some(group_by.to_owned()),
            bucket: bucket.map(str::to_owned),
            ..AccountingParams::default()
        };
        let query = params("key,language,key", Some("day")).query(now(), Scope::All).unwrap();
        assert_eq!(query.group_by, [Dimension::Key, Dimension::Language]);
        assert_eq!(
            (query.bucket, query.to.duration_since(query.from).unwrap()),
            (Some(Resolution::Day), USUAL)
        );
        for wrong in [params("code", None), params("", Some("week"))] {
            let problem = wrong.query(now(), Scope::All).unwrap_err();
            assert!(problem.detail.contains("none of"), "{}", problem.detail);
        }
    }

    #[test]
    fn a_table_is_for_those_who_ask_for_one() {
        let wants = |format: Option<&str>, accept: &'static str| {
            let params =
                AccountingParams { format: format.map(str::to_owned), ..AccountingParams::default() };
            params.wants_csv(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]))
        };
        assert_eq!(wants(None, "*/*"), Ok(false));
        assert_eq!(wants(None, "text/html, Text/CSV;q=0.9"), Ok(true));
        assert_eq!(wants(Some("json"), "text/csv"), Ok(false));
        assert_eq!(wants(Some("csv"), "*/*"), Ok(true));
        assert_eq!(wants(Some("xml"), "*/*").unwrap_err().code, ErrorCode::InvalidRequest);
    }
}
