//! System calls that have no safe wrapper in nix, each as a small safe function. Owns this crate's `unsafe`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use libc::{c_int, c_long};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

fn check(result: c_long) -> io::Result<c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// pidfd_open(2).
pub(crate) fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the kernel has just made this descriptor for the caller.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as c_int) })
}

/// pidfd_send_signal(2) of `SIGKILL`. That the process has already ended is no error.
pub(crate) fn pidfd_kill(pidfd: impl AsFd) -> io::Result<()> {
    let fd = pidfd.as_fd().as_raw_fd();
    // SAFETY: without a siginfo no memory is touched.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, libc::SIGKILL, 0, 0) };
    match check(result) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        result => result.map(drop),
    }
}

/// fchmod(2) of a pipe, so that the program can open its streams again by name (`/dev/stdout`). A pipe is
/// made as its maker's, and the program is another user.
pub(crate) fn open_to_all(pipe: &OwnedFd) -> io::Result<()> {
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
    Ok(nix::sys::stat::fchmod(pipe, mode)?)
}

/// dup2(2) to a number that the caller owns: whatever was open there is closed. The copy stays open over
/// execve(2), for the process that is made next to find it at that number.
pub(crate) fn place_fd(fd: impl AsFd, number: c_int) -> io::Result<()> {
    // SAFETY: takes numbers only. Used in a process that has opened nothing at `number` itself.
    check(unsafe { libc::dup2(fd.as_fd().as_raw_fd(), number) }.into()).map(drop)
}

/// Gives a tmpfs another size, by fspick(2) and fsconfig(2) on a descriptor of the root of one of its mounts. It works
/// from another mount namespace too, for whoever has `CAP_SYS_ADMIN` over the mount's user namespace.
pub(crate) fn resize_tmpfs(mount: &OwnedFd, bytes: u64) -> io::Result<()> {
    const FSPICK_CLOEXEC: c_int = 1;
    const FSPICK_EMPTY_PATH: c_int = 8;
    const FSCONFIG_SET_STRING: c_int = 1;
    const FSCONFIG_CMD_RECONFIGURE: c_int = 7;
    let size = std::ffi::CString::new(bytes.to_string())?;
    let (mount, empty, flags) = (mount.as_raw_fd(), c"".as_ptr(), FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
    // SAFETY: the path is NUL-terminated and lives through the call.
    let context = check(unsafe { libc::syscall(libc::SYS_fspick, mount, empty, flags) })?;
    // SAFETY: the kernel has just made this descriptor for the caller.
    let context = unsafe { OwnedFd::from_raw_fd(context as c_int) };
    let (fd, key, value) = (context.as_raw_fd(), c"size".as_ptr(), size.as_ptr());
    // SAFETY: both texts are NUL-terminated and live through the call.
    check(unsafe { libc::syscall(libc::SYS_fsconfig, fd, FSCONFIG_SET_STRING, key, value, 0) })?;
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: this command takes no text.
    check(unsafe { libc::syscall(libc::SYS_fsconfig, fd, FSCONFIG_CMD_RECONFIGURE, none, none, 0) }).map(drop)
}

/// Gives back the memory of this program's code and constants, by madvise(2) with `MADV_DONTNEED`: what is needed again
/// comes from the page cache, where all of it stays. Most of what a server runs when it starts is never run again.
pub fn forget_code() {
    unsafe extern "C" {
        // Where the program begins in memory, and where its code ends: set by the linker (ld(1), "PROVIDE"). What a
        // loader writes to lies behind.
        static __executable_start: u8;
        static etext: u8;
    }
    const PAGE: usize = 4096;
    let (start, end) = (&raw const __executable_start as usize, &raw const etext as usize);
    let end = end - end % PAGE;
    if start.is_multiple_of(PAGE) && start < end {
        // SAFETY: the pages are of a file and nobody has written to them, so that they read the same afterwards. Where
        // it fails, they stay.
        let _ = unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
    }
}

/// Registers a descriptor with the runtime's epoll(7).
pub(crate) fn watch(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd names one open descriptor until it is dropped, which the AsyncFd does last.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(io::Error::from)
}

/// The instant at which `CLOCK_MONOTONIC` showed so many nanoseconds: an instant has no other source on
/// Linux, but no way to be made from a number either. One in the future counts as now.
pub(crate) fn instant_of(monotonic_ns: u64) -> Instant {
    let now = Instant::now();
    let Ok(clock) = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC) else { return now };
    let ago = Duration::from(clock).saturating_sub(Duration::from_nanos(monotonic_ns));
    now.checked_sub(ago).unwrap_or(now)
}
