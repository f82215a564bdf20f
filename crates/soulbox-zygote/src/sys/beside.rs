//! A process that shares this one's memory until it executes another program, and a copy of this one that it makes.
//!
//! Owns the change of stacks: the process beside the caller has one of its own, and a copy of memory that it forks goes
//! on where the caller stands still meanwhile, as after a fork of the caller's own.

use core::arch::{asm, naked_asm};
use core::cell::UnsafeCell;
use core::mem::size_of;
use core::ptr;

use syscalls::{Sysno, syscall};

use super::{Errno, Fd, Result, map_memory};

/// More than the deepest call needs: paths and lists of descriptors lie on the stack.
const STACK_LEN: usize = 256 << 10;

/// What [`clone_beside`] returns in.
pub(crate) enum Beside {
    /// The caller, when the process has executed another program or ended; with its pidfd.
    Caller(Fd),
    /// A copy of the caller, by [`Stack::go_on`].
    Copy,
}

/// The stack of processes beside this one, of which there is one at a time.
pub(crate) struct Stack {
    memory: &'static mut [u8],
    /// Where the caller of [`clone_beside`] stands still: the top of its own stack.
    caller: UnsafeCell<usize>,
}

impl Stack {
    pub(crate) fn new() -> Result<Self> {
        Ok(Stack { memory: map_memory(STACK_LEN, false)?, caller: UnsafeCell::new(0) })
    }

    /// Goes on as a copy of the caller of [`clone_beside`], which returns once more.
    ///
    /// # Safety
    /// The process is a copy that a process beside that caller has forked, while the caller stood still.
    pub(crate) unsafe fn go_on(&self) -> ! {
        // SAFETY: by this function's contract the copied stack is as `clone_and_enter` has left it.
        unsafe { return_as_copy(*self.caller.get()) }
    }
}

/// Runs `entry` in a new process with this one's memory and a stack of its own, by clone3(2) with `CLONE_VM` and
/// `CLONE_VFORK`: the caller stands still until that process has executed another program or ended. What `entry` can
/// write of this memory is what `data` lets it.
///
/// The process is no thread, and has none of what a libc wants of one. It must not be in a memory cgroup other than the
/// caller's: when the kernel ends a process for lack of memory, it ends all that share its memory.
pub(crate) fn clone_beside<T>(
    flags: u64,
    stack: &Stack,
    entry: extern "C" fn(&T) -> !,
    data: &T,
) -> Result<Beside> {
    let mut pidfd: Fd = -1;
    // SAFETY: all-zero is a valid `clone_args` (clone(2)): no cgroup, nothing to be cleared.
    let mut args: libc::clone_args = unsafe { core::mem::zeroed() };
    args.flags = flags | (libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    args.pidfd = &raw mut pidfd as u64;
    args.stack = stack.memory.as_ptr() as u64;
    args.stack_size = stack.memory.len() as u64;
    // SAFETY: `entry` takes a pointer that is valid for as long as the caller stands still, which is as long as the
    // new process has this memory; the stack is used by nobody else meanwhile, since this is the only thread that
    // clones. The place for the stack's top is written before the clone.
    let result = unsafe {
        clone_and_enter(
            &raw const args,
            size_of::<libc::clone_args>(),
            entry as *const (),
            ptr::from_ref(data).cast(),
            stack.caller.get(),
        )
    };
    match result {
        0 => Ok(Beside::Copy),
        1.. => Ok(Beside::Caller(pidfd)),
        errno => Err(Errno(-errno as i32)),
    }
}

/// clone3(2), whose child calls `entry(data)` on its stack. In the caller it returns what the call does, and in a copy
/// 0, by [`return_as_copy`].
#[unsafe(naked)]
unsafe extern "C" fn clone_and_enter(
    args: *const libc::clone_args,
    size: usize,
    entry: *const (),
    data: *const (),
    caller: *mut usize,
) -> isize {
    naked_asm!(
        "push rbp", "push rbx", "push r12", "push r13", "push r14", "push r15",
        "mov [r8], rsp",
        "mov r12, rdx",
        "mov r13, rcx",
        "mov eax, {clone3}",
        "syscall",
        "test rax, rax",
        "jz 2f",
        "3:",
        "pop r15", "pop r14", "pop r13", "pop r12", "pop rbx", "pop rbp",
        "ret",
        "2:",
        "xor ebp, ebp",
        "mov rdi, r13",
        "call r12",
        "ud2",
        clone3 = const libc::SYS_clone3,
    )
}

/// Takes up the registers that [`clone_and_enter`] has left on the stack, and returns 0 from it.
#[unsafe(naked)]
unsafe extern "C" fn return_as_copy(stack: usize) -> ! {
    naked_asm!(
        "mov rsp, rdi",
        "xor eax, eax",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// Keeps a descriptor open over execve(2), by fcntl(2).
pub(crate) fn keep_over_exec(fd: Fd) -> Result<()> {
    // SAFETY: takes no memory.
    unsafe { call!(fcntl, fd, libc::F_SETFD, 0) }.map(drop)
}

/// Registers the area of restartable sequences that the calling thread's libc has registered in another process, of
/// which this one has a copy, by rseq(2): a fork keeps a registration, but not one by way of a process that shares its
/// parent's memory. Does nothing where the libc has none.
pub(crate) fn restart_rseq() -> Result<()> {
    /// `RSEQ_SIG` of glibc on x86-64, and the size of the first version of the area, which every kernel takes.
    const SIGNATURE: u32 = 0x5305_3053;
    const LEN: u32 = 32;
    let (offset, size): (*const isize, *const u32);
    // SAFETY: looks up the addresses of two variables that glibc has since 2.35 (its manual, "Restartable Sequences"),
    // null in a program without them.
    unsafe {
        asm!(".weak __rseq_offset", "mov {}, qword ptr [rip + __rseq_offset@GOTPCREL]",
            ".weak __rseq_size", "mov {}, qword ptr [rip + __rseq_size@GOTPCREL]",
            out(reg) offset, out(reg) size, options(pure, nomem, nostack, preserves_flags));
    }
    if offset.is_null() || size.is_null() {
        return Ok(());
    }
    // SAFETY: they are never written to after the start of the program.
    let (offset, size) = unsafe { (offset.read(), size.read()) };
    if size == 0 {
        // It is not registered: the kernel has none, or the user wants none.
        return Ok(());
    }
    let area = super::thread_pointer().wrapping_add_signed(offset);
    // SAFETY: the area is the libc's for this thread, and large enough for the kernel to write to.
    match unsafe { call!(rseq, area, LEN, 0, SIGNATURE) } {
        Ok(_) | Err(Errno(libc::EBUSY)) => Ok(()),
        Err(errno) => Err(errno),
    }
}
