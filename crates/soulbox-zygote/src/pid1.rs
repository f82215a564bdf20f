//! pid 1 of a sandbox until there is a main process: makes the surroundings, and the main process from the zygote.
//!
//! Owns the mounts, the host name and the loopback interface of the sandbox. It never reads a job and never runs
//! untrusted code.
//!
//! An interpreter has page tables that take as long to copy, and to take apart, as a small program takes to run. So pid
//! 1 is no copy of the zygote: it uses the zygote's own memory, while the zygote stands still, and then executes the
//! program that goes on as the [supervisor](crate::supervisor). Until then it stays in the zygote's cgroup, for what
//! the kernel does about a lack of memory it does to all who share that memory.

use core::ffi::CStr;

use soulbox_protocol::{CONTROL_FD, SandboxMessage, SetupError, SetupStep};

use crate::descriptors::Descriptors;
use crate::libc_thread::LibcThread;
use crate::network::Fingerprint;
use crate::refusals::Handover;
use crate::serve::Filters;
use crate::socket;
use crate::steps::OfStep;
use crate::supervisor;
use crate::sys::{self, Cloned, Fd, Stack};
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
    /// How the supervisor gets the listener of the last one.
    pub(crate) refusals: Handover,
    /// That pid 1 runs on as long as it has the zygote's memory.
    pub(crate) stack: &'a Stack,
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

/// Lives the life of pid 1 until it is the supervisor. The copy of the zygote that it makes goes on where the zygote
/// stands still.
pub(crate) extern "C" fn run(spawn: &Spawn<'_>) -> ! {
    match surroundings(spawn).and_then(|()| clone_main(spawn)) {
        // SAFETY: this is a copy that a process beside the zygote has forked, and the zygote stands still until that
        // process executes the supervisor.
        Ok(Cloned::Child) => unsafe { spawn.stack.go_on() },
        Ok(Cloned::Parent) => fail(spawn.job_socket, supervisor::execute(spawn)),
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
    enter_network(spawn.network)?;
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
pub(crate) fn join_cgroup(join_files: &[Fd]) -> Result<(), SetupError> {
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

fn clone_main(spawn: &Spawn<'_>) -> Result<Cloned, SetupError> {
    // The zygote ignores it; here it must be possible to wait for children.
    sys::set_signal(libc::SIGCHLD, libc::SIG_DFL).of(SetupStep::CloneMain)?;
    sys::clone3(spawn.thread).of(SetupStep::CloneMain)
}
