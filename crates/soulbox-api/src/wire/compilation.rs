//! What a client gets to know of the compile step.
//!
//! Owns the shape of that part of an execution's document.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

use crate::wire::figures::{DeniedSyscall, Usage};

/// How the compiler fared, in a sandbox of its own.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Compilation<'a> {
    /// The compiler's exit code, when it exited.
    #[schema(required)]
    exit_code: Option<i32>,
    /// The signal that ended the compiler, when one did.
    #[schema(required)]
    signal: Option<i32>,
    /// What it wrote to standard output; what is not UTF-8 is replaced by U+FFFD.
    stdout: Cow<'a, str>,
    /// What it wrote to standard error, likewise.
    stderr: Cow<'a, str>,
    /// Whether there was more on standard output than its limit.
    stdout_truncated: bool,
    /// Whether there was more on standard error than its limit.
    stderr_truncated: bool,
    /// The system calls that the seccomp filter refused to the compiler.
    denied_syscalls: Vec<DeniedSyscall<'a>>,
    /// Whether the executable was there already, made from the same files by the same compiler.
    cached: bool,
    usage: Usage,
}

impl Compilation<'_> {
    pub(crate) fn content_bytes(&self) -> usize {
        self.stdout.len() + self.stderr.len()
    }
}

impl<'a> From<&'a soulbox_engine::Compilation> for Compilation<'a> {
    fn from(compilation: &'a soulbox_engine::Compilation) -> Self {
        Compilation {
            exit_code: compilation.exit_code,
            signal: compilation.signal,
            stdout: String::from_utf8_lossy(&compilation.stdout),
            stderr: String::from_utf8_lossy(&compilation.stderr),
            stdout_truncated: compilation.stdout_truncated,
            stderr_truncated: compilation.stderr_truncated,
            denied_syscalls: compilation.denied_syscalls.iter().map(DeniedSyscall::from).collect(),
            cached: compilation.cached,
            usage: compilation.usage.into(),
        }
    }
}
