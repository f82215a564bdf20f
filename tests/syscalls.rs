//! System calls that programs must not have. They are called with arguments that the kernel itself would
//! refuse with another error wherever possible, so that it is seen who refused.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use nix::libc;
use serde_json::{Value, json};
use support::shared;

/// `call(number, arguments...)` is "0" for success, or the name of the error.
const CALL: &str = "
import ctypes, errno, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    return errno.errorcode[ctypes.get_errno()] if result == -1 else str(result)
";

/// Makes the calls in one program and returns the outcome of each.
#[track_caller]
fn outcomes(calls: &[(&str, Vec<i64>)]) -> Vec<(String, String)> {
    let list: Vec<Value> = calls.iter().map(|(_, numbers)| json!(numbers)).collect();
    let code = format!("{CALL}\nprint(json.dumps([call(*numbers) for numbers in {}]))", json!(list));
    let outcomes = shared().probe(&code);
    let names = calls.iter().map(|(name, _)| (*name).to_owned());
    names
        .zip(outcomes.as_array().unwrap().iter().map(|outcome| outcome.as_str().unwrap().to_owned()))
        .collect()
}

#[track_caller]
fn all_refused(calls: &[(&str, Vec<i64>)]) {
    let through: Vec<_> = outcomes(calls).into_iter().filter(|(_, outcome)| outcome != "EPERM").collect();
    assert!(through.is_empty(), "these were not refused with EPERM: {through:?}");
}

macro_rules! call {
    ($name:ident $(, $argument:expr)*) => {
        (stringify!($name), vec![libc::$name, $($argument),*])
    };
}

#[test]
fn namespaces_and_mounts_cannot_be_changed() {
    all_refused(&[
        call!(SYS_unshare, 0),
        call!(SYS_unshare, i64::from(libc::CLONE_NEWUSER)),
        call!(SYS_unshare, i64::from(libc::CLONE_NEWNS)),
        call!(SYS_setns, -1, 0),
        call!(SYS_mount, 0, 0, 0, 0, 0),
        call!(SYS_umount2, 0, 0),
        call!(SYS_pivot_root, 0, 0),
        call!(SYS_chroot, 0),
        call!(SYS_fsopen, 0, 0),
        call!(SYS_fsmount, -1, 0, 0),
        call!(SYS_fspick, -1, 0, 0),
        call!(SYS_open_tree, -1, 0, 0),
        call!(SYS_move_mount, -1, 0, -1, 0, 0),
        call!(SYS_mount_setattr, -1, 0, 0, 0, 0),
        call!(SYS_sethostname, 0, 1),
        call!(SYS_setdomainname, 0, 1),
        call!(SYS_quotactl, 0, 0, 0, 0),
    ]);
}

#[test]
fn other_processes_cannot_be_looked_into() {
    all_refused(&[
        call!(SYS_ptrace, 0, 0, 0, 0),
        call!(SYS_ptrace, 16, -1, 0, 0),
        call!(SYS_process_vm_readv, -1, 0, 0, 0, 0, 0),
        call!(SYS_process_vm_writev, -1, 0, 0, 0, 0, 0),
        call!(SYS_process_madvise, -1, 0, 0, 0, 0),
        call!(SYS_kcmp, -1, -1, 0, 0, 0),
        call!(SYS_pidfd_getfd, -1, 0, 0),
        call!(SYS_migrate_pages, -1, 0, 0, 0),
        call!(SYS_move_pages, -1, 0, 0, 0, 0, 0),
    ]);
}

#[test]
fn parts_of_the_kernel_that_programs_do_not_need_are_closed() {
    all_refused(&[
        call!(SYS_bpf, 0, 0, 0),
        call!(SYS_keyctl, 0xffff, 0, 0, 0, 0),
        call!(SYS_add_key, 0, 0, 0, 0, 0),
        call!(SYS_request_key, 0, 0, 0, 0),
        call!(SYS_userfaultfd, 1),
        call!(SYS_io_uring_setup, 0, 0),
        call!(SYS_io_uring_enter, -1, 0, 0, 0, 0, 0),
        call!(SYS_io_uring_register, -1, 0, 0, 0),
        call!(SYS_perf_event_open, 0, 0, 0, -1, 0),
        call!(SYS_fanotify_init, -1, 0),
        call!(SYS_name_to_handle_at, -1, 0, 0, 0, 0),
        call!(SYS_syslog, 3, 0, 0),
        call!(SYS_acct, 0),
        call!(SYS_vhangup),
        call!(SYS_seccomp, 99, 0, 0),
        call!(SYS_modify_ldt, 99, 0, 0),
        call!(SYS_uselib, 0),
        call!(SYS_lookup_dcookie, 0, 0, 0),
        call!(SYS_nfsservctl, 0, 0, 0),
        call!(SYS__sysctl, 0),
        call!(SYS_vmsplice, -1, 0, 0, 0),
        call!(SYS_personality, 0x0040_0000),
    ]);
}

