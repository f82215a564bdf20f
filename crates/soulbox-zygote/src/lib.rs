//! The code inside a zygote's container: it forks the warm interpreter once for each sandbox.
//!
//! Owns the life of a sandbox from clone3(2) to the first instruction of untrusted code, and pid 1 of the
//! sandbox until its end. Never allocates, never uses a libc (it is loaded into processes of any libc, and
//! runs between clone and exec), never decides policy: sizes, ids and filters come from the daemon.
//!
//! Two programs are built from this crate: the **shim**, a shared library that an interpreter loads and
//! calls [`soulbox_serve`] of (*fork mode*), and the **init**, a static program that is the zygote of languages that are
//! executed rather than forked (*spawn mode*), and the supervisor of every sandbox.
//!
//! ```text
//! zygote ──clone3──► pid 1 (pid1.rs) ──clone3──► main process (main_process.rs) ──► untrusted code
//!   │ serve.rs          │ new namespaces, mounts     │ cgroup, ids, capabilities, seccomp;
//!   │ stands still      │                            │ then the job: limits, files
//!   └ waits again       └ executes supervisor.rs: reaps; reports the end
//! ```
//!
//! Interpreters with threads and an event loop need more than a fork: `threads.rs` makes the threads again,
//! `descriptors.rs` the descriptors, and `node.rs` is the shim's face towards Node.
//!
//! pid 1 also answers the system calls that the seccomp filter refuses (`refusals.rs`), so that they can be named.
//! It is a process of its own so that signals keep their default actions in the program (a kernel
//! ignores them in pid 1 of a namespace), so that orphans are reaped, and so that the exit status comes
//! from the kernel to a process that never ran untrusted code.

#![cfg_attr(not(test), no_std)]

mod bpf;
mod descriptors;
#[cfg(feature = "artifact")]
mod freestanding;
mod java;
mod libc_thread;
mod main_process;
mod network;
mod node;
mod pid1;
mod refusals;
mod serve;
mod socket;
mod steps;
mod supervisor;
mod sys;
mod text;
mod threads;

pub use serve::{Sandboxed, exit, soulbox_execute, soulbox_receive, soulbox_serve};
pub use supervisor::supervise;
