//! The system calls with which pid 1 watches its sandbox: seccomp's notifications, signals as a descriptor.
//!
//! Owns the kernel's structures of these; it decides nothing.

use core::ffi::{CStr, c_int};
use core::mem::size_of;

use syscalls::{Sysno, syscall};

use super::{Errno, Fd, Result, retry};

/// `struct seccomp_notif` of seccomp_unotify(2), with `struct seccomp_data` as the words that a filter loads.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Notification {
    id: u64,
    pid: u32,
    flags: u32,
    /// The call as the filter saw it: number, architecture, instruction pointer, arguments.
    pub(crate) data: [u32; 16],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// `SECCOMP_IOCTL_NOTIF_RECV` and `_SEND` of linux/seccomp.h: `_IOWR('!', 0 and 1, ...)`.
const NOTIF_RECV: u32 = notification_request(0, size_of::<Notification>());
const NOTIF_SEND: u32 = notification_request(1, size_of::<Response>());

/// `SECCOMP_IOCTL_NOTIF_SET_FLAGS` and its one flag, of Linux 6.6: who answers runs on the processor of who waits.
const NOTIF_SET_FLAGS: u32 = 0x4008_2104;
const SYNC_WAKE_UP: u64 = 1;

const fn notification_request(number: u32, size: usize) -> u32 {
    const READ_WRITE: u32 = 3;
    (READ_WRITE << 30) | ((size as u32) << 16) | ((b'!' as u32) << 8) | number
}

/// Installs a filter for the caller and what it makes, by seccomp(2).
pub(crate) fn install_filter(program: &[libc::sock_filter]) -> Result<()> {
    set_filter(program, 0).map(drop)
}

/// The same with a descriptor that tells of each call for which the filter says `SECCOMP_RET_USER_NOTIF`, and
/// closes at execve(2).
pub(crate) fn install_notifying_filter(program: &[libc::sock_filter]) -> Result<Fd> {
    set_filter(program, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)
}

fn set_filter(program: &[libc::sock_filter], flags: libc::c_ulong) -> Result<Fd> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno(libc::EINVAL))?,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the filter from user memory and never writes to it (seccomp(2)).
    unsafe { call!(seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) }.map(|fd| fd as Fd)
}

/// The next call that waits for an answer. The listener must be readable: for one that nobody uses any more, kernels
/// before 6.11 would wait for ever (seccomp_unotify(2), "BUGS").
///
/// # Errors
/// `ENOENT` when its process has ended or was interrupted meanwhile.
pub(crate) fn receive_notification(listener: Fd) -> Result<Notification> {
    let mut notification = Notification { id: 0, pid: 0, flags: 0, data: [0; 16] };
    // SAFETY: the kernel writes one structure of the size that the request's number says.
    retry(|| unsafe { call!(ioctl, listener, NOTIF_RECV, &raw mut notification) })?;
    Ok(notification)
}

/// Makes answers come sooner, where the kernel can.
pub(crate) fn answer_at_once(listener: Fd) {
    // SAFETY: takes no memory. Older kernels refuse it, and answer a little later.
    let _ = unsafe { call!(ioctl, listener, NOTIF_SET_FLAGS, SYNC_WAKE_UP) };
}

/// Lets the call fail with `errno`; it is never carried out.
///
/// # Errors
/// `ENOENT` when its process has ended, or was interrupted and will make the call again.
pub(crate) fn answer_notification(
    listener: Fd,
    notification: &Notification,
    Errno(errno): Errno,
) -> Result<()> {
    let response = Response { id: notification.id, value: 0, error: -errno, flags: 0 };
    // SAFETY: the kernel reads one structure of the size that the request's number says.
    retry(|| unsafe { call!(ioctl, listener, NOTIF_SEND, &raw const response) }).map(drop)
}

/// Lets the caller meet files, and what proc(5) says of processes, as this user and group, by setfsgid(2) and
/// setfsuid(2); for all else it stays who it is. Where that fails, it is told less.
pub(crate) fn see_files_as(id: u32) {
    // A member of the host's group 0 would be shown processes of which it may know little (`hidepid` of proc(5)).
    // SAFETY: with a size of 0 no list is read. The others take numbers, and tell by no error whether they had an
    // effect.
    let _ = unsafe { (call!(setgroups, 0, 0), call!(setfsgid, id), call!(setfsuid, id)) };
}

