//! The bundles that are served, each by its keeper, and their replacement while requests come.
//!
//! Owns the order of a replacement: the new version is ready before it takes the old one's place, and the old
//! one goes when nobody needs it any more. It never looks into a request.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use soulbox_bundle::{Bundle, Catalogue, Digest, LoadError};
use soulbox_sandbox::{Instance, Zygote, error_chain};
use tokio_util::task::TaskTracker;

use crate::config::EngineConfig;
use crate::engine::Engine;
use crate::info::{BundleInfo, LanguageInfo};
use crate::keeper::{Hold, Keeper, Premises};
use crate::metrics::begin_bundle;
use crate::pool::Pool;
use crate::request::{RequestError, Target};
use crate::roster::{Entry, Roster};

/// What a reload did to a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing: it is the version that is served.
    Unchanged,
    /// It was not there before.
    Added,
    /// It took the place of another version.
    Replaced,
    /// It is not there any more.
    Removed,
}

impl Change {
    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Change::Unchanged => "unchanged",
            Change::Added => "added",
            Change::Replaced => "replaced",
            Change::Removed => "removed",
        }
    }
}

/// A reload that did not bring a new version into service.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// There is no such bundle, or not any more.
    #[error("bundle {0:?} is unknown; this server has {1}")]
    Unknown(String, String),
    /// It does not verify, or no zygote of it can be started. The version before, if any, stays in service.
    #[error("bundle {bundle:?} cannot be used: {reason}{}", stays(.in_service))]
    Invalid {
        /// The bundle.
        bundle: String,
        /// Why.
        reason: String,
        /// The digest of the version that stays in service.
        in_service: Option<Digest>,
    },
    /// The engine is shutting down.
    #[error("the server is shutting down")]
    Draining,
    /// An error inside the server.
    #[error("the reload was interrupted by an error inside the server")]
    Interrupted,
}

fn stays(in_service: &Option<Digest>) -> String {
    in_service.as_ref().map(|digest| format!("; {digest} stays in service")).unwrap_or_default()
}

/// The bundles that are served.
#[derive(Debug)]
pub(crate) struct Fleet {
    catalogue: Catalogue,
    premises: Arc<Premises>,
    roster: RwLock<Roster<Arc<Keeper>>>,
    /// Held by the one reload that is under way, with whether there may be any.
    open: tokio::sync::Mutex<bool>,
    /// Keepers whose place another has, until nothing is left of them.
    retired: TaskTracker,
}

impl Fleet {
    /// Reads all bundles. Nothing is started.
    pub(crate) fn new(
        catalogue: Catalogue,
        instance: Arc<Instance>,
        pool: Arc<Pool>,
        config: &EngineConfig,
    ) -> Self {
        let premises = Arc::new(Premises::new(instance, pool, config));
        let entry = |(name, found): (String, Result<Bundle, LoadError>)| {
            begin_bundle(&name);
            let keeper = found
                .map_err(|error| error_chain(&error))
                .and_then(|bundle| Keeper::new(bundle, &premises).map_err(|error| error_chain(&error)));
            let entry = keeper.map_or_else(
                |reason| {
                    tracing::error!(bundle = name, reason, "a bundle cannot be used");
                    Entry::Broken(reason)
                },
                |keeper| Entry::Served(Arc::new(keeper)),
            );
            (name, entry)
        };
        let roster = catalogue.load_all().into_iter().map(entry).collect();
        let open = tokio::sync::Mutex::new(true);
        Fleet { roster: RwLock::new(roster), catalogue, premises, open, retired: TaskTracker::new() }
    }

    fn roster(&self) -> RwLockReadGuard<'_, Roster<Arc<Keeper>>> {
        // Every change is complete before anything that could panic.
        self.roster.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn roster_mut(&self) -> RwLockWriteGuard<'_, Roster<Arc<Keeper>>> {
        self.roster.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keeper of the bundle that is meant, which is not stopped as long as it is held.
    pub(crate) fn hold(&self, target: &Target) -> Result<Hold, RequestError> {
        // Under the lock: a keeper that has lost its place gets no more users.
        self.roster().find(target).map(Keeper::hold)
    }

    /// All keepers that are in their place.
    pub(crate) fn keepers(&self) -> Vec<Arc<Keeper>> {
        self.roster().served().map(|(_, keeper)| Arc::clone(keeper)).collect()
    }

    /// All zygotes that there are, also of keepers that have lost their place.
    pub(crate) fn zygotes(&self) -> Vec<Arc<Zygote>> {
        self.premises.zygotes()
    }

    /// All languages, also those that are not available.
    pub(crate) fn languages(&self) -> Vec<LanguageInfo> {
        self.roster().defaults().into_values().map(|keeper| LanguageInfo::of(keeper)).collect()
    }

    /// All bundles by name, also those that are not available.
    pub(crate) fn bundles(&self) -> Vec<BundleInfo> {
        self.roster().iter().map(|(name, entry)| BundleInfo::of(name, entry)).collect()
    }

    /// One bundle.
    pub(crate) fn bundle(&self, name: &str) -> Option<BundleInfo> {
        self.roster().get(name).map(|entry| BundleInfo::of(name, entry))
    }

    /// Brings the current version of one bundle into service.
    pub(crate) async fn reload(&self, name: &str, engine: &Engine) -> Result<BundleInfo, ReloadError> {
        let _one = self.begin().await?;
        let (catalogue, wanted) = (self.catalogue.clone(), name.to_owned());
        let found = tokio::task::spawn_blocking(move || catalogue.load(&wanted)).await;
        let found = found.map_err(|_| ReloadError::Interrupted)?;
        self.apply(name, found, engine).await?;
        // It may just have been removed.
        self.bundle(name).ok_or_else(|| self.unknown(name))
    }

