//! The engine: takes requests, runs them in sandboxes, and never loses one without an outcome.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt;
use soulbox_accounting::{Accounts, AccountsError, Prices};
use soulbox_bundle::Catalogue;
use soulbox_sandbox::{CgroupMode, Instance, InstanceError, Zygote, error_chain};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::accounting;
use crate::admission::{Admission, Bounds, Demand, Place, Refusal};
use crate::attendant::Attendant;
use crate::compile::Binaries;
use crate::config::EngineConfig;
use crate::execution::{ExecutionId, Outcome, Status, Subject, Timing, judge};
use crate::fingerprint::Fingerprint;
use crate::fleet::{Change, Fleet, ReloadError};
use crate::info::{BundleInfo, LanguageInfo};
use crate::job::{Done, Job};
use crate::keeper::Keeper;
use crate::limits::{LimitName, LimitPolicy, Limits, OF_CGROUPS, names};
use crate::live::{LiveStatistics, RunningNow};
use crate::observers::{Facts, Observers};
use crate::parking::Parking;
use crate::registry::{Listing, Registry, Ticket};
use crate::request::{ExecutionRequest, RequestError, Target, Tenant};
use crate::sizing::{Expected, Reserved, Sizing};
use crate::watching::Watching;

const CANCELLED_EARLY: &str = "cancelled before it was started";

/// From an answer to the making of the next sandboxes, for which this machine's own clients would have to wait.
const PARKING_PAUSE: Duration = Duration::from_millis(1);

/// What the example of every bundle prints.
const EXAMPLE_OUTPUT: &[u8] = b"hello\n";

/// An engine that could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The host gives it no place.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// Limits that nothing would enforce, and that the operator has not said to do without.
    #[error(
        "nothing on this host can enforce the limits {limits} for an ordinary user ({reason}); run as root, have cgroup v2 delegated with memory, pids and cpu, or allow it by name: --allow-unenforced {limits}, in a configuration file allow_unenforced"
    )]
    Unenforced {
        /// Their names, with commas.
        limits: String,
        /// Why there are no cgroups.
        reason: String,
    },
    /// Nobody can keep accounts.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
}

/// A request that was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The request is at fault.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// There is too much to do already.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The engine is shutting down.
    #[error("the server is shutting down")]
    Draining,
}

/// The engine. Cheap to share by `Arc`.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    instance: Arc<Instance>,
    /// The limits that are not in force.
    unenforced: &'static [LimitName],
    fleet: Fleet,
    attendant: Attendant,
    observers: Observers,
    admission: Admission,
    registry: Registry,
    binaries: Binaries,
    /// Processors that the daemon may use.
    cores: usize,
    /// Cancelled when it takes no more executions.
    draining: CancellationToken,
}