#[test]
fn the_clock_cannot_be_set() {
    all_refused(&[
        call!(SYS_clock_settime, 0, 0),
        call!(SYS_settimeofday, 0, 0),
        call!(SYS_adjtimex, 0),
        call!(SYS_clock_adjtime, 0, 0),
    ]);
}

#[test]
fn ids_cannot_be_changed() {
    all_refused(&[
        call!(SYS_setuid, 0),
        call!(SYS_setgid, 0),
        call!(SYS_setreuid, 0, 0),
        call!(SYS_setregid, 0, 0),
        call!(SYS_setresuid, 0, 0, 0),
        call!(SYS_setresgid, 0, 0, 0),
        call!(SYS_setgroups, 0, 0),
        call!(SYS_setfsuid, 0),
        call!(SYS_setfsgid, 0),
        call!(SYS_capset, 0, 0),
    ]);
}

#[test]
fn sockets_are_of_the_plain_kinds_alone() {
    let (tcp, udp, raw) = (1, 2, 3);
    let socket = |family: i32, kind: i64, protocol: i64| {
        ("socket", vec![libc::SYS_socket, i64::from(family), kind, protocol])
    };
    all_refused(&[
        socket(libc::AF_INET, raw, 1),
        socket(libc::AF_INET6, raw, 58),
        socket(libc::AF_PACKET, raw, 0),
        socket(libc::AF_PACKET, udp, 0),
        socket(libc::AF_ALG, 5, 0),
        socket(libc::AF_VSOCK, tcp, 0),
        socket(libc::AF_NETLINK, raw, 9),
        socket(libc::AF_NETLINK, raw, 16),
        socket(libc::AF_BLUETOOTH, raw, 0),
        socket(libc::AF_KEY, raw, 2),
        socket(libc::AF_NETLINK, raw, 0),
        socket(libc::AF_INET, 10, 0),
        // Ping, SCTP, multipath TCP.
        socket(libc::AF_INET, udp, 1),
        socket(libc::AF_INET, tcp, 132),
        socket(libc::AF_INET, tcp, 262),
        // Flags beside the kind must not hide it.
        socket(libc::AF_INET, raw | i64::from(libc::SOCK_CLOEXEC), 1),
        // The kernel looks at the lower half of the number alone.
        socket(libc::AF_PACKET, raw | 1 << 32, 0),
        ("socketpair", vec![libc::SYS_socketpair, i64::from(libc::AF_INET), tcp, 0, 0]),
    ]);
}

#[test]
fn a_process_cannot_be_made_in_new_namespaces() {
    let flags = [
        ("user", libc::CLONE_NEWUSER),
        ("mount", libc::CLONE_NEWNS),
        ("pid", libc::CLONE_NEWPID),
        ("network", libc::CLONE_NEWNET),
        ("ipc", libc::CLONE_NEWIPC),
        ("uts", libc::CLONE_NEWUTS),
        ("cgroup", libc::CLONE_NEWCGROUP),
    ];
    let clone = |flags: i32| vec![libc::SYS_clone, i64::from(flags) | i64::from(libc::SIGCHLD), 0, 0, 0, 0];
    // A child that came to be would go on in the same program: it prints a second document, which is none.
    let calls: Vec<_> = flags.iter().map(|(name, flag)| (*name, clone(*flag))).collect();
    all_refused(&calls);
}

#[test]
fn clone3_is_not_there_so_that_libraries_use_what_can_be_filtered() {
    let calls = [call!(SYS_clone3, 0, 0), call!(SYS_clone3, 0, 88)];
    for (_, outcome) in outcomes(&calls) {
        assert_eq!(outcome, "ENOSYS");
    }
}

#[test]
fn no_terminal_input_can_be_faked() {
    let ioctl = |request: i64| ("ioctl", vec![libc::SYS_ioctl, 0, request, 0]);
    let (sti, linux) = (libc::TIOCSTI as i64, libc::TIOCLINUX as i64);
    // The kernel looks at the lower half of the number alone.
    all_refused(&[ioctl(sti), ioctl(linux), ioctl(sti | 1 << 32), ioctl(linux | 1 << 40)]);
}

/// What all runs share, /usr above all, must not tell of one to another.
#[test]
fn neighbours_cannot_be_spied_on_through_shared_files() {
    let (notify, drop_pages) = (1026, 4);
    all_refused(&[
        call!(SYS_inotify_init),
        call!(SYS_inotify_init1, 0),
        call!(SYS_inotify_add_watch, -1, 0, 0),
        call!(SYS_fcntl, -1, notify, 0),
        call!(SYS_fcntl, -1, notify | 1 << 32, 0),
        call!(SYS_fadvise64, -1, 0, 0, drop_pages),
        call!(SYS_fadvise64, -1, 0, 0, drop_pages | 1 << 32),
    ]);
}

