//! The zygote: waits for the daemon's word and clones a pid 1 for each sandbox, which makes the main process a copy of
//! the zygote.
//!
//! Owns the control socket inside the container. It holds nothing of any sandbox: the kernel reaps its
//! children, and the daemon has their pidfds.

use core::ffi::c_int;
use core::ptr;

use soulbox_protocol::{CONTROL_FD, HostMessage, MAX_FILTERS, ZygoteMessage};

use crate::descriptors::Descriptors;
use crate::libc_thread::LibcThread;
use crate::main_process::{self, Prepared, Sealed};
use crate::network::{self, Fingerprint};
use crate::pid1::{self, Spawn, Then};
use crate::refusals::Handover;
use crate::socket;
use crate::supervisor;
use crate::sys::{self, Beside, Errno, Fd, Stack};
use crate::text::Text;
use crate::threads;

/// Namespaces that are made for every sandbox. Its network namespace is made as well, or is one as good as
/// new. Its cgroup namespace follows once it is in its leaf cgroup, which then becomes the root that it sees;
/// its user namespace is the container's.
const NAMESPACES: u64 =
    (libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS) as u64;
const NEW_NETWORK: u64 = libc::CLONE_NEWNET as u64;

/// The highest capability number that is tried; the kernel says EINVAL from the first unknown one.
const LAST_CAPABILITY: u64 = 63;

/// The program that this process has become the main process for.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Sandboxed {
    /// Arguments, then environment variables, each ended by NUL.
    pub strings: *const u8,
    /// Bytes of `strings`.
    pub strings_len: usize,
    /// How many of the strings are arguments.
    pub args: u32,
    /// How many of the strings are environment variables.
    pub variables: u32,
}

/// The seccomp filters of every sandbox, in the order in which they are installed.
#[derive(Clone, Copy)]
pub(crate) struct Filters {
    /// The file that holds them.
    pub(crate) file: Fd,
    instructions: &'static [libc::sock_filter],
    pub(crate) lens: [u16; MAX_FILTERS],
}

impl Filters {
    pub(crate) fn map(file: Fd, lens: [u16; MAX_FILTERS]) -> sys::Result<Self> {
        let count = lens.into_iter().map(usize::from).sum::<usize>();
        let bytes = sys::map_file(file, count * size_of::<libc::sock_filter>())?;
        // SAFETY: the mapping has `count` structures of plain numbers, page-aligned, and stays for good.
        let instructions = unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast(), count) };
        Ok(Filters { file, instructions, lens })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static [libc::sock_filter]> + use<> {
        let mut rest = self.instructions;
        self.lens.into_iter().filter(|len| *len > 0).map(move |len| {
            let (filter, after) = rest.split_at(usize::from(len).min(rest.len()));
            rest = after;
            filter
        })
    }

    /// The last, with the profile's default action. The daemon always sends one.
    pub(crate) fn last(&self) -> &'static [libc::sock_filter] {
        self.iter().last().unwrap_or_default()
    }
}

/// Serves the daemon until it closes the control socket. In the main process of a sandbox it returns 0 or 1: every
/// privilege is gone then, and the caller calls [`soulbox_receive`] next. After a 1 there is time to run something
/// before that, as every program does, so that memory is copied and filled that each program would need copied and
/// filled; nothing of it may be left for a program to see. In the zygote it returns a negative `errno` when it has to
/// end, `-EPIPE` when the daemon has closed the socket.
///
/// The process must have one thread, which holds no lock that anybody needs after a fork, and must not use the
/// control socket (descriptor 3) otherwise.
#[unsafe(no_mangle)]
pub extern "C" fn soulbox_serve() -> c_int {
    match serve(Then::Return(&Descriptors::NONE)) {
        Ok(sealed) => {
            sealed.keep();
            sealed.parked.into()
        }
        Err(Errno(errno)) => -errno,
    }
}

/// Waits for the job of the sandbox that [`soulbox_serve`] has returned in. The caller then runs the program
/// described in `sandboxed` and nothing else.
///
/// # Safety
/// `sandboxed` points to memory for a [`Sandboxed`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn soulbox_receive(sandboxed: *mut Sandboxed) {
    let Prepared { program, .. } = Sealed::kept().receive();
    let description = Sandboxed {
        strings: program.strings().as_ptr(),
        strings_len: program.strings().len(),
        args: program.arg_count() as u32,
        variables: program.variable_count() as u32,
    };
    // SAFETY: by this function's contract.
    unsafe { ptr::write(sandboxed, description) };
}

/// Serves as [`soulbox_serve`], and executes each program with execve(2) in its sandbox. Returns the negative
/// `errno` for which the zygote has to end.
pub fn soulbox_execute() -> c_int {
    // An interpreter sees to its own signals. What is executed would keep those that are ignored here: SIGPIPE,
    // as in any program of Rust's, and more when the daemon was started by nohup(1).
    match sys::reset_signals().and_then(|()| serve(Then::Execute)) {
        Ok(sealed) => sealed.execute(),
        Err(Errno(errno)) => -errno,
    }
}

/// Serves the daemon in an interpreter with several threads. They stand still in the zygote for good, where
/// `when_parked` is called once they do. Returns in the main process of a sandbox alone, where
/// [`resume_threads`] makes them run again. Ends the process when the zygote has to end.
pub(crate) fn serve_with_threads(when_parked: impl FnOnce()) -> Sealed {
    let sealed = Descriptors::of_process().and_then(|descriptors| {
        threads::park()?;
        when_parked();
        serve(Then::Return(&descriptors))
    });
    match sealed {
        Ok(sealed) => sealed,
        // The daemon has closed the socket.
        Err(Errno(libc::EPIPE)) => sys::exit_group(0),
        Err(errno) => give_up(errno),
    }
}

