//! The main process of a sandbox, from its clone to the first instruction of untrusted code.
//!
//! Owns what a job says: sizes, streams, files, limits; and the giving up of every privilege. What comes
//! after [`prepare`] is untrusted, and nothing of the daemon's is open any more.

use core::convert::Infallible;
use core::ffi::CStr;

use soulbox_protocol::{Job, Program, SandboxMessage, SetupError, SetupStep};

use crate::descriptors::FIRST_OTHER_FD;
use crate::pid1::{Spawn, Then};
use crate::refusals::Handover;
use crate::serve::Filters;
use crate::socket;
use crate::steps::OfStep;
use crate::sys::{self, Errno, Fd};
use crate::text::Text;

const SCRATCH_FLAGS: libc::c_ulong = libc::MS_NOSUID | libc::MS_NODEV;

/// What the main process of a finished sandbox shall run.
pub(crate) struct Prepared {
    pub(crate) program: Program<'static>,
    /// How large the interpreter's heap may be.
    pub(crate) heap_bytes: u64,
}

/// Waits for the job and finishes the sandbox for it. Returns in *fork mode* only; in *spawn mode* the
/// program takes this process's place. The order is the point: what needs a privilege comes
/// before the privilege goes, and the filters come last but for the words "running" and the closing of all
/// descriptors, which every profile allows.
pub(crate) fn prepare(
    spawn: &Spawn<'_>,
    refusals: Handover,
    after_fork: impl FnOnce(),
) -> Result<Prepared, SetupError> {
    sys::set_session().of(SetupStep::NewSession)?;
    after_fork();
    if let Then::Return(descriptors) = spawn.then {
        descriptors.renew().of(SetupStep::RenewDescriptors)?;
    }

    let Received { job, streams, program_fd, executable } = receive_job(spawn.job_socket)?;
    let (program, file_bytes) = map_program(program_fd, job.program_len)?;
    resize_scratch(job.disk_bytes)?;
    install_streams(streams)?;
    set_rlimits(&job)?;
    sys::become_user(spawn.id).of(SetupStep::SetIds)?;
    // Leaving uid 0 made the process undumpable, which would make /proc/self another user's (proc(5)).
    sys::prctl(libc::PR_SET_DUMPABLE, 1).of(SetupStep::SetIds)?;
    sys::set_umask(0o022);
    sys::change_directory(c"/workspace").of(SetupStep::EnterWorkspace)?;
    write_files(&program)?;
    // SAFETY: the files have been written, and nothing but `Program::files`, which is not called again,
    // would look at their bytes.
    unsafe { sys::unmap_pages(file_bytes) };
    sys::set_capabilities(0).of(SetupStep::DropCapabilities)?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).of(SetupStep::NoNewPrivileges)?;
    install_filters(&spawn.filters, refusals)?;
    let running = SandboxMessage::Running { at_ns: sys::monotonic_ns() };
    socket::send(spawn.job_socket, running.encode(), &[]).of(SetupStep::CloseDescriptors)?;
    match spawn.then {
        Then::Return(descriptors) => {
            descriptors.close_others().of(SetupStep::CloseDescriptors)?;
            Ok(Prepared { program, heap_bytes: job.heap_bytes })
        }
        Then::Execute => {
            // The job socket stays until execve(2) has succeeded, for the news that it has not.
            sys::close_range(FIRST_OTHER_FD, Fd::MAX, libc::CLOSE_RANGE_CLOEXEC)
                .of(SetupStep::CloseDescriptors)?;
            execute(&program, executable).of(SetupStep::Execute).map(|never| match never {})
        }
    }
}

/// Executes the given descriptor, or else the program's first argument. Returns only to tell why it failed.
fn execute(program: &Program<'_>, executable: Option<Fd>) -> sys::Result<Infallible> {
    let (argv, envp) = pointers(program)?;
    // SAFETY: `pointers` ends both with null, after pointers to the program's NUL-terminated strings.
    Err(unsafe { sys::execute(executable, argv, envp) })
}

fn pointers(program: &Program<'_>) -> sys::Result<(&'static [*const u8], &'static [*const u8])> {
    let argc = program.arg_count();
    let table = sys::map_pointers(argc + program.variable_count() + 2)?;
    let (argv, envp) = table.split_at_mut(argc + 1);
    let mut strings = program.strings().split_inclusive(|byte| *byte == 0).map(<[u8]>::as_ptr);
    // Each table keeps its last place, a null pointer, as the mapping came.
    for table in [&mut argv[..argc], &mut envp[..program.variable_count()]] {
        for (pointer, string) in table.iter_mut().zip(&mut strings) {
            *pointer = string;
        }
    }
    Ok((argv, envp))
}

/// A job with its descriptors.
struct Received {
    job: Job,
    streams: [Fd; 3],
    program_fd: Fd,
    executable: Option<Fd>,
}

fn receive_job(job_socket: Fd) -> Result<Received, SetupError> {
    let Some(packet) = socket::receive(job_socket).of(SetupStep::ReceiveJob)? else {
        // The daemon has no job for this sandbox: it is not wanted any more.
        sys::exit_group(0)
    };
    let job = Job::decode(&packet.frame).map_err(|_| Errno(libc::EBADMSG)).of(SetupStep::ReceiveJob)?;
    let (stdin, stdout, stderr, program_fd, executable) = match (packet.fds(), job.executable) {
        ([stdin, stdout, stderr, program], false) => (stdin, stdout, stderr, program, None),
        ([stdin, stdout, stderr, program, executable], true) => {
            (stdin, stdout, stderr, program, Some(*executable))
        }
        _ => return Err(Errno(libc::EBADMSG)).of(SetupStep::ReceiveJob),
    };
    Ok(Received { job, streams: [*stdin, *stdout, *stderr], program_fd: *program_fd, executable })
}

