//! Who is told of executions that have ended, and of requests that were refused.
//!
//! Owns the one place where both are told, and what is told beside the outcome. Whoever is here adds a field and a
//! line, and does little: it runs on the way of every execution, and neither blocks nor writes to a disk there.

use std::sync::Arc;

use soulbox_bundle::Digest;

use crate::admission::Refusal;
use crate::execution::Outcome;
use crate::keeper::Keeper;
use crate::metrics::ExecutionMetrics;
use crate::request::Tenant;

/// What is known of an execution beside its outcome.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// Whose it is.
    #[allow(dead_code, reason = "for those who keep accounts")]
    pub(crate) tenant: Option<Tenant>,
    /// The version of the bundle it ran in.
    #[allow(dead_code, reason = "for those who keep accounts")]
    pub(crate) bundle_digest: Digest,
}

impl Facts {
    pub(crate) fn new(tenant: Option<Tenant>, keeper: &Keeper) -> Self {
        Facts { tenant, bundle_digest: keeper.bundle().digest() }
    }
}

/// All who are told.
#[derive(Debug)]
pub(crate) struct Observers {
    metrics: ExecutionMetrics,
}

impl Observers {
    pub(crate) fn new() -> Self {
        Observers { metrics: ExecutionMetrics::new() }
    }

    /// An execution is about to end. Whoever has its answer must find it counted, so this comes before the answer, and
    /// is for counters alone.
    pub(crate) fn ending(&self, outcome: &Outcome) {
        self.metrics.ended(outcome);
    }

    /// An execution has ended, whatever its end was, and its answer is on its way.
    #[allow(clippy::unused_self, reason = "for those who keep accounts")]
    pub(crate) fn ended(&self, _outcome: &Arc<Outcome>, _facts: &Facts) {}

    /// A request was turned away before it became an execution.
    pub(crate) fn refused(&self, refusal: &Refusal, _tenant: Option<&Tenant>) {
        self.metrics.refused(refusal);
    }
}