/// Makes the threads again that stand still in the zygote. Ends the process when that cannot be done.
pub(crate) fn resume_threads() {
    threads::resume().unwrap_or_else(|errno| give_up(errno));
}

/// Serves the daemon. Returns in the main process of a sandbox, and in the zygote when it has to end.
fn serve(then: Then<'_>) -> sys::Result<Sealed> {
    drop_inheritable_privileges()?;
    make_mount_points()?;
    close_project_ids()?;
    // Ended children leave no zombies: their end is read from the pidfd, which the daemon has.
    sys::set_signal(libc::SIGCHLD, libc::SIG_IGN)?;
    let thread = LibcThread::of_caller();
    let filters = receive_filters()?;
    let untouched_network = network_of_container()?;
    let stack = Stack::new()?;
    sys::forget_code()?;
    socket::send(CONTROL_FD, ZygoteMessage::Ready.encode(), &[])?;
    loop {
        let packet = socket::receive(CONTROL_FD)?.ok_or(Errno(libc::EPIPE))?;
        let message = HostMessage::decode(&packet.frame).map_err(|_| Errno(libc::EBADMSG))?;
        let HostMessage::Spawn { seq, id, cgroup_fds, network, park, disk_bytes } = message else {
            return Err(Errno(libc::EBADMSG));
        };
        let [job_socket, stdin, stdout, stderr, others @ ..] = packet.fds() else {
            return Err(Errno(libc::EBADMSG));
        };
        let (join_files, network) = match (others.split_last(), network) {
            (Some((network, join_files)), true) => (join_files, Some(*network)),
            (None, true) => return Err(Errno(libc::EBADMSG)),
            (_, false) => (others, None),
        };
        if join_files.len() != usize::from(cgroup_fds) {
            return Err(Errno(libc::EBADMSG));
        }

        let namespaces = if network.is_some() { NAMESPACES } else { NAMESPACES | NEW_NETWORK };
        let refusals = Handover::new()?;
        let spawn = Spawn {
            id,
            job_socket: *job_socket,
            streams: [*stdin, *stdout, *stderr],
            park,
            disk_bytes,
            join_files,
            network,
            untouched_network,
            thread,
            filters,
            refusals,
            stack: &stack,
            then,
        };
        let pidfd = match sys::clone_beside(namespaces, &stack, pid1::run, &spawn) {
            Ok(Beside::Copy) => {
                let sealed = main_process::seal(&spawn);
                return Ok(sealed.unwrap_or_else(|error| pid1::fail(spawn.job_socket, error)));
            }
            Ok(Beside::Caller(pidfd)) => Ok(pidfd),
            Err(errno) => Err(errno),
        };
        refusals.close();
        for fd in packet.fds() {
            sys::close(*fd);
        }
        match pidfd {
            Ok(pidfd) => {
                let answer = ZygoteMessage::Spawned { seq, errno: 0 };
                let sent = socket::send(CONTROL_FD, answer.encode(), &[pidfd]);
                sys::close(pidfd);
                sent?;
            }
            Err(Errno(errno)) => {
                let answer = ZygoteMessage::Spawned { seq, errno };
                socket::send(CONTROL_FD, answer.encode(), &[])?;
            }
        }
    }
}

fn receive_filters() -> sys::Result<Filters> {
    let packet = socket::receive(CONTROL_FD)?.ok_or(Errno(libc::EPIPE))?;
    match (HostMessage::decode(&packet.frame), packet.fds()) {
        (Ok(HostMessage::Init { filter_lens }), [fd]) => Filters::map(*fd, filter_lens),
        _ => Err(Errno(libc::EBADMSG)),
    }
}

/// Reduces the sets that only matter to programs executed later, once for all sandboxes, since children
/// inherit them: the bounding set to nothing, and with it what a file's capabilities could ever give; the inheritable
/// set to what a supervisor needs, which a main process gives up before it executes anything.
fn drop_inheritable_privileges() -> sys::Result<()> {
    sys::inherit_capabilities(supervisor::CAPABILITIES)?;
    for capability in 0..=LAST_CAPABILITY {
        if sys::prctl(libc::PR_CAPBSET_DROP, capability).is_err() {
            break;
        }
    }
    Ok(())
}

/// Makes what sandboxes mount over and a container's root file system cannot have: `/dev` is the container's
/// own tmpfs.
fn make_mount_points() -> sys::Result<()> {
    match sys::mkdir(c"/dev/shm", 0o755) {
        Ok(()) | Err(Errno(libc::EEXIST)) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// A user namespace's map of project ids can be written once, by any process of it (user_namespaces(7)), and
/// would be the one thing that a run leaves for the next. So it is written now.
fn close_project_ids() -> sys::Result<()> {
    let fd = sys::open(c"/proc/self/projid_map", libc::O_WRONLY, 0)?;
    let written = sys::write(fd, b"0 0 1\n");
    sys::close(fd);
    written.map(drop)
}

/// Makes the container's own network namespace, which nobody uses, what a sandbox's is when it is new, and
/// looks at it.
fn network_of_container() -> sys::Result<Fingerprint> {
    sys::interface_up(b"lo")?;
    network::fingerprint()
}

/// Ends the process, which cannot do its work.
pub(crate) fn give_up(Errno(errno): Errno) -> ! {
    let mut text = Text::new();
    let written = text.push(b"the shim failed with errno ");
    let _ = written.and_then(|()| text.push_number(errno.unsigned_abs().into()));
    let _ = text.push(b"\n").and_then(|()| sys::write(2, text.as_c_str().to_bytes()));
    sys::exit_group(1)
}

/// Ends the process, for a program that has no libc to do it.
pub fn exit(status: c_int) -> ! {
    sys::exit_group(status)
}