/// Maps the program; the second value is the part of the mapping that has the files.
fn map_program(fd: Fd, len: u64) -> Result<(Program<'static>, &'static [u8]), SetupError> {
    let len = usize::try_from(len).map_err(|_| Errno(libc::EOVERFLOW)).of(SetupStep::ReadProgram)?;
    let bytes = sys::map_file(fd, len).of(SetupStep::ReadProgram)?;
    let program = Program::parse(bytes).map_err(|_| Errno(libc::EBADMSG)).of(SetupStep::ReadProgram)?;
    let strings_end = program.strings().as_ptr_range().end as usize - bytes.as_ptr() as usize;
    Ok((program, &bytes[strings_end..]))
}

fn resize_scratch(disk_bytes: u64) -> Result<(), SetupError> {
    let mut options = Text::new();
    options.push(b"size=").and_then(|()| options.push_number(disk_bytes)).of(SetupStep::ResizeScratch)?;
    let flags = libc::MS_REMOUNT | SCRATCH_FLAGS;
    sys::mount(c"scratch", c"/tmp", c"tmpfs", flags, options.as_c_str()).of(SetupStep::ResizeScratch)
}

fn install_streams(streams: [Fd; 3]) -> Result<(), SetupError> {
    for (target, fd) in (0..).zip(streams) {
        sys::dup_to(fd, target, 0).of_item(SetupStep::StandardStreams, target as usize)?;
    }
    Ok(())
}

/// Queued real-time signals and POSIX timers of one sandbox.
const PENDING_SIGNALS: u64 = 256;

fn set_rlimits(job: &Job) -> Result<(), SetupError> {
    const UNLIMITED: u64 = u64::MAX;
    let limits = [
        // No core dumps: they would hold the memory of others' interpreters. 1 byte is less than the page that
        // a file takes, and the one value that also keeps the kernel from piping to a handler (core(5)).
        (libc::RLIMIT_CORE, 1, 1),
        // Counted for the user who made the user namespace as well, which is the host's root.
        (libc::RLIMIT_SIGPENDING, PENDING_SIGNALS, PENDING_SIGNALS),
        (libc::RLIMIT_NOFILE, job.open_files, job.open_files),
        // Sparse files cost no space, and are bounded here.
        (libc::RLIMIT_FSIZE, job.disk_bytes, job.disk_bytes),
        (libc::RLIMIT_STACK, job.stack_bytes, UNLIMITED),
        // Message queues and locked memory are charged to the kernel's user, not to the cgroup.
        (libc::RLIMIT_MSGQUEUE, 0, 0),
        (libc::RLIMIT_MEMLOCK, 64 << 10, 64 << 10),
    ];
    for (index, (resource, soft, hard)) in limits.iter().copied().enumerate() {
        sys::set_rlimit(resource as libc::c_int, soft, hard).of_item(SetupStep::SetRlimit, index)?;
    }
    // Counted for a user of a user namespace (since Linux 5.14), and each sandbox is another user of its
    // container: this is what `pids.max` would be. Nobody without privileges can become another user.
    match job.processes {
        0 => Ok(()),
        most => sys::set_rlimit(libc::RLIMIT_NPROC as libc::c_int, most, most)
            .of_item(SetupStep::SetRlimit, limits.len()),
    }
}

/// Writes the program's files below the working directory, as the sandbox's user. The tmpfs is new, so that
/// no path leads through a link; a path that occurs twice is refused by `O_EXCL`.
fn write_files(program: &Program<'_>) -> Result<(), SetupError> {
    for (index, file) in program.files().enumerate() {
        file.map_err(|_| Errno(libc::EBADMSG))
            .and_then(|file| write_file(file.path, file.content))
            .of_item(SetupStep::WriteFile, index)?;
    }
    Ok(())
}

fn write_file(path: &CStr, mut content: &[u8]) -> sys::Result<()> {
    make_parents(path)?;
    let fd = sys::open(path, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW, 0o644)?;
    while !content.is_empty() {
        let written = sys::write(fd, content)?;
        content = &content[written..];
    }
    sys::close(fd);
    Ok(())
}

fn make_parents(path: &CStr) -> sys::Result<()> {
    let bytes = path.to_bytes();
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
        let mut parent = Text::new();
        parent.push(&bytes[..at])?;
        match sys::mkdir(parent.as_c_str(), 0o755) {
            Ok(()) | Err(Errno(libc::EEXIST)) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// The last filter is the allow-list, whose refusals pid 1 answers.
fn install_filters(filters: &Filters, refusals: Handover) -> Result<(), SetupError> {
    let last = filters.iter().count().saturating_sub(1);
    for (index, filter) in filters.iter().enumerate() {
        let installed = if index == last { refusals.install(filter) } else { sys::install_filter(filter) };
        installed.of_item(SetupStep::InstallSeccomp, index)?;
    }
    Ok(())
}
