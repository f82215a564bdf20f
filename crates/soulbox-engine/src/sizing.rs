//! What runs will take of memory, and what they cost: learnt from every run that ends, and used for the next.
//!
//! Owns the budget of memory that runs share, the reservation of each, and the one task that looks at the host's memory
//! and at the cpu time of all processes. Predictions and models are those of `soulbox-sizing`; who waits is admission's
//! business. A run's limit is never changed by what is predicted of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use soulbox_sandbox::{HostMemory, Instance, Reservation};
use soulbox_sizing::{Costs, Ended, Known, Learner, Policy, Prediction, ProgramKey, Used};

use crate::admission::{Place, Revise};
use crate::engine::Engine;
use crate::execution::Outcome;
use crate::fingerprint::Fingerprint;

/// Of memory that is available when the server starts, what is for runs; the rest is for zygotes, parked sandboxes, the
/// daemon, and for runs that take more than was thought.
const SHARE: f64 = 0.8;

/// The host is short of memory when it has less than this part of the budget left.
const SHORT: u64 = 16;

/// How often the host's memory is looked at while something runs, and cpu time in any case.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// How memory for runs is shared out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptiveConfig {
    /// By what each will probably take; else by the limit of each.
    pub enabled: bool,
    /// For all that run at once; `None` for a share of what is available at the start.
    pub memory_bytes: Option<u64>,
    /// How probable it shall be that a run takes no more than what is set aside for it.
    pub confidence: f64,
    /// Of a run of which nothing is known, the limit divided by this is set aside.
    pub overcommit: f64,
}

impl Default for AdaptiveConfig {
    fn default() -> Self {
        AdaptiveConfig { enabled: true, memory_bytes: None, confidence: 0.95, overcommit: 8.0 }
    }
}

/// What is set aside for a run, and what it was made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    key: ProgramKey,
    /// Nothing is predicted without adaptation.
    prediction: Option<Prediction>,
    /// What the run may take in any of its steps.
    limit_bytes: u64,
}

