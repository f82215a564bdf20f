//! pid 1 of a sandbox: makes its surroundings, clones its main process, and waits for the end.
//!
//! Owns the cgroup, the mounts, the host name and the loopback interface of the sandbox, and tells the
//! daemon how the main process ended. It never reads a job and never runs untrusted code.

use core::ffi::CStr;

use soulbox_protocol::{CONTROL_FD, SandboxMessage, SetupError, SetupStep};

use crate::descriptors::Descriptors;
use crate::libc_thread::LibcThread;
use crate::main_process::{self, Sealed};
use crate::network::{self, Fingerprint};
use crate::refusals::{Event, Handover, Refusals};
use crate::serve::Filters;
use crate::socket;
use crate::steps::OfStep;
use crate::sys::{self, Cloned, Ended, Errno, Fd};
use crate::text::Text;

/// What the main process does when its sandbox is complete.
#[derive(Clone, Copy)]
pub(crate) enum Then<'a> {
    /// Returns to the interpreter, which runs the program, with what it has open and cannot do without.
    Return(&'a Descriptors),
    /// Executes the program.
    Execute,
}

/// What the daemon has said of the sandbox before there is a job.
pub(crate) struct Spawn<'a> {
    /// User and group id that the program runs as.
    pub(crate) id: u32,
    /// The sandbox's end of the job socket.
    pub(crate) job_socket: Fd,
    /// The program's standard input, output and error.
    pub(crate) streams: [Fd; 3],
    /// Whether no job is there yet.
    pub(crate) park: bool,
    /// Size of all that the program can write.
    pub(crate) disk_bytes: u64,
    /// The files through which a process joins the leaf cgroup, opened by the daemon.
    pub(crate) join_files: &'a [Fd],
    /// The network namespace to enter. `None` when the process was cloned into a new one.
    pub(crate) network: Option<Fd>,
    /// How a network namespace looks that nobody has used.
    pub(crate) untouched_network: Fingerprint,
    /// Where the interpreter's libc keeps its thread's id.
    pub(crate) thread: LibcThread,
    /// The seccomp filters to install.
    pub(crate) filters: Filters,
    /// What comes last.
    pub(crate) then: Then<'a>,
}

/// Where the scratch tmpfs is mounted first; its directory for `/tmp` then covers it.
const SCRATCH: &CStr = c"/tmp";

/// The directories of the scratch tmpfs and where programs see them. `/tmp` is last, since it hides the
/// others at their first place.
const SCRATCH_DIRECTORIES: [(&CStr, &CStr); 3] =
    [(c"/tmp/workspace", c"/workspace"), (c"/tmp/shm", c"/dev/shm"), (c"/tmp/tmp", c"/tmp")];

const SCRATCH_FLAGS: libc::c_ulong = libc::MS_NOSUID | libc::MS_NODEV;
const PROC_FLAGS: libc::c_ulong = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;

/// Signals that end other processes reach them through `CAP_KILL`; pid 1 keeps no other capability.
const CAP_KILL: u64 = 1 << 5;

/// Lives the life of pid 1. Returns in the main process only, when every privilege is gone.
pub(crate) fn run(spawn: &Spawn<'_>) -> Sealed {
    let main = surroundings(spawn).and_then(|()| clone_main(spawn));
    match main {
        Ok((Cloned::Child, refusals)) => {
            main_process::seal(spawn, refusals).unwrap_or_else(|error| fail(spawn.job_socket, error))
        }
        Ok((Cloned::Parent, refusals)) => supervise(spawn, refusals),
        Err(error) => fail(spawn.job_socket, error),
    }
}

/// Tells the daemon why there will be no sandbox, and ends the process.
pub(crate) fn fail(job_socket: Fd, error: SetupError) -> ! {
    // When the daemon is gone there is nobody to tell.
    let _ = socket::send(job_socket, SandboxMessage::SetupFailed(error).encode(), &[]);
    sys::exit_group(1)
}

