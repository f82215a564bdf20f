//! A seccomp profile: it is refused, or its filters do what it says with every system call that it names, and with
//! others. What it says is read here anew, call by call; the filters are interpreted as the kernel does.

#![no_main]

use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompOperator, LinuxSyscall};
use soulbox_sandbox::Filters;
use syscalls::Sysno;

/// `AUDIT_ARCH_X86_64` and `AUDIT_ARCH_I386`.
const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;

/// Most instructions of a filter that the kernel takes (`BPF_MAXINSNS`).
const MAX_INSTRUCTIONS: u16 = 4096;

/// `SECCOMP_RET_ALLOW`.
const ALLOW: u32 = 0x7fff_0000;

/// `SECCOMP_RET_USER_NOTIF`.
const USER_NOTIF: u32 = 0x7fc0_0000;

/// What every profile has to allow.
const NEEDED: [&str; 4] = ["sendmsg", "close_range", "execve", "exit_group"];

struct Instruction {
    code: u16,
    jt: u8,
    jf: u8,
    k: u32,
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(profile) = serde_json::from_slice::<LinuxSeccomp>(bytes) else { return };
    let Ok(compiled) = Filters::compile(&profile) else { return };
    let filters = instructions(&compiled);

    let entries = profile.syscalls().as_deref().unwrap_or_default();
    let named = entries.iter().flat_map(|entry| entry.names()).map(|name| number(name));
    for number in named.chain([0, 5, 334, 1023, 1024, 1025]) {
        for args in interesting_arguments(entries) {
            let is = verdict(&filters, X86_64, number, args);
            // Which errno, when several refusals fit, is nobody's concern.
            let should_be = said(&profile, number, args);
            assert_eq!(strictness(&is), strictness(&should_be), "system call {number} with {args:?}");
        }
    }
    for needed in NEEDED.map(number) {
        let is = verdict(&filters, X86_64, needed, [0; 6]);
        assert_eq!(is, ALLOW, "system call {needed} finishes a sandbox");
    }
    // Calls of another architecture, and those of x32, are never allowed.
    for (arch, number) in [(I386, 1), (X86_64, 0x4000_0000 | 59)] {
        assert!(
            verdict(&filters, arch, number, [0; 6]) != ALLOW,
            "system call {number:#x} of {arch:#x} is allowed"
        );
    }
});

fn number(name: &str) -> u32 {
    Sysno::from_str(name).expect("it was compiled").id().cast_unsigned()
}

fn instructions(filters: &Filters) -> Vec<Vec<Instruction>> {
    let bytes = filters.to_bytes();
    let mut all = bytes.chunks_exact(8).map(|bytes| Instruction {
        code: u16::from_ne_bytes([bytes[0], bytes[1]]),
        jt: bytes[2],
        jf: bytes[3],
        k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    });
    let take = |len: &u16| {
        assert!(*len <= MAX_INSTRUCTIONS, "a filter has {len} instructions");
        all.by_ref().take(usize::from(*len)).collect::<Vec<_>>()
    };
    let filters: Vec<_> = filters.lens().iter().filter(|len| **len > 0).map(take).collect();
    assert!(all.next().is_none());
    filters
}

/// The values around those that a profile compares with, in every argument; and with more in their upper halves.
fn interesting_arguments(entries: &[LinuxSyscall]) -> Vec<[u64; 6]> {
    let mut all = vec![[0; 6], [u64::MAX; 6]];
    let conditions = entries.iter().flat_map(|entry| entry.args().iter().flatten());
    for condition in conditions.take(16) {
        let index = condition.index();
        for value in [condition.value(), condition.value_two().unwrap_or(0)] {
            let near = [value, value.wrapping_add(1), value.wrapping_sub(1), value ^ (1 << 32), !value];
            all.extend(near.map(|value| {
                let mut args = [0; 6];
                args[index] = value;
                args
            }));
            all.push([value; 6]);
        }
    }
    all
}

