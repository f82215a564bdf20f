//! The shim as a native library of Java: what a launcher in Java calls.
//!
//! Owns the names by which a JVM finds native methods. It calls no function of JNI, and so depends on nothing
//! of a JVM but the types of its arguments.

use core::ffi::{c_int, c_void};
use core::ptr;

use crate::serve;
use crate::sys;

/// The program to run, as the launcher reads it from memory.
#[repr(C)]
pub(crate) struct JavaProgram {
    /// Arguments, then environment variables, each ended by NUL.
    strings: *const u8,
    strings_len: u64,
    /// How many of the strings are arguments.
    args: u64,
    /// How much of the sandbox's memory its heap may have.
    heap_bytes: u64,
}

/// `static native void serve(long program)`: serves the daemon, and returns in the main process of a sandbox.
/// The JVM's other threads stand still in the zygote from now on, so nothing of Java can run there.
///
/// # Safety
/// `program` is the address of memory for a [`JavaProgram`].
#[allow(non_snake_case, reason = "the JVM derives the name from that of the method")]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn Java_soulbox_Launcher_serve(
    _env: *mut c_void,
    _class: *mut c_void,
    program: *mut JavaProgram,
) {
    let prepared = serve::serve_with_threads(|| {}).receive();
    // Not before there is a job: some of them wake up now and then.
    serve::resume_threads();
    let description = JavaProgram {
        strings: prepared.program.strings().as_ptr(),
        strings_len: prepared.program.strings().len() as u64,
        args: prepared.program.arg_count() as u64,
        heap_bytes: prepared.heap_bytes,
    };
    // SAFETY: by this function's contract.
    unsafe { ptr::write(program, description) };
}

/// `static native void exit(int code)`: ends the process at once.
#[allow(non_snake_case, reason = "the JVM derives the name from that of the method")]
#[unsafe(no_mangle)]
pub(crate) extern "C" fn Java_soulbox_Launcher_exit(_env: *mut c_void, _class: *mut c_void, code: c_int) {
    sys::count_cpu_time();
    sys::exit_group(code)
}
