//! The executions that are known: all that wait or run, and the most recent that have ended.
//!
//! Owns how long an ended execution is remembered: by number and by bytes of output, whichever is met first. What is
//! forgotten is the oldest of the tenant that has the most remembered, so that no tenant has another's forgotten by
//! running more.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::compile::Compilation;
use crate::execution::{ExecutionId, Outcome, Status, Subject};
use crate::request::Tenant;

/// What there is to say of an execution now.
#[derive(Clone, Debug)]
pub enum Snapshot {
    /// It waits or runs.
    Pending {
        /// Its id.
        id: ExecutionId,
        /// The name of its language.
        language: String,
        /// The name of the bundle it runs in.
        bundle: String,
        /// [`Status::Queued`] or [`Status::Running`].
        status: Status,
        /// The limits in force.
        limits: crate::limits::Limits,
        /// Those of them that are not in force.
        unenforced: &'static [crate::limits::LimitName],
        /// When it was submitted.
        created_at: std::time::SystemTime,
    },
    /// It has ended.
    Ended(Arc<Outcome>),
}

#[derive(Clone, Debug)]
enum State {
    Queued,
    Running,
    Ended(Arc<Outcome>),
}

/// A known execution, to be waited for or cancelled.
#[derive(Clone, Debug)]
pub struct Ticket {
    subject: Arc<Subject>,
    cancel: CancellationToken,
    state: Arc<watch::Sender<State>>,
}

impl Ticket {
    pub(crate) fn new(subject: Subject) -> Self {
        Ticket {
            subject: Arc::new(subject),
            cancel: CancellationToken::new(),
            state: Arc::new(watch::Sender::new(State::Queued)),
        }
    }

    /// The execution's id.
    pub fn id(&self) -> &ExecutionId {
        &self.subject.id
    }

    pub(crate) fn tenant(&self) -> Option<&Tenant> {
        self.subject.tenant.as_ref()
    }

    /// Asks for its end. It still has an outcome.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Waits for its outcome.
    pub async fn outcome(&self) -> Arc<Outcome> {
        let mut receiver = self.state.subscribe();
        loop {
            if let State::Ended(outcome) = &*receiver.borrow_and_update() {
                return Arc::clone(outcome);
            }
            if receiver.changed().await.is_err() {
                // The sender is part of this ticket: it cannot go away before it.
                std::future::pending::<()>().await;
            }
        }
    }

    /// What there is to say of it now.
    pub fn snapshot(&self) -> Snapshot {
        let status = match &*self.state.borrow() {
            State::Ended(outcome) => return Snapshot::Ended(Arc::clone(outcome)),
            State::Queued => Status::Queued,
            State::Running => Status::Running,
        };
        let Subject { id, language, bundle, limits, unenforced, created_at, tenant: _ } =
            Subject::clone(&self.subject);
        Snapshot::Pending { id, language, bundle, status, limits, unenforced, created_at }
    }

    pub(crate) fn subject(&self) -> Subject {
        Subject::clone(&self.subject)
    }

    pub(crate) fn cancellation(&self) -> &CancellationToken {
        &self.cancel
    }

    pub(crate) fn set_running(&self) {
        // Whoever waits does so for the outcome, and is not woken for this.
        self.state.send_if_modified(|state| {
            *state = State::Running;
            false
        });
    }
}

/// The executions that are known.
#[derive(Debug)]
pub(crate) struct Registry {
    inner: Mutex<Inner>,
    max_ended: usize,
    max_ended_bytes: usize,
}

#[derive(Debug, Default)]
struct Inner {
    tickets: HashMap<ExecutionId, Ticket>,
    /// By tenant, none of which is empty.
    ended: HashMap<Option<Tenant>, Ended>,
}

/// The ended executions of one tenant.
#[derive(Debug, Default)]
struct Ended {
    /// With the bytes of their output, oldest first.
    executions: VecDeque<(ExecutionId, usize)>,
    bytes: usize,
}

impl Inner {
    /// How much is remembered of all tenants, in some measure.
    fn remembered(&self, measure: impl Fn(&Ended) -> usize) -> usize {
        self.ended.values().map(measure).sum()
    }

    /// Forgets the oldest of the tenant with the most, but for the one that has ended last. `false` for nothing.
    fn forget_one(&mut self, measure: impl Fn(&Ended) -> usize, last: &ExecutionId) -> bool {
        let is_last = |ended: &Ended| ended.executions.front().is_some_and(|(id, _)| id == last);
        let others = self.ended.iter_mut().filter(|(_, ended)| !is_last(ended));
        let Some((tenant, ended)) = others.max_by_key(|(_, ended)| measure(ended)) else { return false };
        let Some((oldest, bytes)) = ended.executions.pop_front() else { return false };
        ended.bytes -= bytes;
        self.tickets.remove(&oldest);
        if ended.executions.is_empty() {
            let tenant = tenant.clone();
            self.ended.remove(&tenant);
        }
        true
    }
}

impl Registry {
    pub(crate) fn new(max_ended: usize, max_ended_bytes: usize) -> Self {
        Registry { inner: Mutex::default(), max_ended, max_ended_bytes }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Every change below is complete before anything that could panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, ticket: &Ticket) {
        self.inner().tickets.insert(ticket.id().clone(), ticket.clone());
    }

