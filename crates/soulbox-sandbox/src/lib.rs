//! The kernel side of SoulBox: containers of zygotes, and the sandboxes forked from them.
//!
//! Owns namespaces (through libcontainer), leaf cgroups, the compilation of seccomp profiles, the daemon's
//! half of the zygote protocol, and the watch over a running sandbox. It knows nothing of languages, HTTP,
//! queues or pools, and decides no policy: limits come from the caller.
//!
//! [`Instance`] claims a directory and a cgroup of the host and cleans what dead instances left.
//! [`Zygote::start`] makes a container from an OCI bundle, and [`Zygote::spawn`] a [`Sandbox`] from it;
//! [`Sandbox::run`] runs one program and tells how it ended and what it used. [`run_command`] runs one command in a
//! container that is made for it alone. [`Confined`] is a helper process for work on files of unknown origin.

mod cgroup;
mod collect;
mod command_container;
mod confined;
mod container;
mod dispatch;
mod embedded;
mod error_chain;
mod executable;
mod executor;
mod host;
mod host_memory;
mod input;
mod instance;
mod layers;
mod memory_file;
mod memory_watch;
mod output;
mod pidfd;
mod refused;
mod report;
mod rootless;
mod sandbox;
mod seccomp;
mod seqpacket;
mod sys;
mod syscall_table;
mod view;
mod zygote;

pub use cgroup::{
    CgroupError, CgroupMode, Charges, IoBytes, LeafLimits, LeafUsage, MemoryTime, Meter, MeterReading,
};
pub use collect::{Collected, CollectedFile};
pub use command_container::{
    Changes, CommandError, CommandLimits, CommandNetwork, CommandSpec, HostIds, ReadOnlyBind, run_command,
};
pub use confined::{
    CONFINED_IDS, Confined, ConfinedLimits, Confinement, Finished, describe_end, enter, make_whiteout,
};
pub use container::{CommandEnd, ContainerError, HELPER_COMMAND, helper_main};
pub use embedded::{INIT, SHIM};
pub use error_chain::error_chain;
pub use executable::Executable;
pub use host::{HostFacts, Pressure, host_memory_bytes, own_memory_bytes};
pub use host_memory::HostMemory;
pub use instance::{Instance, InstanceError, make_state_dir, raise_open_files_limit};
pub use memory_watch::Reservation;
pub use output::Output;
pub use refused::RefusedSyscall;
pub use report::{Ended, RunReport, Stream};
pub use rootless::{MAP_COMMAND, Rights, RootlessError, SubordinateIds, map_main};
pub use sandbox::{Remains, RunError, RunLimits, Sandbox, Workload, WorkloadFile};
pub use seccomp::{Filters, SeccompError};
pub use soulbox_protocol::{SetupError, SetupStep, WORKSPACE};
pub use sys::forget_code;
pub use syscall_table::syscall_table;
pub use zygote::{NAMED_IDS, SandboxIds, SpawnError, Zygote, ZygoteError, ZygoteMemory, ZygoteSpec};

/// Where a container sees the directory with the shim and the init.
pub const RUNTIME_DIR: &str = "/.soulbox";
