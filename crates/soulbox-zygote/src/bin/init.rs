//! The init: a zygote without an interpreter, for languages whose programs are executed.
//!
//! A static program of a few kilobytes without libc, so that its forks cost next to nothing and it runs in
//! any root file system.

#![no_std]
#![no_main]

use core::arch::global_asm;

// The kernel enters with the stack aligned to 16 bytes and no return address (System V ABI, process
// initialisation); a `call` makes it what a function expects.
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "call {run}", "ud2", run = sym run);

extern "C" fn run() -> ! {
    let errno = -soulbox_zygote::soulbox_execute();
    soulbox_zygote::exit(if errno == libc::EPIPE { 0 } else { 1 })
}
