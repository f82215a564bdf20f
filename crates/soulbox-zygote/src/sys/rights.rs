//! The system calls that change what a process may do: its user, its group, its capabilities.
//!
//! Owns the kernel's structures of these; who may what is decided by the callers.

use core::ffi::c_int;

use syscalls::{Sysno, syscall};

use super::{Errno, Result};

/// setgroups(2) to none, setresgid(2) and setresuid(2) to `id`. Leaving uid 0 empties the permitted,
/// effective and ambient capability sets (capabilities(7)).
pub(crate) fn become_user(id: u32) -> Result<()> {
    // In the containers of an ordinary user's, setgroups(2) is forbidden, and there is nothing to give up.
    // SAFETY: with a size of 0 the list is not written.
    if unsafe { call!(getgroups, 0, 0) }? > 0 {
        // SAFETY: with a size of 0 the list is not read.
        unsafe { call!(setgroups, 0, 0) }?;
    }
    // SAFETY: takes no memory.
    unsafe { call!(setresgid, id, id, id) }?;
    // SAFETY: takes no memory.
    unsafe { call!(setresuid, id, id, id) }.map(drop)
}

/// The header and one half of the sets of capset(2), as version 3 has them.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: c_int,
}
#[repr(C)]
#[derive(Clone, Copy)]
struct CapabilityHalf {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

static CAPABILITIES_OF_CALLER: CapabilityHeader = CapabilityHeader { version: 0x2008_0522, pid: 0 };

/// capset(2) on the caller: `kept` permitted and effective, nothing inheritable.
pub(crate) fn set_capabilities(kept: u64) -> Result<()> {
    let half = |bits: u32| CapabilityHalf { effective: bits, permitted: bits, inheritable: 0 };
    put_capabilities([half(kept as u32), half((kept >> 32) as u32)])
}

/// capset(2) on the caller: what it has stays, and `inherited` are what it will have after execve(2) when its bounding
/// set is empty.
pub(crate) fn inherit_capabilities(inherited: u64) -> Result<()> {
    let mut data = [CapabilityHalf { effective: 0, permitted: 0, inheritable: 0 }; 2];
    // SAFETY: version 3 reads one header and writes two data structures.
    unsafe { call!(capget, &raw const CAPABILITIES_OF_CALLER, data.as_mut_ptr()) }?;
    data[0].inheritable = inherited as u32;
    data[1].inheritable = (inherited >> 32) as u32;
    put_capabilities(data)
}

fn put_capabilities(data: [CapabilityHalf; 2]) -> Result<()> {
    // SAFETY: version 3 reads one header and two data structures.
    unsafe { call!(capset, &raw const CAPABILITIES_OF_CALLER, data.as_ptr()) }.map(drop)
}
