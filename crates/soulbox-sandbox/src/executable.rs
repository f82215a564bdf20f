//! A program that one sandbox has made and others execute.
//!
//! Owns its bytes: a sealed memory file, so that it is never in any sandbox's file system, nobody can change
//! it, and its pages are shared by all who execute it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use nix::fcntl::OFlag;

use crate::collect;
use crate::memory_file::memory_file;

/// Largest executable that is taken over from a sandbox.
const MAX_BYTES: u64 = 128 << 20;

/// An executable. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Executable {
    file: Arc<OwnedFd>,
    bytes: u64,
}

impl Executable {
    /// Takes over a regular file below `workspace`, a directory that untrusted code has filled.
    ///
    /// # Errors
    /// When it is not there, no regular file, empty or larger than 128 MiB, or the daemon is out of memory.
    pub(crate) fn take(workspace: &OwnedFd, path: &Path) -> io::Result<Self> {
        let mut file = File::from(collect::open(workspace, path, OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?);
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() == 0 || metadata.len() > MAX_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // The sandbox is gone, so that the file cannot grow meanwhile.
        let copy = memory_file("program", |copy| io::copy(&mut file, copy).map(drop))?;
        Ok(Executable { file: Arc::new(copy), bytes: metadata.len() })
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
