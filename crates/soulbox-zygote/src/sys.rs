//! System calls without a libc: one small function for each, with its types and its manual's name.
//!
//! Owns all `unsafe` around system calls; it knows nothing of sandboxes.

use core::arch::asm;
use core::ffi::CStr;
use core::mem::size_of;
use core::ptr;

use libc::c_int;
use syscalls::{Sysno, raw_syscall, syscall};

use crate::libc_thread::LibcThread;

/// An `errno`, as in errno(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

pub(crate) type Result<T> = core::result::Result<T, Errno>;

/// A raw descriptor. Ownership is not tracked: after a fork every table is a copy, and each process of a
/// sandbox closes what it does not keep by close_range(2).
pub(crate) type Fd = c_int;

/// Makes a system call and turns its result into one of ours.
macro_rules! call {
    ($nr:ident $(, $arg:expr)*) => {
        syscall!(Sysno::$nr $(, $arg)*).map_err(|errno| Errno(errno.into_raw()))
    };
}

mod beside;
mod code;
mod rights;
mod watch;

pub(crate) use beside::{Beside, Stack, clone_beside, keep_over_exec, restart_rseq};
pub(crate) use code::forget_code;
pub(crate) use rights::{become_user, inherit_capabilities, set_capabilities};

pub(crate) use watch::{
    Notification, Readiness, answer_at_once, answer_notification, install_filter, install_notifying_filter,
    memory_file, read_at, receive_notification, see_files_as, signal_descriptor, socket_pair, take_signal,
    wait_for_either, write_at,
};

/// What a process is after a clone.
pub(crate) enum Cloned {
    Parent,
    Child,
}

/// clone3(2) as fork(2): a copy of the caller on the same stack.
pub(crate) fn clone3(thread: LibcThread) -> Result<Cloned> {
    // SAFETY: all-zero is a valid `clone_args` (clone(2)): no stack, no pidfd, no cgroup.
    let mut args: libc::clone_args = unsafe { core::mem::zeroed() };
    args.exit_signal = libc::SIGCHLD as u64;
    if !thread.cleared.is_null() {
        args.flags |= libc::CLONE_CHILD_CLEARTID as u64;
        args.child_tid = thread.cleared as u64;
    }
    // SAFETY: without CLONE_VM the child gets a copy of this memory, stack included, and returns here on
    // it; the kernel only reads the structure.
    match unsafe { call!(clone3, &raw const args, size_of::<libc::clone_args>()) }? {
        0 => {
            if !thread.id.is_null() {
                // SAFETY: the copy of a place that held the id of the thread that was copied.
                unsafe { thread.id.write_volatile(thread_id()) };
            }
            Ok(Cloned::Child)
        }
        _ => Ok(Cloned::Parent),
    }
}

/// The libc's slot for the thread's id, from `PR_GET_TID_ADDRESS` of prctl(2); null where the kernel was
/// built without it.
pub(crate) fn tid_slot() -> *mut c_int {
    let mut slot: *mut c_int = ptr::null_mut();
    // SAFETY: the kernel writes one pointer to the place given.
    match unsafe { call!(prctl, libc::PR_GET_TID_ADDRESS, &raw mut slot) } {
        Ok(_) => slot,
        Err(_) => ptr::null_mut(),
    }
}

/// A thread of this process on another's stack, which it leaves by a function's return. It has the thread
/// pointer and the place of its id that the other had, so that the libc takes it for that one.
///
/// # Safety
/// On top of the stack is the address to go on at, and nobody else runs on that stack.
pub(crate) unsafe fn clone_thread(stack: usize, tls: usize, tid_slot: usize) -> Result<()> {
    const FLAGS: c_int = libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_FILES
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SYSVSEM
        | libc::CLONE_SETTLS
        | libc::CLONE_PARENT_SETTID
        | libc::CLONE_CHILD_CLEARTID;
    let result: isize;
    // SAFETY: clone(2). The new thread starts after `syscall` with 0 and leaves this code by `ret`; the
    // caller goes on with another value. Both slots are where that thread's libc has them.
    unsafe {
        asm!("syscall", "test rax, rax", "jnz 2f", "ret", "2:",
            inlateout("rax") libc::SYS_clone as isize => result,
            in("rdi") FLAGS, in("rsi") stack, in("rdx") tid_slot, in("r10") tid_slot, in("r8") tls,
            lateout("rcx") _, lateout("r11") _);
    }
    if result < 0 { Err(Errno(-result as i32)) } else { Ok(()) }
}