impl Engine {
    /// Claims a place on the host, within a runtime. Zygotes are started by [`Engine::warm_up`] or the first execution.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn new(config: EngineConfig, catalogue: Catalogue) -> Result<Arc<Self>, StartError> {
        let instance = Arc::new(Instance::claim(&config.state_dir, config.rights)?);
        let unenforced = unenforced(&instance, &config.allow_unenforced)?;
        let accounts = config.accounting.clone().map(Accounts::begin).transpose()?;
        let attendant = Attendant::new(&config, &instance);
        let fleet = Fleet::new(catalogue, Arc::clone(&instance), Arc::clone(attendant.pool()), &config);
        let watching = Watching::new(config.watch.clone(), &config.state_dir, instance.directory());
        let sizing = Sizing::new(&config.adaptive, &instance);
        let max_run_bytes = usize::try_from(sizing.budget_bytes()).unwrap_or(usize::MAX);
        let observers = Observers::new(&config, accounts, watching, sizing);
        let engine = Arc::new(Engine {
            admission: Admission::new(Bounds {
                max_concurrent: config.max_concurrent,
                max_concurrent_per_tenant: config.max_concurrent_per_tenant,
                max_queued: config.max_queued,
                max_queue_wait: config.max_queue_wait,
                shared: config.several_tenants,
                max_request_bytes: config.max_request_bytes,
                max_output_bytes: config.max_output_bytes,
                max_run_bytes,
            }),
            registry: Registry::new(config.remembered, config.remembered_bytes),
            binaries: Binaries::new(config.binaries_bytes),
            config,
            instance,
            unenforced,
            fleet,
            attendant,
            observers,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            draining: CancellationToken::new(),
        });
        engine.attendant.begin(Arc::downgrade(&engine));
        engine.watching().begin(Arc::downgrade(&engine));
        Sizing::begin(Arc::downgrade(&engine));
        Ok(engine)
    }

    /// Starts the zygote of every bundle that this host can start.
    pub async fn warm_up(&self) {
        let keepers = self.fleet.keepers().into_iter().filter(|keeper| keeper.unavailable().is_none());
        let start = |keeper: Arc<Keeper>| async move {
            if let Err(error) = keeper.zygote().await {
                let bundle = keeper.bundle().name();
                tracing::error!(bundle, error = %error_chain(&error), "no zygote can be started");
            }
        };
        let starts: Vec<_> = keepers.map(|keeper| tokio::spawn(start(keeper))).collect();
        for start in starts {
            let _ = start.await;
        }
    }

    /// Which cgroups limits are enforced with, where there are any.
    pub fn cgroup_mode(&self) -> Option<CgroupMode> {
        self.instance.cgroup_mode().ok()
    }

    /// The limits that are not in force.
    pub fn unenforced(&self) -> &'static [LimitName] {
        self.unenforced
    }

    /// Defaults and maxima of limits.
    pub fn limit_policy(&self) -> &LimitPolicy {
        &self.config.limits
    }

    /// Whether executions are taken: every available bundle has its zygote, or has failed to start one, and
    /// at least one has.
    pub fn is_ready(&self) -> bool {
        let keepers = self.fleet.keepers();
        !self.is_draining()
            && keepers.iter().any(|keeper| keeper.is_up())
            && keepers.iter().all(|keeper| keeper.unavailable().is_some() || keeper.is_settled())
    }

    /// Executions that wait and that run.
    pub fn load(&self) -> (usize, usize) {
        (self.admission.queued(), self.admission.running())
    }

    /// How long it will probably take until all that wait have come to run.
    pub fn estimated_wait(&self) -> Duration {
        self.admission.estimated_wait()
    }

    /// Memory that is set aside for all that run.
    pub fn reserved_bytes(&self) -> usize {
        self.admission.run_bytes()
    }

    /// All languages, also those that are not available, each with its default bundle.
    pub fn languages(&self) -> Vec<LanguageInfo> {
        self.fleet.languages()
    }

    /// All bundles by name, also those that are not available.
    pub fn bundles(&self) -> Vec<BundleInfo> {
        self.fleet.bundles()
    }

    /// One bundle.
    pub fn bundle(&self, name: &str) -> Option<BundleInfo> {
        self.fleet.bundle(name)
    }

    /// Looks for another version of one bundle, and returns when it is in service. Work that runs or waits
    /// finishes on the version that it came to.
    ///
    /// # Errors
    /// [`ReloadError`]; what was in service still is, unless the bundle was removed.
    pub async fn reload(self: &Arc<Self>, name: &str) -> Result<BundleInfo, ReloadError> {
        if self.is_draining() {
            return Err(ReloadError::Draining);
        }
        let (engine, name) = (Arc::clone(self), name.to_owned());
        // In a task of its own: what has begun is finished, also when nobody waits for it any more.
        let reload = tokio::spawn(async move { engine.fleet.reload(&name, &engine).await });
        reload.await.unwrap_or(Err(ReloadError::Interrupted))
    }

    /// The same with all bundles: those that are new appear, those that were removed go.
    ///
    /// # Errors
    /// [`ReloadError`] when none could be looked at.
    pub async fn reload_all(
        self: &Arc<Self>,
    ) -> Result<Vec<(String, Result<Change, ReloadError>)>, ReloadError> {
        if self.is_draining() {
            return Err(ReloadError::Draining);
        }
        let engine = Arc::clone(self);
        let reload = tokio::spawn(async move { engine.fleet.reload_all(&engine).await });
        reload.await.unwrap_or(Err(ReloadError::Interrupted))
    }

    /// What executions used, where that is kept.
    pub fn accounts(&self) -> Option<&Arc<Accounts>> {
        self.observers.accounts()
    }

    /// What use costs, where it costs something.
    pub fn prices(&self) -> Option<&Prices> {
        self.config.prices.as_ref()
    }

    /// Executions that are known, newest first.
    pub fn executions(&self, wanted: &Listing<'_>) -> Vec<Ticket> {
        self.registry.list(wanted)
    }

    /// A known execution, whoever's it is.
    pub fn find_any(&self, id: &str) -> Option<Ticket> {
        self.registry.get(id)
    }

    /// A known execution of this tenant. Those of others are unknown to it.
    pub fn find(&self, id: &str, tenant: Option<&Tenant>) -> Option<Ticket> {
        self.registry.get(id).filter(|ticket| ticket.tenant() == tenant)
    }

    /// Whether a request of this tenant would be taken now, as far as that can be said without it.
    ///
    /// # Errors
    /// [`SubmitError::Draining`], [`SubmitError::Refused`].
    pub fn check_load(&self, tenant: Option<&Tenant>) -> Result<(), SubmitError> {
        if self.is_draining() {
            return Err(SubmitError::Draining);
        }
        self.admission.check(tenant).map_err(|refusal| self.refuse(refusal))
    }

    /// Takes a request. From here on it has an outcome, whatever happens.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing is left of the request then.
    pub fn submit(self: &Arc<Self>, mut request: ExecutionRequest) -> Result<Ticket, SubmitError> {
        let submitted = Instant::now();
        if self.is_draining() {
            return Err(SubmitError::Draining);
        }
        let keeper = self.fleet.hold(&request.target)?;
        let limits = self.config.limits.resolve(&request.limits).map_err(RequestError::from)?;
        let layout = request.lay_out(keeper.bundle().file_name(), limits.disk_bytes)?;
        // Each of the two streams can reach the limit, in each step.
        let compiler_output =
            if keeper.bundle().is_compiled() { self.config.limits.compile.output_bytes } else { 0 };
        let output_bytes = limits.output_bytes.saturating_add(compiler_output).saturating_mul(2);
        let output_bytes = usize::try_from(output_bytes).unwrap_or(usize::MAX);
        let request_bytes = layout.bytes() + request.stdin.len();
        let compiler_memory =
            if keeper.bundle().is_compiled() { self.config.limits.compile.memory_bytes } else { 0 };
        let memory_bytes = limits.memory_bytes.max(compiler_memory);
        let fingerprint = Fingerprint::of(&keeper, &request, &layout);
        let expected = self.sizing().expect(&fingerprint, memory_bytes);
        let demand = Demand { request_bytes, output_bytes, run_bytes: expected.bytes() };
        let revise = Sizing::revision(self, &expected);
        let place = self.admission.enter(request.tenant.as_ref(), demand, revise);
        let place = place.map_err(|refusal| self.refuse(refusal))?;
        let ticket = Ticket::new(Subject {
            id: ExecutionId::new(),
            language: keeper.bundle().language().to_owned(),
            bundle: keeper.bundle().name().to_owned(),
            tenant: request.tenant.clone(),
            limits,
            unenforced: self.unenforced,
            created_at: SystemTime::now(),
        });
        self.registry.add(&ticket);
        self.observers.arrived();
        let facts = Facts::new(&mut request, &keeper, fingerprint.with_input, expected);
        // Of the highest level: whatever is logged of an execution, at any level, has its id.
        let span = tracing::error_span!(
            "execution",
            execution_id = %ticket.id(),
            bundle = keeper.bundle().name(),
            key = request.tenant.as_ref().map(Tenant::as_str),
        );
        let job = Job { keeper: Arc::clone(&*keeper), request, layout, submitted };
        let (engine, supervised) = (Arc::clone(self), ticket.clone());
        // One task from here to the answer: each further one would be a thread that is woken for it.
        let supervise = async move {
            tracing::debug!("an execution was taken");
            let run = Arc::clone(&engine).execute(supervised.clone(), place, expected, job);
            let mut outcome = AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|_| {
                tracing::error!("an execution panicked");
                let timing = Timing { total: submitted.elapsed(), ..Timing::default() };
                let detail = "an error inside the server ended this execution".to_owned();
                Outcome::without_run(supervised.subject(), Status::InternalError, detail, timing)
            });
            outcome.cost = engine.prices().map(|prices| prices.of_execution(&accounting::figures(&outcome)));
            engine.observers.ending(&outcome, &facts);
            let outcome = engine.registry.end(&supervised, outcome);
            // Who waits for the answer has it first, and then the processor for a moment.
            tokio::task::yield_now().await;
            engine.observers.ended(&outcome, &facts, engine.is_busy());
            let total_ms = outcome.timing.total.as_secs_f64() * 1e3;
            tracing::debug!(status = outcome.status.as_str(), total_ms, "an execution has ended");
            if engine.has_idle_core() {
                tokio::time::sleep(PARKING_PAUSE).await;
            }
            // Held until here: the version that an execution came to is not stopped before it has ended.
            engine.park(&keeper);
        };
        tokio::spawn(supervise.instrument(span));
        Ok(ticket)
    }

    fn refuse(&self, refusal: Refusal) -> SubmitError {
        self.observers.refused(&refusal);
        refusal.into()
    }

    /// Executes a bundle's example. The error is a sentence that says how that went.
    pub(crate) async fn try_out(&self, keeper: &Arc<Keeper>) -> Result<(), String> {
        let bundle = keeper.bundle();
        let mut request = ExecutionRequest::new(Target::Bundle(bundle.name().to_owned()));
        request.code = Some(bundle.example().to_owned());
        let limits = self.config.limits.default;
        let layout = request.lay_out(bundle.file_name(), limits.disk_bytes);
        let layout = layout.map_err(|error| error.to_string())?;
        let ticket = Ticket::new(Subject {
            id: ExecutionId::new(),
            language: bundle.language().to_owned(),
            bundle: bundle.name().to_owned(),
            tenant: None,
            limits,
            unenforced: self.unenforced,
            created_at: SystemTime::now(),
        });
        let job = Job { keeper: Arc::clone(keeper), request, layout, submitted: Instant::now() };
        let failed = |detail: &str, stderr: &[u8]| {
            let said = String::from_utf8_lossy(stderr);
            Err(format!("its example does not run: {detail}; {}", said.trim()))
        };
        match job.run(&ticket, None, self).await? {
            Done::Ran { report, .. } => match judge(&report, &limits) {
                (Status::Succeeded, _) if report.stdout.bytes == EXAMPLE_OUTPUT => Ok(()),
                (Status::Succeeded, _) => failed("it does not print hello", &report.stdout.bytes),
                (_, detail) => failed(&detail.unwrap_or_default(), &report.stderr.bytes),
            },
            Done::NotCompiled { detail, compilation, .. } => failed(&detail, &compilation.stderr),
            Done::Cancelled => failed(CANCELLED_EARLY, b""),
        }
    }

    pub(crate) fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    pub(crate) fn compile_limits(&self) -> &Limits {
        &self.config.limits.compile
    }

    /// Whether there is more to run than processors.
    pub(crate) fn is_busy(&self) -> bool {
        let (queued, running) = self.load();
        queued > 0 || running > self.cores
    }

    /// Whether there is time to do something for requests to come.
    pub(crate) fn has_idle_core(&self) -> bool {
        let (queued, running) = self.load();
        queued == 0 && running < self.cores
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Processors that the daemon may use.
    pub(crate) fn cores(&self) -> usize {
        self.cores
    }

    /// Executions that may run at once.
    pub(crate) fn max_concurrent(&self) -> usize {
        self.config.max_concurrent
    }

    pub(crate) fn sizing(&self) -> &Sizing {
        self.observers.sizing()
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }

    pub(crate) fn instance(&self) -> &Instance {
        &self.instance
    }

    pub(crate) fn attendant(&self) -> &Attendant {
        &self.attendant
    }

    pub(crate) fn statistics(&self) -> &LiveStatistics {
        self.observers.live()
    }

    /// The executions that run.
    pub(crate) fn running(&self) -> Vec<RunningNow> {
        self.registry.running()
    }

    /// All zygotes that there are.
    pub(crate) fn zygotes(&self) -> Vec<Arc<Zygote>> {
        self.fleet.zygotes()
    }

    pub(crate) fn watching(&self) -> &Arc<Watching> {
        self.observers.watching()
    }

    /// All keepers that are in their place.
    pub(crate) fn keepers(&self) -> Vec<Arc<Keeper>> {
        self.fleet.keepers()
    }

    /// Does what is to be done after a run: a zygote that was forked often enough is renewed, and sandboxes are
    /// parked for requests to come, unless those that are there want the processor.
    fn park(self: &Arc<Self>, keeper: &Arc<Keeper>) {
        if self.is_draining() {
            return;
        }
        let there_is_time = || {
            let engine = Arc::clone(self);
            move || engine.has_idle_core()
        };
        Keeper::renew_when_due(keeper, there_is_time());
        if self.has_idle_core() && !keeper.is_retired() {
            keeper.parking().share().may_refill();
            Parking::refill(keeper, there_is_time());
        }
    }

    async fn execute(
        self: Arc<Self>,
        ticket: Ticket,
        mut place: Place,
        expected: Expected,
        job: Job,
    ) -> Outcome {
        let turn = ticket.cancellation().run_until_cancelled(place.turn()).await;
        let submitted = job.submitted;
        let queued = submitted.elapsed();
        let timing = |start, run| {
            let total = submitted.elapsed();
            Timing { queued, start, run, total, ..Timing::default() }
        };
        let Some(()) = turn else {
            let timing = timing(Duration::ZERO, Duration::ZERO);
            return Outcome::without_run(
                ticket.subject(),
                Status::Cancelled,
                CANCELLED_EARLY.to_owned(),
                timing,
            );
        };
        ticket.set_running();
        tracing::debug!("an execution runs");
        let started = Instant::now();
        let reserved = Reserved::new(&place, &expected, self.sizing());
        let done = job.run(&ticket, reserved.as_ref(), &self).await;
        let elapsed = started.elapsed();
        let subject = ticket.subject();
        let without_run = |status, detail| {
            Outcome::without_run(subject.clone(), status, detail, timing(elapsed, Duration::ZERO))
        };
        match done {
            Ok(Done::Cancelled) => without_run(Status::Cancelled, CANCELLED_EARLY.to_owned()),
            Ok(Done::NotCompiled { status, detail, compilation }) => {
                let mut timing = timing(Duration::ZERO, Duration::ZERO);
                timing.compile = Some(compilation.time);
                Outcome::not_compiled(subject, status, detail, timing, compilation)
            }
            Ok(Done::Ran { report, kind, compilation }) => {
                let compile = compilation.as_ref().map(|compilation| compilation.time);
                let start =
                    elapsed.saturating_sub(report.since_start).saturating_sub(compile.unwrap_or_default());
                let mut timing = timing(start, report.run_time);
                timing.compile = compile;
                timing.hand_over = report.start_time;
                Outcome::of_run(subject, *report, kind, timing, compilation)
            }
            Err(detail) => {
                tracing::error!(error = detail, "an execution could not be run");
                without_run(Status::InternalError, detail)
            }
        }
    }

    /// Resolves when it takes no more executions.
    pub async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Takes no more executions, and waits until those that are known have ended; those that have not after
    /// `grace` are cancelled.
    pub async fn drain(&self, grace: Duration) {
        self.draining.cancel();
        let pending = self.registry.pending();
        tracing::info!(executions = pending.len(), "draining");
        let all = async {
            for ticket in &pending {
                ticket.outcome().await;
            }
        };
        if tokio::time::timeout(grace, all).await.is_err() {
            for ticket in &pending {
                ticket.cancel();
            }
            for ticket in &pending {
                ticket.outcome().await;
            }
        }
        self.attendant.save().await;
        self.watching().save().await;
        self.fleet.close().await;
        if let Some(accounts) = self.accounts().cloned() {
            // Every execution has been told to it by now.
            let _ = tokio::task::spawn_blocking(move || accounts.close()).await;
        }
    }
}

/// The limits that are not in force, all of which have to be allowed.
fn unenforced(instance: &Instance, allowed: &[LimitName]) -> Result<&'static [LimitName], StartError> {
    let reason = match instance.cgroup_mode() {
        Ok(_) => return Ok(&[]),
        Err(reason) => error_chain(reason),
    };
    if OF_CGROUPS.iter().all(|limit| allowed.contains(limit)) {
        return Ok(&OF_CGROUPS);
    }
    Err(StartError::Unenforced { limits: names(&OF_CGROUPS), reason })
}