/// The action as the kernel has it that a profile says for a call: what it says of it whatever its arguments, and else
/// that it is allowed, and else the default; and where a refusal with conditions fits that is stricter, this.
fn said(profile: &LinuxSeccomp, number: u32, args: [u64; 6]) -> u32 {
    let entries = profile.syscalls().iter().flatten();
    let fitting = entries.filter(|entry| {
        entry.names().iter().any(|name| crate::number(name) == number)
            && entry.args().iter().flatten().all(|arg| {
                let (value, two) = (arg.value(), arg.value_two().unwrap_or(0));
                let mask = if arg.op() == LinuxSeccompOperator::ScmpCmpMaskedEq { value } else { 0 };
                let compared = if arg.op() == LinuxSeccompOperator::ScmpCmpMaskedEq { two } else { value };
                // Numbers of 32 bits are compared as such.
                let narrow = compared.max(mask) <= u64::from(u32::MAX);
                let is = if narrow { args[arg.index()] & u64::from(u32::MAX) } else { args[arg.index()] };
                match arg.op() {
                    LinuxSeccompOperator::ScmpCmpNe => is != value,
                    LinuxSeccompOperator::ScmpCmpLt => is < value,
                    LinuxSeccompOperator::ScmpCmpLe => is <= value,
                    LinuxSeccompOperator::ScmpCmpEq => is == value,
                    LinuxSeccompOperator::ScmpCmpGe => is >= value,
                    LinuxSeccompOperator::ScmpCmpGt => is > value,
                    LinuxSeccompOperator::ScmpCmpMaskedEq => is & value == two & value,
                }
            })
    });
    let (refusals, allowed): (Vec<_>, Vec<_>) =
        fitting.partition(|entry| entry.action() != LinuxSeccompAction::ScmpActAllow);
    let (conditional, whole): (Vec<_>, Vec<_>) =
        refusals.into_iter().partition(|entry| entry.args().iter().flatten().next().is_some());
    let strictest = |entries: Vec<&LinuxSyscall>| {
        entries.into_iter().map(|entry| action(entry.action(), entry.errno_ret())).min_by_key(strictness)
    };
    let base = strictest(whole).unwrap_or_else(|| match allowed.is_empty() {
        true => action(profile.default_action(), profile.default_errno_ret()),
        false => action(LinuxSeccompAction::ScmpActAllow, None),
    });
    strictest(conditional)
        .map_or(base, |refusal| [base, refusal].into_iter().min_by_key(strictness).unwrap_or(base))
}

/// As `linux/seccomp.h` has them.
fn action(action: LinuxSeccompAction, errno: Option<u32>) -> u32 {
    match action {
        LinuxSeccompAction::ScmpActKillProcess => 0x8000_0000,
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => 0,
        LinuxSeccompAction::ScmpActTrap => 0x0003_0000,
        LinuxSeccompAction::ScmpActErrno => 0x0005_0000 | (errno.unwrap_or(1) & 0xffff),
        LinuxSeccompAction::ScmpActLog => 0x7ffc_0000,
        LinuxSeccompAction::ScmpActAllow => ALLOW,
        other => unreachable!("{other} was compiled"),
    }
}

/// The kernel takes the least action as a signed number (kernel/seccomp.c), of equal ones the last.
fn strictness(action: &u32) -> i32 {
    (action & 0xffff_0000).cast_signed()
}

/// What the kernel makes of all filters' verdicts.
fn verdict(filters: &[Vec<Instruction>], arch: u32, number: u32, args: [u64; 6]) -> u32 {
    let verdicts = filters.iter().map(|filter| run(filter, arch, number, args));
    let verdict = verdicts.min_by_key(strictness).expect("there is a filter");
    // Handed over to pid 1, which answers with the errno that it comes with.
    if verdict & 0xffff_0000 == USER_NOTIF { 0x0005_0000 | (verdict & 0xffff) } else { verdict }
}

/// Classic BPF over `struct seccomp_data`.
fn run(program: &[Instruction], arch: u32, number: u32, args: [u64; 6]) -> u32 {
    let mut data = [0u8; 64];
    data[0..4].copy_from_slice(&number.to_ne_bytes());
    data[4..8].copy_from_slice(&arch.to_ne_bytes());
    for (index, arg) in args.iter().enumerate() {
        data[16 + index * 8..24 + index * 8].copy_from_slice(&arg.to_ne_bytes());
    }
    let (mut at, mut a) = (0, 0u32);
    loop {
        let i = &program[at];
        at += 1;
        let branch = |taken: bool| usize::from(if taken { i.jt } else { i.jf });
        match i.code {
            0x20 => {
                let offset = i.k as usize;
                a = u32::from_ne_bytes([data[offset], data[offset + 1], data[offset + 2], data[offset + 3]]);
            }
            0x05 => at += i.k as usize,
            0x15 => at += branch(a == i.k),
            0x25 => at += branch(a > i.k),
            0x35 => at += branch(a >= i.k),
            0x54 => a &= i.k,
            0x06 => return i.k,
            code => panic!("unknown instruction {code:#x}"),
        }
    }
}
