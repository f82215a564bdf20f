//! The programs that run inside containers, built by this crate's build script and carried in the binary.

/// The shim: the shared library that an interpreter loads to become a zygote.
pub const SHIM: &[u8] = include_bytes!(env!("SOULBOX_SHIM"));

/// The init: the static program that is the zygote of languages whose programs are executed.
pub const INIT: &[u8] = include_bytes!(env!("SOULBOX_INIT"));
