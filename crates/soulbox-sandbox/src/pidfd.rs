//! The process that a sandbox lives and dies with.
//!
//! Owns its end: nobody who holds it can forget to end it.

use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

use crate::sys;

/// pid 1 of the sandbox: every other process ends with it (pid_namespaces(7)).
#[derive(Debug)]
pub(crate) struct KillOnDrop(pub(crate) AsyncFd<OwnedFd>);

impl KillOnDrop {
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
