//! OCI seccomp profiles compiled to BPF by seccompiler.
//!
//! Owns the translation of `linux.seccomp` of a bundle (OCI runtime spec, "Seccomp") to filters; the code
//! inside the container installs them. seccompiler compiles the allow-list and its default action. Calls
//! that another action refuses without looking at their arguments become part of the same filter
//! ([`crate::dispatch`]); where arguments matter, each action has a filter of its own, installed before the
//! allow-list, which refuses seccomp(2). The kernel takes the strictest verdict of all filters (seccomp(2)); so
//! a refusal with conditions makes no call less strictly refused than the default does.

use std::collections::BTreeMap;
use std::str::FromStr;

use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompOperator, LinuxSyscall};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use soulbox_protocol::MAX_FILTERS;
use syscalls::Sysno;

use crate::dispatch::{RETURN, as_search_tree};

/// System calls with which a sandbox takes its job, after its filters are in force. Mapping memory is one too, which
/// profiles allow with conditions, and without which no program starts.
const NEEDED: [Sysno; 13] = [
    Sysno::clock_gettime,
    Sysno::close,
    Sysno::close_range,
    Sysno::dup3,
    Sysno::execve,
    Sysno::exit_group,
    Sysno::mkdirat,
    Sysno::munmap,
    Sysno::openat,
    Sysno::prlimit64,
    Sysno::recvmsg,
    Sysno::sendmsg,
    Sysno::write,
];

/// Compiled filters in the order in which they are installed.
#[derive(Clone, Debug)]
pub struct Filters {
    programs: Vec<BpfProgram>,
}

/// A profile that cannot be enforced as it is written.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// The profile has a name that is no system call of this architecture.
    #[error("seccomp profile names {0:?}, which is no system call here")]
    UnknownSyscall(String),
    /// Only allow-lists are accepted: what is not named must be refused.
    #[error("seccomp profile must refuse what it does not name: its defaultAction is {0}")]
    NotAnAllowList(LinuxSeccompAction),
    /// An action that seccompiler cannot express.
    #[error("seccomp action {0} is not supported")]
    Action(LinuxSeccompAction),
    /// The profile is for other architectures than this one.
    #[error("seccomp profile does not name this architecture, SCMP_ARCH_X86_64")]
    Architecture,
    /// The sandbox could not be finished under this profile.
    #[error("seccomp profile must allow {0} without conditions: a sandbox is finished with it")]
    MissingNeeded(Sysno),
    /// More actions than filters can be installed.
    #[error("seccomp profile has more than {MAX_FILTERS} different actions")]
    TooManyActions,
    /// seccompiler's programs are not of the form that [`crate::dispatch`] knows.
    #[error("seccompiler compiled the profile to a form that is not known here")]
    Form,
    /// seccompiler refuses a rule.
    #[error("seccomp profile cannot be compiled")]
    Compile(#[from] seccompiler::BackendError),
}

impl Filters {
    /// Compiles a profile.
    ///
    /// # Errors
    /// [`SeccompError`] when it names what this kernel architecture does not have, or allows by default.
    pub fn compile(profile: &LinuxSeccomp) -> Result<Self, SeccompError> {
        let default_action = profile.default_action();
        if matches!(default_action, LinuxSeccompAction::ScmpActAllow | LinuxSeccompAction::ScmpActLog) {
            return Err(SeccompError::NotAnAllowList(default_action));
        }
        if !profile.architectures().as_ref().is_some_and(|archs| archs.contains(&Arch::ScmpArchX86_64)) {
            return Err(SeccompError::Architecture);
        }
        let default_action = action(default_action, profile.default_errno_ret())?;
        let (allowed, others) = group_by_action(profile.syscalls().as_deref().unwrap_or_default())?;
        for needed in NEEDED {
            let number = i64::from(needed.id());
            let allowed = allowed.get(&number).is_some_and(Vec::is_empty);
            if !allowed || others.iter().any(|(_, rules)| rules.contains_key(&number)) {
                return Err(SeccompError::MissingNeeded(needed));
            }
        }
        let mut refused = BTreeMap::new();
        let mut programs = Vec::new();
        for (verdict, rules) in others {
            let (whole, conditional): (Rules, Rules) =
                rules.into_iter().partition(|(_, rules)| rules.is_empty());
            let value = u32::from(verdict.clone());
            for number in whole.keys().filter_map(|number| u32::try_from(*number).ok()) {
                let strictest = refused.entry(number).or_insert(value);
                *strictest = [*strictest, value].into_iter().min_by_key(strictness).unwrap_or(value);
            }
            if !conditional.is_empty() {
                programs.push(program(conditional, SeccompAction::Allow, verdict)?);
            }
        }
        let allow_list = program(allowed, default_action, SeccompAction::Allow)?;
        programs.push(as_search_tree(&allow_list, &refused).ok_or(SeccompError::Form)?);
        if programs.len() > MAX_FILTERS {
            return Err(SeccompError::TooManyActions);
        }
        Ok(Filters { programs })
    }

