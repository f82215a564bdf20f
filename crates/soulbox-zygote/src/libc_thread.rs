//! What a libc knows of the thread that forks.
//!
//! Owns the two ways of libcs to keep a thread's id, which a raw clone3(2) has to set as their own fork(3) would.

use core::arch::asm;
use core::ptr;

use libc::c_int;

use crate::sys;

/// Where the libc of the process keeps the id of the thread that forks, so that the copy is a proper process of
/// that libc. Each may be null.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LibcThread {
    /// The id.
    pub(crate) id: *mut c_int,
    /// What the kernel sets to 0 at the end of the thread, for those who wait for it. With glibc that is the id
    /// as well; musl has a lock there, which the kernel opens.
    pub(crate) cleared: *mut c_int,
}

impl LibcThread {
    /// That of the calling thread.
    pub(crate) fn of_caller() -> Self {
        /// In musl's `struct pthread` on x86-64: what comes before the id are pointers and a canary, the same in
        /// all releases since 1.1.25.
        const MUSL_ID: usize = 48;
        let (cleared, own) = (sys::tid_slot(), sys::thread_id());
        if cleared.is_null() {
            return LibcThread { id: cleared, cleared };
        }
        // SAFETY: a libc gave this address to the kernel to write an int to, at any time until the thread's end.
        if unsafe { cleared.read_volatile() } == own {
            return LibcThread { id: cleared, cleared };
        }
        let thread: *mut u8;
        // SAFETY: only reads. A libc that has a slot has a thread pointer, and on x86-64 the word that it points
        // to is the pointer itself (the System V ABI's thread-local storage).
        unsafe { asm!("mov {}, fs:0", out(reg) thread, options(nostack, readonly, preserves_flags)) };
        let id = thread.wrapping_add(MUSL_ID).cast::<c_int>();
        // SAFETY: every libc's thread descriptor is larger than that.
        let is_id = !thread.is_null() && unsafe { id.read_volatile() } == own;
        LibcThread { id: if is_id { id } else { ptr::null_mut() }, cleared }
    }
}
