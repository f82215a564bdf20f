//! Whose turn it is.
//!
//! Owns the order of all that wait, and fairness between tenants. It never blocks, and knows no clock but what it is
//! told.
//!
//! Each tenant has a line of its own, first come, first served. A place that becomes free goes to the next tenant in
//! turn (round robin), so that however many of one wait, one of another runs after at most one of each other tenant.
//! Where tenants share a server, none may take more of anything (places to run or to wait, memory for requests or for
//! output) than [`SHARE`] times what is left free then, as switches bound the queues of their ports in a common
//! memory (Choudhury and Hahne's dynamic thresholds): one alone comes to three quarters, two to three sevenths
//! each, and something is always left for the next. A tenant that has nothing may take the last.
//!
//! Memory for runs is set aside by what each will probably take, and a run that takes more is given more at once: what
//! is held may then be more than there is, and nobody else comes to run until it is less. The same when the host itself
//! is short of memory; but when nothing runs, one always may, since nothing would ever free anything else.
//!
//! An operation takes O(log n) for n that wait, and a look at each of the tenants that wait: those are as many as the
//! operator has given out keys.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::pace::Pace;
use super::{Bounds, RETRY_AFTER, Refusal, RefusalReason};
use crate::request::Tenant;

/// How many times what is left free a tenant may hold.
const SHARE: usize = 3;

/// What an execution takes of memory.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Demand {
    /// While it waits and runs.
    pub(crate) request_bytes: usize,
    /// While it runs: what its outputs can reach.
    pub(crate) output_bytes: usize,
    /// While it runs: what is set aside for its sandbox.
    pub(crate) run_bytes: usize,
}

/// What is held, by one tenant or by all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    running: usize,
    waiting: usize,
    request_bytes: usize,
    output_bytes: usize,
    run_bytes: usize,
}

/// A tenant that holds something.
#[derive(Debug, Default)]
struct Line {
    held: Held,
    /// By their numbers, which count up.
    waiting: BTreeMap<u64, Waiting>,
}

struct Waiting {
    since: Instant,
    demand: Demand,
    /// What it needs by what is known when it comes to its turn.
    revise: Option<Revise>,
    /// Told what is set aside for it.
    wake: oneshot::Sender<usize>,
}

/// Says how much memory an execution that waits will take, by what was learnt meanwhile.
pub(crate) type Revise = Box<dyn Fn() -> usize + Send>;

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("since", &self.since).field("demand", &self.demand).finish()
    }
}

/// Whether there is room for more of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Free,
    /// There is, but not for this tenant.
    OthersOnly,
    Full,
}

/// A tenant whose next execution needs more memory than is free, and how many of others have passed it.
#[derive(Debug)]
struct Short {
    tenant: Option<Tenant>,
    passed: usize,
}

/// All that wait and run.
#[derive(Debug)]
pub(super) struct Queue {
    bounds: Bounds,
    pace: Pace,
    all: Held,
    lines: HashMap<Option<Tenant>, Line>,
    /// The tenants that wait, each once; the next in turn is the first.
    turns: VecDeque<Option<Tenant>>,
    /// The first that was found to be short of memory, until its turn.
    short: Option<Short>,
    /// Whether the host is short of memory.
    host_is_short: bool,
    next_number: u64,
}

impl Queue {
    pub(super) fn new(bounds: Bounds) -> Self {
        Queue {
            bounds,
            pace: Pace::new(bounds.max_concurrent),
            all: Held::default(),
            lines: HashMap::new(),
            turns: VecDeque::new(),
            short: None,
            host_is_short: false,
            next_number: 0,
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.all.waiting
    }

    pub(super) fn running(&self) -> usize {
        self.all.running
    }

    /// What is set aside for all that run.
    pub(super) fn run_bytes(&self) -> usize {
        self.all.run_bytes
    }

    /// Whether the host is short of memory.
    pub(super) fn is_host_short(&self) -> bool {
        self.host_is_short
    }

    /// Whether nobody holds anything, and nothing is kept of who did.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.all == Held::default() && self.lines.is_empty() && self.turns.is_empty() && self.short.is_none()
    }

    pub(super) fn estimated_wait(&self) -> Duration {
        self.pace.time_for(self.all.waiting)
    }