    /// Puts them in force for the calling thread and what it makes, for ever.
    pub(crate) fn install(&self) -> Result<(), seccompiler::Error> {
        self.programs.iter().try_for_each(|program| seccompiler::apply_filter(program))
    }

    /// The number of BPF instructions of each filter, in the order of installation; unused places are 0.
    pub fn lens(&self) -> [u16; MAX_FILTERS] {
        let mut lens = [0; MAX_FILTERS];
        for (len, program) in lens.iter_mut().zip(&self.programs) {
            // seccompiler refuses programs of more than 4096 instructions.
            *len = u16::try_from(program.len()).unwrap_or(u16::MAX);
        }
        lens
    }

    /// The instructions of all filters as the kernel's `struct sock_filter` lies in memory, for sandboxes: what the
    /// last one, the allow-list, refuses goes to their pid 1, which answers with the same errno and counts it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let last = self.programs.len().saturating_sub(1);
        let mut bytes = Vec::new();
        for (index, program) in self.programs.iter().enumerate() {
            for instruction in program {
                let is_return = instruction.code == RETURN;
                let k = if index == last && is_return { notifying(instruction.k) } else { instruction.k };
                bytes.extend_from_slice(&instruction.code.to_ne_bytes());
                bytes.extend_from_slice(&[instruction.jt, instruction.jf]);
                bytes.extend_from_slice(&k.to_ne_bytes());
            }
        }
        bytes
    }
}

/// By what the kernel compares the verdicts of several filters: the least wins (kernel/seccomp.c).
fn strictness(verdict: &u32) -> i32 {
    (verdict & libc::SECCOMP_RET_ACTION_FULL).cast_signed()
}

/// A verdict that refuses with an errno, as one that hands over to pid 1 with that errno in its low half. `ENOSYS`
/// stays as it is: with it a profile says that the kernel has no such call, so that a libc uses another.
fn notifying(verdict: u32) -> u32 {
    let (action, errno) = (verdict & libc::SECCOMP_RET_ACTION_FULL, verdict & libc::SECCOMP_RET_DATA);
    if action == libc::SECCOMP_RET_ERRNO && errno != libc::ENOSYS as u32 {
        libc::SECCOMP_RET_USER_NOTIF | errno
    } else {
        verdict
    }
}

/// System call numbers with their rules, of which one has to match; without rules every call matches.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn group_by_action(syscalls: &[LinuxSyscall]) -> Result<(Rules, Vec<(SeccompAction, Rules)>), SeccompError> {
    let mut allowed = Rules::new();
    let mut others: Vec<(SeccompAction, Rules)> = Vec::new();
    for entry in syscalls {
        let verdict = action(entry.action(), entry.errno_ret())?;
        let rules = match others.iter().position(|(known, _)| *known == verdict) {
            _ if verdict == SeccompAction::Allow => &mut allowed,
            Some(at) => &mut others[at].1,
            None => {
                others.push((verdict, Rules::new()));
                let last = others.len() - 1;
                &mut others[last].1
            }
        };
        let rule = rule(entry)?;
        for name in entry.names() {
            let number = Sysno::from_str(name).map_err(|()| SeccompError::UnknownSyscall(name.clone()))?.id();
            add(rules, number.into(), rule.clone());
        }
    }
    Ok((allowed, others))
}

