//! One output stream of a program, read while it runs and never beyond its limit.
//!
//! Owns the read end of a pipe and the bytes kept of it.

use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::sys;

/// Bytes asked for at once; a pipe holds 64 KiB (pipe(7)).
const CHUNK: usize = 64 << 10;

/// What a program has written to one stream.
#[derive(Debug, Default)]
pub struct Output {
    /// The bytes, at most as many as the limit allows.
    pub bytes: Vec<u8>,
    /// Whether the program wrote more than that.
    pub truncated: bool,
}

/// A stream that is being read.
#[derive(Debug)]
pub(crate) struct OutputPipe {
    /// `None` when every writer has closed its end.
    pipe: Option<AsyncFd<OwnedFd>>,
    output: Output,
    limit: usize,
}

impl OutputPipe {
    /// A new pipe, of which nothing is kept yet; the second value is the program's end.
    pub(crate) fn new() -> io::Result<(Self, OwnedFd)> {
        let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        sys::open_to_all(&write)?;
        nix::fcntl::fcntl(&read, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let pipe = Some(sys::watch(read, Interest::READABLE)?);
        Ok((OutputPipe { pipe, output: Output::default(), limit: 0 }, write))
    }

    /// How many bytes are kept.
    pub(crate) fn set_limit(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    /// Reads what is there. Resolves with `true` when the limit is exceeded, for the first time only; never
    /// resolves once the stream has ended. Cancelling it loses nothing.
    pub(crate) async fn read_some(&mut self) -> io::Result<bool> {
        loop {
            let Some(pipe) = &self.pipe else {
                return std::future::pending().await;
            };
            let mut guard = pipe.readable().await?;
            let output = &mut self.output;
            match guard.try_io(|pipe| read_into(pipe.get_ref(), output, self.limit)) {
                Ok(Ok(Read::End)) => self.pipe = None,
                Ok(Ok(Read::Kept)) => return Ok(false),
                Ok(Ok(Read::Exceeded)) => return Ok(true),
                Ok(Ok(Read::Discarded)) | Err(_) => {}
                Ok(Err(error)) => return Err(error),
            }
        }
    }

    /// Reads what the pipe still holds after the last writer's end.
    pub(crate) fn finish(&mut self) -> Output {
        if let Some(pipe) = self.pipe.take() {
            while let Ok(Read::Kept | Read::Exceeded | Read::Discarded) =
                read_into(pipe.get_ref(), &mut self.output, self.limit)
            {}
        }
        std::mem::take(&mut self.output)
    }
}

enum Read {
    Kept,
    Exceeded,
    Discarded,
    End,
}

fn read_into(fd: &OwnedFd, output: &mut Output, limit: usize) -> io::Result<Read> {
    let mut chunk = [0; CHUNK];
    let len = match nix::unistd::read(fd, &mut chunk) {
        Ok(0) => return Ok(Read::End),
        Ok(len) => len,
        Err(Errno::EINTR) => return Ok(Read::Discarded),
        Err(errno) => return Err(errno.into()),
    };
    let kept = len.min(limit - output.bytes.len());
    output.bytes.extend_from_slice(&chunk[..kept]);
    if kept == len {
        return Ok(Read::Kept);
    }
    let first = !output.truncated;
    output.truncated = true;
    Ok(if first { Read::Exceeded } else { Read::Discarded })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn output_up_to_the_limit_is_kept_and_more_is_told_once() {
        let (mut output, write) = OutputPipe::new().unwrap();
        output.set_limit(5);
        nix::unistd::write(&write, b"hello").unwrap();
        assert!(!output.read_some().await.unwrap());
        nix::unistd::write(&write, b", world").unwrap();
        assert!(output.read_some().await.unwrap());
        nix::unistd::write(&write, b"and more").unwrap();
        drop(write);
        let output = output.finish();
        assert_eq!(output.bytes, b"hello");
        assert!(output.truncated);
    }

    #[tokio::test]
    async fn what_is_in_the_pipe_at_the_end_is_not_lost() {
        let (mut output, write) = OutputPipe::new().unwrap();
        output.set_limit(100);
        nix::unistd::write(&write, b"last words").unwrap();
        drop(write);
        let output = output.finish();
        assert_eq!(output.bytes, b"last words");
        assert!(!output.truncated);
    }
}
