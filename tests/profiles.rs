//! The seccomp profiles of all languages: what each must refuse and must allow, as it is written. That it is in force
//! as it is written is tested call by call in `syscalls.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use nix::libc;
use serde_json::{Value, json};
use support::test_file;

/// Calls that no profile may allow, under whatever condition.
const REFUSED: &str = "
    unshare setns mount umount2 pivot_root chroot fsopen fsconfig fsmount fspick open_tree move_mount mount_setattr
    sethostname setdomainname ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd
    bpf keyctl add_key request_key userfaultfd io_uring_setup io_uring_enter io_uring_register perf_event_open
    fanotify_init fanotify_mark inotify_init inotify_init1 inotify_add_watch name_to_handle_at syslog acct vhangup
    seccomp modify_ldt quotactl vmsplice clock_settime settimeofday adjtimex clock_adjtime stime
    setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid setfsgid capset
    shmget shmat msgget semget mq_open mbind set_mempolicy migrate_pages move_pages lookup_dcookie nfsservctl
    sched_setscheduler sched_setattr sched_setparam ioprio_set setxattr lsetxattr fsetxattr sysfs uselib ustat
    memfd_secret pkey_alloc swapon swapoff";

/// Calls with which a program is ended that makes them.
const ENDING: &str = "
    kexec_load kexec_file_load init_module finit_module delete_module reboot ioperm iopl swapon swapoff
    open_by_handle_at";

/// Without these nothing runs, or nothing can be executed.
const NEEDED: &str = "
    execve execveat sendmsg recvmsg close close_range exit_group read write openat mkdirat mmap munmap brk futex wait4
    dup3 prlimit64 clock_gettime
    rt_sigaction rt_sigreturn clone pipe2 restart_syscall";

/// Calls that are allowed under a condition alone.
const CONDITIONAL: &str =
    "ioctl clone prctl socket mmap fcntl fadvise64 mknod mknodat memfd_create setsockopt socketpair";

fn words(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.split_whitespace()
}

fn profiles() -> BTreeMap<String, Value> {
    let entries = fs::read_dir(test_file("../seccomp-profiles")).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &std::path::Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    entries
        .map(|path| (name(&path), serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap()))
        .collect()
}

/// The names in all entries of an action, and of those the ones without a condition.
fn names<'a>(profile: &'a Value, action: &str) -> (BTreeSet<&'a str>, BTreeSet<&'a str>) {
    let (mut all, mut unconditional) = (BTreeSet::new(), BTreeSet::new());
    for entry in profile["syscalls"].as_array().unwrap() {
        for name in entry["names"].as_array().unwrap().iter().filter(|_| entry["action"] == action) {
            all.insert(name.as_str().unwrap());
            if entry.get("args").is_none() {
                unconditional.insert(name.as_str().unwrap());
            }
        }
    }
    (all, unconditional)
}

#[test]
fn every_profile_refuses_what_is_dangerous_and_allows_what_is_needed() {
    let profiles = profiles();
    assert!(profiles.len() >= 5, "{:?}", profiles.keys());
    for (language, profile) in &profiles {
        assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO", "{language}");
        assert_eq!(profile["defaultErrnoRet"], libc::EPERM, "{language}");
        assert_eq!(profile["architectures"], json!(["SCMP_ARCH_X86_64"]), "{language}");
        let (allowed, unconditional) = names(profile, "SCMP_ACT_ALLOW");
        for call in words(REFUSED) {
            assert!(!allowed.contains(call), "{language} allows {call}");
        }
        for call in words(NEEDED) {
            assert!(allowed.contains(call), "{language} lacks {call}");
        }
        for call in words(CONDITIONAL) {
            assert!(!unconditional.contains(call), "{language} allows all of {call}");
        }
        let (_, ending) = names(profile, "SCMP_ACT_KILL_PROCESS");
        assert_eq!(ending, words(ENDING).collect(), "{language}");
        let (refused, _) = names(profile, "SCMP_ACT_ERRNO");
        assert_eq!(refused, BTreeSet::from(["clone3"]), "{language}");
    }
}

/// A profile must not grow by being copied: only what Python may do is known to be tested call by call.
#[test]
fn no_language_may_do_what_python_may_not() {
    let profiles = profiles();
    let entries = |language: &str| -> BTreeSet<(String, String)> {
        let list = profiles[language]["syscalls"].as_array().unwrap().iter();
        let allowing = list.filter(|entry| entry["action"] == "SCMP_ACT_ALLOW");
        let each = |entry: &Value| {
            let args = entry["args"].to_string();
            let names = entry["names"].as_array().unwrap().clone();
            names
                .into_iter()
                .map(move |name| (name.as_str().unwrap().to_owned(), args.clone()))
                .collect::<Vec<_>>()
        };
        allowing.flat_map(each).collect()
    };
    let python = entries("python");
    for language in ["bash", "c", "go", "perl"] {
        let own = entries(language);
        let more: Vec<_> = own.difference(&python).collect();
        assert!(more.is_empty(), "{language} may do more: {more:?}");
        assert!(own.len() < python.len(), "{language} has the profile of Python");
    }
}