fn surroundings(spawn: &Spawn<'_>) -> Result<(), SetupError> {
    sys::close(CONTROL_FD);
    // Before the leaf is joined, so that a network namespace, which may serve many, is charged to none.
    enter_network(spawn.network)?;
    join_cgroup(spawn.join_files)?;
    sys::unshare(libc::CLONE_NEWCGROUP).of(SetupStep::UnshareCgroupNamespace)?;
    make_mounts_private()?;
    mount_proc()?;
    mount_scratch(spawn.id, spawn.disk_bytes)?;
    sys::set_hostname(b"sandbox").of(SetupStep::SetHostname)
}

fn enter_network(network: Option<Fd>) -> Result<(), SetupError> {
    match network {
        Some(fd) => {
            sys::enter_namespace(fd, libc::CLONE_NEWNET).of(SetupStep::EnterNetwork)?;
            sys::close(fd);
            Ok(())
        }
        None => sys::interface_up(b"lo").of(SetupStep::LoopbackUp),
    }
}

/// Moves this process into the leaf, so that all it makes from here on counts there. The daemon opened the
/// files, and the kernel checks the rights of the opener (cgroup v2 documentation, "Delegation
/// Containment"), so that a process of the container needs none of its own.
fn join_cgroup(join_files: &[Fd]) -> Result<(), SetupError> {
    for (index, fd) in join_files.iter().enumerate() {
        sys::write(*fd, b"0").of_item(SetupStep::JoinCgroup, index)?;
        sys::close(*fd);
    }
    Ok(())
}

/// Keeps this namespace's mounts from reaching the zygote's, whatever its propagation is.
fn make_mounts_private() -> Result<(), SetupError> {
    sys::mount(c"", c"/", c"", libc::MS_REC | libc::MS_PRIVATE, c"").of(SetupStep::MakeMountsPrivate)
}

/// `subset=pid` leaves of /proc what concerns processes: no /proc/sys, kcore, keys, sysrq-trigger or other
/// file of the machine. `hidepid=invisible` hides pid 1, which is another user's.
fn mount_proc() -> Result<(), SetupError> {
    sys::mount(c"proc", c"/proc", c"proc", PROC_FLAGS, c"subset=pid,hidepid=invisible")
        .of(SetupStep::MountProc)
}

/// One tmpfs holds all that the program may write, so that one size limits it.
fn mount_scratch(id: u32, disk_bytes: u64) -> Result<(), SetupError> {
    let mut options = Text::new();
    options
        .push(b"mode=755,size=")
        .and_then(|()| options.push_number(disk_bytes))
        .of(SetupStep::MountScratch)?;
    sys::mount(c"scratch", SCRATCH, c"tmpfs", SCRATCH_FLAGS, options.as_c_str())
        .of(SetupStep::MountScratch)?;
    sys::set_umask(0);
    for (index, (directory, target)) in SCRATCH_DIRECTORIES.into_iter().enumerate() {
        let is_workspace = index == 0;
        let mode = if is_workspace { 0o755 } else { 0o1777 };
        sys::mkdir(directory, mode).of_item(SetupStep::BindScratch, index)?;
        if is_workspace {
            sys::chown(directory, id).of_item(SetupStep::BindScratch, index)?;
        }
        sys::mount(directory, target, c"", libc::MS_BIND, c"").of_item(SetupStep::BindScratch, index)?;
    }
    Ok(())
}

fn clone_main(spawn: &Spawn<'_>) -> Result<(Cloned, Handover), SetupError> {
    let refusals = Handover::new().of(SetupStep::CloneMain)?;
    // The zygote ignores it; here it must be possible to wait for children.
    sys::set_signal(libc::SIGCHLD, libc::SIG_DFL).of(SetupStep::CloneMain)?;
    let cloned = sys::clone3(0, None, spawn.thread).of(SetupStep::CloneMain)?;
    Ok((cloned, refusals))
}

