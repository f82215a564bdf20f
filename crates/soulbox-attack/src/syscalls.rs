//! What a seccomp profile says of every system call, as a list of calls to be made and the right answer to each.
//!
//! Owns a reading of profiles that is independent of their compilation to filters: entry by entry, as the OCI
//! runtime specification has it. The list covers all numbers of the table and many beyond, each alternative of
//! each condition, and the second and third way into the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall,
};
use soulbox_engine::{Bundle, syscall_table};

/// x86-64's numbers end below; the next that will be given are here too.
const BEYOND: u32 = 1024;

/// Added to the number of a call by a program of the x32 ABI (asm/unistd.h, `__X32_SYSCALL_BIT`).
const X32: u32 = 0x4000_0000;

/// Calls of i386 are numbered up to here, and not much more densely above.
const I386: u32 = 512;

/// Numbers that are none.
const NEVER: [u32; 5] = [X32 - 1, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, u32::MAX];

/// The right answer to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Whatever the kernel says.
    Allowed,
    /// This error, which the kernel would not say by itself.
    Refused(u32),
    /// The end of the process.
    Killed,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Allowed => f.write_str("allowed"),
            Answer::Refused(errno) => write!(f, "{errno}"),
            Answer::Killed => f.write_str("killed"),
        }
    }
}

type Arguments = [u64; 6];

/// What the profile of a language that the program carries says: a call for each line, `ENTRY NUMBER ANSWER` and
/// six arguments, with an entry of `native` or `i386`, and an answer of `allowed`, `killed` or the number of an error.
/// `None` when there is no such language.
pub fn expected_calls(language: &str) -> Option<String> {
    let bundle = Bundle::embedded(language).ok().flatten()?;
    Some(expected_of(bundle.seccomp()))
}

fn expected_of(profile: &LinuxSeccomp) -> String {
    let entries = by_name(profile);
    let default = answer(profile.default_action(), profile.default_errno_ret());
    let mut lines = String::new();
    let mut line = |entry: &str, number: u32, answer: Answer, arguments: &Arguments| {
        let [a, b, c, d, e, f] = arguments.map(u64::cast_signed);
        lines.push_str(&format!("{entry} {number} {answer} {a} {b} {c} {d} {e} {f}\n"));
    };
    let known: BTreeMap<u32, &str> = syscall_table().collect();
    for number in 0..BEYOND {
        let entries = known.get(&number).and_then(|name| entries.get(name)).map_or(&[][..], Vec::as_slice);
        let rest = if known.get(&number) == Some(&"clone") { 0 } else { u64::MAX };
        for arguments in arguments(entries, rest) {
            line("native", number, judge(entries, default, &arguments), &arguments);
        }
    }
    let harmless = [u64::MAX; 6];
    for number in (0..BEYOND).map(|number| number | X32).chain(NEVER) {
        line("native", number, default, &harmless);
    }
    for number in 0..I386 {
        line("i386", number, Answer::Killed, &harmless);
    }
    lines
}

fn by_name(profile: &LinuxSeccomp) -> BTreeMap<&str, Vec<&LinuxSyscall>> {
    let mut entries = BTreeMap::<&str, Vec<&LinuxSyscall>>::new();
    for entry in profile.syscalls().as_deref().unwrap_or_default() {
        for name in entry.names() {
            entries.entry(name).or_default().push(entry);
        }
    }
    entries
}

fn answer(action: LinuxSeccompAction, errno: Option<u32>) -> Answer {
    const EPERM: u32 = 1;
    match action {
        LinuxSeccompAction::ScmpActAllow | LinuxSeccompAction::ScmpActLog => Answer::Allowed,
        LinuxSeccompAction::ScmpActErrno => Answer::Refused(errno.unwrap_or(EPERM)),
        _ => Answer::Killed,
    }
}

/// Of the entries that match, one that refuses goes before one that allows.
fn judge(entries: &[&LinuxSyscall], default: Answer, arguments: &Arguments) -> Answer {
    let matching = entries.iter().filter(|entry| conditions(entry).iter().all(|arg| is_met(arg, arguments)));
    let answers = matching.map(|entry| answer(entry.action(), entry.errno_ret()));
    answers
        .fold(None, |found, next| if found.is_none() || next != Answer::Allowed { Some(next) } else { found })
        .unwrap_or(default)
}

fn conditions(entry: &LinuxSyscall) -> &[LinuxSeccompArg] {
    entry.args().as_deref().unwrap_or_default()
}

