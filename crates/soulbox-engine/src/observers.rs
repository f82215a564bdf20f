//! Who is told of executions that have ended, and of requests that were refused.
//!
//! Owns the one place where both are told, and what is told beside the outcome. Whoever is here adds a field and a
//! line, and does little: it runs on the way of every execution, and neither blocks nor writes to a disk there.

use std::fmt;
use std::sync::Arc;

use soulbox_accounting::Accounts;
use soulbox_bundle::Digest;

use crate::accounting;
use crate::admission::Refusal;
use crate::config::EngineConfig;
use crate::execution::Outcome;
use crate::keeper::Keeper;
use crate::live::LiveStatistics;
use crate::metrics::ExecutionMetrics;
use crate::request::{ExecutionRequest, Tenant};
use crate::sizing::{Expected, Sizing};
use crate::trace_context::TraceContext;
use crate::watching::Watching;

/// What is known of an execution beside its outcome.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Whose it is.
    pub tenant: Option<Tenant>,
    /// The version of the bundle it ran in.
    pub bundle_digest: Digest,
    /// The trace that it is a part of, where its client has one.
    pub trace_context: Option<TraceContext>,
    /// The same for the same program with the same input.
    pub(crate) program: u64,
    /// What it was expected to take.
    pub(crate) expected: Expected,
}

impl Facts {
    pub(crate) fn new(
        request: &mut ExecutionRequest,
        keeper: &Keeper,
        program: u64,
        expected: Expected,
    ) -> Self {
        Facts {
            tenant: request.tenant.clone(),
            bundle_digest: keeper.bundle().digest(),
            trace_context: request.trace_context.take(),
            program,
            expected,
        }
    }
}

/// Somebody above the engine who wants to know of every execution that has ended, and takes no time for it.
pub trait Listener: fmt::Debug + Send + Sync {
    /// An execution has ended, and its answer is on its way.
    fn ended(&self, outcome: &Arc<Outcome>, facts: &Facts);
}

/// All who are told.
#[derive(Debug)]
pub(crate) struct Observers {
    metrics: ExecutionMetrics,
    accounts: Option<Arc<Accounts>>,
    live: LiveStatistics,
    watching: Arc<Watching>,
    listener: Option<Arc<dyn Listener>>,
    sizing: Sizing,
}

impl Observers {
    pub(crate) fn new(
        config: &EngineConfig,
        accounts: Option<Accounts>,
        watching: Watching,
        sizing: Sizing,
    ) -> Self {
        Observers {
            metrics: ExecutionMetrics::new(config),
            accounts: accounts.map(Arc::new),
            live: LiveStatistics::new(),
            watching: Arc::new(watching),
            listener: config.listener.clone(),
            sizing,
        }
    }

    /// Those that are kept.
    pub(crate) fn accounts(&self) -> Option<&Arc<Accounts>> {
        self.accounts.as_ref()
    }

    /// What is kept for those who look at what happens now.
    pub(crate) fn live(&self) -> &LiveStatistics {
        &self.live
    }

    /// A request became an execution.
    pub(crate) fn arrived(&self) {
        self.live.arrived();
    }

    /// An execution is about to end. Whoever has its answer must find it counted, so this comes before the answer, and
    /// is for counters alone.
    pub(crate) fn ending(&self, outcome: &Outcome, facts: &Facts) {
        self.metrics.ended(outcome);
        self.live.ended(outcome);
        if let Some(accounts) = &self.accounts {
            accounts.record(accounting::record(outcome, facts.tenant.as_ref(), &facts.bundle_digest));
        }
    }

    /// An execution has ended, whatever its end was, and its answer is on its way. `busy` says whether more run than
    /// there are processors.
    pub(crate) fn ended(&self, outcome: &Arc<Outcome>, facts: &Facts, busy: bool) {
        self.watching.ended(outcome, facts.program, busy);
        if let Some(listener) = &self.listener {
            listener.ended(outcome, facts);
        }
        self.sizing.ended(&facts.expected, outcome, !busy);
    }

    /// A request was turned away before it became an execution.
    pub(crate) fn refused(&self, refusal: &Refusal) {
        self.metrics.refused(refusal);
        self.live.refused();
        self.watching.refused(refusal);
    }

    pub(crate) fn watching(&self) -> &Arc<Watching> {
        &self.watching
    }

    /// What is learnt of what runs take.
    pub(crate) fn sizing(&self) -> &Sizing {
        &self.sizing
    }
}
