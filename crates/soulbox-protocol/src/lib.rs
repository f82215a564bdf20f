//! The messages that the daemon and the code inside a zygote's container exchange.
//!
//! Owns the wire format of both sockets and of a job's program; it opens no socket and makes no system call.
//!
//! # The two sockets
//!
//! Both are `AF_UNIX` `SOCK_SEQPACKET`, so one message is one packet and is never split or joined.
//!
//! The **control socket** (descriptor [`CONTROL_FD`] of the zygote) lives as long as the container:
//!
//! ```text
//! daemon                               zygote
//!   │ Init    + [seccomp filters]  ──►   │   once, before anything else
//!   │ ◄──                        Ready   │   the interpreter is warm
//!   │ Spawn   + [job socket, stdin,      │
//!   │            stdout, stderr,         │
//!   │            cgroup files …,         │
//!   │            network namespace?]──►  │   any number of times
//!   │ ◄──        Spawned  + [pidfd]      │   one for each Spawn, in order
//!   │ (closes)                     ──►   │   the zygote exits, and the kernel ends all it made
//! ```
//!
//! The **job socket** belongs to one sandbox, whose pid 1 holds the other end:
//!
//! ```text
//! daemon                               sandbox
//!   │ ◄──  SetupFailed | Parked          │   from the process that will run the program; Parked only
//!   │                  + [/workspace]    │   where that was asked for
//!   │ Job + [program?, executable?] ──►  │   read by the same process
//!   │ ◄──  SetupFailed | Running         │   its last word before untrusted code
//!   │                  + [/workspace]?   │
//!   │ ◄──  Refusing + [counts]           │   from pid 1, at the first refused system call
//!   │ ◄──  Exited                        │   from pid 1, which never runs untrusted code
//!   │ ◄──  NetworkUntouched +            │   where that is so
//!   │        [network namespace]         │
//! ```
//!
//! The process that runs the program has closed every descriptor of these by then, so that nothing
//! untrusted can write to either socket. Any error on a socket ends the sandbox or the zygote.

#![no_std]

mod frame;
mod program;
mod setup;

pub use frame::{FRAME_LEN, Frame, FrameError, HostMessage, Job, SandboxMessage, ZygoteMessage};
pub use program::{Program, ProgramError, SourceFile};
#[cfg(feature = "host")]
pub use program::{ProgramEncoder, TooLarge};
pub use setup::{SetupError, SetupStep};

/// The zygote's end of the control socket: the first descriptor after the standard streams.
pub const CONTROL_FD: i32 = 3;

/// Most files for joining a cgroup (`cgroup.procs`, on v1 `tasks`) that one [`HostMessage::Spawn`] carries:
/// one on cgroup v2, one for each hierarchy (memory, pids, cpu, cpuacct) on v1.
pub const MAX_CGROUP_FDS: usize = 4;

/// Most bytes of a program that travel in the packet of its [`Job`]; a larger one has a memory file. Smaller than
/// what any kernel takes as one packet (`SO_SNDBUF` of socket(7)).
pub const INLINE_LEN: usize = 16 << 10;

/// Most seccomp filters that [`HostMessage::Init`] announces.
pub const MAX_FILTERS: usize = 4;

/// How many system call numbers [`SandboxMessage::Refusing`] has a count for. The last counts those of all higher
/// numbers as well, which no kernel has (syscalls(2): below 500).
pub const REFUSAL_SLOTS: usize = 1024;

/// Where the program's files are and where it starts.
pub const WORKSPACE: &str = "/workspace";