/// Adds an alternative for a system call. One without conditions makes all others needless.
fn add(rules: &mut Rules, number: i64, rule: Option<SeccompRule>) {
    match (rules.get_mut(&number), rule) {
        (Some(alternatives), Some(rule)) if !alternatives.is_empty() => alternatives.push(rule),
        (Some(alternatives), _) => alternatives.clear(),
        (None, rule) => {
            rules.insert(number, rule.into_iter().collect());
        }
    }
}

fn rule(entry: &LinuxSyscall) -> Result<Option<SeccompRule>, SeccompError> {
    let Some(args) = entry.args().as_ref().filter(|args| !args.is_empty()) else {
        return Ok(None);
    };
    let conditions = args.iter().map(|arg| {
        let index = u8::try_from(arg.index()).unwrap_or(u8::MAX);
        let (op, value) = match arg.op() {
            LinuxSeccompOperator::ScmpCmpNe => (SeccompCmpOp::Ne, arg.value()),
            LinuxSeccompOperator::ScmpCmpLt => (SeccompCmpOp::Lt, arg.value()),
            LinuxSeccompOperator::ScmpCmpLe => (SeccompCmpOp::Le, arg.value()),
            LinuxSeccompOperator::ScmpCmpEq => (SeccompCmpOp::Eq, arg.value()),
            LinuxSeccompOperator::ScmpCmpGe => (SeccompCmpOp::Ge, arg.value()),
            LinuxSeccompOperator::ScmpCmpGt => (SeccompCmpOp::Gt, arg.value()),
            // `value` is the mask and `valueTwo` what the masked argument has to be.
            LinuxSeccompOperator::ScmpCmpMaskedEq => {
                (SeccompCmpOp::MaskedEq(arg.value()), arg.value_two().unwrap_or(0))
            }
        };
        SeccompCondition::new(index, width(&op, value), op, value)
    });
    Ok(Some(SeccompRule::new(conditions.collect::<Result<_, _>>()?)?))
}

