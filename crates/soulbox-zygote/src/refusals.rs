//! The system calls that the seccomp filter refuses: answered by pid 1, and counted.
//!
//! The filter hands a refused call over (`SECCOMP_RET_USER_NOTIF` of seccomp(2)) instead of refusing it by itself,
//! so that the daemon can name it. pid 1 answers with the errno that the profile says, and never lets one through.
//! Calls that are allowed are not touched by it, and what refused ones cost is charged to the sandbox, where pid 1
//! is.

use core::ffi::c_int;

use soulbox_protocol::{FRAME_LEN, REFUSAL_SLOTS, SandboxMessage};

use crate::bpf;
use crate::socket;
use crate::sys::{self, Errno, Fd, Notification, Readiness, Result};

/// The two ends through which the main process hands the filter's listener to pid 1.
#[derive(Clone, Copy)]
pub(crate) struct Handover {
    /// pid 1's.
    pub(crate) receiver: Fd,
    /// The main process's.
    sender: Fd,
}

impl Handover {
    pub(crate) fn new() -> Result<Self> {
        sys::socket_pair().map(|(receiver, sender)| Handover { receiver, sender })
    }

    /// Closes both ends, where neither is needed.
    pub(crate) fn close(self) {
        sys::close(self.receiver);
        sys::close(self.sender);
    }

    /// Installs the last filter and hands its listener over. In a sandbox whose own host has a listener on it
    /// (a container with intercepted calls) the kernel allows no second: refused calls then fail with ENOSYS, and
    /// nobody counts them.
    pub(crate) fn install(self, filter: &[libc::sock_filter]) -> Result<()> {
        match sys::install_notifying_filter(filter) {
            Ok(listener) => socket::send(self.sender, [0; FRAME_LEN], &[listener]),
            Err(Errno(libc::EBUSY)) => sys::install_filter(filter),
            Err(errno) => Err(errno),
        }
    }
}

/// What pid 1 learns while it waits.
pub(crate) enum Event {
    /// The other descriptor is readable.
    Other,
    /// No process is left that the filter is in force for: each is on its way out, and runs nothing any more.
    NobodyLeft,
}

/// No descriptor, which no poll looks at.
const NONE: Fd = -1;

/// What pid 1 knows of refused calls.
pub(crate) struct Refusals {
    job_socket: Fd,
    /// The end from which the listener comes, and then the listener.
    source: Fd,
    is_listener: bool,
    filter: &'static [libc::sock_filter],
    /// The counts, where the daemon reads them, from the first refusal on.
    file: Option<Fd>,
}

impl Refusals {
    /// For pid 1, with its end of the [`Handover`].
    pub(crate) fn new(receiver: Fd, filter: &'static [libc::sock_filter], job_socket: Fd) -> Self {
        Refusals { job_socket, source: receiver, is_listener: false, filter, file: None }
    }

    /// Answers refused calls until `other` is readable, or nobody is left to make one.
    pub(crate) fn serve_until(&mut self, other: Fd) -> Result<Event> {
        loop {
            let [other, source] = sys::wait_for_either([other, self.source])?;
            match source {
                Readiness::Waiting => {}
                Readiness::Readable => self.serve(),
                Readiness::Closed => {
                    self.source = NONE;
                    if self.is_listener {
                        return Ok(Event::NobodyLeft);
                    }
                }
            }
            if other != Readiness::Waiting {
                return Ok(Event::Other);
            }
        }
    }

    fn serve(&mut self) {
        if self.is_listener {
            // An error says that the call's process has ended or was interrupted.
            if let Ok(notification) = sys::receive_notification(self.source) {
                self.refuse(&notification);
            }
            return;
        }
        let listener = match socket::receive(self.source) {
            Ok(Some(packet)) => packet.fds().first().copied(),
            _ => None,
        };
        sys::close(self.source);
        (self.source, self.is_listener) = (listener.unwrap_or(NONE), true);
    }

    fn refuse(&mut self, notification: &Notification) {
        let (number, errno) = (notification.data[0], errno_for(self.filter, &notification.data));
        // First, so that it is told whatever the program does with the answer. What cannot be told is not worth ending
        // a run for.
        let counted = self.count(number, 1).is_ok();
        // One that was interrupted comes again, and is counted then.
        if sys::answer_notification(self.source, notification, errno).is_err() && counted {
            let _ = self.count(number, -1);
        }
    }

    fn count(&mut self, number: u32, change: i32) -> Result<()> {
        let is_first = self.file.is_none();
        let file = match self.file {
            Some(file) => file,
            None => sys::memory_file(c"refusals", REFUSAL_SLOTS * size_of::<u32>())?,
        };
        self.file = Some(file);
        let offset = (number as usize).min(REFUSAL_SLOTS - 1) * size_of::<u32>();
        let mut count = [0; size_of::<u32>()];
        sys::read_at(file, &mut count, offset)?;
        let count = u32::from_le_bytes(count).saturating_add_signed(change);
        sys::write_at(file, &count.to_le_bytes(), offset)?;
        if is_first {
            sys::answer_at_once(self.source);
            socket::send(self.job_socket, SandboxMessage::Refusing.encode(), &[file])?;
        }
        Ok(())
    }
}

/// What the profile says to a call: the low half of the filter's verdict, as the daemon has compiled it.
fn errno_for(filter: &[libc::sock_filter], data: &[u32; 16]) -> Errno {
    match bpf::run(filter, data) {
        Some(verdict) if verdict & libc::SECCOMP_RET_ACTION_FULL == libc::SECCOMP_RET_USER_NOTIF => {
            Errno((verdict & libc::SECCOMP_RET_DATA) as c_int)
        }
        // The kernel has found otherwise, which cannot be: it is refused all the same.
        _ => Errno(libc::EPERM),
    }
}
