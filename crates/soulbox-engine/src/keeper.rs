//! Keeps a zygote of one bundle ready: starts it, notices its end, replaces it.
//!
//! Owns the generations of a bundle's container, and knows who still needs it. It never restarts an execution:
//! that is the engine's. Another version of the bundle has another keeper.

use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use soulbox_bundle::{
    Bundle, BundleSource, ContainerSettings, MaterializeError, Places, StartMode, Unavailable,
};
use soulbox_sandbox::{
    Filters, INIT, Instance, RUNTIME_DIR, Rights, SHIM, SandboxIds, SeccompError, Zygote, ZygoteError,
    ZygoteSpec, error_chain,
};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::config::{EngineConfig, Renewal};
use crate::execution::StartKind;
use crate::limits::Limits;
use crate::live::PoolFigures;
use crate::parking::Parking;
use crate::pool::Pool;
use crate::prepare::{PrepareError, prepare};
use crate::roster::Describe;
use crate::slots::{IdSlot, IdSlots};

/// After a zygote ended by itself, the next one is started this much later: one that dies at once must not
/// keep the host busy.
const RESTART_PAUSE: Duration = Duration::from_millis(200);

/// No zygote is renewed sooner than this after its start, however often it was forked: starting one costs as much as
/// many runs.
const RENEWAL_PAUSE: Duration = Duration::from_secs(1);

/// What a start that fails may do to those that come after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MayChange {
    /// Programs are spawned from then on where the interpreter cannot be forked.
    Mode,
    /// Another zygote runs programs meanwhile, in its mode.
    Nothing,
}

/// A bundle that nothing can be kept of.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NewKeeperError {
    #[error("its seccomp profile cannot be compiled")]
    Seccomp(#[from] SeccompError),
    #[error("there are no more ids for its container: serve fewer bundles, or have more subordinate ids")]
    NoIds,
    #[error("a stored bundle needs root: its files belong to host ids that an ordinary user does not have")]
    NeedsRoot,
}

