//! The words for how an execution stands and what it started from.
//!
//! Owns them for clients, also those that no execution has yet. It never decides which one fits.

use serde::{Deserialize, Serialize};
use soulbox_engine::{StartKind, Status};
use utoipa::ToSchema;

/// The state of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ExecutionStatus {
    Queued,
    Running,
    Succeeded,
    Failed,
    TimedOut,
    OutOfMemory,
    OutputLimitExceeded,
    Killed,
    Cancelled,
    CompileFailed,
    InternalError,
}

/// What an execution started from: a parked sandbox, a fork of a zygote, or a zygote that had to be made
/// first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ExecutionStartKind {
    Parked,
    Zygote,
    Cold,
}

impl From<Status> for ExecutionStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Queued => ExecutionStatus::Queued,
            Status::Running => ExecutionStatus::Running,
            Status::Succeeded => ExecutionStatus::Succeeded,
            Status::Failed => ExecutionStatus::Failed,
            Status::TimedOut => ExecutionStatus::TimedOut,
            Status::OutOfMemory => ExecutionStatus::OutOfMemory,
            Status::OutputLimitExceeded => ExecutionStatus::OutputLimitExceeded,
            Status::Killed => ExecutionStatus::Killed,
            Status::Cancelled => ExecutionStatus::Cancelled,
            Status::CompileFailed => ExecutionStatus::CompileFailed,
            Status::InternalError => ExecutionStatus::InternalError,
        }
    }
}

impl From<ExecutionStatus> for Status {
    fn from(status: ExecutionStatus) -> Self {
        match status {
            ExecutionStatus::Queued => Status::Queued,
            ExecutionStatus::Running => Status::Running,
            ExecutionStatus::Succeeded => Status::Succeeded,
            ExecutionStatus::Failed => Status::Failed,
            ExecutionStatus::TimedOut => Status::TimedOut,
            ExecutionStatus::OutOfMemory => Status::OutOfMemory,
            ExecutionStatus::OutputLimitExceeded => Status::OutputLimitExceeded,
            ExecutionStatus::Killed => Status::Killed,
            ExecutionStatus::Cancelled => Status::Cancelled,
            ExecutionStatus::CompileFailed => Status::CompileFailed,
            ExecutionStatus::InternalError => Status::InternalError,
        }
    }
}

impl From<StartKind> for ExecutionStartKind {
    fn from(kind: StartKind) -> Self {
        match kind {
            StartKind::Parked => ExecutionStartKind::Parked,
            StartKind::Zygote => ExecutionStartKind::Zygote,
            StartKind::Cold => ExecutionStartKind::Cold,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_the_engines_name() {
        for status in [
            Status::Queued,
            Status::Running,
            Status::Succeeded,
            Status::Failed,
            Status::TimedOut,
            Status::OutOfMemory,
            Status::OutputLimitExceeded,
            Status::Killed,
            Status::Cancelled,
            Status::CompileFailed,
            Status::InternalError,
        ] {
            assert_eq!(serde_json::to_value(ExecutionStatus::from(status)).unwrap(), status.as_str());
            assert_eq!(Status::from(ExecutionStatus::from(status)), status);
        }
        for kind in [StartKind::Zygote, StartKind::Cold] {
            assert_eq!(serde_json::to_value(ExecutionStartKind::from(kind)).unwrap(), kind.as_str());
        }
    }
}
