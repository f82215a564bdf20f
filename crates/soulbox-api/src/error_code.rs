//! The names of all errors, and the HTTP status of each.
//!
//! Owns what clients may match on: a code is never renamed and never changes its status.

use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// A stable name for what went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErrorCode {
    MalformedBody,
    MalformedJson,
    InvalidRequest,
    InvalidBase64,
    InvalidNetwork,
    InvalidPattern,
    TooManyPatterns,
    UnknownLanguage,
    UnknownBundle,
    NothingToRun,
    EmptyCode,
    NulInCode,
    MissingEntrypoint,
    UnknownEntrypoint,
    InvalidPath,
    PathCollision,
    TooManyFiles,
    InvalidVariable,
    DuplicateVariable,
    NulInString,
    StringTooLong,
    StringsTooLong,
    FilesTooLarge,
    LimitOutOfRange,
    InvalidTimeRange,
    Unauthorized,
    OperatorOnly,
    NotFound,
    ExecutionNotFound,
    BundleNotFound,
    AccountingOff,
    MethodNotAllowed,
    RequestTimeout,
    BundleInvalid,
    NotMeasured,
    BodyTooLarge,
    UnsupportedMediaType,
    QueueFull,
    TooManyListeners,
    InternalError,
    LanguageUnavailable,
    BundleUnavailable,
    AccountingUnavailable,
    Draining,
    NotReady,
}

impl ErrorCode {
    /// The status of its response.
    pub(crate) fn status(self) -> StatusCode {
        use ErrorCode as Code;
        match self {
            Code::MalformedBody
            | Code::MalformedJson
            | Code::InvalidRequest
            | Code::InvalidBase64
            | Code::InvalidNetwork
            | Code::InvalidPattern
            | Code::TooManyPatterns
            | Code::UnknownLanguage
            | Code::UnknownBundle
            | Code::NothingToRun
            | Code::EmptyCode
            | Code::NulInCode
            | Code::MissingEntrypoint
            | Code::UnknownEntrypoint
            | Code::InvalidPath
            | Code::PathCollision
            | Code::TooManyFiles
            | Code::InvalidVariable
            | Code::DuplicateVariable
            | Code::NulInString
            | Code::StringTooLong
            | Code::StringsTooLong
            | Code::FilesTooLarge
            | Code::LimitOutOfRange
            | Code::InvalidTimeRange => StatusCode::BAD_REQUEST,
            Code::Unauthorized => StatusCode::UNAUTHORIZED,
            Code::OperatorOnly => StatusCode::FORBIDDEN,
            Code::NotFound | Code::ExecutionNotFound | Code::BundleNotFound | Code::AccountingOff => {
                StatusCode::NOT_FOUND
            }
            Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Code::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Code::BundleInvalid | Code::NotMeasured => StatusCode::CONFLICT,
            Code::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::QueueFull | Code::TooManyListeners => StatusCode::TOO_MANY_REQUESTS,
            Code::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Code::LanguageUnavailable
            | Code::BundleUnavailable
            | Code::AccountingUnavailable
            | Code::Draining
            | Code::NotReady => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Seconds after which the same request may succeed, where waiting helps and nothing better is known.
    pub(crate) fn retry_after(self) -> Option<u64> {
        match self {
            ErrorCode::QueueFull | ErrorCode::NotReady => Some(1),
            // Somebody may leave at any moment.
            ErrorCode::TooManyListeners => Some(10),
            // Long enough for another server to be started in its place.
            ErrorCode::Draining => Some(5),
            _ => None,
        }
    }
}
