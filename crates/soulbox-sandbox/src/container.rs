//! The container of a zygote, made by libcontainer from an OCI bundle.
//!
//! Owns its life: creation, death, deletion. libcontainer forks, which a process with threads must not do,
//! so it runs in a helper: this same program, started again for that alone ([`helper_main`]).
//!
//! The container's init process is adopted by the daemon, which is its subreaper (prctl(2)), so that only
//! the daemon reaps it and its pid cannot come to mean another process.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use libcontainer::container::Container as LibContainer;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::Signal;
use nix::sys::stat::{SFlag, fstat};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use soulbox_protocol::CONTROL_FD;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::cgroup::CgroupError;
use crate::error_chain::error_chain;
use crate::executor::SeccompExecutor;
use crate::instance::Instance;
use crate::layers::{Layers, Upper};
use crate::sys;
use crate::view::View;

/// The hidden command of the `soulbox` program that runs [`helper_main`].
pub const HELPER_COMMAND: &str = "container-create";

/// Most bytes of a zygote's log that an error shows.
const LOG_TAIL: u64 = 2000;

/// The init process of a container, in libcontainer's directory for it: pid and start.
const INIT_FILE: &str = "init";

/// How long the processes of a killed container may take to end, in milliseconds.
const END_TIMEOUT_MS: u16 = 5000;

/// A container that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The helper could not be run.
    #[error("cannot run the helper that creates containers")]
    Helper(#[source] io::Error),
    /// The instance's cgroups could not be made.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// libcontainer refused.
    #[error("container {id} could not be created: {reason}")]
    Create {
        /// The container's id.
        id: String,
        /// What the helper said.
        reason: String,
    },
    /// A file of the container cannot be used.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// A running container. Dropping it kills it; [`Container::delete`] waits for its end and cleans up.
#[derive(Debug)]
pub(crate) struct Container {
    id: String,
    /// Of the init process: nobody else has it before that is reaped, which [`Container::delete`] does.
    pid: i32,
    pidfd: AsyncFd<OwnedFd>,
    /// libcontainer's directory of containers.
    root: PathBuf,
    log: PathBuf,
    deleted: OnceCell<()>,
}

/// How the init process of a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandEnd {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal: `SIGKILL` is what the kernel sends at the memory limit.
    Signaled(i32),
    /// Somebody else has waited for it.
    Unseen,
}

impl std::fmt::Display for CommandEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CommandEnd::Exited(status) => write!(f, "ended with status {status}"),
            CommandEnd::Signaled(libc::SIGKILL) => {
                f.write_str("was killed, perhaps since it needed more memory than it may have")
            }
            CommandEnd::Signaled(signal) => write!(f, "was ended by signal {signal}"),
            CommandEnd::Unseen => f.write_str("ended, and nobody saw how"),
        }
    }
}

/// What a container is made from.
#[derive(Debug)]
pub(crate) struct ContainerSpec<'a> {
    /// Unique in the instance.
    pub(crate) id: &'a str,
    /// The OCI bundle's directory.
    pub(crate) bundle: &'a Path,
    /// Whose it is.
    pub(crate) instance: &'a Instance,
    /// Takes the output of the init process: a file, which need not exist, or a FIFO.
    pub(crate) log: &'a Path,
    /// What lies with the bundle's `rootfs`.
    pub(crate) layers: &'a Layers,
    /// Becomes descriptor [`CONTROL_FD`] of the init process.
    pub(crate) control: Option<OwnedFd>,
}

