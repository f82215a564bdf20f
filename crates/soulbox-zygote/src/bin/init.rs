//! The init: a zygote without an interpreter, for languages whose programs are executed, and the supervisor of
//! sandboxes in every container.
//!
//! A static program of a few kilobytes without libc, so that its forks cost next to nothing and it runs in
//! any root file system.

#![no_std]
#![no_main]

use core::arch::global_asm;
use core::ffi::{CStr, c_char};

// The kernel enters with the stack aligned to 16 bytes and no return address (System V ABI, process
// initialisation); a `call` makes it what a function expects. On top of the stack are the number of arguments and
// pointers to them.
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "mov rdi, rsp", "call {run}", "ud2", run = sym run);

extern "C" fn run(start: *const usize) -> ! {
    // SAFETY: this is where the kernel has put the number of arguments.
    if unsafe { start.read() } > 1 {
        // SAFETY: behind the number is the program's name, and then a NUL-terminated string, as there are two.
        let description = unsafe { CStr::from_ptr(start.add(2).cast::<*const c_char>().read()) };
        soulbox_zygote::supervise(description);
    }
    let errno = -soulbox_zygote::soulbox_execute();
    soulbox_zygote::exit(if errno == libc::EPIPE { 0 } else { 1 })
}
