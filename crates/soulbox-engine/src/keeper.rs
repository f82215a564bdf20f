//! Keeps a zygote of one bundle ready: starts it, notices its end, replaces it.
//!
//! Owns the generations of a bundle's container. It never restarts an execution: that is the engine's.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use soulbox_bundle::{Bundle, ContainerSettings, IdRange, MaterializeError, Places, StartMode, Unavailable};
use soulbox_sandbox::{
    Filters, INIT, Instance, RUNTIME_DIR, SHIM, SeccompError, Zygote, ZygoteError, ZygoteSpec, error_chain,
};
use tokio::sync::Mutex;

use crate::engine::EngineConfig;
use crate::execution::StartKind;
use crate::limits::Limits;
use crate::parking::Parking;
use crate::prepare::{PrepareError, prepare};

/// After a zygote ended by itself, the next one is started this much later: one that dies at once must not
/// keep the host busy.
const RESTART_PAUSE: Duration = Duration::from_millis(200);

/// A zygote that could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeeperError {
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error(transparent)]
    Materialize(#[from] MaterializeError),
    #[error(transparent)]
    Zygote(#[from] ZygoteError),
    #[error("the engine is shutting down")]
    Stopped,
    #[error("a start has just failed: {0}")]
    JustFailed(String),
    #[error("laying the bundle out was interrupted")]
    Interrupted,
}

/// The keeper of one bundle's zygote.
#[derive(Debug)]
pub(crate) struct Keeper {
    bundle: Arc<Bundle>,
    version: Option<String>,
    filters: Filters,
    instance: Arc<Instance>,
    ids: IdRange,
    prepared_dir: PathBuf,
    /// The limits of a program that asks for none.
    default_limits: Limits,
    parking: Parking,
    generation: AtomicU64,
    /// Held while a zygote is started, so that one is enough for all who wait for it.
    current: Mutex<Option<Arc<Zygote>>>,
    /// When and why the last start failed; taken while `current` is held.
    last_failure: std::sync::Mutex<Option<(Instant, String)>>,
    up: AtomicBool,
    /// Whether the interpreter could not be made a zygote, so that programs are spawned instead.
    fork_failed: AtomicBool,
    stopped: AtomicBool,
}

impl Keeper {
    pub(crate) fn new(
        bundle: Arc<Bundle>,
        instance: Arc<Instance>,
        ids: IdRange,
        config: &EngineConfig,
    ) -> Result<Self, SeccompError> {
        Ok(Keeper {
            parking: Parking::new(bundle.name(), config.parked),
            version: bundle.interpreter().ok().and_then(|path| version(path, bundle.version_arguments())),
            filters: Filters::compile(bundle.seccomp())?,
            bundle,
            instance,
            ids,
            prepared_dir: config.prepared_dir.clone(),
            default_limits: config.limits.default,
            generation: AtomicU64::new(1),
            current: Mutex::default(),
            last_failure: std::sync::Mutex::default(),
            up: AtomicBool::new(false),
            fork_failed: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
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

    pub(crate) fn default_limits(&self) -> &Limits {
        &self.default_limits
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
        if self.stopped.load(Ordering::Acquire) {
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
        let started = self.start().await;
        if let Err(error) = &started {
            *self.last_failure() = Some((Instant::now(), error_chain(error)));
        }
        let zygote = Arc::new(started?);
        *current = Some(Arc::clone(&zygote));
        self.set_up(true);
        drop(current);
        self.watch(Arc::clone(&zygote));
        Parking::refill(self);
        Ok((zygote, StartKind::Cold))
    }

    async fn start(&self) -> Result<Zygote, KeeperError> {
        let id = format!("{}-{}", self.bundle.name(), self.generation.fetch_add(1, Ordering::Relaxed));
        let directory = self.directory_of(&id);
        let (bundle, target) = (Arc::clone(&self.bundle), directory.clone());
        let (cgroup, ids) = (self.instance.zygote_cgroup(&id), self.ids);
        let mode = self.start_mode();
        let (prepared_dir, memory_bytes) = (self.prepared_dir.clone(), self.default_limits.memory_bytes);
        let version = self.version.clone().unwrap_or_default();
        let laid_out = tokio::task::spawn_blocking(move || {
            let prepared = prepare(&bundle, &version, &prepared_dir, ids)?;
            let settings = ContainerSettings {
                cgroup: &cgroup,
                mode,
                ids,
                shim: SHIM,
                init: INIT,
                runtime_dir: Path::new(RUNTIME_DIR),
                prepared: prepared.as_deref(),
                memory_bytes,
            };
            bundle.materialize(&target, &settings)?;
            Ok::<_, KeeperError>(())
        });
        laid_out.await.map_err(|_| KeeperError::Interrupted)??;
        let spec = ZygoteSpec { id, bundle: directory.clone(), layers: Vec::new(), filters: &self.filters };
        match Zygote::start(Arc::clone(&self.instance), &spec).await {
            Ok(zygote) => {
                tracing::info!(bundle = self.bundle.name(), id = spec.id, "zygote is ready");
                Ok(zygote)
            }
            Err(error) => {
                remove_directory(&directory).await;
                if mode == StartMode::Fork && self.bundle.can_spawn() && !error.is_of_host() {
                    let error = error_chain(&error);
                    tracing::warn!(
                        bundle = self.bundle.name(),
                        error,
                        "cannot be forked here: programs are spawned"
                    );
                    self.fork_failed.store(true, Ordering::Release);
                    return Box::pin(self.start()).await;
                }
                Err(error.into())
            }
        }
    }

    fn last_failure(&self) -> MutexGuard<'_, Option<(Instant, String)>> {
        self.last_failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory_of(&self, id: &str) -> PathBuf {
        self.instance.directory().join("bundles").join(id)
    }

    fn watch(self: &Arc<Self>, zygote: Arc<Zygote>) {
        tokio::spawn(Arc::clone(self).guard(zygote));
    }

    /// Waits for a zygote's end, cleans up, and starts the next one before anybody asks for it.
    async fn guard(self: Arc<Self>, zygote: Arc<Zygote>) {
        zygote.lost().await;
        if self.current.lock().await.as_ref().is_some_and(|current| Arc::ptr_eq(current, &zygote)) {
            self.set_up(false);
        }
        zygote.stop().await;
        if self.stopped.load(Ordering::Acquire) {
            // The instance takes its directory along.
            return;
        }
        remove_directory(&self.directory_of(zygote.id())).await;
        tracing::warn!(bundle = self.bundle.name(), id = zygote.id(), "a zygote ended");
        tokio::time::sleep(RESTART_PAUSE).await;
        if let Err(error) = self.zygote().await {
            tracing::error!(bundle = self.bundle.name(), error = %error_chain(&error), "no zygote can be started");
        }
    }

    fn set_up(&self, up: bool) {
        self.up.store(up, Ordering::Release);
        metrics::gauge!("soulbox_zygotes_up", "bundle" => self.bundle.name().to_owned())
            .set(f64::from(u8::from(up)));
    }

    /// Ends the zygote for good.
    pub(crate) async fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.parking.clear();
        if let Some(zygote) = self.current.lock().await.take() {
            self.set_up(false);
            zygote.stop().await;
        }
    }
}

async fn remove_directory(directory: &Path) {
    if let Err(error) = tokio::fs::remove_dir_all(directory).await {
        tracing::warn!(%error, directory = %directory.display(), "a zygote's directory stays");
    }
}

/// The first line that the interpreter prints when it is asked for its version.
fn version(interpreter: &Path, arguments: &[String]) -> Option<String> {
    let output = std::process::Command::new(interpreter).args(arguments).env_clear().output().ok()?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Some(String::from_utf8_lossy(&text).lines().find(|line| !line.trim().is_empty())?.trim().to_owned())
}