/// Waits for the end of all that is untrusted, and reports. The exit of pid 1 then takes the namespaces with it.
fn supervise(spawn: &Spawn<'_>, refusals: Handover) -> ! {
    // To be told how the main process has ended before it is a zombie, which proc(5) tells its own user alone.
    sys::see_files_as(spawn.id);
    // Failure would leave pid 1 with more rights than it needs, none of which untrusted code can use.
    let _ = sys::set_capabilities(CAP_KILL);
    // A launcher has its cpu time counted before it leaves; a program that was executed is counted when it is gone.
    let early = matches!(spawn.then, Then::Return(_));
    let main = wait_for_main(Refusals::new(refusals, spawn.filters.last(), spawn.job_socket), early);
    if let Ok(MainEnded { status, signaled, at_ns }) = main {
        let exited = SandboxMessage::Exited { status, signaled, at_ns }.encode();
        let _ = socket::send(spawn.job_socket, exited, &[]);
        // Nobody waits for this. What holds a socket has to be gone.
        while sys::wait_any().is_ok() {}
        if let Some(network) = network::open_untouched(spawn.untouched_network) {
            let _ = socket::send(spawn.job_socket, SandboxMessage::NetworkUntouched.encode(), &[network]);
        }
    }
    sys::exit_group(0)
}

/// How and when the main process has ended.
struct MainEnded {
    status: i32,
    signaled: bool,
    at_ns: u64,
}

/// The main process is the first that pid 1 cloned, and so pid 2.
const MAIN_PID: libc::c_int = 2;

/// Waits until nothing untrusted runs any more, so that nothing can race with the daemon's look at the files: until the
/// main process has ended, whereupon all others are ended; or, if `early`, which is sooner by the taking apart of its
/// memory, until every process is on its way out. Orphans are reaped on the way, and refused system calls answered.
fn wait_for_main(mut refusals: Refusals, early: bool) -> Result<MainEnded, Errno> {
    let child_ended = sys::signal_descriptor(libc::SIGCHLD)?;
    loop {
        // Also before the first signal: one may have come before the descriptor was there.
        while let Some(Ended { pid, status, signaled }) = sys::reap_any()? {
            if pid == MAIN_PID {
                let at_ns = sys::monotonic_ns();
                let _ = sys::kill(-1, libc::SIGKILL);
                while sys::wait_any().is_ok() {}
                return Ok(MainEnded { status, signaled, at_ns });
            }
        }
        match refusals.serve_until(child_ended)? {
            Event::Other => sys::take_signal(child_ended)?,
            Event::NobodyLeft => {
                if let Some(main) = leaving_main().filter(|_| early) {
                    return Ok(main);
                }
            }
        }
    }
}

/// How the main process ends that is on its way out, where the kernel tells: it gives up its filters (since Linux
/// 6.11) when its exit status is certain and it cannot return to its program. It tells nobody of a program that
/// has made itself undumpable.
fn leaving_main() -> Option<MainEnded> {
    /// Of `task_struct.flags` (linux/sched.h).
    const PF_EXITING: u64 = 4;
    let mut text = [0; 1024];
    let text = sys::read_file(c"/proc/2/stat", &mut text).ok()?;
    let [flags, status] = stat_fields(text, [9, 52])?;
    let (signal, code) = ((status & 0x7f) as i32, (status >> 8 & 0xff) as i32);
    let (status, signaled) = if signal == 0 { (code, false) } else { (signal, true) };
    (flags & PF_EXITING != 0).then(|| MainEnded { status, signaled, at_ns: sys::monotonic_ns() })
}

/// Fields of proc_pid_stat(5) by their numbers there, of those that follow the program's name.
fn stat_fields<const N: usize>(text: &[u8], numbers: [usize; N]) -> Option<[u64; N]> {
    /// The number of the first.
    const STATE: usize = 3;
    // The name may hold anything but is the last to hold a parenthesis.
    let name_end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = text.get(name_end + 2..)?;
    let mut fields = [0; N];
    for (field, number) in fields.iter_mut().zip(numbers) {
        let text = rest.split(|byte| byte.is_ascii_whitespace()).nth(number - STATE)?;
        *field = core::str::from_utf8(text).ok()?.parse().ok()?;
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let before = "2 (a) 7) R (b) R ";
        let numbers: std::vec::Vec<_> =
            (4..=53).map(|number| std::string::ToString::to_string(&number)).collect();
        let text = std::format!("{before}{}\n", numbers.join(" "));
        assert_eq!(stat_fields(text.as_bytes(), [9, 52]), Some([9, 52]));
        assert_eq!(stat_fields(text.as_bytes(), [3]), None, "no number");
        assert_eq!(stat_fields(b"2 (cut) R 1 2", [9]), None);
        assert_eq!(stat_fields(b"", [9]), None);
    }
}