    /// Brings the current versions of all bundles into service, one after the other.
    pub(crate) async fn reload_all(
        &self,
        engine: &Engine,
    ) -> Result<Vec<(String, Result<Change, ReloadError>)>, ReloadError> {
        let _one = self.begin().await?;
        let catalogue = self.catalogue.clone();
        let found = tokio::task::spawn_blocking(move || catalogue.load_all()).await;
        let found = found.map_err(|_| ReloadError::Interrupted)?;
        let mut gone: Vec<String> = self.roster().iter().map(|(name, _)| name.to_owned()).collect();
        gone.retain(|name| found.iter().all(|(other, _)| other != name));
        let mut changes = Vec::new();
        let found = found.into_iter().map(|(name, bundle)| (name, Some(bundle)));
        for (name, bundle) in found.chain(gone.into_iter().map(|name| (name, None))) {
            let change = self.apply(&name, bundle, engine).await;
            changes.push((name, change));
        }
        Ok(changes)
    }

    async fn begin(&self) -> Result<tokio::sync::MutexGuard<'_, bool>, ReloadError> {
        let open = self.open.lock().await;
        if *open { Ok(open) } else { Err(ReloadError::Draining) }
    }

    /// Makes what was found of a bundle what is served of it, where it can be.
    async fn apply(
        &self,
        name: &str,
        found: Option<Result<Bundle, LoadError>>,
        engine: &Engine,
    ) -> Result<Change, ReloadError> {
        let changed = self.try_apply(name, found, engine).await;
        let result = match &changed {
            Ok(change) => change.as_str(),
            // Whoever asks can name what never was; that must not become a label.
            Err(ReloadError::Unknown(..)) => return changed,
            Err(_) => "failed",
        };
        metrics::counter!("soulbox_bundle_reloads_total", "bundle" => name.to_owned(), "result" => result)
            .increment(1);
        match &changed {
            Ok(Change::Unchanged) => tracing::debug!(bundle = name, "unchanged"),
            Ok(change) => tracing::info!(bundle = name, change = change.as_str(), "bundle reloaded"),
            Err(error) => tracing::error!(%error, "bundle not reloaded"),
        }
        changed
    }

    async fn try_apply(
        &self,
        name: &str,
        found: Option<Result<Bundle, LoadError>>,
        engine: &Engine,
    ) -> Result<Change, ReloadError> {
        let bundle = match found {
            None => {
                let gone = self.roster_mut().remove(name);
                self.retire(gone.ok_or_else(|| self.unknown(name))?);
                return Ok(Change::Removed);
            }
            Some(Err(error)) => return Err(self.refuse(name, error_chain(&error))),
            Some(Ok(bundle)) => bundle,
        };
        if self.digest_in_service(name) == Some(bundle.digest()) {
            return Ok(Change::Unchanged);
        }
        let keeper = match self.start(bundle, engine).await {
            Ok(keeper) => keeper,
            Err(reason) => return Err(self.refuse(name, reason)),
        };
        let before = self.roster_mut().put(name, Entry::Served(keeper));
        Ok(match before {
            None => {
                begin_bundle(name);
                Change::Added
            }
            Some(entry) => {
                self.retire(entry);
                Change::Replaced
            }
        })
    }

    /// A keeper whose zygote is ready, or a sentence that says why there is none. An interpreter that cannot be
    /// forked is no reason, since its programs can be spawned; one that cannot run a program is.
    async fn start(&self, bundle: Bundle, engine: &Engine) -> Result<Arc<Keeper>, String> {
        let premises = Arc::clone(&self.premises);
        let made = tokio::task::spawn_blocking(move || Keeper::new(bundle, &premises)).await;
        let made = made.map_err(|error| error.to_string())?;
        let keeper = Arc::new(made.map_err(|error| error_chain(&error))?);
        if let Some(reason) = keeper.unavailable() {
            return Err(reason.to_string());
        }
        let tried = match keeper.zygote().await {
            Ok(_) => engine.try_out(&keeper).await,
            Err(error) => Err(error_chain(&error)),
        };
        if let Err(reason) = tried {
            keeper.stop().await;
            return Err(reason);
        }
        Ok(keeper)
    }

    /// What is in service stays; what is not there, or is broken, is broken for this reason from now on.
    fn refuse(&self, name: &str, reason: String) -> ReloadError {
        let in_service = self.digest_in_service(name);
        if in_service.is_none() {
            self.roster_mut().put(name, Entry::Broken(reason.clone()));
        }
        ReloadError::Invalid { bundle: name.to_owned(), reason, in_service }
    }

    fn digest_in_service(&self, name: &str) -> Option<Digest> {
        match self.roster().get(name)? {
            Entry::Served(keeper) => Some(keeper.bundle().digest()),
            Entry::Broken(_) => None,
        }
    }

    fn unknown(&self, name: &str) -> ReloadError {
        ReloadError::Unknown(name.to_owned(), self.roster().names())
    }

    /// Lets a keeper go that is in its place no more, when its users have finished.
    fn retire(&self, entry: Entry<Arc<Keeper>>) {
        let Entry::Served(keeper) = entry else { return };
        self.retired.spawn(async move {
            keeper.retire().await;
            let (bundle, digest) = (keeper.bundle().name(), keeper.bundle().digest());
            tracing::info!(bundle, %digest, "nothing of this version is left");
        });
    }

    /// Ends all zygotes for good, and waits until nothing is left of those in service and of those before.
    pub(crate) async fn close(&self) {
        *self.open.lock().await = false;
        for keeper in self.keepers() {
            keeper.stop().await;
        }
        self.retired.close();
        self.retired.wait().await;
    }
}