/// The calling thread's pointer to its libc's data, by arch_prctl(2).
pub(crate) fn thread_pointer() -> usize {
    const ARCH_GET_FS: c_int = 0x1003;
    let mut pointer = 0usize;
    // SAFETY: the kernel writes one address. It cannot fail with this request.
    let _ = unsafe { call!(arch_prctl, ARCH_GET_FS, &raw mut pointer) };
    pointer
}

/// getpid(2).
pub(crate) fn process_id() -> c_int {
    // SAFETY: takes no memory and cannot fail.
    unsafe { call!(getpid) }.map_or(0, |pid| pid as c_int)
}

/// gettid(2).
pub(crate) fn thread_id() -> c_int {
    // SAFETY: takes no memory and cannot fail.
    unsafe { call!(gettid) }.map_or(0, |tid| tid as c_int)
}

/// tgkill(2).
pub(crate) fn signal_thread(process: c_int, thread: c_int, signal: c_int) -> Result<()> {
    // SAFETY: takes no memory.
    unsafe { call!(tgkill, process, thread, signal) }.map(drop)
}

/// sched_yield(2).
pub(crate) fn yield_now() {
    // SAFETY: takes no memory and cannot fail.
    let _ = unsafe { call!(sched_yield) };
}

/// pause(2).
pub(crate) fn pause() {
    // SAFETY: takes no memory. It returns with an error, after a signal.
    let _ = unsafe { call!(pause) };
}

/// getrandom(2).
pub(crate) fn random_bytes(bytes: &mut [u8]) -> Result<()> {
    // SAFETY: the kernel writes into the slice. Up to 256 bytes come whole.
    retry(|| unsafe { call!(getrandom, bytes.as_mut_ptr(), bytes.len(), 0) }).map(drop)
}

/// Lets forks inherit all memory, also what was marked with `MADV_DONTFORK`, by madvise(2).
pub(crate) fn inherit_all_memory() {
    /// The user's half of the address space.
    const WHOLE: usize = (1 << 47) - 4096;
    // SAFETY: changes no memory here. It goes through all mappings and then says ENOMEM for the gaps.
    let _ = unsafe { call!(madvise, 0, WHOLE, libc::MADV_DOFORK) };
}