impl Container {
    /// Creates and starts a container.
    pub(crate) async fn start(spec: ContainerSpec<'_>) -> Result<Self, ContainerError> {
        nix::sys::prctl::set_child_subreaper(true).map_err(|errno| ContainerError::Helper(errno.into()))?;
        let ContainerSpec { id, bundle, instance, log, layers, control } = spec;
        let (root, log) = (instance.containers(), log.to_owned());
        let output = Command::new("/proc/self/exe")
            .arg(HELPER_COMMAND)
            .args([OsString::from(id), bundle.into(), root.clone().into(), log.clone().into()])
            .args(words(layers, instance.helpers_file()?, instance.view()))
            // The container's environment comes from its bundle; the daemon's is nobody's business.
            .env_clear()
            .stdin(control.map_or_else(Stdio::null, Stdio::from))
            .kill_on_drop(true)
            .output()
            .await
            .map_err(ContainerError::Helper)?;
        let pid = String::from_utf8_lossy(&output.stdout).trim().parse::<i32>();
        let Some(pid) = pid.ok().filter(|_| output.status.success()) else {
            let reason = format!("{}{}", String::from_utf8_lossy(&output.stderr).trim(), tail(&log));
            return Err(ContainerError::Create { id: id.to_owned(), reason });
        };
        let pidfd = sys::pidfd_open(pid)
            .and_then(|fd| sys::watch(fd, Interest::READABLE))
            .map_err(ContainerError::Helper)?;
        let container = Container { id: id.to_owned(), pid, pidfd, root, log, deleted: OnceCell::new() };
        if let Err(error) = note_init(&container.root.join(id), pid) {
            container.delete().await;
            return Err(error);
        }
        Ok(container)
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Pid of the init process.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Resolves when the init process has ended, and with it every process of the container.
    pub(crate) async fn ended(&self) {
        // An error here would mean that the descriptor is no pidfd.
        let _ = self.pidfd.readable().await.map(drop);
    }

    /// Waits until the init process has ended, and tells how. It stays to be reaped by [`Container::delete`].
    pub(crate) async fn end(&self) -> CommandEnd {
        self.ended().await;
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::PIDFd(self.pidfd.get_ref().as_fd()), flags) {
            Ok(WaitStatus::Exited(_, status)) => CommandEnd::Exited(status),
            Ok(WaitStatus::Signaled(_, signal, _)) => CommandEnd::Signaled(signal as i32),
            _ => CommandEnd::Unseen,
        }
    }

    /// Ends every process of the container.
    pub(crate) fn kill(&self) {
        if let Err(error) = sys::pidfd_kill(self.pidfd.get_ref()) {
            tracing::warn!(container = self.id, %error, "cannot kill the container");
        }
    }

    /// The last words of the init process.
    pub(crate) fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// Kills the container, waits until it is gone, and removes its cgroup and state. Whoever calls it while
    /// another does waits as well.
    pub(crate) async fn delete(&self) {
        self.deleted.get_or_init(|| self.delete_once()).await;
    }

    async fn delete_once(&self) {
        self.kill();
        self.ended().await;
        let _ = waitid(Id::PIDFd(self.pidfd.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG);
        let directory = self.root.join(&self.id);
        let deleted = tokio::task::spawn_blocking(move || {
            LibContainer::load(directory).and_then(|mut container| container.delete(true))
        });
        match deleted.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(container = self.id, %error, "container left something behind"),
            Err(error) => tracing::warn!(container = self.id, %error, "container was not deleted"),
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if !self.deleted.initialized() {
            self.kill();
        }
    }
}

fn tail(log: &Path) -> String {
    let read = || {
        let (mut file, mut tail) = (File::open(log)?, Vec::new());
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
        file.take(LOG_TAIL).read_to_end(&mut tail)?;
        io::Result::Ok(tail)
    };
    // The reader of a FIFO is another, and opening it would wait for a writer.
    let tail = if log.is_file() { read().unwrap_or_default() } else { Vec::new() };
    match String::from_utf8_lossy(&tail).trim() {
        "" => String::new(),
        tail => format!("; its log ends with: {tail}"),
    }
}

/// The words that tell the helper of its [`Surroundings`]: pairs of what a path is and the path.
fn words(layers: &Layers, cgroup: Option<PathBuf>, view: Option<&View>) -> Vec<OsString> {
    let lower = layers.lower.iter().map(|path| ("lower", path.clone()));
    let upper = layers.upper.clone().into_iter();
    let upper = upper.flat_map(|Upper { upper, work }| [("upper", upper), ("work", work)]);
    let cgroup = cgroup.into_iter().map(|file| ("join", file));
    let kind = |view: &View| if view.without_sys { "state-without-sys" } else { "state" };
    let view = view.into_iter().map(|view| (kind(view), view.state_dir.clone()));
    let all = lower.chain(upper).chain(cgroup).chain(view);
    all.flat_map(|(kind, path)| [kind.into(), path.into()]).collect()
}

/// What the helper does before it creates a container.
#[derive(Debug)]
struct Surroundings {
    /// What to put together as the root file system.
    layers: Layers,
    /// The file through which to join the instance's cgroups, where there are some.
    cgroup: Option<PathBuf>,
    /// How to see the host, where not as it is.
    view: Option<View>,
}

impl Surroundings {
    /// What such words tell of.
    fn parse(words: &[OsString]) -> Option<Self> {
        let (mut lower, mut upper, mut work, mut cgroup, mut view) = (Vec::new(), None, None, None, None);
        for pair in words.chunks(2) {
            let [kind, path] = pair else { return None };
            match kind.to_str()? {
                "lower" => lower.push(path.into()),
                "upper" => upper = Some(path.into()),
                "work" => work = Some(path.into()),
                "join" => cgroup = Some(path.into()),
                "state" => view = Some(View { state_dir: path.into(), without_sys: false }),
                "state-without-sys" => view = Some(View { state_dir: path.into(), without_sys: true }),
                _ => return None,
            }
        }
        let upper = match (upper, work) {
            (Some(upper), Some(work)) => Some(Upper { upper, work }),
            (None, None) => None,
            _ => return None,
        };
        Some(Surroundings { layers: Layers { lower, upper }, cgroup, view })
    }
}

/// The helper: creates and starts one container in this single-threaded process, and prints the pid of its
/// init process. Its standard input is the control socket, where there is one. The arguments are the
/// container's id, its bundle, libcontainer's directory and the log file; after them pairs of a word and a path:
/// `lower`, `upper` or `work` for a root file system in layers, `join` and the file through which it joins the
/// instance's cgroups, and for an ordinary user `state` or `state-without-sys` and the state directory.
pub fn helper_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let usage = || {
        format!(
            "usage: {HELPER_COMMAND} ID BUNDLE ROOT LOG [lower|upper|work|join|state|state-without-sys PATH]..."
        )
    };
    let result = match args.as_slice() {
        [id, bundle, root, log, words @ ..] => {
            let (id, log) = (id.to_string_lossy(), Path::new(log));
            Surroundings::parse(words)
                .ok_or_else(usage)
                .and_then(|surroundings| create(&id, Path::new(bundle), Path::new(root), log, &surroundings))
        }
        _ => Err(usage()),
    };
    let (text, code) = match result {
        Ok(pid) => (pid.to_string(), ExitCode::SUCCESS),
        Err(error) => (error, ExitCode::FAILURE),
    };
    let written = if code == ExitCode::SUCCESS {
        writeln!(io::stdout(), "{text}")
    } else {
        writeln!(io::stderr(), "{text}")
    };
    if written.is_ok() { code } else { ExitCode::FAILURE }
}

