//! The engine: takes requests, runs them in sandboxes, and never loses one without an outcome.

use std::num::NonZeroU64;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt;
use soulbox_bundle::Catalogue;
use soulbox_sandbox::{CgroupMode, Instance, InstanceError, Rights, error_chain};

use crate::admission::{Admission, Bounds, Demand, Place, Refusal};
use crate::attendant::Attendant;
use crate::compile::Binaries;
use crate::execution::{ExecutionId, Outcome, Status, Subject, Timing, judge};
use crate::fleet::{Change, Fleet, ReloadError};
use crate::info::{BundleInfo, LanguageInfo};
use crate::job::{Done, Job};
use crate::keeper::Keeper;
use crate::limits::{LimitName, LimitPolicy, Limits, OF_CGROUPS, names};
use crate::observers::{Facts, Observers};
use crate::parking::Parking;
use crate::pool::ParkedConfig;
use crate::registry::{Registry, Ticket};
use crate::request::{ExecutionRequest, RequestError, Target, Tenant};
use crate::sizing::{AdaptiveConfig, Expected, Reserved, Sizing};
use crate::slots::IdSupply;

const CANCELLED_EARLY: &str = "cancelled before it was started";

/// From an answer to the making of the next sandboxes, for which this machine's own clients would have to wait.
const PARKING_PAUSE: Duration = Duration::from_millis(1);

/// What the example of every bundle prints.
const EXAMPLE_OUTPUT: &[u8] = b"hello\n";

/// What an operator decides.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Where instances have their directories.
    pub state_dir: PathBuf,
    /// Where bundles have what they prepare once, which instances can share.
    pub prepared_dir: PathBuf,
    /// Executions that run at once.
    pub max_concurrent: usize,
    /// Executions of one tenant that run at once; `None` for its share.
    pub max_concurrent_per_tenant: Option<usize>,
    /// Executions that wait beyond those.
    pub max_queued: usize,
    /// A request is refused when it would probably wait for longer; `None` for never.
    pub max_queue_wait: Option<Duration>,
    /// Whether requests come from several tenants, each of which then leaves a share of everything to others.
    pub several_tenants: bool,
    /// Memory for the requests of all executions that wait or run. A request that does not fit is refused.
    pub max_request_bytes: usize,
    /// Memory for the outputs of all executions that run, by their limits. One that does not fit waits.
    pub max_output_bytes: usize,
    /// Memory for the sandboxes of all executions that run. One that does not fit waits.
    pub adaptive: AdaptiveConfig,
    /// Defaults and maxima of limits.
    pub limits: LimitPolicy,
    /// By which right ids are mapped.
    pub rights: Rights,
    /// The ids of the containers' user namespaces.
    pub ids: IdSupply,
    /// Limits without which executions are run where they cannot be enforced.
    pub allow_unenforced: Vec<LimitName>,
    /// Ended executions that are remembered.
    pub remembered: usize,
    /// Bytes of output of ended executions that are remembered.
    pub remembered_bytes: usize,
    /// Memory for compiled programs that are kept for their next execution.
    pub binaries_bytes: u64,
    /// Sandboxes of each bundle that wait for a job.
    pub parked: ParkedConfig,
    /// When a zygote has been forked often or long enough.
    pub renewal: Renewal,
}

/// When a zygote is replaced by a new one, with another layout of memory. It is looked at when a run ends.
#[derive(Clone, Copy, Debug)]
pub struct Renewal {
    /// After so many sandboxes; `None` for never.
    pub after_runs: Option<NonZeroU64>,
    /// After this time, when it was forked meanwhile; `None` for never.
    pub after: Option<Duration>,
}

impl EngineConfig {
    /// In the range that systemd sets aside for containers (its "Users, Groups, UIDs and GIDs").
    pub const FIRST_HOST_ID: u32 = 0x4000_0000;

    /// Defaults, with everything below `state_dir`.
    pub fn new(state_dir: PathBuf) -> Self {
        EngineConfig {
            prepared_dir: state_dir.join("prepared"),
            state_dir,
            max_concurrent: 100,
            max_concurrent_per_tenant: None,
            max_queued: 1000,
            max_queue_wait: Some(Duration::from_secs(10)),
            several_tenants: false,
            max_request_bytes: 256 << 20,
            max_output_bytes: 512 << 20,
            adaptive: AdaptiveConfig::default(),
            limits: LimitPolicy::default(),
            rights: Rights::Root,
            ids: IdSupply::of_root(Self::FIRST_HOST_ID),
            allow_unenforced: Vec::new(),
            remembered: 256,
            remembered_bytes: 16 << 20,
            binaries_bytes: 128 << 20,
            parked: ParkedConfig::by_demand(),
            renewal: Renewal {
                after_runs: NonZeroU64::new(10_000),
                after: Some(Duration::from_secs(60 * 60)),
            },
        }
    }
}

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
    sizing: Sizing,
    registry: Registry,
    binaries: Binaries,
    /// Processors that the daemon may use.
    cores: usize,
    draining: AtomicBool,
}

