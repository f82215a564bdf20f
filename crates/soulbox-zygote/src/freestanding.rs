//! What a program without std and libc lacks: the panic handler and the memory routines the compiler calls.

use core::arch::asm;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    crate::sys::exit_group(134)
}

/// memcpy(3).
///
/// # Safety
/// As memcpy(3): `len` bytes at both places, which do not overlap.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memcpy(dest: *mut u8, src: *const u8, len: usize) -> *mut u8 {
    // SAFETY: `rep movsb` reads and writes exactly the ranges that the caller vouches for; the direction
    // flag is clear on entry of every function of the System V ABI.
    unsafe {
        asm!("rep movsb", inout("rcx") len => _, inout("rdi") dest => _, inout("rsi") src => _,
            options(nostack, preserves_flags));
    }
    dest
}

/// memmove(3).
///
/// # Safety
/// As memmove(3): `len` bytes at both places.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memmove(dest: *mut u8, src: *const u8, len: usize) -> *mut u8 {
    if (dest as usize).wrapping_sub(src as usize) >= len {
        // SAFETY: the destination does not start inside the source, so that copying upwards is right.
        return unsafe { memcpy(dest, src, len) };
    }
    // SAFETY: `std` makes the copy go downwards from the last byte, and `cld` restores the ABI's state.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") len => _,
            inout("rdi") dest.wrapping_add(len).wrapping_sub(1) => _,
            inout("rsi") src.wrapping_add(len).wrapping_sub(1) => _, options(nostack));
    }
    dest
}

/// memset(3).
///
/// # Safety
/// As memset(3): `len` bytes at `dest`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memset(dest: *mut u8, byte: i32, len: usize) -> *mut u8 {
    // SAFETY: `rep stosb` writes exactly the range that the caller vouches for.
    unsafe {
        asm!("rep stosb", inout("rcx") len => _, inout("rdi") dest => _, in("al") byte as u8,
            options(nostack, preserves_flags));
    }
    dest
}

/// memcmp(3).
///
/// # Safety
/// As memcmp(3): `len` bytes at both places.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, len: usize) -> i32 {
    let mut at = 0;
    while at < len {
        // SAFETY: `at` is below `len`, up to which the caller vouches for both.
        let (l, r) = unsafe { (left.add(at).read_volatile(), right.add(at).read_volatile()) };
        if l != r {
            return i32::from(l) - i32::from(r);
        }
        at += 1;
    }
    0
}

/// bcmp(3).
///
/// # Safety
/// As [`memcmp`].
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, len: usize) -> i32 {
    // SAFETY: the same contract.
    unsafe { memcmp(left, right, len) }
}

/// strlen(3).
///
/// # Safety
/// As strlen(3): a NUL-terminated string.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn strlen(string: *const u8) -> usize {
    let mut len = 0;
    // SAFETY: no byte after the terminator is read.
    while unsafe { string.add(len).read_volatile() } != 0 {
        len += 1;
    }
    len
}
