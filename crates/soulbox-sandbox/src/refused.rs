//! The system calls that a sandbox's seccomp filter refused, by name.
//!
//! Owns the reading of the counts that pid 1 keeps. No untrusted code has a way to that file; what it holds are
//! numbers alone, whoever wrote them.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use soulbox_protocol::REFUSAL_SLOTS;
use syscalls::Sysno;

const COUNT_BYTES: usize = size_of::<u32>();

/// A system call that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedSyscall {
    /// As in syscalls(2); `syscall_NUMBER` where that has none, `other` for numbers beyond all tables.
    pub name: String,
    /// How often.
    pub count: u32,
}

/// The system calls that are counted in a file, most often refused first. What cannot be read is not told.
pub(crate) fn refused_syscalls(file: &OwnedFd) -> Vec<RefusedSyscall> {
    let mut bytes = [0; REFUSAL_SLOTS * COUNT_BYTES];
    let read = file.try_clone().and_then(|file| File::from(file).read_exact_at(&mut bytes, 0));
    if let Err(error) = read {
        tracing::warn!(%error, "the refused system calls of a run cannot be read");
        return Vec::new();
    }
    of_counts(&bytes)
}

/// Begins to count anew. No call may be refused meanwhile.
pub(crate) fn forget_refusals(file: &OwnedFd) -> io::Result<()> {
    File::from(file.try_clone()?).write_all_at(&[0; REFUSAL_SLOTS * COUNT_BYTES], 0)
}

fn of_counts(bytes: &[u8]) -> Vec<RefusedSyscall> {
    let counts = bytes.as_chunks::<COUNT_BYTES>().0.iter().map(|count| u32::from_le_bytes(*count));
    let refused = counts.enumerate().filter(|(_, count)| *count > 0);
    let mut refused: Vec<_> =
        refused.map(|(number, count)| RefusedSyscall { name: name(number), count }).collect();
    refused.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    refused
}

fn name(number: usize) -> String {
    match Sysno::new(number) {
        Some(call) => call.name().to_owned(),
        None if number == REFUSAL_SLOTS - 1 => "other".to_owned(),
        None => format!("syscall_{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_named_and_the_most_frequent_comes_first() {
        let mut counts = [0u32; REFUSAL_SLOTS];
        counts[Sysno::unshare as usize] = 2;
        counts[Sysno::mount as usize] = 2;
        counts[Sysno::bpf as usize] = 7;
        counts[900] = 1;
        counts[REFUSAL_SLOTS - 1] = 3;
        let bytes: Vec<u8> = counts.iter().flat_map(|count| count.to_le_bytes()).collect();
        let refused: Vec<_> =
            of_counts(&bytes).into_iter().map(|call| format!("{} {}", call.name, call.count)).collect();
        assert_eq!(refused, ["bpf 7", "other 3", "mount 2", "unshare 2", "syscall_900 1"]);
    }
}