/// A zygote that could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeeperError {
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error(transparent)]
    Materialize(#[from] MaterializeError),
    #[error(transparent)]
    Zygote(#[from] ZygoteError),
    #[error("it is not served any more")]
    Stopped,
    #[error("a start has just failed: {0}")]
    JustFailed(String),
    #[error("laying the bundle out was interrupted")]
    Interrupted,
}

/// What the keepers of an engine share.
#[derive(Debug)]
pub(crate) struct Premises {
    instance: Arc<Instance>,
    slots: Arc<IdSlots>,
    /// Of all containers, so that no name comes again while something of the one before may be left.
    next_generation: AtomicU64,
    rights: Rights,
    prepared_dir: PathBuf,
    /// The limits of a program that asks for none.
    default_limits: Limits,
    pool: Arc<Pool>,
    renewal: Renewal,
    /// All zygotes that have been started, of which some have ended.
    zygotes: std::sync::Mutex<Vec<Weak<Zygote>>>,
}

impl Premises {
    pub(crate) fn new(instance: Arc<Instance>, pool: Arc<Pool>, config: &EngineConfig) -> Self {
        Premises {
            instance,
            slots: Arc::new(IdSlots::new(config.ids)),
            next_generation: AtomicU64::new(1),
            rights: config.rights,
            prepared_dir: config.prepared_dir.clone(),
            default_limits: config.limits.default,
            pool,
            renewal: config.renewal,
            zygotes: std::sync::Mutex::default(),
        }
    }

    /// The zygotes that there are, those that are on their way out among them.
    pub(crate) fn zygotes(&self) -> Vec<Arc<Zygote>> {
        let zygotes = self.zygotes.lock().unwrap_or_else(PoisonError::into_inner);
        zygotes.iter().filter_map(Weak::upgrade).collect()
    }

    fn add_zygote(&self, zygote: &Arc<Zygote>) {
        let mut zygotes = self.zygotes.lock().unwrap_or_else(PoisonError::into_inner);
        zygotes.retain(|zygote| zygote.strong_count() > 0);
        zygotes.push(Arc::downgrade(zygote));
    }
}

/// The keeper of one bundle's zygote.
#[derive(Debug)]
pub(crate) struct Keeper {
    bundle: Arc<Bundle>,
    version: Option<String>,
    filters: Filters,
    premises: Arc<Premises>,
    /// Goes back with the keeper, which outlives its containers.
    slot: IdSlot,
    /// Of all its containers, two of which live at once while one is renewed.
    sandbox_ids: Arc<SandboxIds>,
    parking: Parking,
    /// Held while a zygote is started for those who wait, so that one is enough for all of them.
    current: Mutex<Option<Arc<Zygote>>>,
    /// When the current one was started, or its renewal last failed.
    current_since: std::sync::Mutex<Instant>,
    renewing: AtomicBool,
    /// When and why the last start failed; taken while `current` is held.
    last_failure: std::sync::Mutex<Option<(Instant, String)>>,
    up: AtomicBool,
    /// Whether the interpreter could not be made a zygote, so that programs are spawned instead.
    fork_failed: AtomicBool,
    /// Those for whom it must not be stopped; closed when there are to be no more of them.
    users: TaskTracker,
    /// The guards of its containers.
    guards: TaskTracker,
    stopping: CancellationToken,
}

/// A keeper that is needed: it is not stopped before this is dropped, unless all are.
#[derive(Debug)]
pub(crate) struct Hold {
    keeper: Arc<Keeper>,
    _user: TaskTrackerToken,
}

impl Deref for Hold {
    type Target = Arc<Keeper>;

    fn deref(&self) -> &Arc<Keeper> {
        &self.keeper
    }
}

impl Describe for Arc<Keeper> {
    fn language(&self) -> &str {
        self.bundle.language()
    }

    fn aliases(&self) -> &[String] {
        self.bundle.aliases()
    }

    fn is_embedded(&self) -> bool {
        self.bundle.facts().source == BundleSource::Host
    }

    fn unavailable(&self) -> Option<String> {
        Keeper::unavailable(self).map(|reason| reason.to_string())
    }
}

impl Keeper {
    /// Compiles the bundle's filters and asks its interpreter for its version, which takes a while. Nothing is
    /// started.
    pub(crate) fn new(bundle: Bundle, premises: &Arc<Premises>) -> Result<Self, NewKeeperError> {
        if premises.rights == Rights::UserNamespace && !bundle.layers().is_empty() {
            return Err(NewKeeperError::NeedsRoot);
        }
        let known = bundle.known_version().map(str::to_owned);
        let ask = || bundle.interpreter().ok().and_then(|path| version(path, bundle.version_arguments()));
        let slot = IdSlots::take(&premises.slots).ok_or(NewKeeperError::NoIds)?;
        Ok(Keeper {
            version: known.or_else(ask),
            filters: Filters::compile(bundle.seccomp())?,
            sandbox_ids: Arc::new(SandboxIds::new(slot.ids().count)),
            slot,
            parking: Parking::new(bundle.name(), premises.pool.share_of(bundle.name())),
            bundle: Arc::new(bundle),
            premises: Arc::clone(premises),
            current: Mutex::default(),
            current_since: std::sync::Mutex::new(Instant::now()),
            renewing: AtomicBool::new(false),
            last_failure: std::sync::Mutex::default(),
            up: AtomicBool::new(false),
            fork_failed: AtomicBool::new(false),
            users: TaskTracker::new(),
            guards: TaskTracker::new(),
            stopping: CancellationToken::new(),
        })
    }

    pub(crate) fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// The interpreter's version, as it says it.
    pub(crate) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// How programs come to run: as the bundle wants it, where that has not failed.
    pub(crate) fn start_mode(&self) -> StartMode {
        if self.fork_failed.load(Ordering::Acquire) {
            StartMode::Spawn
        } else {
            self.bundle.start_mode(self.version())
        }
    }

    /// The arguments of a program before its own.
    pub(crate) fn run_command(&self, places: &Places<'_>) -> Result<Vec<String>, Unavailable> {
        self.bundle.run_command(self.start_mode(), places)
    }

    /// Why the bundle cannot be started here, when it cannot.
    pub(crate) fn unavailable(&self) -> Option<Unavailable> {
        self.bundle.interpreter().err()
    }

    pub(crate) fn parking(&self) -> &Parking {
        &self.parking
    }

    /// What there is to say of its sandboxes that wait.
    pub(crate) fn pool_figures(&self) -> PoolFigures {
        self.parking.share().figures(self.bundle.name(), self.parking.len(), self.is_up())
    }

    pub(crate) fn default_limits(&self) -> &Limits {
        &self.premises.default_limits
    }

    /// Keeps it from being stopped when another takes its place.
    pub(crate) fn hold(self: &Arc<Self>) -> Hold {
        Hold { keeper: Arc::clone(self), _user: self.users.token() }
    }

    /// Whether another has taken its place.
    pub(crate) fn is_retired(&self) -> bool {
        self.users.is_closed()
    }

    /// Whether a zygote is ready.
    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// Whether a zygote is ready, or none could be started.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_up() || self.failure().is_some()
    }

    /// Why no zygote is ready, when the last start failed. The next request tries again.
    pub(crate) fn failure(&self) -> Option<String> {
        self.last_failure().as_ref().filter(|_| !self.is_up()).map(|(_, why)| why.clone())
    }

    /// A zygote that was alive a moment ago, where there is one and nobody is starting another.
    pub(crate) fn ready_zygote(&self) -> Option<Arc<Zygote>> {
        let current = self.current.try_lock().ok()?;
        current.as_ref().filter(|zygote| !zygote.is_lost()).map(Arc::clone)
    }

    /// A zygote that was alive a moment ago, started now when there is none.
    pub(crate) async fn zygote(self: &Arc<Self>) -> Result<(Arc<Zygote>, StartKind), KeeperError> {
        let mut current = self.current.lock().await;
        if let Some(zygote) = current.as_ref().filter(|zygote| !zygote.is_lost()) {
            return Ok((Arc::clone(zygote), StartKind::Zygote));
        }
        if self.stopping.is_cancelled() {
            return Err(KeeperError::Stopped);
        }
        if let Some(lost) = current.take() {
            self.set_up(false);
            tracing::warn!(bundle = self.bundle.name(), "replacing a zygote that is lost");
            // Its end is watched by its own guard.
            drop(lost);
        }
        let just_failed = self.last_failure().clone().filter(|(when, _)| when.elapsed() < RESTART_PAUSE);
        if let Some((_, why)) = just_failed {
            return Err(KeeperError::JustFailed(why));
        }
        let started = self.start(MayChange::Mode).await;
        if let Err(error) = &started {
            *self.last_failure() = Some((Instant::now(), error_chain(error)));
        }
        let zygote = Arc::new(started?);
        *current = Some(Arc::clone(&zygote));
        *self.current_since() = Instant::now();
        self.set_up(true);
        self.watch(Arc::clone(&zygote));
        drop(current);
        Parking::refill(self, || true);
        self.premises.pool.wake();
        Ok((zygote, StartKind::Cold))
    }

    /// Replaces the zygote in the background when it was forked often or long enough. The new one is warm, and has
    /// sandboxes that wait, before it takes the place of the old one, which ends with the last of its runs.
    pub(crate) fn renew_when_due(
        keeper: &Arc<Self>,
        there_is_time: impl Fn() -> bool + Send + Sync + 'static,
    ) {
        let Some(old) = keeper.ready_zygote().filter(|zygote| keeper.is_due(zygote)) else { return };
        // One that is retired or stopped needs no other zygote.
        if keeper.is_retired() || keeper.renewing.swap(true, Ordering::AcqRel) {
            return;
        }
        let renewing = Arc::clone(keeper);
        // What stops the keeper waits for this too, so that no container comes after.
        keeper.guards.spawn(async move {
            let keeper = renewing;
            if let Err(error) = keeper.renew(old, there_is_time).await {
                let bundle = keeper.bundle.name();
                tracing::warn!(bundle, error = %error_chain(&error), "a zygote cannot be renewed, and stays");
                *keeper.current_since() = Instant::now();
            }
            keeper.renewing.store(false, Ordering::Release);
        });
    }

    fn is_due(&self, zygote: &Zygote) -> bool {
        let Renewal { after_runs, after } = self.premises.renewal;
        let age = self.current_since().elapsed();
        after_runs.is_some_and(|most| zygote.spawned() >= most.get()) && age >= RENEWAL_PAUSE
            || after.is_some_and(|longest| age >= longest)
    }

    async fn renew(
        self: &Arc<Self>,
        old: Arc<Zygote>,
        there_is_time: impl Fn() -> bool,
    ) -> Result<(), KeeperError> {
        let renewed = Arc::new(self.start(MayChange::Nothing).await?);
        // Its end is waited for from here on, whatever becomes of the other.
        self.watch(Arc::clone(&renewed));
        if self.stopping.is_cancelled() {
            renewed.stop().await;
            return Ok(());
        }
        let mut in_place = false;
        let take_place = async || {
            let mut current = self.current.lock().await;
            in_place = !self.stopping.is_cancelled()
                && !renewed.is_lost()
                && current.as_ref().is_some_and(|it| Arc::ptr_eq(it, &old));
            if in_place {
                *current = Some(Arc::clone(&renewed));
                *self.current_since() = Instant::now();
                // The old one may have ended in the meantime.
                self.set_up(true);
            }
            in_place
        };
        self.parking.renew(&renewed, self.default_limits(), there_is_time, take_place).await;
        let unwanted = if in_place {
            metrics::counter!("soulbox_zygote_renewals_total", "bundle" => self.bundle.name().to_owned())
                .increment(1);
            old
        } else {
            // The old one has ended meanwhile, and was replaced.
            renewed
        };
        let stopping = self.stopping.clone();
        self.guards.spawn(async move {
            if stopping.run_until_cancelled(unwanted.retire()).await.is_none() {
                unwanted.stop().await;
            }
        });
        Ok(())
    }

    fn current_since(&self) -> MutexGuard<'_, Instant> {
        self.current_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn start(&self, may_change: MayChange) -> Result<Zygote, KeeperError> {
        let generation = self.premises.next_generation.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{generation}", self.bundle.name());
        let directory = self.directory_of(&id);
        let mode = self.start_mode();
        let error = match self.start_in(&directory, &id, mode).await {
            Ok(zygote) => {
                tracing::info!(bundle = self.bundle.name(), id, "zygote is ready");
                return Ok(zygote);
            }
            Err(error) => error,
        };
        remove_directory(&directory).await;
        self.premises.instance.remove_zygote_cgroup(&id);
        match &error {
            KeeperError::Zygote(why)
                if may_change == MayChange::Mode
                    && mode == StartMode::Fork
                    && self.bundle.can_spawn()
                    && !why.is_of_host() =>
            {
                let error = error_chain(why);
                let bundle = self.bundle.name();
                tracing::warn!(bundle, error, "cannot be forked here: programs are spawned");
                self.fork_failed.store(true, Ordering::Release);
                Box::pin(self.start(may_change)).await
            }
            _ => Err(error),
        }
    }

    /// Makes a container in a new directory. What it leaves there when it fails is the caller's to remove.
    async fn start_in(&self, directory: &Path, id: &str, mode: StartMode) -> Result<Zygote, KeeperError> {
        let (bundle, target) = (Arc::clone(&self.bundle), directory.to_owned());
        let (premises, ids) = (Arc::clone(&self.premises), self.slot.ids());
        let cgroup = premises.instance.zygote_cgroup(id);
        let version = self.version.clone().unwrap_or_default();
        let laid_out = tokio::task::spawn_blocking(move || {
            let prepared = prepare(&bundle, &version, &premises.prepared_dir, ids, premises.rights)?;
            let settings = ContainerSettings {
                cgroup: &cgroup,
                mode,
                ids,
                shim: SHIM,
                init: INIT,
                runtime_dir: Path::new(RUNTIME_DIR),
                prepared: prepared.as_deref(),
                memory_bytes: premises.default_limits.memory_bytes,
            };
            bundle.materialize(&target, &settings)?;
            Ok::<_, KeeperError>(())
        });
        laid_out.await.map_err(|_| KeeperError::Interrupted)??;
        let layers = self.bundle.layers().to_vec();
        let (id, bundle) = (id.to_owned(), directory.to_owned());
        let spec = ZygoteSpec { id, bundle, layers, filters: &self.filters, ids: &self.sandbox_ids };
        Ok(Zygote::start(Arc::clone(&self.premises.instance), &spec).await?)
    }

    fn last_failure(&self) -> MutexGuard<'_, Option<(Instant, String)>> {
        self.last_failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory_of(&self, id: &str) -> PathBuf {
        self.premises.instance.directory().join("bundles").join(id)
    }

    fn watch(self: &Arc<Self>, zygote: Arc<Zygote>) {
        self.premises.add_zygote(&zygote);
        self.guards.spawn(Arc::clone(self).guard(zygote));
    }

    /// Waits for a zygote's end, cleans up, and starts the next one before anybody asks for it.
    async fn guard(self: Arc<Self>, zygote: Arc<Zygote>) {
        zygote.lost().await;
        // Under the lock, or it might undo what a renewal says.
        let locked = self.current.lock().await;
        let is_current = locked.as_ref().is_some_and(|current| Arc::ptr_eq(current, &zygote));
        if is_current {
            self.set_up(false);
        }
        let current = locked.clone();
        drop(locked);
        zygote.stop().await;
        remove_directory(&self.directory_of(zygote.id())).await;
        if self.stopping.is_cancelled() || (current.is_some() && !is_current) {
            return;
        }
        tracing::warn!(bundle = self.bundle.name(), id = zygote.id(), "a zygote ended");
        if self.stopping.run_until_cancelled(tokio::time::sleep(RESTART_PAUSE)).await.is_none() {
            return;
        }
        match self.zygote().await {
            Ok(_) | Err(KeeperError::Stopped) => {}
            Err(error) => {
                let bundle = self.bundle.name();
                tracing::error!(bundle, error = %error_chain(&error), "no zygote can be started");
            }
        }
    }

    fn set_up(&self, up: bool) {
        if self.up.swap(up, Ordering::AcqRel) != up {
            // By how many there are more or less: while a bundle is replaced, two keepers have a zygote of it.
            metrics::gauge!("soulbox_zygotes_up", "bundle" => self.bundle.name().to_owned())
                .increment(if up { 1.0 } else { -1.0 });
        }
    }

    /// Takes no more users, lets those that it has finish, and ends the zygote for good.
    pub(crate) async fn retire(&self) {
        self.users.close();
        self.users.wait().await;
        self.stop().await;
    }

    /// Ends the zygote for good, whoever uses it, and waits until nothing is left of it.
    pub(crate) async fn stop(&self) {
        self.users.close();
        self.stopping.cancel();
        self.parking.close();
        if let Some(zygote) = self.current.lock().await.take() {
            self.set_up(false);
            zygote.stop().await;
        }
        // Each removes its container's directory. There is no new one: none is made after the lock above.
        self.guards.close();
        self.guards.wait().await;
    }
}

async fn remove_directory(directory: &Path) {
    match tokio::fs::remove_dir_all(directory).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, directory = %directory.display(), "a zygote's directory stays");
        }
        _ => {}
    }
}

/// The first line that the interpreter prints when it is asked for its version.
fn version(interpreter: &Path, arguments: &[String]) -> Option<String> {
    let output = std::process::Command::new(interpreter).args(arguments).env_clear().output().ok()?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Some(String::from_utf8_lossy(&text).lines().find(|line| !line.trim().is_empty())?.trim().to_owned())
}