impl Engine {
    /// Claims a place on the host, within a runtime. Zygotes are started by [`Engine::warm_up`] or the first execution.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn new(config: EngineConfig, catalogue: Catalogue) -> Result<Arc<Self>, StartError> {
        let instance = Arc::new(Instance::claim(&config.state_dir, config.rights)?);
        let unenforced = unenforced(&instance, &config.allow_unenforced)?;
        let attendant = Attendant::new(&config, &instance);
        let fleet = Fleet::new(catalogue, Arc::clone(&instance), Arc::clone(attendant.pool()), &config);
        let sizing = Sizing::new(&config.adaptive, &instance);
        let engine = Arc::new(Engine {
            admission: Admission::new(Bounds {
                max_concurrent: config.max_concurrent,
                max_concurrent_per_tenant: config.max_concurrent_per_tenant,
                max_queued: config.max_queued,
                max_queue_wait: config.max_queue_wait,
                shared: config.several_tenants,
                max_request_bytes: config.max_request_bytes,
                max_output_bytes: config.max_output_bytes,
                max_run_bytes: usize::try_from(sizing.budget_bytes()).unwrap_or(usize::MAX),
            }),
            sizing,
            registry: Registry::new(config.remembered, config.remembered_bytes),
            binaries: Binaries::new(config.binaries_bytes),
            config,
            instance,
            unenforced,
            fleet,
            attendant,
            observers: Observers::new(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            draining: AtomicBool::new(false),
        });
        engine.attendant.begin(Arc::downgrade(&engine));
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
        !self.draining.load(Ordering::Acquire)
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
        if self.draining.load(Ordering::Acquire) {
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
        if self.draining.load(Ordering::Acquire) {
            return Err(ReloadError::Draining);
        }
        let engine = Arc::clone(self);
        let reload = tokio::spawn(async move { engine.fleet.reload_all(&engine).await });
        reload.await.unwrap_or(Err(ReloadError::Interrupted))
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
        if self.draining.load(Ordering::Acquire) {
            return Err(SubmitError::Draining);
        }
        self.admission.check(tenant).map_err(|refusal| self.refuse(refusal, tenant))
    }

    /// Takes a request. From here on it has an outcome, whatever happens.
    ///
    /// # Errors
    /// [`SubmitError`]; nothing is left of the request then.
    pub fn submit(self: &Arc<Self>, mut request: ExecutionRequest) -> Result<Ticket, SubmitError> {
        let submitted = Instant::now();
        if self.draining.load(Ordering::Acquire) {
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
        let (bundle, memory_bytes) = (keeper.bundle().digest(), limits.memory_bytes.max(compiler_memory));
        let tenant = request.tenant.as_ref();
        let expected = self.sizing.expect(bundle.as_bytes(), tenant, &layout, memory_bytes);
        let demand = Demand { request_bytes, output_bytes, run_bytes: expected.bytes() };
        let place = self.admission.enter(tenant, demand, Sizing::revision(self, &expected));
        let place = place.map_err(|refusal| self.refuse(refusal, tenant))?;
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
        let facts = Facts::new(request.tenant.clone(), &keeper);
        let job = Job { keeper: Arc::clone(&*keeper), request, layout, submitted };
        let (engine, supervised) = (Arc::clone(self), ticket.clone());
        // One task from here to the answer: each further one would be a thread that is woken for it.
        tokio::spawn(async move {
            let run = Arc::clone(&engine).execute(supervised.clone(), place, expected, job);
            let outcome = AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|_| {
                tracing::error!(id = %supervised.id(), "an execution panicked");
                let timing = Timing { total: submitted.elapsed(), ..Timing::default() };
                let detail = "an error inside the server ended this execution".to_owned();
                Outcome::without_run(supervised.subject(), Status::InternalError, detail, timing)
            });
            engine.observers.ending(&outcome);
            let outcome = engine.registry.end(&supervised, outcome);
            // Who waits for the answer has it first, and then the processor for a moment.
            tokio::task::yield_now().await;
            engine.observers.ended(&outcome, &facts);
            engine.sizing.ended(&expected, &outcome, !engine.is_busy());
            if engine.has_idle_core() {
                tokio::time::sleep(PARKING_PAUSE).await;
            }
            // Held until here: the version that an execution came to is not stopped before it has ended.
            engine.park(&keeper);
        });
        Ok(ticket)
    }

    fn refuse(&self, refusal: Refusal, tenant: Option<&Tenant>) -> SubmitError {
        self.observers.refused(&refusal, tenant);
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
        self.draining.load(Ordering::Acquire)
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
        &self.sizing
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
        let started = Instant::now();
        let reserved = Reserved::new(&place, &expected, &self.sizing);
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
                tracing::error!(id = %ticket.id(), error = detail, "an execution could not be run");
                without_run(Status::InternalError, detail)
            }
        }
    }

    /// Takes no more executions, and waits until those that are known have ended; those that have not after
    /// `grace` are cancelled.
    pub async fn drain(&self, grace: Duration) {
        self.draining.store(true, Ordering::Release);
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
        self.fleet.close().await;
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