/// Makes the helper and all that comes of it a part of the instance. When the daemon is killed, the next one can
/// end them as it ends all of the instance, and nothing is made behind its back.
fn join(cgroup: &Path) -> Result<(), String> {
    let joined = OpenOptions::new().write(true).open(cgroup).and_then(|mut file| file.write_all(b"0"));
    joined.map_err(|error| format!("cannot join {}: {error}", cgroup.display()))
}

fn create(
    id: &str,
    bundle: &Path,
    root: &Path,
    log: &Path,
    surroundings: &Surroundings,
) -> Result<i32, String> {
    let Surroundings { layers, cgroup, view } = surroundings;
    if let Some(cgroup) = cgroup {
        join(cgroup)?;
    }
    // Until this process ends, and the daemon is next.
    nix::sys::prctl::set_child_subreaper(true).map_err(|errno| format!("cannot adopt processes: {errno}"))?;
    // libcontainer keeps the descriptors from 3 on that it is told of, and the control socket is one.
    let stdin = fstat(io::stdin()).map_err(|error| format!("cannot look at standard input: {error}"))?;
    let has_control = SFlag::from_bits_truncate(stdin.st_mode) & SFlag::S_IFMT == SFlag::S_IFSOCK;
    if has_control {
        sys::place_fd(io::stdin(), CONTROL_FD)
            .map_err(|error| format!("cannot place the control socket: {error}"))?;
    }
    if let Some(view) = view {
        view.enter()
            .map_err(|error| format!("cannot look at the host without what is not the user's: {error}"))?;
    }
    if !layers.is_empty() {
        layers
            .mount_over(&bundle.join("rootfs"))
            .map_err(|error| format!("cannot mount the layers of the root file system: {error}"))?;
    }
    let null = File::open("/dev/null").map_err(|error| format!("cannot open /dev/null: {error}"))?;
    let log = OpenOptions::new().create(true).append(true).open(log);
    let log = log.map_err(|error| format!("cannot open the container's log: {error}"))?;
    let log_too = log.try_clone().map_err(|error| format!("cannot open the container's log: {error}"))?;
    let build = || {
        let mut container = ContainerBuilder::new(id.to_owned(), SyscallType::default())
            .with_root_path(root)?
            .with_preserved_fds(has_control.into())
            .with_executor(SeccompExecutor)
            .with_stdin(null)
            .with_stdout(log)
            .with_stderr(log_too)
            .validate_id()?
            .as_init(bundle)
            .with_systemd(false)
            .with_detach(true)
            .build()?;
        container.start()?;
        Ok(container.pid().map_or(0, |pid| pid.as_raw()))
    };
    build().map_err(|error: libcontainer::error::LibcontainerError| {
        end_children();
        error_chain(&error)
    })
}

