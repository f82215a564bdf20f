//! Has executions watched: what is promised, what changed for the worse, and who is told of it.
//!
//! Owns the task that ticks, the clocks, the file that is kept over restarts, and what becomes a log line and a metric. It
//! decides nothing: that is `soulbox-watch`'s, which has no clock. An execution costs it one lock that nobody holds for
//! long.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use soulbox_sandbox::error_chain;
use soulbox_watch::alerts::Alert;
use soulbox_watch::change::{SeriesName, SeriesState};
use soulbox_watch::slo::{Severity, SloReport};
use soulbox_watch::{Config, Observation, SavedError, Started, Verdict, Watch};
use tokio::sync::broadcast;

use crate::admission::{Refusal, RefusalReason};
use crate::clock::unix_time;
use crate::engine::Engine;
use crate::execution::{Outcome, StartKind, Status};
use crate::state_file::{StateFile, StateFileError};

const NAME: &str = "watch.json";

const TICK: Duration = Duration::from_secs(1);

/// A server that is killed forgets no more than this.
const SAVED_EVERY: Duration = Duration::from_secs(60);

/// Alerts that wait for one who forwards them.
const UNTOLD: usize = 256;

/// All names of alerts, each of which has a gauge whether it fires or not.
const ALERTS: [&str; 9] = [
    "slo_burn_rate",
    "start_slower",
    "finish_slower",
    "parked_fewer",
    "errors_more",
    "run_slower",
    "cpu_more",
    "memory_more",
    "failures_more",
];