/// A descriptor that is readable while `signal` is pending, by signalfd4(2). The signal is blocked from then on.
pub(crate) fn signal_descriptor(signal: c_int) -> Result<Fd> {
    let set: u64 = 1 << (signal - 1);
    let (block, size) = (libc::SIG_BLOCK, size_of::<u64>());
    // SAFETY: the kernel reads one set of 64 signals.
    unsafe { call!(rt_sigprocmask, block, &raw const set, 0, size) }?;
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: as above. The first argument is -1, for a new descriptor.
    unsafe { call!(signalfd4, usize::MAX, &raw const set, size, flags) }.map(|fd| fd as Fd)
}

/// Takes a pending signal from its descriptor, by read(2).
pub(crate) fn take_signal(fd: Fd) -> Result<()> {
    let mut info = [0u8; size_of::<libc::signalfd_siginfo>()];
    super::read(fd, &mut info).map(drop)
}

/// What poll(2) says of a descriptor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Nothing yet.
    Waiting,
    /// Something can be read.
    Readable,
    /// Nothing can be read, now or ever.
    Closed,
}

/// Waits until there is something to say of one of two descriptors, by ppoll(2).
pub(crate) fn wait_for_either(fds: [Fd; 2]) -> Result<[Readiness; 2]> {
    let mut polled = fds.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    // SAFETY: the kernel reads and writes two `pollfd`. No time limit and no signal set are given.
    retry(|| unsafe { call!(ppoll, polled.as_mut_ptr(), polled.len(), 0, 0, 0) })?;
    Ok(polled.map(|polled| match polled.revents {
        0 => Readiness::Waiting,
        events if events & libc::POLLIN != 0 => Readiness::Readable,
        events if events & libc::POLLHUP != 0 => Readiness::Closed,
        // An interrupted look, or a descriptor without a meaning: it is asked again.
        _ => Readiness::Waiting,
    }))
}

/// Two `SOCK_SEQPACKET` sockets that are connected, by socketpair(2).
pub(crate) fn socket_pair() -> Result<(Fd, Fd)> {
    let mut ends: [Fd; 2] = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the kernel writes two descriptors.
    unsafe { call!(socketpair, libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) }?;
    Ok((ends[0], ends[1]))
}

/// A file in memory of `len` zero bytes, by memfd_create(2) and ftruncate(2).
pub(crate) fn memory_file(name: &CStr, len: usize) -> Result<Fd> {
    // SAFETY: the name is NUL-terminated and lives through the call.
    let fd = unsafe { call!(memfd_create, name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_NOEXEC_SEAL) };
    let fd = match fd {
        // Linux before 6.3 does not know the seal.
        // SAFETY: as above.
        Err(Errno(libc::EINVAL)) => unsafe { call!(memfd_create, name.as_ptr(), libc::MFD_CLOEXEC) },
        fd => fd,
    }? as Fd;
    // SAFETY: takes no memory.
    unsafe { call!(ftruncate, fd, len) }?;
    Ok(fd)
}

/// pread64(2), once.
pub(crate) fn read_at(fd: Fd, bytes: &mut [u8], offset: usize) -> Result<()> {
    // SAFETY: the kernel writes into the slice, at most its length.
    retry(|| unsafe { call!(pread64, fd, bytes.as_mut_ptr(), bytes.len(), offset) }).map(drop)
}

/// pwrite64(2), once.
pub(crate) fn write_at(fd: Fd, bytes: &[u8], offset: usize) -> Result<()> {
    // SAFETY: the kernel reads the slice.
    retry(|| unsafe { call!(pwrite64, fd, bytes.as_ptr(), bytes.len(), offset) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_numbers_of_the_kernels_header() {
        assert_eq!((NOTIF_RECV, NOTIF_SEND), (0xc050_2100, 0xc018_2101));
    }
}
