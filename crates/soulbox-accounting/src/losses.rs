//! Records that could not be kept.
//!
//! Owns their count by reason, for metrics and for whoever asks. It never decides that one is lost.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{counter, describe_counter};

use crate::error::AccountsError;

/// Why a record was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossReason {
    /// They came faster than they could be written.
    Overload,
    /// Another process held the store for too long.
    Locked,
    /// The store's disk was full.
    DiskFull,
    /// The store was not what it has to be.
    Corrupt,
    /// The store could not be read or written for another reason.
    Io,
    /// The server ended before it could be written.
    Ended,
}

impl LossReason {
    /// All reasons.
    pub const ALL: [LossReason; 6] = [
        LossReason::Overload,
        LossReason::Locked,
        LossReason::DiskFull,
        LossReason::Corrupt,
        LossReason::Io,
        LossReason::Ended,
    ];

    /// The name in metrics and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            LossReason::Overload => "overload",
            LossReason::Locked => "locked",
            LossReason::DiskFull => "disk_full",
            LossReason::Corrupt => "corrupt",
            LossReason::Io => "io",
            LossReason::Ended => "ended",
        }
    }

    pub(crate) fn of(error: &AccountsError) -> Self {
        match error {
            AccountsError::Locked(_) => LossReason::Locked,
            AccountsError::DiskFull(_) => LossReason::DiskFull,
            AccountsError::Corrupt(_) => LossReason::Corrupt,
            AccountsError::Sqlite(_) | AccountsError::Io { .. } | AccountsError::Newer { .. } => {
                LossReason::Io
            }
        }
    }
}

/// Counts by reason.
#[derive(Debug, Default)]
pub struct Losses([AtomicU64; LossReason::ALL.len()]);

impl Losses {
    pub(crate) fn new() -> Self {
        describe_counter!(
            "soulbox_accounting_records_lost_total",
            "Ended executions of which no record could be kept, by reason."
        );
        for reason in LossReason::ALL {
            counter!("soulbox_accounting_records_lost_total", "reason" => reason.as_str()).increment(0);
        }
        Self::default()
    }

    pub(crate) fn add(&self, reason: LossReason, records: u64) {
        if records > 0 {
            self.0[reason as usize].fetch_add(records, Ordering::Relaxed);
            counter!("soulbox_accounting_records_lost_total", "reason" => reason.as_str()).increment(records);
        }
    }

    /// How many were lost for a reason.
    pub fn of(&self, reason: LossReason) -> u64 {
        self.0[reason as usize].load(Ordering::Relaxed)
    }

    /// How many were lost.
    pub fn all(&self) -> u64 {
        LossReason::ALL.into_iter().map(|reason| self.of(reason)).sum()
    }
}
