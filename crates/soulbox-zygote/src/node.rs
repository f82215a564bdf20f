//! The shim as an addon of Node: what a launcher in JavaScript calls.
//!
//! Owns the little of Node-API and of V8 that it takes. Their functions are looked up when the shim is loaded
//! and may be missing then, since other interpreters load it too and have none of them.

use core::arch::asm;
use core::ffi::{CStr, c_void};
use core::sync::atomic::{AtomicI32, Ordering};
use core::{mem, ptr};

use libc::c_int;

use crate::main_process::{Prepared, Sealed};
use crate::serve;
use crate::sys::{self, Errno};

type Env = *mut c_void;
type Info = *mut c_void;
type Value = *mut c_void;
type Callback = extern "C" fn(Env, Info) -> Value;

/// A status of Node-API: 0, or what went wrong, which no caller here could mend.
type Status = c_int;

/// A function of the program that has loaded the shim, `None` where it has no such function.
///
/// # Safety
/// The function, if there is one, has the type.
macro_rules! host_function {
    ($name:literal as $type:ty) => {{
        let address: usize;
        asm!(concat!(".weak ", $name), concat!("mov {}, qword ptr [rip + ", $name, "@GOTPCREL]"),
            out(reg) address, options(pure, nomem, nostack, preserves_flags));
        mem::transmute::<usize, Option<$type>>(address)
    }};
}

/// Called by Node when a program loads the shim by `process.dlopen`.
///
/// # Safety
/// As Node-API says of it: `exports` is an object of `env`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn napi_register_module_v1(env: Env, exports: Value) -> Value {
    let functions = [
        (c"holdStreams", hold_streams as Callback),
        (c"releaseStreams", release_streams as Callback),
        (c"serve", serve as Callback),
        (c"receive", receive as Callback),
        (c"exit", exit as Callback),
    ];
    for (name, function) in functions {
        // SAFETY: by this function's contract.
        unsafe { export(env, exports, name, function) };
    }
    exports
}

/// # Safety
/// `exports` is an object of `env`.
unsafe fn export(env: Env, exports: Value, name: &CStr, function: Callback) {
    type Create = extern "C" fn(Env, *const i8, usize, Callback, *mut c_void, *mut Value) -> Status;
    type Set = extern "C" fn(Env, Value, *const i8, Value) -> Status;
    // SAFETY: these are their types in node_api.h.
    let (create, set) = unsafe {
        (host_function!("napi_create_function" as Create), host_function!("napi_set_named_property" as Set))
    };
    let (Some(create), Some(set)) = (create, set) else { return };
    let mut value = ptr::null_mut();
    create(env, name.as_ptr(), name.count_bytes(), function, ptr::null_mut(), &raw mut value);
    set(env, exports, name.as_ptr(), value);
}

/// The zygote's own standard streams while others are in their places.
static HELD: [AtomicI32; 3] = [const { AtomicI32::new(-1) }; 3];

/// `holdStreams()`: puts a pipe in the place of the standard streams, since pipes are what programs get, and
/// Node looks at a descriptor once, when it makes the stream.
extern "C" fn hold_streams(_: Env, _: Info) -> Value {
    let held = (0..).zip(&HELD).try_for_each(|(fd, held)| {
        held.store(sys::dup(fd)?, Ordering::Relaxed);
        Ok(())
    });
    let replaced = held.and_then(|()| sys::pipe(0)).and_then(|(read_end, write_end)| {
        for (fd, end) in [(0, read_end), (1, write_end), (2, write_end)] {
            sys::dup_to(end, fd, 0)?;
        }
        sys::close(read_end);
        sys::close(write_end);
        Ok(())
    });
    match replaced {
        Ok(()) => ptr::null_mut(),
        Err(errno) => serve::give_up(errno),
    }
}

/// `releaseStreams()`: puts the zygote's own standard streams back.
extern "C" fn release_streams(_: Env, _: Info) -> Value {
    for (fd, held) in (0..).zip(&HELD) {
        let held = held.load(Ordering::Relaxed);
        if let Err(errno) = sys::dup_to(held, fd, 0) {
            serve::give_up(errno);
        }
        sys::close(held);
    }
    ptr::null_mut()
}

