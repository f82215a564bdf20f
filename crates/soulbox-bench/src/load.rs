//! The two loops that make load.
//!
//! Owns when each request is sent, which program it is for, and what of it counts. In an open loop a request is
//! due at its time, whether or not it can be sent then; its latency counts from there, so that a server that
//! stalls is not spared the requests that it kept from being sent (coordinated omission).

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Semaphore;

use crate::client::{Answer, Connection, Endpoint, Failure};
use crate::error::BenchError;
use crate::pacer::Pacer;
use crate::plan::{Extent, Plan, Shape};
use crate::report::Run;
use crate::tally::{Tally, objection};
use crate::workload::Workload;

/// After a failure of the connection a client waits so long, and after so many in a row it gives up.
const PAUSE: Duration = Duration::from_millis(100);
const MAX_FAILURES: u32 = 10;

/// What there is after a run.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Nothing when it ended before the warm-up did.
    pub(crate) run: Option<Run>,
    pub(crate) interrupted: bool,
    /// Whether the server answered nobody any more.
    pub(crate) unanswered: bool,
}

/// A run on its way.
struct Load<'a> {
    endpoint: Endpoint<'a>,
    workload: &'a Workload,
    plan: &'a Plan,
    begin: Instant,
    /// The end of the warm-up.
    start: Instant,
    /// When no more is sent, where that is a matter of time.
    end: Option<Instant>,
    tally: RefCell<Tally>,
    /// Requests so far, and those of them that count.
    sent: Cell<u64>,
    measured: Cell<u64>,
    /// Right answers that came between start and end.
    completed: Cell<u64>,
}

/// A request that is due.
#[derive(Clone, Copy, Debug)]
struct Ticket {
    due: Instant,
    /// The index of its program.
    program: usize,
    /// Whether the warm-up is over.
    measured: bool,
}

/// Makes one run, unless it is interrupted.
pub(crate) async fn measure(
    endpoint: Endpoint<'_>,
    workload: &Workload,
    plan: &Plan,
    interrupted: Pin<&mut impl Future<Output = ()>>,
) -> Result<Measured, BenchError> {
    let load = Load::new(endpoint, workload, plan);
    let drive = async {
        match plan.shape {
            Shape::Closed { clients } => Ok(load.closed(clients).await),
            Shape::Open { rate_per_s } => load.open(rate_per_s).await,
        }
    };
    let (interrupted, given_up) = tokio::select! {
        given_up = drive => (false, given_up?),
        () = interrupted => (true, false),
    };
    let now = Instant::now();
    // What was answered after the end was awaited, but is none of the time.
    let end = load.end.filter(|end| *end <= now && !given_up).unwrap_or(now);
    let duration = end.saturating_duration_since(load.start);
    let tally = load.tally.borrow();
    let unanswered = !interrupted && (given_up || !tally.has_answers());
    let throughput_per_s = load.completed.get() as f64 / duration.as_secs_f64();
    let run = (!duration.is_zero()).then(|| tally.run(workload, duration, throughput_per_s));
    Ok(Measured { run, interrupted, unanswered })
}

impl<'a> Load<'a> {
    fn new(endpoint: Endpoint<'a>, workload: &'a Workload, plan: &'a Plan) -> Self {
        let begin = Instant::now();
        let start = begin + plan.warm_up;
        let end = match plan.extent {
            Extent::Duration(duration) => Some(start + duration),
            Extent::Requests(_) => None,
        };
        Load {
            endpoint,
            workload,
            plan,
            begin,
            start,
            end,
            tally: RefCell::new(Tally::new(workload)),
            sent: Cell::new(0),
            measured: Cell::new(0),
            completed: Cell::new(0),
        }
    }

    /// The next request, due at this time; none when the run is over.
    fn ticket(&self, due: Instant) -> Option<Ticket> {
        let measured = due >= self.start;
        let over = match self.plan.extent {
            Extent::Duration(_) => self.end.is_some_and(|end| due >= end),
            Extent::Requests(requests) => self.measured.get() >= requests,
        };
        if over {
            return None;
        }
        let n = self.sent.replace(self.sent.get() + 1);
        self.measured.set(self.measured.get() + u64::from(measured));
        Some(Ticket { due, program: self.workload.choose(n), measured })
    }

    async fn execute(&self, connection: &mut Connection<'_>, ticket: Ticket) -> Result<(), Failure> {
        let program = &self.workload.programs[ticket.program];
        let result = connection.execute(&program.body, self.deadline(ticket)).await;
        self.count(ticket, &result);
        result.map(drop)
    }

    fn deadline(&self, ticket: Ticket) -> Instant {
        ticket.due + self.plan.timeout
    }

    fn count(&self, ticket: Ticket, result: &Result<Answer, Failure>) {
        let now = Instant::now();
        let program = &self.workload.programs[ticket.program];
        let mut tally = self.tally.borrow_mut();
        let ok = if ticket.measured {
            tally.count(ticket.program, program, now - ticket.due, result)
        } else {
            objection(program, result).is_none()
        };
        // Where time ends a run, its answers are those that came in that time, whenever they were asked for.
        let completed = match self.end {
            Some(end) => now >= self.start && now < end,
            None => ticket.measured,
        };
        self.completed.set(self.completed.get() + u64::from(ok && completed));
    }

    /// Ends when all clients have. Tells whether all have given up.
    async fn closed(&self, clients: usize) -> bool {
        let clients: FuturesUnordered<_> = (0..clients).map(|_| self.client()).collect();
        clients.fold(true, |all, given_up| async move { all && given_up }).await
    }

    /// Sends a request when the last one is answered. Tells whether it gave up.
    async fn client(&self) -> bool {
        let mut connection = Connection::new(self.endpoint);
        let mut failures = 0;
        while let Some(ticket) = self.ticket(Instant::now()) {
            if self.execute(&mut connection, ticket).await.is_ok() {
                failures = 0;
                continue;
            }
            failures += 1;
            if failures == MAX_FAILURES {
                return true;
            }
            tokio::time::sleep(PAUSE).await;
        }
        false
    }

    /// Sends requests when they are due, and waits for all answers.
    async fn open(&self, rate_per_s: f64) -> Result<bool, BenchError> {
        let mut pacer = Pacer::start(self.begin, rate_per_s).map_err(BenchError::Pacer)?;
        let places = Semaphore::new(self.plan.max_connections.min(Semaphore::MAX_PERMITS));
        let idle = RefCell::new(Vec::new());
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                due = pacer.next() => match due.and_then(|due| self.ticket(due)) {
                    Some(ticket) => running.push(self.arrival(ticket, &places, &idle)),
                    None => break,
                },
                Some(()) = running.next() => {}
            }
        }
        while running.next().await.is_some() {}
        Ok(false)
    }

    /// One request, on a connection that is idle or new. When there are as many as there can be, it waits.
    async fn arrival(&self, ticket: Ticket, places: &Semaphore, idle: &RefCell<Vec<Connection<'a>>>) {
        let place = tokio::time::timeout_at(self.deadline(ticket).into(), places.acquire());
        let Ok(_place) = place.await else { return self.count(ticket, &Err(Failure::Timeout)) };
        let connection = idle.borrow_mut().pop();
        let mut connection = connection.unwrap_or_else(|| Connection::new(self.endpoint));
        if self.execute(&mut connection, ticket).await.is_ok() {
            idle.borrow_mut().push(connection);
        }
    }
}
