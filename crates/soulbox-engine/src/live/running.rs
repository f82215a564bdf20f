//! Executions that run, and what each of them uses.
//!
//! Owns the looks at their meters, and how busy a program is between two of them. It never holds one up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use soulbox_sandbox::Meter;

use crate::execution::ExecutionId;
use crate::request::Tenant;

/// Executions that run are told of one by one up to this number, those with the most memory first.
const MOST_RUNNING: usize = 200;

/// The use of processors is told over this time at least: over less it would be noise.
const SHORTEST_LOOK: Duration = Duration::from_millis(200);

/// An execution that runs. What nothing counts, where there are no cgroups or its sandbox is being made, is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningFigures {
    /// Its id.
    pub id: ExecutionId,
    /// The name of its language.
    pub language: String,
    /// The name of the bundle that it runs in.
    pub bundle: String,
    /// Whose it is.
    pub tenant: Option<Tenant>,
    /// Since it came to run.
    pub elapsed: Duration,
    /// Cpu time until now.
    pub cpu_time: Option<Duration>,
    /// How many processors it uses: since the last look, if that is not just now, else since its start.
    pub cpu_cores: Option<f64>,
    /// Memory that is charged to it.
    pub memory_bytes: Option<u64>,
    /// How much that may become.
    pub memory_limit_bytes: u64,
    /// Its processes and threads.
    pub pids: Option<u64>,
}

/// What can be looked at of an execution while it runs.
#[derive(Debug, Default)]
pub(crate) struct Gauge(Mutex<Looked>);

#[derive(Debug, Default)]
struct Looked {
    /// When it came to run.
    since: Option<Instant>,
    meter: Option<Meter>,
    /// When its cpu time was looked at, and how much it was.
    last: Option<(Instant, Duration)>,
    cores: Option<f64>,
}

impl Gauge {
    fn looked(&self) -> MutexGuard<'_, Looked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It comes to run.
    pub(crate) fn begin(&self) {
        self.looked().since = Some(Instant::now());
    }

    /// What counts what it uses from now on: that of its sandbox, the last one where it has several.
    pub(crate) fn count_by(&self, meter: Option<Meter>) {
        let mut looked = self.looked();
        *looked = Looked { since: looked.since, meter, ..Looked::default() };
    }

    fn since(&self) -> Option<Instant> {
        self.looked().since
    }

    fn memory_bytes(&self) -> Option<u64> {
        let meter = self.looked().meter.clone();
        meter?.memory_bytes()
    }

    /// Cpu time, processors that it uses, processes.
    fn look(&self) -> Option<(Duration, Option<f64>, u64)> {
        let (meter, since) = {
            let looked = self.looked();
            (looked.meter.clone()?, looked.since?)
        };
        let (reading, now) = (meter.read()?, Instant::now());
        let mut looked = self.looked();
        let (at, before) = looked.last.unwrap_or((since, Duration::ZERO));
        let time = now.saturating_duration_since(at);
        if time >= SHORTEST_LOOK {
            let used = reading.cpu_time.saturating_sub(before);
            looked.cores = Some(used.as_secs_f64() / time.as_secs_f64());
            looked.last = Some((now, reading.cpu_time));
        }
        Some((reading.cpu_time, looked.cores, reading.pids))
    }
}

/// An execution whose turn it is, as the registry has it.
#[derive(Clone, Debug)]
pub(crate) struct RunningNow {
    pub(crate) id: ExecutionId,
    pub(crate) language: String,
    pub(crate) bundle: String,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) memory_limit_bytes: u64,
    pub(crate) gauge: Arc<Gauge>,
}

/// Reads the memory of all that run, and the rest of those with the most. Also told: the memory of all together.
pub(super) fn look(running: Vec<RunningNow>) -> (Vec<RunningFigures>, u64) {
    let mut all: Vec<_> = running.into_iter().map(|it| (it.gauge.memory_bytes(), it)).collect();
    let sum = all.iter().filter_map(|(memory, _)| *memory).sum();
    // Those with the same are told in the order in which they came.
    all.sort_by(|(memory, one), (other_memory, other)| {
        other_memory.cmp(memory).then_with(|| one.id.cmp(&other.id))
    });
    all.truncate(MOST_RUNNING);
    let figures = all.into_iter().map(|(memory_bytes, it)| {
        let looked = it.gauge.look();
        RunningFigures {
            elapsed: it.gauge.since().map(|since| since.elapsed()).unwrap_or_default(),
            id: it.id,
            language: it.language,
            bundle: it.bundle,
            tenant: it.tenant,
            cpu_time: looked.map(|(cpu_time, ..)| cpu_time),
            cpu_cores: looked.and_then(|(_, cores, _)| cores),
            memory_bytes,
            memory_limit_bytes: it.memory_limit_bytes,
            pids: looked.map(|(.., pids)| pids),
        }
    });
    (figures.collect(), sum)
}