/// `serve()`: serves the daemon, and returns in the main process of a sandbox: `true` where there is time to rehearse
/// before `receive()` is called.
extern "C" fn serve(env: Env, _: Info) -> Value {
    type GetBoolean = extern "C" fn(Env, bool, *mut Value) -> Status;
    let sealed = serve::serve_with_threads(sys::inherit_all_memory);
    serve::resume_threads();
    sealed.keep();
    let mut value = ptr::null_mut();
    // SAFETY: this is its type in node_api.h.
    if let Some(boolean) = unsafe { host_function!("napi_get_boolean" as GetBoolean) } {
        boolean(env, sealed.parked, &raw mut value);
    }
    value
}

/// `receive()`: waits for the job, and returns its program.
extern "C" fn receive(env: Env, _: Info) -> Value {
    let prepared = Sealed::kept().receive();
    limit_heap(prepared.heap_bytes);
    describe(env, &prepared).unwrap_or_else(|errno| serve::give_up(errno))
}

/// `exit(code)`: ends the process at once.
extern "C" fn exit(env: Env, info: Info) -> Value {
    type GetArguments =
        extern "C" fn(Env, Info, *mut usize, *mut Value, *mut Value, *mut *mut c_void) -> Status;
    type GetNumber = extern "C" fn(Env, Value, *mut i32) -> Status;
    // SAFETY: these are their types in node_api.h.
    let (arguments, number) = unsafe {
        (
            host_function!("napi_get_cb_info" as GetArguments),
            host_function!("napi_get_value_int32" as GetNumber),
        )
    };
    let (mut code, mut count, mut value) = (0, 1, ptr::null_mut());
    if let (Some(arguments), Some(number)) = (arguments, number) {
        arguments(env, info, &raw mut count, &raw mut value, ptr::null_mut(), ptr::null_mut());
        number(env, value, &raw mut code);
    }
    sys::count_cpu_time();
    sys::exit_group(code)
}

/// Bytes before the strings of a program, as `serve()` returns it.
const HEADER: usize = 8;

/// A program as a `Buffer`: the number of arguments and 32 random bits, then all strings, each ended by NUL.
fn describe(env: Env, prepared: &Prepared) -> sys::Result<Value> {
    type CreateBuffer = extern "C" fn(Env, usize, *mut *mut u8, *mut Value) -> Status;
    // SAFETY: this is its type in node_api.h.
    let create =
        unsafe { host_function!("napi_create_buffer" as CreateBuffer) }.ok_or(Errno(libc::ENOSYS))?;
    let strings = prepared.program.strings();
    let (mut data, mut value) = (ptr::null_mut(), ptr::null_mut());
    if create(env, HEADER + strings.len(), &raw mut data, &raw mut value) != 0 {
        return Err(Errno(libc::ENOMEM));
    }
    // SAFETY: the buffer is new and of that length.
    let buffer = unsafe { core::slice::from_raw_parts_mut(data, HEADER + strings.len()) };
    buffer[..4].copy_from_slice(&(prepared.program.arg_count() as u32).to_le_bytes());
    sys::random_bytes(&mut buffer[4..HEADER])?;
    buffer[HEADER..].copy_from_slice(strings);
    Ok(value)
}

/// Lowers the limit of V8's heap, so that a program that fills it meets V8's own error. V8 reads its flags
/// once, when it starts; but whoever takes a callback for a nearly full heap back may say what the limit shall
/// be from then on. Where V8 has no such functions, the sandbox's own limit is the one that is met.
fn limit_heap(bytes: u64) {
    type Near = extern "C" fn(*mut c_void, usize, usize) -> usize;
    type Current = extern "C" fn() -> *mut c_void;
    type Add = extern "C" fn(*mut c_void, Near, *mut c_void);
    type Remove = extern "C" fn(*mut c_void, Near, usize);
    extern "C" fn near(_: *mut c_void, current: usize, _: usize) -> usize {
        current
    }
    // SAFETY: these are their types in v8-isolate.h, mangled as the Itanium C++ ABI has it; the first
    // argument of a method is its object.
    let (current, add, remove) = unsafe {
        (
            host_function!("_ZN2v87Isolate10GetCurrentEv" as Current),
            host_function!("_ZN2v87Isolate24AddNearHeapLimitCallbackEPFmPvmmES1_" as Add),
            host_function!("_ZN2v87Isolate27RemoveNearHeapLimitCallbackEPFmPvmmEm" as Remove),
        )
    };
    if let (Some(current), Some(add), Some(remove)) = (current, add, remove) {
        let isolate = current();
        add(isolate, near, ptr::null_mut());
        remove(isolate, near, usize::try_from(bytes).unwrap_or(usize::MAX));
    }
}
