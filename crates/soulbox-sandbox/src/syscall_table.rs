//! The system calls of this architecture, for whoever checks what a profile says of each.

use syscalls::Sysno;

/// All system calls that there are, by number and name.
pub fn syscall_table() -> impl Iterator<Item = (u32, &'static str)> {
    Sysno::iter().map(|sysno| (sysno.id() as u32, sysno.name()))
}