    /// Whether there is a place: `true` for one to run at once.
    pub(super) fn check(
        &self,
        tenant: &Option<Tenant>,
        demand: Demand,
        now: Instant,
    ) -> Result<bool, Refusal> {
        let line = self.lines.get(tenant);
        let own = line.map(|line| line.held).unwrap_or_default();
        let Held { running, waiting: queued, .. } = self.all;
        let full = RefusalReason::QueueFull { running, queued };
        let memory = RefusalReason::RequestMemory { running, queued };
        let share = RefusalReason::TenantShare { running: own.running, queued: own.waiting };
        let ahead = self.ahead(own);
        let estimate = self.pace.time_for(ahead + 1);
        let refuse = |reason, wait: Duration| {
            Err(Refusal { reason, retry_after: wait.clamp(RETRY_AFTER.0, RETRY_AFTER.1) })
        };
        let bytes = (self.all.request_bytes, own.request_bytes, demand.request_bytes);
        match self.room(self.bounds.max_request_bytes, bytes) {
            Room::Free => {}
            Room::OthersOnly => return refuse(share, estimate),
            Room::Full => return refuse(memory, estimate),
        }
        let pressing = self.pressing();
        if own.waiting == 0
            && !self.is_held_back()
            && self.may_run(own, demand) == Room::Free
            && pressing.is_none_or(|short| self.next_may_run(&short.tenant) != Room::Full)
        {
            return Ok(true);
        }
        match self.room(self.bounds.max_queued, (queued, own.waiting, 1)) {
            Room::Free => {}
            Room::OthersOnly => return refuse(share, estimate),
            Room::Full => return refuse(full, estimate),
        }
        // Who is behind one that has waited for too long would do so as well, whatever was measured.
        let first = line.and_then(|line| line.waiting.values().next());
        let waited = first.map_or(Duration::ZERO, |first| now.saturating_duration_since(first.since));
        let estimate = estimate.max(waited);
        match self.bounds.max_queue_wait {
            Some(maximum) if estimate > maximum => {
                refuse(RefusalReason::QueueWait { estimate, maximum }, estimate)
            }
            _ => Ok(false),
        }
    }

    /// Gives an execution a number, and its turn as soon as there is a place to run. Returns what it holds of memory:
    /// one that could never have as much as it asks for gets all there is.
    pub(super) fn enter(
        &mut self,
        tenant: &Option<Tenant>,
        mut demand: Demand,
        revise: Option<Revise>,
        wake: oneshot::Sender<usize>,
        now: Instant,
    ) -> Result<(u64, Demand), Refusal> {
        demand.output_bytes = demand.output_bytes.min(self.bounds.max_output_bytes);
        demand.run_bytes = demand.run_bytes.min(self.bounds.max_run_bytes);
        let at_once = self.check(tenant, demand, now)?;
        let number = self.next_number;
        self.next_number += 1;
        let line = self.lines.entry(tenant.clone()).or_default();
        for held in [&mut self.all, &mut line.held] {
            held.request_bytes += demand.request_bytes;
            held.waiting += 1;
        }
        line.waiting.insert(number, Waiting { since: now, demand, revise, wake });
        if line.held.waiting == 1 {
            self.turns.push_back(tenant.clone());
        }
        if at_once {
            self.give_turn(self.turns.len() - 1);
        } else if self.all.waiting == 1 {
            self.pace.begin();
        }
        Ok((number, demand))
    }

    /// Takes back what an execution holds, and gives it to who is next.
    pub(super) fn leave(&mut self, tenant: &Option<Tenant>, number: u64, demand: Demand, now: Instant) {
        let Some(line) = self.lines.get_mut(tenant) else { return };
        let waited = line.waiting.remove(&number).is_some();
        for held in [&mut self.all, &mut line.held] {
            held.request_bytes -= demand.request_bytes;
            if waited {
                held.waiting -= 1;
            } else {
                held.running -= 1;
                held.output_bytes -= demand.output_bytes;
                held.run_bytes -= demand.run_bytes;
            }
        }
        if waited {
            if line.waiting.is_empty() {
                self.turns.retain(|other| other != tenant);
            }
            // Whether its next one is short as well is found out below.
            self.short.take_if(|short| short.tenant == *tenant);
        }
        if line.held == Held::default() {
            self.lines.remove(tenant);
        }
        self.give_turns(now);
    }

    /// Sets more aside for one that runs, whether there is any left or not. Returns what it holds now.
    pub(super) fn grow(&mut self, tenant: &Option<Tenant>, mut demand: Demand, run_bytes: usize) -> Demand {
        let Some(line) = self.lines.get_mut(tenant) else { return demand };
        let more = run_bytes.saturating_sub(demand.run_bytes);
        for held in [&mut self.all, &mut line.held] {
            held.run_bytes += more;
        }
        demand.run_bytes += more;
        demand
    }

    /// The host is short of memory, or not any more.
    pub(super) fn set_host_short(&mut self, short: bool, now: Instant) {
        self.host_is_short = short;
        self.give_turns(now);
    }

    fn give_turns(&mut self, now: Instant) {
        let mut number = 0;
        self.revise();
        while let Some(at) = self.next_turn() {
            self.give_turn(at);
            self.revise();
            number += 1;
        }
        if number > 0 {
            self.pace.left(number, now);
        }
    }

