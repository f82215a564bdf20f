//! The other threads of a warm interpreter: parked before the first fork, and made again in the copy.
//!
//! fork(2) copies one thread; the memory of the others is copied as well, but nobody runs there. So before
//! the first fork a signal brings each of them into a handler, where it stays for good. A copy makes a new
//! thread for each, on the same stack and with the same thread pointer, which returns from that signal: it
//! goes on where the old one was interrupted, with all it held and all it waited for.

use core::arch::naked_asm;
use core::sync::atomic::{AtomicUsize, Ordering};

use libc::c_int;

use crate::sys::{self, Errno, Result, SignalAction};

/// Most threads that an interpreter may have beside the one that serves.
const MAX_THREADS: usize = 32;

/// glibc's and musl's signal for setuid(3): one that no libc lets a thread block.
const PARKING_SIGNAL: c_int = 33;

/// Where a parked thread goes on.
struct Parked {
    /// Its stack, with the signal's frame on top.
    stack: AtomicUsize,
    /// Its thread pointer.
    tls: AtomicUsize,
    /// Where its libc keeps its id.
    tid_slot: AtomicUsize,
}

static PARKED: [Parked; MAX_THREADS] = [const {
    Parked { stack: AtomicUsize::new(0), tls: AtomicUsize::new(0), tid_slot: AtomicUsize::new(0) }
}; MAX_THREADS];

/// How many have come to the handler, and how many have said where they go on.
static ARRIVED: AtomicUsize = AtomicUsize::new(0);
static SETTLED: AtomicUsize = AtomicUsize::new(0);

/// Parks all threads but the calling one. They never run again here.
pub(crate) fn park() -> Result<()> {
    let handler = SignalAction::handler(on_signal as *const () as usize, restore as *const () as usize);
    let before = sys::exchange_signal_action(PARKING_SIGNAL, &handler)?;
    let (process, own) = (sys::process_id(), sys::thread_id());
    let mut count = 0;
    sys::each_number_in(c"/proc/self/task", |thread| {
        if thread == own {
            return Ok(());
        }
        count += 1;
        if count > MAX_THREADS {
            return Err(Errno(libc::E2BIG));
        }
        sys::signal_thread(process, thread, PARKING_SIGNAL)
    })?;
    while SETTLED.load(Ordering::Acquire) < count {
        sys::yield_now();
    }
    sys::exchange_signal_action(PARKING_SIGNAL, &before).map(drop)
}

/// Makes the parked threads again, in a copy of the process, which has only the one that was not parked. They
/// take over all that the caller has given up: ids, capabilities, seccomp filters.
pub(crate) fn resume() -> Result<()> {
    for parked in PARKED.iter().take(SETTLED.load(Ordering::Acquire)) {
        let [stack, tls, tid_slot] =
            [&parked.stack, &parked.tls, &parked.tid_slot].map(|word| word.load(Ordering::Relaxed));
        // SAFETY: `settle` wrote down a thread that was interrupted by a signal, whose frame is on top of
        // that stack. Nobody runs on it in this process, since only the thread that was not parked was copied.
        unsafe { sys::clone_thread(stack, tls, tid_slot) }?;
    }
    Ok(())
}

/// Writes down where the calling thread goes on, and stays.
extern "C" fn settle(stack: usize) -> ! {
    let parked = &PARKED[ARRIVED.fetch_add(1, Ordering::Relaxed) % MAX_THREADS];
    parked.stack.store(stack, Ordering::Relaxed);
    parked.tls.store(sys::thread_pointer(), Ordering::Relaxed);
    parked.tid_slot.store(sys::tid_slot() as usize, Ordering::Relaxed);
    SETTLED.fetch_add(1, Ordering::Release);
    loop {
        sys::pause();
    }
}

/// The signal's handler. What its return would take from the stack is the address of `restore`.
#[unsafe(naked)]
extern "C" fn on_signal() {
    naked_asm!("mov rdi, rsp", "sub rsp, 8", "call {settle}", "ud2", settle = sym settle)
}

/// rt_sigreturn(2): takes registers, signal mask and instruction from the signal's frame.
#[unsafe(naked)]
extern "C" fn restore() {
    naked_asm!("mov eax, {number}", "syscall", "ud2", number = const libc::SYS_rt_sigreturn)
}
