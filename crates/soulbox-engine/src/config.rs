//! What an operator decides about executions.
//!
//! Owns the defaults. It never reads a file or the environment: that is the binary's.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use soulbox_accounting::{AccountsConfig, Prices};
use soulbox_sandbox::Rights;

use crate::limits::{LimitName, LimitPolicy};
use crate::observers::Listener;
use crate::pool::ParkedConfig;
use crate::sizing::AdaptiveConfig;
use crate::slots::IdSupply;

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
    /// Where and for how long it is kept what executions used; `None` for not at all.
    pub accounting: Option<AccountsConfig>,
    /// What use costs, where it costs something.
    pub prices: Option<Prices>,
    /// What is promised, and how changes for the worse are looked for.
    pub watch: soulbox_watch::Config,
    /// Who else is told of every execution that has ended.
    pub listener: Option<Arc<dyn Listener>>,
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
            accounting: None,
            prices: None,
            watch: soulbox_watch::Config::default(),
            listener: None,
        }
    }
}
