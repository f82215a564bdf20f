//! The standard input of a program: all of it is known before the program starts.
//!
//! Owns the write end of a pipe.

use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sys;

/// A new pipe: the end to write to, which does not block, and the program's end.
pub(crate) fn stdin_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    sys::open_to_all(&read)?;
    fcntl(&write, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((write, read))
}

/// The standard input of a run: most fits into the pipe at once, the rest follows as it is read.
#[derive(Debug, Default)]
pub(crate) struct StdinPipe<'a> {
    /// `None` when all is written or the program closed its end.
    pipe: Option<AsyncFd<OwnedFd>>,
    rest: &'a [u8],
}

impl<'a> StdinPipe<'a> {
    /// Writes what fits now into the pipe's end.
    pub(crate) fn new(write: OwnedFd, content: &'a [u8]) -> io::Result<Self> {
        let rest = match write_some(&write, content) {
            // A sandbox that has ended already: that is what is told of it.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => &[],
            rest => rest?,
        };
        let pipe = if rest.is_empty() { None } else { Some(sys::watch(write, Interest::WRITABLE)?) };
        Ok(StdinPipe { pipe, rest })
    }

    /// Resolves when the rest is written; never, when there is none. Cancelling it loses nothing.
    pub(crate) async fn write_rest(&mut self) {
        let Some(pipe) = &self.pipe else {
            return std::future::pending().await;
        };
        while let Ok(mut guard) = pipe.writable().await {
            match guard.try_io(|pipe| write_some(pipe.get_ref(), self.rest)) {
                Ok(Ok(rest)) => self.rest = rest,
                // The program does not want the rest.
                Ok(Err(_)) => break,
                Err(_) => {}
            }
            if self.rest.is_empty() {
                break;
            }
        }
        self.pipe = None;
    }
}

/// Writes what the pipe takes, and returns what it does not.
fn write_some<'a>(pipe: &OwnedFd, content: &'a [u8]) -> io::Result<&'a [u8]> {
    let mut rest = content;
    while !rest.is_empty() {
        match nix::unistd::write(pipe, rest) {
            Ok(len) => rest = &rest[len..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) if rest.len() < content.len() => return Ok(rest),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(rest)
}
