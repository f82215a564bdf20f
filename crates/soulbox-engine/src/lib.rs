//! Executions: what is asked for, when it runs, how it ended.
//!
//! Owns admission, limits, the zygote kept warm for each bundle and its replacement by that of a new version,
//! the registry of running and recent executions, and the drain at the end. It knows nothing of HTTP or JSON and makes no system call: below it
//! are bundles (what a language is) and sandboxes (what the kernel does).
//!
//! ```text
//! Engine::submit ──► admission ──► zygote keeper ──► Sandbox::run ──► Outcome ──► registry
//!        │             (queue)      (start, replace)                                 │
//!        └──────────────────────────── Ticket: cancel, wait ◄────────────────────────┘
//! ```

mod accounting;
mod admission;
mod attendant;
mod capacity;
mod clock;
mod compile;
mod config;
mod demand_file;
mod engine;
mod execution;
mod expected_pools;
mod fingerprint;
mod fleet;
#[doc(hidden)]
pub mod fuzzing;
mod info;
mod job;
mod keeper;
mod limits;
mod live;
mod metrics;
mod observers;
mod parking;
mod pool;
mod prepare;
mod registry;
mod request;
mod roster;
mod sizing;
mod slots;
mod state_file;
mod trace_context;
mod watching;

pub use admission::{Refusal, RefusalReason};
pub use capacity::{Capacity, CapacityError, CapacityRequest};
pub use compile::Compilation;
pub use config::{EngineConfig, Renewal};
pub use engine::{Engine, StartError, SubmitError};
pub use execution::{ExecutionId, Outcome, StartKind, Status, Timing, Usage};
pub use fleet::{Change, ReloadError};
pub use info::{BundleInfo, BundleState, LanguageInfo, ReadBundle};
pub use limits::{LimitError, LimitName, LimitPolicy, Limits, LimitsRequest, UnknownLimit};
pub use live::{
    CostRate, LanguageFigures, Live, Memory, Percentiles, PoolFigures, QueueFigures, Rates, RecentFigures,
    RunningFigures,
};
pub use observers::{Facts, Listener};
pub use pool::ParkedConfig;
pub use registry::{Listing, Snapshot, Ticket};
pub use request::{
    Argument, ExecutionRequest, OutputFiles, RequestError, SourceFile, Target, Tenant, Variable,
    WorkspacePath, WorkspacePathError,
};
pub use sizing::AdaptiveConfig;
pub use slots::IdSupply;
pub use soulbox_bundle::store::{Layer, StoredSource};
pub use soulbox_bundle::{
    Bundle, BundleError, BundleFacts, BundleSource, Catalogue, Digest, LoadError, Wanted,
};
pub use soulbox_sandbox::{
    CgroupMode, CollectedFile, IoBytes, Pressure, RefusedSyscall, Rights, syscall_table,
};
pub use soulbox_sizing::{Answer, Here, Language as LanguageCost, Machine, Needed, Point};
pub use trace_context::TraceContext;
pub use watching::Alerts;