    /// Has those that come next need what is known now: they may have waited since nothing was.
    fn revise(&mut self) {
        for tenant in &self.turns {
            let next = self.lines.get_mut(tenant).and_then(|line| line.waiting.values_mut().next());
            if let Some(Waiting { demand, revise: Some(revise), .. }) = next {
                demand.run_bytes = revise().min(self.bounds.max_run_bytes);
            }
        }
    }

    /// Whether nobody may come to run, whatever it needs.
    fn is_held_back(&self) -> bool {
        self.host_is_short && self.all.running > 0
    }

    /// How many would run before another one of a tenant that holds this, at most.
    fn ahead(&self, own: Held) -> usize {
        let others = self.turns.len() - usize::from(own.waiting > 0);
        let in_turn = own.waiting.saturating_add(others.saturating_mul(own.waiting + 1));
        in_turn.min(self.all.waiting)
    }

    /// Whether a tenant may have more of something, of which there is so much: `(all, own, more)`.
    fn room(&self, most: usize, (all, own, more): (usize, usize, usize)) -> Room {
        match most.checked_sub(all.saturating_add(more)) {
            None => Room::Full,
            Some(free) if self.bounds.shared && own > 0 && own + more > free.saturating_mul(SHARE) => {
                Room::OthersOnly
            }
            Some(_) => Room::Free,
        }
    }

    /// Whether one of a tenant that holds this may run now. `Full` is about memory alone: places to run become free
    /// one by one, and so nobody can pass another by taking fewer.
    fn may_run(&self, own: Held, demand: Demand) -> Room {
        let places = self.room(self.bounds.max_concurrent, (self.all.running, own.running, 1));
        let most = self.bounds.max_concurrent_per_tenant.unwrap_or(usize::MAX);
        if places != Room::Free || own.running >= most {
            return Room::OthersOnly;
        }
        let output = (self.all.output_bytes, own.output_bytes, demand.output_bytes);
        let run = (self.all.run_bytes, own.run_bytes, demand.run_bytes);
        let output = self.room(self.bounds.max_output_bytes, output);
        match (output, self.room(self.bounds.max_run_bytes, run)) {
            (Room::Full, _) | (_, Room::Full) => Room::Full,
            (Room::OthersOnly, _) | (_, Room::OthersOnly) => Room::OthersOnly,
            (Room::Free, Room::Free) => Room::Free,
        }
    }

    /// The same of a waiting tenant's next one.
    fn next_may_run(&self, tenant: &Option<Tenant>) -> Room {
        let line = self.lines.get(tenant);
        let next = line.and_then(|line| line.waiting.values().next().map(|next| (line.held, next)));
        next.map_or(Room::OthersOnly, |(held, next)| self.may_run(held, next.demand))
    }

    /// Who is short of memory, when so many others have passed it that they have to wait for it now.
    fn pressing(&self) -> Option<&Short> {
        self.short.as_ref().filter(|short| short.passed >= self.bounds.max_concurrent)
    }

    /// Where among [`Queue::turns`] the tenant is whose turn it is, when there is a place.
    pub(super) fn next_turn(&mut self) -> Option<usize> {
        if self.all.running >= self.bounds.max_concurrent || self.is_held_back() {
            return None;
        }
        if let Some(short) = self.pressing() {
            match self.next_may_run(&short.tenant) {
                Room::Free => return self.turns.iter().position(|tenant| *tenant == short.tenant),
                Room::Full => return None,
                Room::OthersOnly => {}
            }
        }
        for (at, tenant) in self.turns.iter().enumerate() {
            match self.next_may_run(tenant) {
                Room::Free => return Some(at),
                Room::Full if self.short.is_none() => {
                    self.short = Some(Short { tenant: tenant.clone(), passed: 0 });
                }
                Room::Full | Room::OthersOnly => {}
            }
        }
        None
    }

    /// Lets the first of a tenant run, which then is the last in turn.
    fn give_turn(&mut self, at: usize) {
        let Some(tenant) = self.turns.remove(at) else { return };
        let Some(line) = self.lines.get_mut(&tenant) else { return };
        let Some((_, next)) = line.waiting.pop_first() else { return };
        for held in [&mut self.all, &mut line.held] {
            held.waiting -= 1;
            held.running += 1;
            held.output_bytes += next.demand.output_bytes;
            held.run_bytes += next.demand.run_bytes;
        }
        // Who does not listen any more leaves in a moment.
        let _ = next.wake.send(next.demand.run_bytes);
        match &mut self.short {
            Some(short) if short.tenant == tenant => self.short = None,
            Some(short) => short.passed += 1,
            None => {}
        }
        if !line.waiting.is_empty() {
            self.turns.push_back(tenant);
        }
    }
}