impl Expected {
    /// What is set aside at first.
    pub(crate) fn bytes(&self) -> usize {
        let bytes = self.prediction.map_or(self.limit_bytes, |prediction| prediction.bytes);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

/// All that is learnt.
#[derive(Debug)]
pub(crate) struct Sizing {
    /// Where nothing counts memory, nothing can be predicted.
    adapts: bool,
    began: Instant,
    host: HostMemory,
    budget_bytes: u64,
    learner: Mutex<Learner>,
    costs: Mutex<Costs>,
    counters: Counters,
}

#[derive(Debug)]
struct Counters {
    by_program: metrics::Counter,
    by_bundle: metrics::Counter,
    by_nothing: metrics::Counter,
    exceeded: metrics::Counter,
    covered: metrics::Counter,
    not_covered: metrics::Counter,
}

impl Counters {
    fn new() -> Self {
        let predictions =
            |known: Known| metrics::counter!("soulbox_adaptive_predictions_total", "known" => known.as_str());
        let runs = |covered| metrics::counter!("soulbox_adaptive_runs_total", "covered" => covered);
        Counters {
            by_program: predictions(Known::Program),
            by_bundle: predictions(Known::Bundle),
            by_nothing: predictions(Known::Nothing),
            exceeded: metrics::counter!("soulbox_adaptive_exceeded_total"),
            covered: runs("true"),
            not_covered: runs("false"),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Wrong numbers would be forgotten with time.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sizing {
    pub(crate) fn new(config: &AdaptiveConfig, instance: &Instance) -> Self {
        describe_metrics();
        let host = HostMemory::find();
        let available = || host.available_bytes().map(|bytes| (bytes as f64 * SHARE) as u64);
        // Where nobody can say how much there is, it is not bounded here.
        let budget_bytes = config.memory_bytes.or_else(available).unwrap_or(u64::MAX);
        metrics::gauge!("soulbox_adaptive_memory_limit_bytes").set(budget_bytes as f64);
        let policy = Policy { confidence: config.confidence, overcommit: config.overcommit };
        Sizing {
            adapts: config.enabled && instance.cgroup_mode().is_ok(),
            began: Instant::now(),
            host,
            budget_bytes,
            learner: Mutex::new(Learner::new(policy)),
            costs: Mutex::new(Costs::new()),
            counters: Counters::new(),
        }
    }

    /// Memory for all runs together.
    pub(crate) fn budget_bytes(&self) -> u64 {
        self.budget_bytes
    }

    /// What runs cost: a copy, as whoever calculates takes longer than those that end may wait.
    pub(crate) fn costs(&self) -> Costs {
        locked(&self.costs).clone()
    }

    /// What is to be expected of a program that may take so much.
    pub(crate) fn expect(&self, fingerprint: &Fingerprint, limit_bytes: u64) -> Expected {
        let key = ProgramKey { bundle: fingerprint.bundle, program: fingerprint.program };
        let predict = || locked(&self.learner).predict(key, limit_bytes, self.began.elapsed());
        let prediction = self.adapts.then(predict);
        if let Some(prediction) = prediction {
            match prediction.known {
                Known::Program => &self.counters.by_program,
                Known::Bundle => &self.counters.by_bundle,
                Known::Nothing => &self.counters.by_nothing,
            }
            .increment(1);
        }
        Expected { key, prediction, limit_bytes }
    }

    /// What is to be expected of a run that has waited.
    pub(crate) fn revision(engine: &Arc<Engine>, expected: &Expected) -> Option<Revise> {
        let (engine, expected) = (Arc::downgrade(engine), *expected);
        expected.prediction?;
        Some(Box::new(move || {
            let Some(engine) = engine.upgrade() else { return expected.bytes() };
            let (sizing, limit_bytes) = (engine.sizing(), expected.limit_bytes);
            let learner = locked(&sizing.learner);
            let bytes = learner.predict(expected.key, limit_bytes, sizing.began.elapsed()).bytes;
            usize::try_from(bytes).unwrap_or(usize::MAX)
        }))
    }

    /// A run has ended.
    pub(crate) fn ended(&self, expected: &Expected, outcome: &Outcome, undisturbed: bool) {
        let (Some(_), Some(cpu_time), Some(peak_bytes)) =
            (outcome.start_kind, outcome.usage.cpu_time, outcome.usage.memory_peak_bytes)
        else {
            // It did not run, or nothing has counted it.
            return;
        };
        let compiler = outcome.compilation.as_ref().map(|compilation| compilation.usage).unwrap_or_default();
        let cpu_time = cpu_time + compiler.cpu_time.unwrap_or_default();
        let byte_seconds = [outcome.usage.memory_byte_seconds, compiler.memory_byte_seconds];
        let peak_bytes = peak_bytes.max(compiler.memory_peak_bytes.unwrap_or_default());
        let now = self.began.elapsed();
        if let Some(prediction) = expected.prediction {
            let covered = peak_bytes <= prediction.bytes;
            if covered { &self.counters.covered } else { &self.counters.not_covered }.increment(1);
            locked(&self.learner).ended(expected.key, peak_bytes, cpu_time, now);
        }
        let in_place = outcome.timing.total.saturating_sub(outcome.timing.queued);
        let ended = Ended {
            language: &outcome.language,
            cpu_time,
            in_place,
            peak_bytes,
            byte_seconds: byte_seconds.into_iter().flatten().sum(),
            undisturbed,
        };
        locked(&self.costs).ended(&ended, now);
    }

    /// Whether the host has little memory left.
    fn is_host_short(&self) -> bool {
        self.host.available_bytes().is_some_and(|bytes| bytes < self.budget_bytes / SHORT)
    }

    /// Looks at the host from time to time, until the engine drains or is dropped.
    pub(crate) fn begin(engine: Weak<Engine>) {
        tokio::spawn(attend(engine));
    }
}

async fn attend(engine: Weak<Engine>) {
    let (mut pause, mut counted, mut cpu_time) = (LOOK_EVERY, Instant::now(), None);
    loop {
        tokio::time::sleep(pause).await;
        let Some(engine) = engine.upgrade().filter(|engine| !engine.is_draining()) else { return };
        let (sizing, admission) = (engine.sizing(), engine.admission());
        if sizing.adapts && (admission.running() > 0 || admission.is_host_short()) {
            let short = sizing.is_host_short();
            if short != admission.is_host_short() {
                metrics::gauge!("soulbox_adaptive_host_short").set(if short { 1.0 } else { 0.0 });
                if short {
                    tracing::warn!("the host is short of memory: no more executions come to run for now");
                }
                admission.set_host_short(short);
            }
        }
        pause = if admission.running() > 0 { LOOK_EVERY } else { COUNT_EVERY };
        let elapsed = counted.elapsed();
        if elapsed >= COUNT_EVERY {
            let until_now = engine.instance().cpu_time();
            if let (Some(before), Some(until_now)) = (cpu_time, until_now) {
                let cpu_time = until_now.saturating_sub(before);
                locked(&sizing.costs).used(&Used { elapsed, cpu_time });
            }
            (counted, cpu_time) = (Instant::now(), until_now);
        }
    }
}

/// The memory that is set aside for one run.
#[derive(Debug)]
pub(crate) struct Reserved<'a> {
    place: &'a Place,
    limit_bytes: u64,
    exceeded: &'a metrics::Counter,
}

impl<'a> Reserved<'a> {
    /// What a place has for its run; nothing without adaptation, when it is all that the run may take.
    pub(crate) fn new(place: &'a Place, expected: &Expected, sizing: &'a Sizing) -> Option<Self> {
        expected.prediction?;
        Some(Reserved { place, limit_bytes: expected.limit_bytes, exceeded: &sizing.counters.exceeded })
    }
}

impl Reservation for Reserved<'_> {
    fn bytes(&self) -> u64 {
        self.place.run_bytes() as u64
    }

    fn exceeded(&self, used_bytes: u64) {
        self.exceeded.increment(1);
        // Who was underestimated once may well be again; and it is told of only so often.
        let bytes = used_bytes.saturating_mul(2).min(self.limit_bytes);
        self.place.grow(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
}

fn describe_metrics() {
    use metrics::{Unit, describe_counter, describe_gauge};
    describe_counter!(
        "soulbox_adaptive_predictions_total",
        "Predictions of the memory of a run, by what they rest on: program, bundle or nothing."
    );
    describe_counter!(
        "soulbox_adaptive_runs_total",
        "Runs that have ended, by whether they took no more memory than was set aside at first."
    );
    describe_counter!(
        "soulbox_adaptive_exceeded_total",
        "How often a run was seen to take more memory than was set aside, and more was."
    );
    describe_gauge!(
        "soulbox_adaptive_reserved_bytes",
        Unit::Bytes,
        "Memory that is set aside for all that run."
    );
    describe_gauge!(
        "soulbox_adaptive_memory_limit_bytes",
        Unit::Bytes,
        "Memory that can be set aside for all that run together."
    );
    describe_gauge!(
        "soulbox_adaptive_host_short",
        "Whether the host has so little memory left that no more executions come to run."
    );
}