/// Notes in a container's directory which process its init is, for [`end_left_containers`]. The directory goes with
/// the container.
fn note_init(directory: &Path, pid: i32) -> Result<(), ContainerError> {
    // One that has ended already has nothing to be ended.
    let Some(started) = start_time(pid) else { return Ok(()) };
    let path = directory.join(INIT_FILE);
    fs::write(&path, format!("{pid} {started}")).map_err(|source| ContainerError::Io {
        action: "write",
        path,
        source,
    })
}

/// When a process was started, in the kernel's ticks: with the pid it is one process (proc_pid_stat(5)).
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; the start is the twentieth after it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Ends the containers that an instance left behind, and waits until they are gone. They end by themselves when
/// the daemon does, unless their zygote does not listen any more.
pub(crate) fn end_left_containers(containers: &Path) {
    let entries = fs::read_dir(containers).into_iter().flatten().flatten();
    for init in entries.filter_map(|entry| fs::read_to_string(entry.path().join(INIT_FILE)).ok()) {
        let numbers =
            init.split_once(' ').and_then(|(pid, start)| Some((pid.parse().ok()?, start.parse().ok()?)));
        let Some((pid, started)) = numbers else { continue };
        // The descriptor first: what it names cannot come to be another process.
        let Ok(pidfd) = sys::pidfd_open(pid) else { continue };
        if start_time(pid) != Some(started) {
            continue;
        }
        tracing::warn!(pid, "ending a container that its instance left");
        if let Err(error) = sys::pidfd_kill(&pidfd) {
            tracing::warn!(pid, %error, "cannot end it");
            continue;
        }
        let mut ended = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        if !matches!(poll(&mut ended, END_TIMEOUT_MS), Ok(1)) {
            tracing::warn!(pid, "a container that was killed does not end");
        }
    }
}

/// Ends and reaps what was started of a container that failed. It would become the daemon's, who knows of no such
/// process.
fn end_children() {
    loop {
        let children = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
        for child in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            // One that has ended already is only to be reaped.
            let _ = nix::sys::signal::kill(Pid::from_raw(child), Signal::SIGKILL);
        }
        // What a child leaves behind is a child of this process then: the next to be ended.
        if nix::sys::wait::wait().is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_helper_is_told_of_every_layer() {
        let layers = Layers {
            lower: ["/a:b", "/c,d"].map(PathBuf::from).to_vec(),
            upper: Some(Upper { upper: "/upper".into(), work: "/work".into() }),
        };
        let view = View { state_dir: "/state".into(), without_sys: true };
        let all = words(&layers, Some("/procs".into()), Some(&view));
        let parsed = Surroundings::parse(&all).unwrap();
        assert_eq!((parsed.view, parsed.cgroup), (Some(view), Some("/procs".into())));
        assert_eq!(parsed.layers.lower, layers.lower);
        assert_eq!(parsed.layers.upper.unwrap().work, Path::new("/work"));
        let none = Surroundings::parse(&[]).unwrap();
        assert!(none.layers.is_empty() && none.view.is_none() && none.cgroup.is_none());
        assert!(Surroundings::parse(&["lower".into()]).is_none());
        assert!(Surroundings::parse(&["upper".into(), "/upper".into()]).is_none());
    }

    #[test]
    fn a_container_that_was_left_is_ended_and_no_other_process() {
        let containers = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let directory = containers.path().join("one");
        fs::create_dir(&directory).unwrap();
        let started = start_time(pid).unwrap();
        fs::write(directory.join(INIT_FILE), format!("{pid} {}", started + 1)).unwrap();
        end_left_containers(containers.path());
        assert!(child.try_wait().unwrap().is_none());
        note_init(&directory, pid).unwrap();
        end_left_containers(containers.path());
        assert!(!child.wait().unwrap().success());
    }
}