#[test]
fn huge_pages_of_the_host_cannot_be_taken() {
    let (private_anonymous, huge) = (0x22, i64::from(libc::MAP_HUGETLB));
    all_refused(&[
        call!(SYS_mmap, 0, 1 << 21, 3, private_anonymous | huge, -1, 0),
        call!(SYS_mmap, 0, 1 << 21, 3, private_anonymous | huge | 1 << 32, -1, 0),
        call!(SYS_memfd_create, 0, 4),
        call!(SYS_memfd_create, 0, 4 | 1 << 32),
        call!(SYS_shmget, 0, 1 << 21, 0o1600),
        call!(SYS_msgget, 0, 0o1600),
        call!(SYS_semget, 0, 1, 0o1600),
        call!(SYS_mq_open, 0, 0, 0, 0),
    ]);
}

#[test]
fn no_device_can_be_made() {
    let code = format!(
        "{CALL}
path = ctypes.create_string_buffer(b'/tmp/device')
address = ctypes.addressof(path)
print(json.dumps([call({mknod}, address, kind | 0o666, 0x103) for kind in (0o020000, 0o060000)]
    + [call({mknodat}, -100, address, kind | 0o666, 0x103) for kind in (0o020000, 0o060000)]
    + [call({mknod}, address, 0o010000 | 0o666, 0)]))",
        mknod = libc::SYS_mknod,
        mknodat = libc::SYS_mknodat
    );
    assert_eq!(
        shared().probe(&code),
        json!(["EPERM", "EPERM", "EPERM", "EPERM", "0"]),
        "a fifo is no device"
    );
}

#[test]
fn the_second_system_call_interfaces_are_closed() {
    const X32: i64 = 0x4000_0000;
    all_refused(&[
        ("x32 getpid", vec![libc::SYS_getpid | X32]),
        ("x32 unshare", vec![libc::SYS_unshare | X32, 0]),
        ("no such call", vec![1000]),
        ("no such call", vec![-1_000_000]),
    ]);
    // mov eax, 20 (getpid); int 0x80; ret
    let code = format!(
        "{CALL}
import mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex('b814000000cd80c3'))
print('before', flush=True)
print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))())"
    );
    let execution = shared().execute(json!({"code": code}));
    // A kernel without 32-bit calls ends it with SIGSEGV before any filter is asked.
    execution.is("killed");
    assert!([Some(31), Some(11)].contains(&execution.signal()), "{:#}", execution.document());
    assert_eq!(execution.stdout(), "before\n");
}

#[test]
fn calls_that_only_an_attacker_makes_end_the_program() {
    for (name, numbers) in [
        call!(SYS_init_module, 0, 0, 0),
        call!(SYS_finit_module, -1, 0, 0),
        call!(SYS_delete_module, 0, 0),
        call!(SYS_kexec_load, 0, 0, 0, 0),
        call!(SYS_kexec_file_load, -1, -1, 0, 0, 0),
        call!(SYS_reboot, 0, 0, 0, 0),
        call!(SYS_iopl, 0),
        call!(SYS_ioperm, 0, 0, 0),
        call!(SYS_swapon, 0, 0),
        call!(SYS_swapoff, 0),
        call!(SYS_open_by_handle_at, -1, 0, 0),
    ] {
        let numbers = json!(numbers);
        let code = format!("{CALL}\nprint('before', flush=True)\nprint(call(*{numbers}))");
        let execution = shared().execute(json!({"code": code}));
        execution.is("killed").because(&["31 (SIGSYS"]);
        assert_eq!((execution.signal(), execution.stdout()), (Some(31), "before\n"), "{name}");
    }
}

#[test]
fn a_call_that_ends_a_child_leaves_the_program() {
    let code = format!(
        "{CALL}
child = os.fork()
if child == 0:
    call({reboot}, 0, 0, 0, 0)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))",
        reboot = libc::SYS_reboot
    );
    assert_eq!(shared().run(&code), "-31\n");
}

/// Filters that are in force for the main thread alone would be none.
#[test]
fn the_filter_is_in_force_in_threads_and_executed_programs() {
    let code = format!(
        "{CALL}
import subprocess, threading
threading.Thread(target=lambda: print(call({unshare}, 0), flush=True)).start()
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join()
script = open(__file__).read().split('import subprocess')[0] + 'print(call({unshare}, 0))'
print(subprocess.run([sys.executable, '-c', script], capture_output=True, text=True).stdout, end='')",
        unshare = libc::SYS_unshare
    );
    assert_eq!(shared().run(&code), "EPERM\nEPERM\n");
}
