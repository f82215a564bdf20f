//! The list of executions.
//!
//! Owns the shape of its rows: what one sees of an execution before one asks for it, and none of what it wrote.

use serde::{Deserialize, Serialize};
use soulbox_engine::{Snapshot, Status, Ticket};
use utoipa::{IntoParams, ToSchema};

use crate::wire::figures::millis;
use crate::wire::rfc_3339;
use crate::wire::state::{ExecutionStartKind, ExecutionStatus};

/// So many are listed where nobody says how many.
const USUAL_LIMIT: u32 = 50;

/// No more are listed at once.
const LARGEST_LIMIT: u32 = 500;

/// Which executions to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListExecutions {
    /// Those with this status alone.
    status: Option<ExecutionStatus>,
    /// How many at most, up to 500.
    #[param(default = 50, minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// Those that came before the one with this id: the last of the page before.
    before: Option<String>,
}

impl ListExecutions {
    pub(crate) fn status(&self) -> Option<Status> {
        self.status.map(Status::from)
    }

    pub(crate) fn before(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// The error is a sentence for the client.
    pub(crate) fn limit(&self) -> Result<usize, String> {
        match self.limit.unwrap_or(USUAL_LIMIT) {
            limit @ 1..=LARGEST_LIMIT => Ok(limit as usize),
            limit => Err(format!("query parameter limit is {limit}; it is from 1 to {LARGEST_LIMIT}")),
        }
    }
}

/// Executions, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExecutionList {
    executions: Vec<ListedExecution>,
}

/// An execution as the list has it. `null` stands for what is not known before its end.
#[derive(Debug, Serialize, ToSchema)]
struct ListedExecution {
    /// Its id; ids sort by time.
    id: String,
    language: String,
    bundle: String,
    /// The API key, by its name in accounting; `null` without one.
    #[schema(required)]
    key: Option<String>,
    status: ExecutionStatus,
    #[schema(required)]
    start_kind: Option<ExecutionStartKind>,
    /// When it was submitted (RFC 3339).
    #[schema(format = DateTime)]
    created_at: String,
    /// From submission to the outcome.
    #[schema(required)]
    total_ms: Option<f64>,
    /// From the start of the program to its end.
    #[schema(required)]
    run_ms: Option<f64>,
    #[schema(required)]
    cpu_time_ms: Option<f64>,
    #[schema(required)]
    memory_peak_bytes: Option<u64>,
    /// One sentence for a person whenever the status is not `succeeded`.
    #[schema(required)]
    detail: Option<String>,
}

impl FromIterator<Ticket> for ExecutionList {
    fn from_iter<I: IntoIterator<Item = Ticket>>(tickets: I) -> Self {
        ExecutionList {
            executions: tickets.into_iter().map(|ticket| ListedExecution::from(&ticket)).collect(),
        }
    }
}

impl From<&Ticket> for ListedExecution {
    fn from(ticket: &Ticket) -> Self {
        let key = ticket.tenant().map(|tenant| tenant.as_str().to_owned());
        match ticket.snapshot() {
            Snapshot::Pending { id, language, bundle, status, created_at, .. } => ListedExecution {
                id: id.to_string(),
                language,
                bundle,
                key,
                status: status.into(),
                start_kind: None,
                created_at: rfc_3339(created_at),
                total_ms: None,
                run_ms: None,
                cpu_time_ms: None,
                memory_peak_bytes: None,
                detail: None,
            },
            Snapshot::Ended(outcome) => ListedExecution {
                id: outcome.id.to_string(),
                language: outcome.language.clone(),
                bundle: outcome.bundle.clone(),
                key,
                status: outcome.status.into(),
                start_kind: outcome.start_kind.map(ExecutionStartKind::from),
                created_at: rfc_3339(outcome.created_at),
                total_ms: Some(millis(outcome.timing.total)),
                run_ms: Some(millis(outcome.timing.run)),
                cpu_time_ms: outcome.usage.cpu_time.map(millis),
                memory_peak_bytes: outcome.usage.memory_peak_bytes,
                detail: outcome.detail.clone(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_size_that_is_bounded() {
        let limit = |limit| ListExecutions { status: None, limit, before: None }.limit();
        assert_eq!((limit(None), limit(Some(1)), limit(Some(500))), (Ok(50), Ok(1), Ok(500)));
        for refused in [0, 501] {
            let sentence = limit(Some(refused)).unwrap_err();
            assert!(sentence.contains("limit") && sentence.contains("500"), "{sentence}");
        }
    }
}