    pub(crate) fn get(&self, id: &str) -> Option<Ticket> {
        self.inner().tickets.get(id).cloned()
    }

    /// Those that wait or run.
    pub(crate) fn pending(&self) -> Vec<Ticket> {
        let tickets = self.inner().tickets.values().cloned().collect::<Vec<_>>();
        tickets.into_iter().filter(|ticket| matches!(ticket.snapshot(), Snapshot::Pending { .. })).collect()
    }

    /// Tells an outcome to all who wait for it, and forgets the oldest that are too many.
    pub(crate) fn end(&self, ticket: &Ticket, outcome: Outcome) -> Arc<Outcome> {
        let files: usize = outcome.files.iter().map(|file| file.content.len()).sum();
        let compiler = outcome.compilation.as_ref().map_or(0, Compilation::bytes);
        let bytes = outcome.stdout.len() + outcome.stderr.len() + files + compiler;
        let outcome = Arc::new(outcome);
        ticket.state.send_replace(State::Ended(Arc::clone(&outcome)));
        let mut inner = self.inner();
        let own = inner.ended.entry(ticket.tenant().cloned()).or_default();
        own.executions.push_back((ticket.id().clone(), bytes));
        own.bytes += bytes;
        // The last one stays however large it is: somebody may be about to ask for it.
        let number = |ended: &Ended| ended.executions.len();
        while inner.remembered(number) > self.max_ended && inner.forget_one(number, ticket.id()) {}
        let bytes = |ended: &Ended| ended.bytes;
        while inner.remembered(bytes) > self.max_ended_bytes && inner.forget_one(bytes, ticket.id()) {}
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::execution::Timing;
    use crate::limits::LimitPolicy;

    fn ticket(registry: &Registry) -> Ticket {
        ticket_of(registry, None)
    }

    fn ticket_of(registry: &Registry, tenant: Option<&str>) -> Ticket {
        let ticket = Ticket::new(Subject {
            id: ExecutionId::new(),
            language: "python".to_owned(),
            bundle: "python".to_owned(),
            tenant: tenant.map(Tenant::new),
            limits: LimitPolicy::default().default,
            unenforced: &[],
            created_at: SystemTime::now(),
        });
        registry.add(&ticket);
        ticket
    }

    fn end(registry: &Registry, ticket: &Ticket, output: usize) {
        let mut outcome =
            Outcome::without_run(ticket.subject(), Status::Succeeded, String::new(), Timing::default());
        outcome.stdout = vec![0; output];
        registry.end(ticket, outcome);
    }

    #[test]
    fn only_the_most_recent_ended_are_remembered() {
        let registry = Registry::new(2, 100);
        let running = ticket(&registry);
        let ended: Vec<_> = (0..3).map(|_| ticket(&registry)).collect();
        ended.iter().for_each(|ticket| end(&registry, ticket, 1));
        let known = |ticket: &Ticket| registry.get(ticket.id().as_str()).is_some();
        assert_eq!(ended.iter().map(known).collect::<Vec<_>>(), [false, true, true]);
        assert!(known(&running));
        assert_eq!(registry.pending().len(), 1);
    }

    #[test]
    fn outputs_are_remembered_up_to_their_bytes() {
        let registry = Registry::new(10, 100);
        let (first, second) = (ticket(&registry), ticket(&registry));
        end(&registry, &first, 60);
        end(&registry, &second, 60);
        assert!(registry.get(first.id().as_str()).is_none());
        assert!(registry.get(second.id().as_str()).is_some());
    }

    #[test]
    fn the_last_one_is_remembered_however_large() {
        let registry = Registry::new(10, 100);
        let ticket = ticket(&registry);
        end(&registry, &ticket, 1000);
        assert!(registry.get(ticket.id().as_str()).is_some());
    }

    #[test]
    fn a_tenant_with_many_or_large_ones_has_its_own_forgotten() {
        let registry = Registry::new(4, 100);
        let known = |ticket: &Ticket| registry.get(ticket.id().as_str()).is_some();
        let other = ticket_of(&registry, Some("other"));
        end(&registry, &other, 1);
        let many: Vec<_> = (0..10).map(|_| ticket_of(&registry, Some("many"))).collect();
        many.iter().for_each(|ticket| end(&registry, ticket, 1));
        assert_eq!(many.iter().filter(|ticket| known(ticket)).count(), 3);
        many.iter().for_each(|_| end(&registry, &ticket_of(&registry, Some("many")), 60));
        assert!(known(&other));
    }

    #[tokio::test]
    async fn all_who_wait_are_told() {
        let registry = Registry::new(1, 100);
        let ticket = ticket(&registry);
        let waiting = [tokio::spawn({
            let t = ticket.clone();
            async move { t.outcome().await }
        })];
        end(&registry, &ticket, 3);
        for waiter in waiting {
            assert_eq!(waiter.await.unwrap().stdout.len(), 3);
        }
        assert_eq!(ticket.outcome().await.stdout.len(), 3);
    }
}