#[derive(Debug, thiserror::Error)]
enum WatchFileError {
    #[error(transparent)]
    File(#[from] StateFileError),
    #[error(transparent)]
    Saved(#[from] SavedError),
}

/// All alerts, and what is compared.
#[derive(Clone, Debug)]
pub struct Alerts {
    /// Those that fire first, and of each the latest first.
    pub alerts: Vec<Alert>,
    /// How many fire.
    pub firing: usize,
    /// How many are remembered no more.
    pub forgotten: u64,
    /// What is compared, and how it stands.
    pub series: Vec<(SeriesName, SeriesState)>,
}

/// What is watched of this server.
#[derive(Debug)]
pub(crate) struct Watching {
    watch: Mutex<Watch>,
    /// Of times that only go forward.
    began: Instant,
    file: StateFile,
    told: broadcast::Sender<Alert>,
    capacity_is_promised: bool,
}

impl Watching {
    pub(crate) fn new(config: Config, state_dir: &Path, instance: &Path) -> Self {
        describe_metrics();
        let file = StateFile::new(state_dir, instance, NAME);
        let capacity_is_promised = config.slo.capacity_per_s.is_some();
        let mut watch = Watch::new(config);
        if let Err(error) = resume(&mut watch, &file) {
            let (path, error) = (file.path().display(), error_chain(&error));
            tracing::warn!(%path, error, "what was watched before cannot be used, and is learnt anew");
        }
        let (told, _) = broadcast::channel(UNTOLD);
        Watching { watch: Mutex::new(watch), began: Instant::now(), file, told, capacity_is_promised }
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For whoever looks for longer than executions may wait.
    fn copy(&self) -> Watch {
        self.watch().clone()
    }

    /// An execution has ended. `program` is the same for the same program, and `busy` says whether more ran than there
    /// are processors.
    pub(crate) fn ended(&self, outcome: &Outcome, program: u64, busy: bool) {
        let timing = outcome.timing;
        let seen = Observation {
            language: &outcome.language,
            program: Some(program),
            verdict: verdict(outcome.status),
            started: outcome.start_kind.map(|kind| match kind {
                StartKind::Parked => Started::Parked,
                StartKind::Zygote => Started::Zygote,
                StartKind::Cold => Started::Cold,
            }),
            busy,
            queued: timing.queued,
            start: timing.start,
            compile: timing.compile.unwrap_or_default(),
            run: timing.run,
            total: timing.total,
            cpu_time: outcome.usage.cpu_time,
            memory_peak_bytes: outcome.usage.memory_peak_bytes,
        };
        self.watch().ended(&seen, self.began.elapsed());
    }

    /// A request was turned away.
    pub(crate) fn refused(&self, refusal: &Refusal) {
        // Who takes more than its share is refused for the others' sake.
        if !matches!(refusal.reason, RefusalReason::TenantShare { .. }) {
            self.watch().refused();
        }
    }

    /// Begins to tick, until the engine drains or is dropped.
    pub(crate) fn begin(self: &Arc<Self>, engine: Weak<Engine>) {
        tokio::spawn(tick(engine, Arc::clone(self)));
    }

    /// Saves what was watched.
    pub(crate) async fn save(&self) {
        let now = self.began.elapsed();
        let (file, watch) = (self.file.clone(), {
            let mut watch = self.watch();
            watch.settle(now);
            watch.clone()
        });
        let save = move || {
            let encoded = watch.encode(unix_time().as_secs()).map_err(WatchFileError::from);
            if let Err(error) = encoded.and_then(|bytes| Ok(file.save(&bytes)?)) {
                let (path, error) = (file.path().display(), error_chain(&error));
                tracing::warn!(%path, error, "what is watched cannot be saved");
            }
        };
        // Whether it could be saved has been logged.
        let _ = tokio::task::spawn_blocking(save).await;
    }

    fn tick(&self) {
        let unix_ms = u64::try_from(unix_time().as_millis()).unwrap_or(u64::MAX);
        let (told, report, firing) = {
            let mut watch = self.watch();
            let told = watch.tick(self.began.elapsed(), unix_ms);
            let by_name = watch.book().firing_by_name();
            let firing = ALERTS.map(|name| by_name.get(name).copied().unwrap_or(0));
            (told, watch.slo(), firing)
        };
        for alert in told {
            log(&alert);
            // Nobody may be there to forward it; it is shown all the same.
            let _ = self.told.send(alert);
        }
        record_metrics(&report, &firing);
    }
}

impl Engine {
    /// How what is promised stands.
    pub fn slo(&self) -> SloReport {
        self.watching().watch().slo()
    }

    /// The alerts, and what they rest on.
    pub fn alerts(&self) -> Alerts {
        let watch = self.watching().copy();
        let book = watch.book();
        Alerts {
            alerts: book.alerts().cloned().collect(),
            firing: book.firing(),
            forgotten: book.forgotten(),
            series: watch.series(),
        }
    }

    /// How many alerts fire.
    pub fn alerts_firing(&self) -> usize {
        self.watching().watch().book().firing()
    }

    /// From here on, each alert when it fires and when it is over.
    pub fn subscribe_to_alerts(&self) -> broadcast::Receiver<Alert> {
        self.watching().told.subscribe()
    }
}

async fn tick(engine: Weak<Engine>, watching: Arc<Watching>) {
    let mut saved = Instant::now();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(engine) = engine.upgrade().filter(|engine| !engine.is_draining()) else { return };
        if watching.capacity_is_promised {
            watching.watch().set_capacity(engine.maximum_per_s());
        }
        drop(engine);
        watching.tick();
        if saved.elapsed() >= SAVED_EVERY {
            saved = Instant::now();
            watching.save().await;
        }
    }
}

fn resume(watch: &mut Watch, file: &StateFile) -> Result<(), WatchFileError> {
    match file.read()? {
        Some(bytes) => Ok(watch.resume(&bytes, unix_time().as_secs())?),
        None => Ok(()),
    }
}

fn verdict(status: Status) -> Verdict {
    match status {
        Status::Succeeded => Verdict::Succeeded,
        Status::Cancelled => Verdict::Cancelled,
        Status::InternalError => Verdict::ServerError,
        Status::Queued
        | Status::Running
        | Status::Failed
        | Status::TimedOut
        | Status::OutOfMemory
        | Status::OutputLimitExceeded
        | Status::Killed
        | Status::CompileFailed => Verdict::Failed,
    }
}

fn log(alert: &Alert) {
    let Alert { id, name, summary, severity, .. } = alert;
    match (alert.resolved_unix_ms, severity) {
        (Some(_), _) => tracing::info!(id, alert = name, summary, "an alert is over"),
        (None, Severity::Page) => {
            tracing::error!(id, alert = name, severity = "page", summary, "an alert fires")
        }
        (None, Severity::Ticket) => {
            tracing::warn!(id, alert = name, severity = "ticket", summary, "an alert fires")
        }
    }
}

fn describe_metrics() {
    use metrics::describe_gauge;
    describe_gauge!("soulbox_alerts_firing", "Alerts that fire, by name.");
    describe_gauge!(
        "soulbox_slo_budget_left_ratio",
        "The share of the error budget that is left, by objective; negative when more was used."
    );
    describe_gauge!(
        "soulbox_slo_burn_rate",
        "How many times as fast as it may the error budget is used, by objective and window."
    );
}

fn record_metrics(report: &SloReport, firing: &[usize; ALERTS.len()]) {
    for (name, number) in ALERTS.iter().zip(firing) {
        metrics::gauge!("soulbox_alerts_firing", "alert" => *name).set(*number as f64);
    }
    for objective in &report.objectives {
        let name = objective.objective().as_str();
        metrics::gauge!("soulbox_slo_budget_left_ratio", "objective" => name).set(objective.budget_left);
        for rate in &objective.burn_rates {
            metrics::gauge!("soulbox_slo_burn_rate", "objective" => name, "window" => rate.window)
                .set(rate.rate);
        }
    }
}
