//! pid 1 of a sandbox once there is a main process: a small program that waits for the end and tells the daemon of it.
//!
//! Owns what is handed over to that program when it is executed, and what it does. It never runs untrusted code, and has
//! no memory in common with any process that does.

use core::convert::Infallible;
use core::ffi::CStr;

use soulbox_protocol::{MAX_CGROUP_FDS, MAX_FILTERS, SandboxMessage, SetupError, SetupStep};

use crate::network::{self, Fingerprint};
use crate::pid1::{self, Spawn, Then};
use crate::refusals::{Event, Refusals};
use crate::serve::Filters;
use crate::socket;
use crate::steps::OfStep;
use crate::sys::{self, Ended, Errno, Fd};
use crate::text::Text;

/// Where a container has the program.
const PATH: &CStr = c"/.soulbox/soulbox-init";

/// Signals that end other processes reach them through this one, which is all that a supervisor keeps.
const CAP_KILL: u64 = 1 << 5;
/// To see files as another user.
const CAP_SETGID: u64 = 1 << 6;
const CAP_SETUID: u64 = 1 << 7;

/// What it needs in the beginning.
pub(crate) const CAPABILITIES: u64 = CAP_KILL | CAP_SETGID | CAP_SETUID;

/// Numbers that describe a sandbox to its supervisor, beside the files through which it joins its cgroup.
const NUMBERS: usize = 6 + MAX_FILTERS;

/// What a supervisor has to know.
struct Supervised {
    /// User and group id that the program runs as.
    id: u32,
    job_socket: Fd,
    /// The end from which the filter's listener comes.
    refusals: Fd,
    /// The filters' file, and the number of instructions of each.
    filters: Fd,
    filter_lens: [u16; MAX_FILTERS],
    /// How a network namespace looks that nobody has used.
    untouched_network: Fingerprint,
    /// Whether the main process has its cpu time counted before it leaves: a launcher does, and a program that was
    /// executed is counted when it is gone.
    early: bool,
    join_files: [Fd; MAX_CGROUP_FDS],
    join_count: usize,
}

/// Executes the supervisor in the place of pid 1. Returns why it cannot.
pub(crate) fn execute(spawn: &Spawn<'_>) -> SetupError {
    let executed = describe(spawn).and_then(|description| -> sys::Result<Infallible> {
        let argv = [PATH.as_ptr().cast(), description.as_c_str().as_ptr().cast(), core::ptr::null()];
        // SAFETY: all end with a null pointer, after pointers to strings that live through the call.
        Err(unsafe { sys::execute(None, &argv, &argv[2..]) })
    });
    match executed.of(SetupStep::Supervise) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

/// Says in one argument what the supervisor has to know, and keeps the descriptors open that it needs.
fn describe(spawn: &Spawn<'_>) -> sys::Result<Text> {
    let Fingerprint(untouched) = spawn.untouched_network;
    let fds = [spawn.job_socket, spawn.refusals.receiver, spawn.filters.file];
    let [job_socket, refusals, filters] = fds.map(number_of);
    let early = matches!(spawn.then, Then::Return(_));
    let numbers = [spawn.id.into(), job_socket, refusals, filters, untouched, early.into()];
    let lens = spawn.filters.lens.map(u64::from);
    let join_files = spawn.join_files.iter().copied().map(number_of);
    let mut text = Text::new();
    for number in numbers.into_iter().chain(lens).chain(join_files) {
        text.push_number(number)?;
        text.push(b" ")?;
    }
    fds.iter().chain(spawn.join_files).try_for_each(|fd| sys::keep_over_exec(*fd))?;
    Ok(text)
}

fn number_of(fd: Fd) -> u64 {
    fd.unsigned_abs().into()
}

fn parse(description: &[u8]) -> Option<Supervised> {
    let text = core::str::from_utf8(description).ok()?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<u64>);
    let mut fixed = [0; NUMBERS];
    for number in &mut fixed {
        *number = numbers.next()?.ok()?;
    }
    let [id, job_socket, refusals, filters, untouched, early, lens @ ..] = fixed;
    let mut filter_lens = [0; MAX_FILTERS];
    for (len, number) in filter_lens.iter_mut().zip(lens) {
        *len = u16::try_from(number).ok()?;
    }
    let (mut join_files, mut join_count) = ([-1; MAX_CGROUP_FDS], 0);
    for number in numbers {
        *join_files.get_mut(join_count)? = Fd::try_from(number.ok()?).ok()?;
        join_count += 1;
    }
    Some(Supervised {
        id: u32::try_from(id).ok()?,
        job_socket: Fd::try_from(job_socket).ok()?,
        refusals: Fd::try_from(refusals).ok()?,
        filters: Fd::try_from(filters).ok()?,
        filter_lens,
        untouched_network: Fingerprint(untouched),
        early: early != 0,
        join_files,
        join_count,
    })
}

/// Waits for the end of all that is untrusted in the sandbox that is described, and reports. The exit of pid 1 then
/// takes the namespaces with it.
pub fn supervise(description: &CStr) -> ! {
    let Some(supervised) = parse(description.to_bytes()) else { sys::exit_group(1) };
    let job_socket = supervised.job_socket;
    let refusals = take_over(&supervised).unwrap_or_else(|error| pid1::fail(job_socket, error));
    if let Ok(MainEnded { status, signaled, at_ns }) = wait_for_main(refusals, supervised.early) {
        let exited = SandboxMessage::Exited { status, signaled, at_ns }.encode();
        let _ = socket::send(job_socket, exited, &[]);
        // Nobody waits for this. What holds a socket has to be gone.
        while sys::wait_any().is_ok() {}
        if let Some(network) = network::open_untouched(supervised.untouched_network) {
            let _ = socket::send(job_socket, SandboxMessage::NetworkUntouched.encode(), &[network]);
        }
    }
    sys::exit_group(0)
}

/// Becomes what a supervisor is: in the sandbox's cgroup, with as few rights as it needs.
fn take_over(supervised: &Supervised) -> Result<Refusals, SetupError> {
    pid1::join_cgroup(supervised.join_files.get(..supervised.join_count).unwrap_or_default())?;
    let filters = Filters::map(supervised.filters, supervised.filter_lens).of(SetupStep::Supervise)?;
    // To be told how the main process has ended before it is a zombie, which proc(5) tells its own user alone.
    sys::see_files_as(supervised.id);
    // Failure would leave it with more rights than it needs, none of which untrusted code can use.
    let _ = sys::set_capabilities(CAP_KILL);
    Ok(Refusals::new(supervised.refusals, filters.last(), supervised.job_socket))
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

    #[test]
    fn a_description_says_all_and_nothing_else_is_one() {
        let supervised = parse(b"1000 5 6 7 18446744073709551615 1 3 700 0 0 11 12 ").unwrap();
        assert_eq!((supervised.id, supervised.job_socket, supervised.filters), (1000, 5, 7));
        assert_eq!(supervised.filter_lens, [3, 700, 0, 0]);
        assert_eq!((&supervised.join_files[..2], supervised.join_count), (&[11, 12][..], 2));
        assert!(supervised.early && supervised.untouched_network == Fingerprint(u64::MAX));
        assert!(parse(b"1000 5 6 7 0 1 3 700 0").is_none(), "too few");
        assert!(parse(b"1000 5 6 7 0 1 3 700 0 0 1 2 3 4 5").is_none(), "too many");
        assert!(parse(b"1000 5 6 7 0 1 3 70000 0 0").is_none(), "too large");
        assert!(parse(b"a").is_none() && parse(b"").is_none());
    }
}
