//! The main process of a sandbox, from its clone to the first instruction of untrusted code.
//!
//! Owns the giving up of every privilege ([`seal`]), and after that what a job says: sizes, streams, files
//! ([`Sealed::receive`]). What comes then is untrusted, and nothing of the daemon's is open any more.

use core::convert::Infallible;
use core::ffi::CStr;
use core::sync::atomic::{AtomicI32, Ordering};

use soulbox_protocol::{INLINE_LEN, Job, Program, SandboxMessage, SetupError, SetupStep};

use crate::descriptors::{Descriptors, FIRST_OTHER_FD};
use crate::pid1::{self, Spawn, Then};
use crate::refusals::Handover;
use crate::serve::Filters;
use crate::socket;
use crate::steps::OfStep;
use crate::sys::{self, Errno, Fd};
use crate::text::Text;

/// A sandbox without any privilege that waits for its job.
#[derive(Clone, Copy)]
pub(crate) struct Sealed {
    job_socket: Fd,
    /// The program's standard streams, before they are in their places.
    streams: [Fd; 3],
    workspace: Fd,
    /// Whether there is no job yet, so that there is time to rehearse.
    pub(crate) parked: bool,
}

/// What the main process of a finished sandbox shall run.
pub(crate) struct Prepared {
    pub(crate) program: Program<'static>,
    /// How large the interpreter's heap may be.
    pub(crate) heap_bytes: u64,
    executable: Option<Fd>,
}

/// Joins the leaf cgroup and gives up every privilege. The order is the point: what needs one comes before it goes, and
/// the filters come last but for the closing of descriptors, which every profile allows, as all that comes after it.
pub(crate) fn seal(spawn: &Spawn<'_>) -> Result<Sealed, SetupError> {
    pid1::join_cgroup(spawn.join_files)?;
    // The leaf is the root of all cgroups that it sees.
    sys::unshare(libc::CLONE_NEWCGROUP).of(SetupStep::UnshareCgroupNamespace)?;
    sys::restart_rseq().of(SetupStep::RestartSequences)?;
    sys::set_session().of(SetupStep::NewSession)?;
    let kept = match spawn.then {
        Then::Return(descriptors) => descriptors,
        Then::Execute => &Descriptors::NONE,
    };
    kept.renew().of(SetupStep::RenewDescriptors)?;
    let workspace = sys::open(c"/workspace", libc::O_PATH | libc::O_DIRECTORY, 0);
    let workspace = workspace.of(SetupStep::EnterWorkspace)?;
    if spawn.park {
        silence_streams().of(SetupStep::StandardStreams)?;
    }
    set_fixed_rlimits()?;
    sys::become_user(spawn.id).of(SetupStep::SetIds)?;
    // Leaving uid 0 made the process undumpable, which would make /proc/self another user's (proc(5)).
    sys::prctl(libc::PR_SET_DUMPABLE, 1).of(SetupStep::SetIds)?;
    sys::set_umask(0o022);
    sys::change_directory(c"/workspace").of(SetupStep::EnterWorkspace)?;
    sys::set_capabilities(0).of(SetupStep::DropCapabilities)?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).of(SetupStep::NoNewPrivileges)?;
    install_filters(&spawn.filters, spawn.refusals)?;
    let [stdin, stdout, stderr] = spawn.streams;
    let own = [spawn.job_socket, stdin, stdout, stderr, workspace];
    kept.close_all_but(&own).of(SetupStep::CloseDescriptors)?;
    Ok(Sealed { job_socket: spawn.job_socket, streams: spawn.streams, workspace, parked: spawn.park })
}

impl Sealed {
    /// Waits for the job and does what it says: from then on the caller runs the program, and nothing else. Ends
    /// the process when it cannot be done, or no job comes.
    pub(crate) fn receive(self) -> Prepared {
        let prepared = self.prepare().unwrap_or_else(|error| pid1::fail(self.job_socket, error));
        sys::close(self.job_socket);
        prepared
    }

    /// Waits for the job and executes its program in the place of this process. The job socket closes with
    /// execve(2), and until then is there for the news that it has failed.
    pub(crate) fn execute(self) -> ! {
        let executed = self.prepare().and_then(|prepared| execute(&prepared).of(SetupStep::Execute));
        match executed {
            Ok(never) => match never {},
            Err(error) => pid1::fail(self.job_socket, error),
        }
    }

    fn prepare(&self) -> Result<Prepared, SetupError> {
        install_streams(self.streams)?;
        // Before there is anything to do for the job.
        let buffer = sys::map_memory(INLINE_LEN, self.parked).of(SetupStep::ReadProgram)?;
        if self.parked {
            socket::send(self.job_socket, SandboxMessage::Parked.encode(), &[self.workspace])
                .of(SetupStep::Park)?;
        }
        let Received { job, program, executable } = receive_job(self.job_socket, buffer)?;
        let (program, file_bytes) = parse(program)?;
        set_rlimits(&job)?;
        write_files(&program)?;
        // SAFETY: the files have been written, and nothing but `Program::files`, which is not called again,
        // would look at their bytes.
        unsafe { sys::unmap_pages(file_bytes) };
        let running = SandboxMessage::Running { at_ns: sys::monotonic_ns() };
        let workspace = [self.workspace];
        let workspace = if self.parked { &[] } else { workspace.as_slice() };
        socket::send(self.job_socket, running.encode(), workspace).of(SetupStep::Start)?;
        sys::close(self.workspace);
        Ok(Prepared { program, heap_bytes: job.heap_bytes, executable })
    }

