//! A helper process that can reach one directory and nothing else, for work on files that nobody vouches for.
//!
//! Owns both halves of its confinement: the parent starts this program again under a hidden command and maps
//! its ids ([`Confined::spawn`]); the helper calls [`enter`] first of all, and is then root of nothing but
//! that directory. What the two say to each other after that is the caller's: the helper reads its standard
//! input and writes one report to its standard output, which is data and no more.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, SFlag, makedev, mknod, umask};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Uid, chdir, fork, pivot_root, setgroups, setresgid, setresuid};

/// How many ids the helper has; its root is the first.
pub const CONFINED_IDS: u32 = 65536;

/// What the helper writes when it waits for its ids. No report begins with it.
const READY: u8 = b'R';
/// What the parent answers.
const GO: u8 = b'G';

/// Most bytes of a report, and of what a helper says on standard error.
const MAX_REPORT: u64 = 64 << 10;

/// The pipe to the helper: large enough that neither side is woken for every few kilobytes.
const PIPE_BYTES: i32 = 1 << 20;

/// What a helper is started with.
#[derive(Clone, Copy, Debug)]
pub struct Confinement<'a> {
    /// The program; `/proc/self/exe` for this one.
    pub program: &'a Path,
    /// Its hidden command, which calls [`enter`], and the arguments of that.
    pub arguments: &'a [OsString],
    /// The host id of the helper's root; the next [`CONFINED_IDS`] less one are its other users.
    pub first_id: u32,
}

/// A running helper. Dropping it kills it.
#[derive(Debug)]
pub struct Confined {
    child: Child,
    stdout: ChildStdout,
    stderr: ChildStderr,
    /// What came instead of [`READY`].
    early: Option<u8>,
}

/// How a helper ended.
#[derive(Debug)]
pub struct Finished {
    /// Its report, as it was written.
    pub report: Vec<u8>,
    /// What it said on standard error.
    pub said: String,
    /// Its exit status.
    pub status: ExitStatus,
}

