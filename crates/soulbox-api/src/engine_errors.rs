//! What the engine's errors are called on the wire.
//!
//! Owns the table from errors to codes. It has no catch-all: a new error of the engine does not compile
//! without a code.

use soulbox_engine::{ReloadError, RequestError, SubmitError};

use crate::error_code::ErrorCode;
use crate::problem::Problem;

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        let code = match &error {
            SubmitError::Request(error) => code_of(error),
            SubmitError::Refused(refusal) => {
                // Its client does the same whatever the reason is: it comes again when the estimate says so.
                let problem = Problem::new(ErrorCode::QueueFull, refusal.to_string());
                return problem.retry_after(refusal.retry_after);
            }
            SubmitError::Draining => ErrorCode::Draining,
        };
        Problem::new(code, error.to_string())
    }
}

impl From<ReloadError> for Problem {
    fn from(error: ReloadError) -> Self {
        let code = match &error {
            ReloadError::Unknown(..) => ErrorCode::BundleNotFound,
            ReloadError::Invalid { .. } => ErrorCode::BundleInvalid,
            ReloadError::Draining => ErrorCode::Draining,
            ReloadError::Interrupted => ErrorCode::InternalError,
        };
        Problem::new(code, error.to_string())
    }
}

/// The code of a request that is at fault.
pub(crate) fn code_of(error: &RequestError) -> ErrorCode {
    match error {
        RequestError::UnknownLanguage(..) => ErrorCode::UnknownLanguage,
        RequestError::UnavailableLanguage(..) => ErrorCode::LanguageUnavailable,
        RequestError::UnknownBundle(..) => ErrorCode::UnknownBundle,
        RequestError::UnavailableBundle(..) => ErrorCode::BundleUnavailable,
        RequestError::Nothing => ErrorCode::NothingToRun,
        RequestError::EmptyCode => ErrorCode::EmptyCode,
        RequestError::NulInCode(_) => ErrorCode::NulInCode,
        RequestError::NoEntrypoint => ErrorCode::MissingEntrypoint,
        RequestError::UnknownEntrypoint(_) => ErrorCode::UnknownEntrypoint,
        RequestError::Path(_) => ErrorCode::InvalidPath,
        RequestError::Collision(_) => ErrorCode::PathCollision,
        RequestError::TooManyFiles(_) => ErrorCode::TooManyFiles,
        RequestError::VariableName(_) => ErrorCode::InvalidVariable,
        RequestError::VariableTwice(_) => ErrorCode::DuplicateVariable,
        RequestError::Nul { .. } => ErrorCode::NulInString,
        RequestError::StringTooLong { .. } => ErrorCode::StringTooLong,
        RequestError::StringsTooLong => ErrorCode::StringsTooLong,
        RequestError::FilesTooLarge { .. } => ErrorCode::FilesTooLarge,
        RequestError::Pattern { .. } => ErrorCode::InvalidPattern,
        RequestError::TooManyPatterns(_) => ErrorCode::TooManyPatterns,
        RequestError::Limit(_) => ErrorCode::LimitOutOfRange,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use soulbox_engine::{Digest, LimitError, LimitName, Refusal, RefusalReason};

    use super::*;

    #[track_caller]
    fn check(error: SubmitError, status: u16, code: ErrorCode, detail: &str) {
        let problem = Problem::from(error);
        assert_eq!(
            (problem.code, problem.code.status().as_u16(), problem.detail.as_str()),
            (code, status, detail)
        );
    }

    #[test]
    fn a_full_queue_can_be_tried_again() {
        let refused = |reason| Refusal { reason, retry_after: Duration::from_millis(2100) }.into();
        let full = refused(RefusalReason::QueueFull { running: 2, queued: 3 });
        check(full, 429, ErrorCode::QueueFull, "the queue is full: 2 executions run and 3 wait");
        let (estimate, maximum) = (Duration::from_millis(12_345), Duration::from_secs(10));
        let detail = "the queue is too long: this execution would wait for about 12 s, and may for 10 s";
        check(refused(RefusalReason::QueueWait { estimate, maximum }), 429, ErrorCode::QueueFull, detail);
        let detail = "this API key holds its share of the server: 2 of its executions run and 3 wait";
        let share = refused(RefusalReason::TenantShare { running: 2, queued: 3 });
        check(share, 429, ErrorCode::QueueFull, detail);
        check(SubmitError::Draining, 503, ErrorCode::Draining, "the server is shutting down");
        // A client that came in the last tenth of a second would still be too early.
        let memory = refused(RefusalReason::RequestMemory { running: 2, queued: 3 });
        assert_eq!(Problem::from(memory).retry_after_seconds, Some(3));
        assert!(ErrorCode::Draining.retry_after().is_some());
    }

    #[test]
    fn a_limit_out_of_range_names_the_maximum() {
        let limit = LimitError::TooLarge { name: LimitName::Pids, given: 2000.0, maximum: 1024.0 };
        let detail = "limit pids is 2000; the maximum of this server is 1024";
        check(RequestError::from(limit).into(), 400, ErrorCode::LimitOutOfRange, detail);
    }

    #[test]
    fn an_unknown_language_is_the_clients_fault_and_an_unavailable_one_the_servers() {
        let unknown = RequestError::UnknownLanguage("cobol".to_owned(), "python".to_owned());
        let detail = "language \"cobol\" is unknown; this server has python";
        check(unknown.into(), 400, ErrorCode::UnknownLanguage, detail);
        let unavailable = RequestError::UnavailableLanguage("node".to_owned(), "no node here".to_owned());
        let detail = "language \"node\" is not available here: no node here";
        check(unavailable.into(), 503, ErrorCode::LanguageUnavailable, detail);
        let unknown = RequestError::UnknownBundle("science".to_owned(), "python".to_owned());
        let detail = "bundle \"science\" is unknown; this server has python";
        check(unknown.into(), 400, ErrorCode::UnknownBundle, detail);
        let unavailable = RequestError::UnavailableBundle("science".to_owned(), "damaged".to_owned());
        let detail = "bundle \"science\" is not available here: damaged";
        check(unavailable.into(), 503, ErrorCode::BundleUnavailable, detail);
    }

    #[test]
    fn a_bundle_that_is_refused_says_what_stays_in_service() {
        let digest = Digest::of(b"");
        let stays = format!("bundle \"science\" cannot be used: damaged; {digest} stays in service");
        let invalid = |in_service: Option<Digest>| ReloadError::Invalid {
            bundle: "science".to_owned(),
            reason: "damaged".to_owned(),
            in_service,
        };
        for (in_service, detail) in
            [(Some(digest), stays.as_str()), (None, "bundle \"science\" cannot be used: damaged")]
        {
            let problem = Problem::from(invalid(in_service));
            assert_eq!((problem.code.status().as_u16(), problem.detail.as_str()), (409, detail));
            assert_eq!(problem.code, ErrorCode::BundleInvalid);
        }
        let unknown = ReloadError::Unknown("science".to_owned(), "python".to_owned());
        assert_eq!(Problem::from(unknown).code.status(), 404);
    }
}