/// The kernel takes what profiles compare (flags, families, commands) as 32-bit numbers.
fn is_met(arg: &LinuxSeccompArg, arguments: &Arguments) -> bool {
    let (value, second) = (arg.value(), arg.value_two().unwrap_or(0));
    let given = arguments.get(arg.index()).copied().unwrap_or_default();
    let given = if value <= u64::from(u32::MAX) { given & u64::from(u32::MAX) } else { given };
    match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => given != value,
        LinuxSeccompOperator::ScmpCmpLt => given < value,
        LinuxSeccompOperator::ScmpCmpLe => given <= value,
        LinuxSeccompOperator::ScmpCmpEq => given == value,
        LinuxSeccompOperator::ScmpCmpGe => given >= value,
        LinuxSeccompOperator::ScmpCmpGt => given > value,
        LinuxSeccompOperator::ScmpCmpMaskedEq => given & value == second,
    }
}

/// Arguments on both sides of every condition, in all combinations. What no condition looks at is `rest`, of which
/// -1 is no descriptor, no address and no size.
fn arguments(entries: &[&LinuxSyscall], rest: u64) -> Vec<Arguments> {
    let mut values = BTreeMap::<usize, BTreeSet<u64>>::new();
    for arg in entries.iter().flat_map(|entry| conditions(entry)) {
        values
            .entry(arg.index())
            .or_insert_with(|| BTreeSet::from([0, u64::from(u32::MAX)]))
            .extend(around(arg));
    }
    let mut all = vec![[rest; 6]];
    for (index, values) in values {
        let with = |arguments: &Arguments, value: u64| {
            let mut arguments = *arguments;
            if let Some(argument) = arguments.get_mut(index) {
                *argument = value;
            }
            arguments
        };
        all = all
            .iter()
            .flat_map(|arguments| values.iter().map(move |value| with(arguments, *value)))
            .collect();
    }
    all
}

/// Values that meet a condition, that just miss it, and that have something in their upper half besides.
fn around(arg: &LinuxSeccompArg) -> BTreeSet<u64> {
    let value = arg.value();
    let mut values = match arg.op() {
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            let wanted = arg.value_two().unwrap_or(0);
            let bits = (0..64).map(|bit| 1 << bit).filter(|bit| value & bit != 0);
            bits.map(|bit| wanted ^ bit).chain([wanted]).collect()
        }
        _ => BTreeSet::from([value.wrapping_sub(1) & u64::from(u32::MAX), value, value + 1]),
    };
    values.insert(values.first().copied().unwrap_or_default() | 1 << 32);
    values.insert(arg.value_two().unwrap_or(value) | 1 << 32);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = r#"{
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
            {"names": ["reboot"], "action": "SCMP_ACT_KILL_PROCESS"},
            {"names": ["ioctl"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 21522, "op": "SCMP_CMP_NE"}]},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]}
        ]
    }"#;

    fn lines() -> Vec<String> {
        expected_of(&serde_json::from_str(PROFILE).unwrap()).lines().map(str::to_owned).collect()
    }

    #[test]
    fn every_number_has_its_answer() {
        let lines = lines();
        let minus_one = " -1".repeat(6);
        for (entry, answer) in [
            ("native 0", "allowed"),
            ("native 1", "1"),
            ("native 435", "38"),
            ("native 169", "killed"),
            ("native 1000", "1"),
            ("native 1073741824", "1"),
            ("native 4294967295", "1"),
            ("i386 20", "killed"),
        ] {
            assert!(lines.contains(&format!("{entry} {answer}{minus_one}")), "{entry}");
        }
        let numbers: BTreeSet<&str> = lines.iter().filter_map(|line| line.split(' ').nth(1)).collect();
        assert!(syscall_table().all(|(number, _)| numbers.contains(number.to_string().as_str())));
    }

    #[test]
    fn conditions_are_tried_on_both_sides() {
        let lines = lines();
        let of = |number: &str, argument: usize| -> BTreeMap<u64, String> {
            let fields = lines.iter().map(|line| line.split(' ').collect::<Vec<_>>());
            let own = fields.filter(|fields| fields[0] == "native" && fields[1] == number);
            own.map(|fields| (fields[3 + argument].parse().unwrap(), fields[2].to_owned())).collect()
        };
        let ioctl = of("16", 1);
        assert_eq!((ioctl[&21521].as_str(), ioctl[&21522].as_str()), ("allowed", "1"));
        assert_eq!(ioctl[&(21522 | 1 << 32)], "1", "the upper half is not looked at");
        let clone = of("56", 0);
        assert_eq!((clone[&0].as_str(), clone[&0x1000_0000].as_str()), ("allowed", "1"));
        assert_eq!(clone.values().filter(|answer| *answer == "1").count(), 8);
    }
}
