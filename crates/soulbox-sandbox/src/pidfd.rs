//! The process that a sandbox lives and dies with.
//!
//! Owns its end: nobody who holds it can forget to end it.

use std::os::fd::{AsFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::unix::AsyncFd;

use crate::sys;

/// pid 1 of the sandbox: every other process ends with it (pid_namespaces(7)).
#[derive(Debug)]
pub(crate) struct KillOnDrop(pub(crate) AsyncFd<OwnedFd>);

impl KillOnDrop {
    pub(crate) fn has_ended(&self) -> bool {
        // A pidfd is readable when its process has ended (pidfd_open(2)).
        let mut polled = [PollFd::new(self.0.get_ref().as_fd(), PollFlags::POLLIN)];
        poll(&mut polled, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    pub(crate) fn kill(&self) {
        if let Err(error) = sys::pidfd_kill(self.0.get_ref()) {
            tracing::error!(%error, "cannot end a sandbox");
        }
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        self.kill();
    }
}