/// Has the kernel count the cpu time of this process until now, also in its cgroup, by clock_gettime(2) of its
/// clock: else it counts what runs only now and then.
pub(crate) fn count_cpu_time() {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec`. It cannot fail with this clock.
    let _ = unsafe { call!(clock_gettime, libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
}

/// exit_group(2).
pub(crate) fn exit_group(status: c_int) -> ! {
    loop {
        // SAFETY: takes no memory and does not return.
        unsafe { raw_syscall!(Sysno::exit_group, status) };
    }
}

/// The kernel's `struct sigaction`, which is not libc's.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct SignalAction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

impl SignalAction {
    /// `handler` with every signal blocked meanwhile; it returns to `restorer`.
    pub(crate) fn handler(handler: usize, restorer: usize) -> Self {
        const SA_RESTORER: u64 = 0x0400_0000;
        SignalAction { handler, flags: SA_RESTORER | libc::SA_RESTART as u64, restorer, mask: u64::MAX }
    }
}

/// Sets the action of a signal and tells the one before, by rt_sigaction(2).
pub(crate) fn exchange_signal_action(signal: c_int, new: &SignalAction) -> Result<SignalAction> {
    let mut old = SignalAction { handler: 0, flags: 0, restorer: 0, mask: 0 };
    // SAFETY: the kernel reads one structure and writes another.
    unsafe { call!(rt_sigaction, signal, ptr::from_ref(new), &raw mut old, size_of::<u64>()) }?;
    Ok(old)
}

/// Sets the action of a signal to `SIG_DFL` or `SIG_IGN`, neither of which has code that needs a restorer.
pub(crate) fn set_signal(signal: c_int, action: libc::sighandler_t) -> Result<()> {
    let new = SignalAction { handler: action, flags: 0, restorer: 0, mask: 0 };
    exchange_signal_action(signal, &new).map(drop)
}

/// Gives every signal its default action and blocks none, as a shell does for its commands.
pub(crate) fn reset_signals() -> Result<()> {
    /// The signals of the kernel are numbered from 1 to this one (signal(7)).
    const LAST: c_int = 64;
    for signal in (1..=LAST).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        set_signal(signal, libc::SIG_DFL)?;
    }
    let none: u64 = 0;
    // SAFETY: the kernel reads one set of 64 signals.
    unsafe { call!(rt_sigprocmask, libc::SIG_SETMASK, &raw const none, 0, size_of::<u64>()) }.map(drop)
}

/// kill(2).
pub(crate) fn kill(pid: c_int, signal: c_int) -> Result<()> {
    // SAFETY: takes no memory.
    unsafe { call!(kill, pid, signal) }.map(drop)
}

/// How a child ended.
pub(crate) struct Ended {
    pub(crate) pid: c_int,
    pub(crate) status: c_int,
    pub(crate) signaled: bool,
}

/// waitid(2) for the end of any child.
pub(crate) fn wait_any() -> Result<Ended> {
    wait(0)
}

/// waitid(2) for the end of any child that has ended already. `None` when none has.
pub(crate) fn reap_any() -> Result<Option<Ended>> {
    wait(libc::WNOHANG).map(|ended| Some(ended).filter(|ended| ended.pid != 0))
}

fn wait(flags: c_int) -> Result<Ended> {
    // SAFETY: all-zero is a valid `siginfo_t`, which is plain numbers.
    let mut info: libc::siginfo_t = unsafe { core::mem::zeroed() };
    // SAFETY: the kernel writes one `siginfo_t`.
    retry(|| unsafe { call!(waitid, libc::P_ALL, 0, &raw mut info, libc::WEXITED | flags, 0) })?;
    // SAFETY: waitid(2) fills the fields of SIGCHLD when it succeeds; zeros stay where no child has ended.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    Ok(Ended { pid, status, signaled: info.si_code != libc::CLD_EXITED })
}

/// Repeats a call that a signal has interrupted.
pub(crate) fn retry<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(Errno(libc::EINTR)) => {}
            result => return result,
        }
    }
}

/// unshare(2).
pub(crate) fn unshare(flags: c_int) -> Result<()> {
    // SAFETY: takes no memory.
    unsafe { call!(unshare, flags) }.map(drop)
}

/// setns(2).
pub(crate) fn enter_namespace(fd: Fd, kind: c_int) -> Result<()> {
    // SAFETY: takes no memory.
    unsafe { call!(setns, fd, kind) }.map(drop)
}

/// mount(2). An empty string stands for an argument that the kind of mount ignores.
pub(crate) fn mount(
    source: &CStr,
    target: &CStr,
    fstype: &CStr,
    flags: libc::c_ulong,
    data: &CStr,
) -> Result<()> {
    // SAFETY: all four are NUL-terminated and live through the call.
    unsafe { call!(mount, source.as_ptr(), target.as_ptr(), fstype.as_ptr(), flags, data.as_ptr()) }.map(drop)
}

/// mkdirat(2).
pub(crate) fn mkdir(path: &CStr, mode: libc::mode_t) -> Result<()> {
    // SAFETY: the path is NUL-terminated and lives through the call.
    unsafe { call!(mkdirat, libc::AT_FDCWD, path.as_ptr(), mode) }.map(drop)
}

/// fchownat(2), following no link.
pub(crate) fn chown(path: &CStr, id: u32) -> Result<()> {
    // SAFETY: the path is NUL-terminated and lives through the call.
    unsafe { call!(fchownat, libc::AT_FDCWD, path.as_ptr(), id, id, libc::AT_SYMLINK_NOFOLLOW) }.map(drop)
}

/// openat(2), always with `O_CLOEXEC`.
pub(crate) fn open(path: &CStr, flags: c_int, mode: libc::mode_t) -> Result<Fd> {
    // SAFETY: the path is NUL-terminated and lives through the call.
    unsafe { call!(openat, libc::AT_FDCWD, path.as_ptr(), flags | libc::O_CLOEXEC, mode) }.map(|fd| fd as Fd)
}

/// read(2), once.
pub(crate) fn read(fd: Fd, bytes: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes into the slice, at most its length.
    retry(|| unsafe { call!(read, fd, bytes.as_mut_ptr(), bytes.len()) })
}

/// write(2), once.
pub(crate) fn write(fd: Fd, bytes: &[u8]) -> Result<usize> {
    // SAFETY: the kernel reads the slice.
    retry(|| unsafe { call!(write, fd, bytes.as_ptr(), bytes.len()) })
}

/// close(2).
pub(crate) fn close(fd: Fd) {
    // SAFETY: takes no memory. The result says nothing that could be acted on: the descriptor is gone.
    let _ = unsafe { call!(close, fd) };
}

/// close_range(2), both ends included.
pub(crate) fn close_range(first: Fd, last: Fd) -> Result<()> {
    // SAFETY: takes no memory.
    unsafe { call!(close_range, first, last, 0) }.map(drop)
}

/// A copy of a descriptor at the lowest free number, which closes at execve(2), by fcntl(2).
pub(crate) fn dup(fd: Fd) -> Result<Fd> {
    // SAFETY: takes no memory.
    unsafe { call!(fcntl, fd, libc::F_DUPFD_CLOEXEC, 0) }.map(|fd| fd as Fd)
}

/// dup3(2). Without `O_CLOEXEC` the copy stays open over execve(2).
pub(crate) fn dup_to(fd: Fd, target: Fd, flags: c_int) -> Result<()> {
    // SAFETY: takes no memory.
    unsafe { call!(dup3, fd, target, flags) }.map(drop)
}

/// pipe2(2): the reading and the writing end.
pub(crate) fn pipe(flags: c_int) -> Result<(Fd, Fd)> {
    let mut ends: [Fd; 2] = [-1; 2];
    // SAFETY: the kernel writes two descriptors.
    unsafe { call!(pipe2, ends.as_mut_ptr(), flags) }?;
    Ok((ends[0], ends[1]))
}

/// eventfd2(2), with nothing counted.
pub(crate) fn event_fd(flags: c_int) -> Result<Fd> {
    // SAFETY: takes no memory.
    unsafe { call!(eventfd2, 0, flags) }.map(|fd| fd as Fd)
}

/// epoll_create1(2).
pub(crate) fn epoll_create(flags: c_int) -> Result<Fd> {
    // SAFETY: takes no memory.
    unsafe { call!(epoll_create1, flags) }.map(|fd| fd as Fd)
}

/// epoll_ctl(2) with `EPOLL_CTL_ADD`.
pub(crate) fn epoll_add(epoll: Fd, fd: Fd, events: u32, data: u64) -> Result<()> {
    let event = libc::epoll_event { events, u64: data };
    // SAFETY: the kernel reads one `epoll_event`.
    unsafe { call!(epoll_ctl, epoll, libc::EPOLL_CTL_ADD, fd, &raw const event) }.map(drop)
}

/// How many bytes lie in a pipe, by the `FIONREAD` request of ioctl(2).
pub(crate) fn bytes_to_read(fd: Fd) -> Result<usize> {
    let mut count: c_int = 0;
    // SAFETY: the kernel writes one number.
    unsafe { call!(ioctl, fd, libc::FIONREAD, &raw mut count) }?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// readlinkat(2).
pub(crate) fn read_link<'b>(path: &CStr, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    // SAFETY: the path is NUL-terminated, and the kernel writes into the buffer, at most its length.
    let len = unsafe { call!(readlinkat, libc::AT_FDCWD, path.as_ptr(), buffer.as_mut_ptr(), buffer.len()) }?;
    Ok(&buffer[..len])
}

/// The start of a file, as one read(2) gives it.
pub(crate) fn read_file<'b>(path: &CStr, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    let fd = open(path, libc::O_RDONLY, 0)?;
    let len = read(fd, buffer);
    close(fd);
    Ok(&buffer[..len?])
}

/// Calls `visit` with every name in a directory that is a number, as getdents64(2) lists them.
pub(crate) fn each_number_in(directory: &CStr, mut visit: impl FnMut(c_int) -> Result<()>) -> Result<()> {
    /// Where a `struct linux_dirent64` has its length and its name.
    const LENGTH_AT: usize = 16;
    const NAME_AT: usize = 19;
    let fd = open(directory, libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    let mut buffer = [0u8; 4096];
    loop {
        // SAFETY: the kernel writes into the buffer, at most its length.
        let len = unsafe { call!(getdents64, fd, buffer.as_mut_ptr(), buffer.len()) }?;
        if len == 0 {
            close(fd);
            return Ok(());
        }
        let mut entries = &buffer[..len];
        while entries.len() > NAME_AT {
            let entry_len = usize::from(u16::from_le_bytes([entries[LENGTH_AT], entries[LENGTH_AT + 1]]));
            let (entry, rest) = entries.split_at_checked(entry_len).ok_or(Errno(libc::EBADMSG))?;
            entries = rest;
            let name = entry.get(NAME_AT..).and_then(|name| CStr::from_bytes_until_nul(name).ok());
            match name.and_then(|name| name.to_str().ok()).and_then(|name| name.parse().ok()) {
                Some(number) if number != fd => visit(number)?,
                _ => {}
            }
        }
    }
}

/// sethostname(2).
pub(crate) fn set_hostname(name: &[u8]) -> Result<()> {
    // SAFETY: the kernel reads the slice.
    unsafe { call!(sethostname, name.as_ptr(), name.len()) }.map(drop)
}

/// Brings an interface up by the `SIOCGIFFLAGS` and `SIOCSIFFLAGS` requests of netdevice(7).
pub(crate) fn interface_up(name: &[u8]) -> Result<()> {
    // SAFETY: takes no memory.
    let socket = unsafe { call!(socket, libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) }? as Fd;
    // SAFETY: all-zero is a valid `ifreq`, which is plain bytes.
    let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the kernel reads one `ifreq`.
    let result = unsafe { call!(ioctl, socket, libc::SIOCSIFFLAGS, &raw const request) };
    close(socket);
    result.map(drop)
}

/// setsid(2).
pub(crate) fn set_session() -> Result<()> {
    // SAFETY: takes no memory.
    unsafe { call!(setsid) }.map(drop)
}

/// umask(2).
pub(crate) fn set_umask(mask: libc::mode_t) {
    // SAFETY: takes no memory and cannot fail.
    let _ = unsafe { call!(umask, mask) };
}

/// chdir(2).
pub(crate) fn change_directory(path: &CStr) -> Result<()> {
    // SAFETY: the path is NUL-terminated and lives through the call.
    unsafe { call!(chdir, path.as_ptr()) }.map(drop)
}

/// prlimit(2) on the caller.
pub(crate) fn set_rlimit(resource: c_int, soft: u64, hard: u64) -> Result<()> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the kernel reads one `rlimit64`.
    unsafe { call!(prlimit64, 0, resource, &raw const limit, 0) }.map(drop)
}

/// prctl(2) for options that take one number.
pub(crate) fn prctl(option: c_int, value: u64) -> Result<()> {
    // SAFETY: used with options whose arguments are numbers, so that no memory is touched.
    unsafe { call!(prctl, option, value, 0, 0, 0) }.map(drop)
}

/// Maps `len` bytes of a file, private and read-only, by mmap(2). The mapping stays until the process ends.
pub(crate) fn map_file(fd: Fd, len: usize) -> Result<&'static [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    // SAFETY: the kernel chooses a free range, so that no memory in use is changed.
    let address =
        unsafe { call!(mmap, 0, len, libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_POPULATE, fd, 0) }?;
    // SAFETY: the mapping is `len` readable bytes and is not unmapped while the slice is in use. The file
    // is a memory file that the daemon has sealed against writing and shrinking.
    Ok(unsafe { core::slice::from_raw_parts(address as *const u8, len) })
}

/// Unmaps the whole pages of `bytes`, the end of a mapping made by [`map_file`], by munmap(2).
///
/// # Safety
/// Nobody may use `bytes` afterwards.
pub(crate) unsafe fn unmap_pages(bytes: &[u8]) {
    const PAGE: usize = 4096;
    let start = (bytes.as_ptr() as usize).next_multiple_of(PAGE);
    let end = bytes.as_ptr() as usize + bytes.len();
    if start < end {
        // SAFETY: by this function's contract; the range lies in one mapping. On failure it stays mapped.
        let _ = unsafe { call!(munmap, start, end - start) };
    }
}

/// `len` bytes of new memory, by mmap(2); populated at once where they will be needed soon.
pub(crate) fn map_memory(len: usize, populate: bool) -> Result<&'static mut [u8]> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | if populate { libc::MAP_POPULATE } else { 0 };
    // SAFETY: the kernel chooses a free range, so that no memory in use is changed.
    let address = unsafe { call!(mmap, 0, len, libc::PROT_READ | libc::PROT_WRITE, flags, usize::MAX, 0) }?;
    // SAFETY: the mapping is new, zero, and unmapped by nobody who does not own the slice.
    Ok(unsafe { core::slice::from_raw_parts_mut(address as *mut u8, len) })
}

/// New memory for the pointers that execve(2) wants.
pub(crate) fn map_pointers(len: usize) -> Result<&'static mut [*const u8]> {
    let memory = map_memory(len.max(1) * size_of::<*const u8>(), false)?;
    // SAFETY: the memory is zero (null pointers), large enough, page-aligned, and never unmapped.
    Ok(unsafe { core::slice::from_raw_parts_mut(memory.as_mut_ptr().cast(), len) })
}

/// execveat(2) of a descriptor where one is given, else execve(2) of the first argument. Returns only to tell
/// why it failed.
///
/// # Safety
/// Both slices end with a null pointer, and all pointers before it are NUL-terminated strings.
pub(crate) unsafe fn execute(fd: Option<Fd>, argv: &[*const u8], envp: &[*const u8]) -> Errno {
    let (argv, envp, empty) = (argv.as_ptr(), envp.as_ptr(), c"".as_ptr());
    let result = match fd {
        // SAFETY: by this function's contract; the path is the empty string.
        Some(fd) => unsafe { call!(execveat, fd, empty, argv, envp, libc::AT_EMPTY_PATH) },
        // SAFETY: by this function's contract. Without arguments the path is null, which the kernel refuses.
        None => unsafe { call!(execve, argv.read(), argv, envp) },
    };
    result.err().unwrap_or(Errno(0))
}

/// `CLOCK_MONOTONIC` in nanoseconds, by clock_gettime(2).
pub(crate) fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one `timespec`. It cannot fail with this clock.
    let _ = unsafe { call!(clock_gettime, libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// sendmsg(2) on a socket, without `SIGPIPE`.
pub(crate) fn send_message(socket: Fd, message: &libc::msghdr) -> Result<()> {
    // SAFETY: the caller's `msghdr` points to live buffers, which the kernel only reads.
    retry(|| unsafe { call!(sendmsg, socket, ptr::from_ref(message), libc::MSG_NOSIGNAL) }).map(drop)
}

/// recvmsg(2) on a socket; received descriptors close at execve(2). Returns the bytes received.
pub(crate) fn receive_message(socket: Fd, message: &mut libc::msghdr) -> Result<usize> {
    // SAFETY: the caller's `msghdr` points to live buffers of the sizes it says, which the kernel fills.
    retry(|| unsafe { call!(recvmsg, socket, ptr::from_mut(message), libc::MSG_CMSG_CLOEXEC) })
}