impl Confined {
    /// Starts a helper and gives it its ids. That it could not confine itself shows in its report.
    ///
    /// # Errors
    /// That the program cannot be started, or that this process may not map ids.
    pub fn spawn(confinement: &Confinement<'_>) -> io::Result<Self> {
        let mut child = Command::new(confinement.program)
            .args(confinement.arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let mut confined = Confined { child, stdout, stderr, early: None };
        let mut first = [0];
        match confined.stdout.read(&mut first)? {
            1 if first[0] == READY => confined.map_ids(confinement.first_id)?,
            0 => {}
            _ => confined.early = Some(first[0]),
        }
        Ok(confined)
    }

    fn map_ids(&mut self, first: u32) -> io::Result<()> {
        let map = format!("0 {first} {CONFINED_IDS}\n");
        let proc = Path::new("/proc").join(self.child.id().to_string());
        for file in ["uid_map", "gid_map"] {
            // One write(2): the kernel takes no more.
            std::fs::OpenOptions::new().write(true).open(proc.join(file))?.write_all(map.as_bytes())?;
        }
        let Some(stdin) = &mut self.child.stdin else { return Ok(()) };
        // A smaller pipe does as well.
        let _ = nix::fcntl::fcntl(stdin.as_fd(), nix::fcntl::FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
        stdin.write_all(&[GO])
    }

    /// Gives the helper bytes to read.
    ///
    /// # Errors
    /// [`io::ErrorKind::BrokenPipe`] when it reads no more, of which its report tells the reason.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.child.stdin.as_mut().map_or(Ok(()), |stdin| stdin.write_all(bytes))
    }

    /// Lets the helper see the end of its input, and waits for its own.
    ///
    /// # Errors
    /// That its pipes cannot be read.
    pub fn finish(mut self) -> io::Result<Finished> {
        drop(self.child.stdin.take());
        let mut report: Vec<u8> = self.early.into_iter().collect();
        (&mut self.stdout).take(MAX_REPORT).read_to_end(&mut report)?;
        let mut said = Vec::new();
        (&mut self.stderr).take(MAX_REPORT).read_to_end(&mut said)?;
        let status = self.child.wait()?;
        Ok(Finished { report, said: String::from_utf8_lossy(&said).trim().to_owned(), status })
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        // After `finish` there is nobody to kill; the pid is not used again before the wait.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a helper may use.
#[derive(Clone, Copy, Debug)]
pub struct ConfinedLimits {
    /// Address space, bytes.
    pub memory: u64,
    /// Largest file it writes, bytes.
    pub file: u64,
}

/// Confines this process: to `root`, which becomes its root directory, to namespaces of its own (user, mount,
/// network, ipc, uts, pid), and to the privileges over files that an archive needs. It has no thread yet.
/// From here on this is another process, pid 1 of its namespace; the one that was started waits for it.
///
/// # Errors
/// What the kernel refused; the caller reports it and does nothing else.
pub fn enter(root: &Path, limits: ConfinedLimits) -> io::Result<()> {
    close_inherited()?;
    unshare(
        CloneFlags::CLONE_NEWUSER
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWPID,
    )?;
    wait_for_ids()?;
    // Still with the host's id, to which the way to `root` is open, though without its privileges.
    change_root(root)?;
    setgroups(&[])?;
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    umask(Mode::empty());
    for (resource, limit) in [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_NOFILE, 64),
        (Resource::RLIMIT_AS, limits.memory),
        (Resource::RLIMIT_FSIZE, limits.file),
    ] {
        setrlimit(resource, limit, limit)?;
    }
    become_first_process()?;
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    nix::sys::prctl::set_no_new_privs()?;
    keep_capabilities(&[CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER])
}

/// What whoever started the parent left open is not the helper's either.
fn close_inherited() -> io::Result<()> {
    // SAFETY: takes numbers only. This process has opened nothing itself by now.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn wait_for_ids() -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(&[READY])?;
    stdout.flush()?;
    // Not through std's buffer, which would take more than this byte.
    let mut answer = [0];
    match nix::unistd::read(io::stdin().as_fd(), &mut answer)? {
        1 if answer[0] == GO => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Makes `root` the only mount there is: what lay above it is not hidden but gone.
fn change_root(root: &Path) -> io::Result<()> {
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some(root), root, none, MsFlags::MS_BIND, none)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(none, root, none, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | flags, none)?;
    chdir(root)?;
    pivot_root(".", ".")?;
    umount2(".", MntFlags::MNT_DETACH)?;
    Ok(chdir("/")?)
}

/// Goes on in a child, since a process enters no pid namespace itself. The parent ends as the child does.
fn become_first_process() -> io::Result<()> {
    // SAFETY: this process has one thread, so that the child's memory is in order.
    match unsafe { fork() }? {
        ForkResult::Child => Ok(()),
        ForkResult::Parent { child } => {
            let code = match waitpid(child, None) {
                Ok(WaitStatus::Exited(_, code)) => code,
                Ok(WaitStatus::Signaled(_, signal, _)) => {
                    // As its own end, so that whoever waits for this process learns of it.
                    let _ = nix::sys::signal::raise(signal);
                    1
                }
                _ => 1,
            };
            std::process::exit(code)
        }
    }
}

const CAP_CHOWN: u32 = 0;
const CAP_DAC_OVERRIDE: u32 = 1;
const CAP_FOWNER: u32 = 3;

/// capset(2): these and no others. Since nothing is executed, none comes back.
fn keep_capabilities(kept: &[u32]) -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    let set = kept.iter().fold(0, |set, capability| set | 1 << capability);
    let header = Header { version: VERSION_3, pid: 0 };
    let none = Data { effective: 0, permitted: 0, inheritable: 0 };
    let data = [Data { effective: set, permitted: set, ..none }, none];
    // SAFETY: both point to structures of the kernel's layout, two of the second for version 3.
    let result = unsafe { libc::syscall(libc::SYS_capset, &header, data.as_ptr()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes what overlayfs takes for the absence of a file: a character device with the number 0:0, which a user
/// namespace's root may make since Linux 5.8.
///
/// # Errors
/// Those of mknod(2).
pub fn make_whiteout(path: &Path) -> io::Result<()> {
    Ok(mknod(path, SFlag::S_IFCHR, Mode::empty(), makedev(0, 0))?)
}

/// How a helper without a report ended, for a person.
pub fn describe_end(status: ExitStatus) -> String {
    match status.signal().and_then(|signal| Signal::try_from(signal).ok()) {
        Some(signal) => format!("was ended by {signal}"),
        None => format!("ended with {}", status.code().unwrap_or(-1)),
    }
}