    /// Keeps it for [`Sealed::kept`], for interpreters that come back for it.
    pub(crate) fn keep(self) {
        let [stdin, stdout, stderr] = self.streams;
        let words = [self.job_socket, stdin, stdout, stderr, self.workspace, self.parked.into()];
        for (kept, word) in KEPT.iter().zip(words) {
            kept.store(word, Ordering::Relaxed);
        }
    }

    pub(crate) fn kept() -> Self {
        let [job_socket, stdin, stdout, stderr, workspace, parked] =
            KEPT.each_ref().map(|kept| kept.load(Ordering::Relaxed));
        Sealed { job_socket, streams: [stdin, stdout, stderr], workspace, parked: parked != 0 }
    }
}

static KEPT: [AtomicI32; 6] = [const { AtomicI32::new(-1) }; 6];

/// Executes the given descriptor, or else the program's first argument. Returns only to tell why it failed.
fn execute(prepared: &Prepared) -> sys::Result<Infallible> {
    let (argv, envp) = pointers(&prepared.program)?;
    // SAFETY: `pointers` ends both with null, after pointers to the program's NUL-terminated strings.
    Err(unsafe { sys::execute(prepared.executable, argv, envp) })
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

/// A job with its program and what to execute.
struct Received {
    job: Job,
    program: &'static [u8],
    executable: Option<Fd>,
}

fn receive_job(job_socket: Fd, buffer: &'static mut [u8]) -> Result<Received, SetupError> {
    let Some((packet, behind)) = socket::receive_with(job_socket, buffer).of(SetupStep::ReceiveJob)? else {
        // The daemon has no job for this sandbox: it is not wanted any more.
        sys::exit_group(0)
    };
    let malformed = || Errno(libc::EBADMSG);
    let job = Job::decode(&packet.frame).map_err(|_| malformed()).of(SetupStep::ReceiveJob)?;
    let len = usize::try_from(job.program_len).map_err(|_| malformed()).of(SetupStep::ReceiveJob)?;
    let (program_fd, executable) = match (packet.fds(), len > INLINE_LEN, job.executable) {
        ([], false, false) => (None, None),
        ([executable], false, true) => (None, Some(*executable)),
        ([program], true, false) => (Some(*program), None),
        ([program, executable], true, true) => (Some(*program), Some(*executable)),
        _ => return Err(malformed()).of(SetupStep::ReceiveJob),
    };
    let program = match program_fd {
        Some(fd) => {
            let bytes = sys::map_file(fd, len).of(SetupStep::ReadProgram)?;
            sys::close(fd);
            bytes
        }
        None => behind.get(..len).ok_or_else(malformed).of(SetupStep::ReadProgram)?,
    };
    Ok(Received { job, program, executable })
}

/// Reads the program; the second value is the part of its bytes that has the files.
fn parse(bytes: &'static [u8]) -> Result<(Program<'static>, &'static [u8]), SetupError> {
    let program = Program::parse(bytes).map_err(|_| Errno(libc::EBADMSG)).of(SetupStep::ReadProgram)?;
    let strings_end = program.strings().as_ptr_range().end as usize - bytes.as_ptr() as usize;
    Ok((program, &bytes[strings_end..]))
}

/// What an interpreter writes before there is a program is nobody's.
fn silence_streams() -> sys::Result<()> {
    let null = sys::open(c"/dev/null", libc::O_RDWR, 0)?;
    (0..FIRST_OTHER_FD).try_for_each(|stream| sys::dup_to(null, stream, 0))
}

fn install_streams(streams: [Fd; 3]) -> Result<(), SetupError> {
    for (target, fd) in (0..).zip(streams) {
        sys::dup_to(fd, target, 0).of_item(SetupStep::StandardStreams, target as usize)?;
        sys::close(fd);
    }
    Ok(())
}

/// Queued real-time signals and POSIX timers of one sandbox.
const PENDING_SIGNALS: u64 = 256;

/// The limits that are the same for every job.
fn set_fixed_rlimits() -> Result<(), SetupError> {
    let limits = [
        // No core dumps: they would hold the memory of others' interpreters. 1 byte is less than the page that
        // a file takes, and the one value that also keeps the kernel from piping to a handler (core(5)).
        (libc::RLIMIT_CORE, 1),
        // Counted for the user who made the user namespace as well, which is the host's root.
        (libc::RLIMIT_SIGPENDING, PENDING_SIGNALS),
        // Message queues and locked memory are charged to the kernel's user, not to the cgroup.
        (libc::RLIMIT_MSGQUEUE, 0),
        (libc::RLIMIT_MEMLOCK, 64 << 10),
    ];
    for (index, (resource, most)) in limits.into_iter().enumerate() {
        sys::set_rlimit(resource as libc::c_int, most, most).of_item(SetupStep::SetRlimit, index)?;
    }
    Ok(())
}

/// The limits that the job names, all below those that are in force: nobody without privileges can raise one.
fn set_rlimits(job: &Job) -> Result<(), SetupError> {
    const UNLIMITED: u64 = u64::MAX;
    let limits = [
        (libc::RLIMIT_NOFILE, job.open_files, job.open_files),
        // Sparse files cost no space, and are bounded here.
        (libc::RLIMIT_FSIZE, job.file_bytes, job.file_bytes),
        (libc::RLIMIT_STACK, job.stack_bytes, UNLIMITED),
    ];
    for (index, (resource, soft, hard)) in limits.into_iter().enumerate() {
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
