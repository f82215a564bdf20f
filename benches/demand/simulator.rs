//! One bundle's pool of parked sandboxes in simulated time.
//!
//! Owns the model of the server: requests take a sandbox or miss it, runs have a core each, and sandboxes are made one
//! after the other when a run has ended and fewer run than there are cores, as the engine does it. What is to wait is
//! asked of a [`Predictor`] at every tick.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// What decides how many sandboxes wait.
pub(crate) trait Predictor {
    fn take(&mut self, _now: Duration) {}
    fn may_refill(&mut self, _now: Duration) {}
    fn tick(&mut self, now: Duration) -> usize;
}

pub(crate) const TICK: Duration = Duration::from_secs(1);

/// Of the server: two cores, runs of Python's `print`, and refills as they were measured.
const CORES: usize = 2;
const RUN: Duration = Duration::from_micros(2200);
/// By how much a run takes longer whose sandbox had to be made.
const START: Duration = Duration::from_micros(1400);
const REFILL: Duration = Duration::from_millis(3);

/// What a parked sandbox of Python takes of memory, about.
pub(crate) const PARKED_MIB: f64 = 1.3;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) requests: u64,
    pub(crate) hits: u64,
    /// Of all sandboxes together, for as long as each waited.
    pub(crate) parked_s: f64,
    pub(crate) duration_s: f64,
}

impl Figures {
    pub(crate) fn hit_rate(&self) -> f64 {
        self.hits as f64 / self.requests.max(1) as f64
    }

    pub(crate) fn mean_parked(&self) -> f64 {
        self.parked_s / self.duration_s
    }

    pub(crate) fn mib_s(&self) -> f64 {
        self.parked_s * PARKED_MIB
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    RunEnds,
    Refilled,
    Tick,
}

struct Host<'p> {
    predictor: &'p mut dyn Predictor,
    events: BinaryHeap<Reverse<(Duration, Event)>>,
    wanted: usize,
    parked: usize,
    refilling: bool,
    running: usize,
    /// How long each of those will take that wait for a core.
    queue: std::collections::VecDeque<Duration>,
    at: Duration,
    figures: Figures,
}

/// Plays a trace, which is the times of all requests in their order.
pub(crate) fn simulate(trace: &[Duration], length: Duration, predictor: &mut dyn Predictor) -> Figures {
    let mut host = Host {
        predictor,
        events: BinaryHeap::from([Reverse((Duration::ZERO, Event::Tick))]),
        wanted: 0,
        parked: 0,
        refilling: false,
        running: 0,
        queue: Default::default(),
        at: Duration::ZERO,
        figures: Figures { duration_s: length.as_secs_f64(), ..Figures::default() },
    };
    let mut requests = trace.iter().copied().peekable();
    loop {
        let next = host.events.peek().map(|Reverse((time, _))| *time);
        match (requests.peek().copied(), next) {
            (Some(request), next) if next.is_none_or(|next| request < next) => {
                requests.next();
                host.pass(request);
                host.request();
            }
            (_, Some(next)) if next < length => {
                host.pass(next);
                if let Some(Reverse((_, event))) = host.events.pop() {
                    host.happens(event);
                }
            }
            _ => break,
        }
    }
    host.pass(length);
    host.figures
}

impl Host<'_> {
    fn pass(&mut self, to: Duration) {
        self.figures.parked_s += self.parked as f64 * to.saturating_sub(self.at).as_secs_f64();
        self.at = to;
    }

    fn request(&mut self) {
        self.predictor.take(self.at);
        self.figures.requests += 1;
        let run = if self.parked > 0 {
            self.parked -= 1;
            self.figures.hits += 1;
            RUN
        } else {
            RUN + START
        };
        self.queue.push_back(run);
        self.run();
    }

    fn run(&mut self) {
        while self.running < CORES
            && let Some(run) = self.queue.pop_front()
        {
            self.running += 1;
            self.events.push(Reverse((self.at + run, Event::RunEnds)));
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::RunEnds => {
                self.running -= 1;
                self.run();
                if self.running < CORES {
                    self.predictor.may_refill(self.at);
                }
            }
            Event::Refilled => {
                self.refilling = false;
                self.parked += 1;
            }
            Event::Tick => {
                self.wanted = self.predictor.tick(self.at);
                self.parked = self.parked.min(self.wanted);
                self.events.push(Reverse((self.at + TICK, Event::Tick)));
            }
        }
        if !self.refilling && self.running < CORES && self.parked < self.wanted {
            self.refilling = true;
            self.events.push(Reverse((self.at + REFILL, Event::Refilled)));
        }
    }
}