/// The arguments that profiles judge (flags, commands, families, modes) are 32-bit numbers to the kernel.
/// Comparing 64 bits would let a refused one through with anything in its upper half.
fn width(op: &SeccompCmpOp, value: u64) -> SeccompCmpArgLen {
    let mask = if let SeccompCmpOp::MaskedEq(mask) = op { *mask } else { 0 };
    if value.max(mask) <= u64::from(u32::MAX) { SeccompCmpArgLen::Dword } else { SeccompCmpArgLen::Qword }
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<SeccompAction, SeccompError> {
    Ok(match action {
        LinuxSeccompAction::ScmpActAllow => SeccompAction::Allow,
        LinuxSeccompAction::ScmpActLog => SeccompAction::Log,
        LinuxSeccompAction::ScmpActTrap => SeccompAction::Trap,
        LinuxSeccompAction::ScmpActErrno => SeccompAction::Errno(errno.unwrap_or(libc::EPERM as u32)),
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => SeccompAction::KillThread,
        LinuxSeccompAction::ScmpActKillProcess => SeccompAction::KillProcess,
        other => return Err(SeccompError::Action(other)),
    })
}

fn program(
    rules: Rules,
    mismatch: SeccompAction,
    verdict: SeccompAction,
) -> Result<BpfProgram, SeccompError> {
    Ok(SeccompFilter::new(rules, mismatch, verdict, TargetArch::x86_64)?.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(syscalls: &str) -> Result<Filters, SeccompError> {
        let needed = serde_json::to_string(&NEEDED.map(|call| call.name())).unwrap();
        let profile = format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
                {{"names": {needed}, "action": "SCMP_ACT_ALLOW"}} {syscalls}]}}"#
        );
        Filters::compile(&serde_json::from_str(&profile).unwrap())
    }

    #[test]
    fn only_conditional_refusals_need_a_filter_of_their_own() {
        assert_eq!(compile("").unwrap().programs.len(), 1);
        let filters = compile(
            r#", {"names": ["reboot"], "action": "SCMP_ACT_KILL_PROCESS"},
                 {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
                 {"names": ["swapon"], "action": "SCMP_ACT_KILL_PROCESS"}"#,
        )
        .unwrap();
        assert_eq!(filters.programs.len(), 1);
        let filters = compile(
            r#", {"names": ["ioctl"], "action": "SCMP_ACT_KILL_PROCESS",
                  "args": [{"index": 1, "value": 21522, "op": "SCMP_CMP_EQ"}]}"#,
        )
        .unwrap();
        assert_eq!(filters.programs.len(), 2);
        assert_eq!(
            filters.to_bytes().len(),
            8 * filters.lens().iter().map(|len| usize::from(*len)).sum::<usize>()
        );
    }

    #[test]
    fn what_is_refused_goes_to_pid_1_unless_it_does_not_exist() {
        assert_eq!(notifying(libc::SECCOMP_RET_ERRNO | 1), libc::SECCOMP_RET_USER_NOTIF | 1);
        for verdict in [
            libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32,
            libc::SECCOMP_RET_ALLOW,
            libc::SECCOMP_RET_KILL_PROCESS,
        ] {
            assert_eq!(notifying(verdict), verdict);
        }
    }

    #[test]
    fn a_name_that_is_no_system_call_is_refused() {
        let error = compile(r#", {"names": ["opne"], "action": "SCMP_ACT_ALLOW"}"#).unwrap_err();
        assert!(matches!(error, SeccompError::UnknownSyscall(name) if name == "opne"));
    }

    #[test]
    fn a_profile_that_allows_by_default_is_refused() {
        let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"]}"#;
        let error = Filters::compile(&serde_json::from_str(profile).unwrap()).unwrap_err();
        assert!(matches!(error, SeccompError::NotAnAllowList(_)));
    }

    #[test]
    fn a_profile_under_which_no_sandbox_can_be_finished_is_refused() {
        let profile = r#"{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"]}"#;
        let error = Filters::compile(&serde_json::from_str(profile).unwrap()).unwrap_err();
        assert!(matches!(error, SeccompError::MissingNeeded(_)));
    }

    #[test]
    fn a_profile_that_refuses_what_finishes_a_sandbox_is_refused() {
        for refusal in ["", r#", "args": [{"index": 0, "value": 3, "op": "SCMP_CMP_EQ"}]"#] {
            let entry = format!(r#", {{"names": ["execve"], "action": "SCMP_ACT_ERRNO"{refusal}}}"#);
            let error = compile(&entry).unwrap_err();
            assert!(matches!(error, SeccompError::MissingNeeded(Sysno::execve)), "{error}");
        }
    }

    #[test]
    fn the_strictest_of_several_refusals_is_in_force() {
        let refusals = ["SCMP_ACT_KILL_PROCESS", "SCMP_ACT_ERRNO"];
        let entry = |action| format!(r#", {{"names": ["reboot"], "action": "{action}"}}"#);
        let alone = compile(&entry(refusals[0])).unwrap().to_bytes();
        for actions in [refusals, [refusals[1], refusals[0]]] {
            assert_eq!(compile(&actions.map(entry).concat()).unwrap().to_bytes(), alone);
        }
    }

    #[test]
    fn a_rule_without_conditions_makes_the_others_needless() {
        let mut rules = Rules::new();
        let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, 1).unwrap();
        let conditional = || Some(SeccompRule::new(vec![condition.clone()]).unwrap());
        add(&mut rules, 1, conditional());
        add(&mut rules, 1, conditional());
        assert_eq!(rules[&1].len(), 2);
        add(&mut rules, 1, None);
        add(&mut rules, 1, conditional());
        assert_eq!(rules[&1].len(), 0);
    }
}
