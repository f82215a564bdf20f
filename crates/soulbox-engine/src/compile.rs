//! What compilers have made, and said.
//!
//! Owns the memory for executables that are kept, by what they were made from. An executable is found again
//! only by the tenant for whom it was made: time would tell others that somebody has the same program.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use soulbox_bundle::{Digest, ListHash};
use soulbox_sandbox::{Executable, RefusedSyscall, RunReport};

use crate::execution::{Usage, main_ended};
use crate::request::{SourceFile, Tenant};

/// How the compile step went.
#[derive(Clone, Debug)]
pub struct Compilation {
    /// The compiler's exit code, when it exited.
    pub exit_code: Option<i32>,
    /// The signal that ended the compiler, when one did.
    pub signal: Option<i32>,
    /// What it wrote to standard output, at most as much as its limit.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, likewise.
    pub stderr: Vec<u8>,
    /// Whether there was more on standard output.
    pub stdout_truncated: bool,
    /// Whether there was more on standard error.
    pub stderr_truncated: bool,
    /// The system calls that the compiler's seccomp filter refused.
    pub denied_syscalls: Vec<RefusedSyscall>,
    /// Whether the executable was there already: the rest is of the compilation that made it then.
    pub cached: bool,
    /// What the compiler used; nothing when the executable was there already.
    pub usage: Usage,
    /// The whole step.
    pub time: Duration,
}

impl Compilation {
    pub(crate) fn of(report: RunReport, time: Duration) -> Self {
        let (exit_code, signal) = main_ended(&report);
        Compilation {
            exit_code,
            signal,
            usage: Usage::of(&report),
            stdout: report.stdout.bytes,
            stderr: report.stderr.bytes,
            stdout_truncated: report.stdout.truncated,
            stderr_truncated: report.stderr.truncated,
            denied_syscalls: report.refused,
            cached: false,
            time,
        }
    }

    /// Bytes that the compiler wrote.
    pub(crate) fn bytes(&self) -> usize {
        self.stdout.len() + self.stderr.len()
    }
}

/// An executable, and how it was made.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    pub(crate) executable: Executable,
    pub(crate) compilation: Compilation,
}

impl Built {
    /// The same, found again in so much time.
    pub(crate) fn again(mut self, time: Duration) -> Self {
        self.compilation = Compilation { cached: true, usage: Usage::NOTHING, time, ..self.compilation };
        self
    }

    fn bytes(&self) -> u64 {
        self.executable.bytes() + self.compilation.bytes() as u64
    }
}

/// Names everything that an executable depends on, and for whom it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CacheKey(Digest);

impl CacheKey {
    pub(crate) fn new<'a>(
        tenant: Option<&Tenant>,
        bundle: Digest,
        version: Option<&str>,
        command_and_environment: impl Iterator<Item = &'a String>,
        files: &[SourceFile],
    ) -> Self {
        let mut hash = ListHash::default();
        hash.add(tenant.map_or("", Tenant::as_str).as_bytes());
        hash.add(bundle.as_bytes());
        hash.add(version.unwrap_or_default().as_bytes());
        command_and_environment.for_each(|word| hash.add(word.as_bytes()));
        // Words are never empty of meaning, but a list of them has no length of its own.
        hash.add(b"files");
        for file in files {
            hash.add(file.path.as_str().as_bytes());
            hash.add(&file.content);
        }
        CacheKey(hash.finish())
    }
}

/// The executables that are kept: those used last, up to so many bytes.
#[derive(Debug)]
pub(crate) struct Binaries {
    kept: Mutex<Kept>,
    max_bytes: u64,
}

#[derive(Debug)]
struct Kept {
    built: LruCache<CacheKey, Built>,
    bytes: u64,
}

impl Binaries {
    pub(crate) fn new(max_bytes: u64) -> Self {
        Binaries { kept: Mutex::new(Kept { built: LruCache::unbounded(), bytes: 0 }), max_bytes }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Every change below is complete before anything that could panic.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: &CacheKey) -> Option<Built> {
        self.kept().built.get(key).cloned()
    }

    pub(crate) fn put(&self, key: CacheKey, built: Built) {
        let mut kept = self.kept();
        kept.bytes += built.bytes();
        if let Some(before) = kept.built.put(key, built) {
            kept.bytes -= before.bytes();
        }
        while kept.bytes > self.max_bytes
            && let Some((_, oldest)) = kept.built.pop_lru()
        {
            kept.bytes -= oldest.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::WorkspacePath;

    fn key(tenant: Option<&str>, words: &[&str], files: &[(&str, &str)]) -> CacheKey {
        key_in("one", tenant, words, files)
    }

    fn key_in(bundle: &str, tenant: Option<&str>, words: &[&str], files: &[(&str, &str)]) -> CacheKey {
        let tenant = tenant.map(Tenant::new);
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        let file = |(path, content): &(&str, &str)| SourceFile {
            path: WorkspacePath::parse(path).unwrap(),
            content: content.as_bytes().to_vec(),
        };
        let files: Vec<_> = files.iter().map(file).collect();
        CacheKey::new(tenant.as_ref(), Digest::of(bundle.as_bytes()), Some("1"), words.iter(), &files)
    }

    #[test]
    fn a_key_tells_tenants_bundles_commands_and_files_apart() {
        let keys = [
            key_in("another", None, &["cc", "main.c"], &[("main.c", "x")]),
            key(None, &["cc", "main.c"], &[("main.c", "x")]),
            key(Some("a"), &["cc", "main.c"], &[("main.c", "x")]),
            key(Some("b"), &["cc", "main.c"], &[("main.c", "x")]),
            key(None, &["cc", "-O2", "main.c"], &[("main.c", "x")]),
            key(None, &["cc", "main.c"], &[("main.c", "y")]),
            key(None, &["cc", "main.c"], &[("main.d", "x")]),
            key(None, &["cc", "main.c"], &[("main.c", "x"), ("a", "")]),
            key(None, &["ccmain.c"], &[("main.c", "x")]),
            key(None, &["cc", "main.c", "files"], &[("main.c", "x")]),
        ];
        for (index, one) in keys.iter().enumerate() {
            assert!(keys[index + 1..].iter().all(|other| other != one), "{index}");
        }
        assert_eq!(key(None, &["cc"], &[]), key(None, &["cc"], &[]));
    }
}
