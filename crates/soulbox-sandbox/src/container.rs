//! The container of a zygote, made by libcontainer from an OCI bundle.
//!
//! Owns its life: creation, death, deletion. libcontainer forks, which a process with threads must not do,
//! so it runs in a helper: this same program, started again for that alone ([`helper_main`]).
//!
//! The container's init process is adopted by the daemon, which is its subreaper (prctl(2)), so that only
//! the daemon reaps it and its pid cannot come to mean another process.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

use libcontainer::container::Container as LibContainer;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use soulbox_protocol::CONTROL_FD;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::error_chain::error_chain;
use crate::sys;

/// The hidden command of the `soulbox` program that runs [`helper_main`].
pub const HELPER_COMMAND: &str = "container-create";

/// Most bytes of a zygote's log that an error shows.
const LOG_TAIL: usize = 2000;

/// A container that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// The helper could not be run.
    #[error("cannot run the helper that creates containers")]
    Helper(#[source] io::Error),
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
    pidfd: AsyncFd<OwnedFd>,
    /// libcontainer's directory of containers.
    root: PathBuf,
    log: PathBuf,
    deleted: OnceCell<()>,
}

impl Container {
    /// Creates and starts the container `id` from the bundle at `bundle`, with `control` as descriptor
    /// [`CONTROL_FD`] of its init process. Its output goes to a log beside the bundle.
    pub(crate) async fn start(
        id: &str,
        bundle: &Path,
        root: &Path,
        control: OwnedFd,
    ) -> Result<Self, ContainerError> {
        nix::sys::prctl::set_child_subreaper(true).map_err(|errno| ContainerError::Helper(errno.into()))?;
        let log = bundle.join("zygote.log");
        let output = Command::new("/proc/self/exe")
            .arg(HELPER_COMMAND)
            .args([OsString::from(id), bundle.into(), root.into(), log.clone().into()])
            // The container's environment comes from its bundle; the daemon's is nobody's business.
            .env_clear()
            .stdin(Stdio::from(control))
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
        Ok(Container { id: id.to_owned(), pidfd, root: root.to_owned(), log, deleted: OnceCell::new() })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Resolves when the init process has ended, and with it every process of the container.
    pub(crate) async fn ended(&self) {
        // An error here would mean that the descriptor is no pidfd.
        let _ = self.pidfd.readable().await.map(drop);
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
    let text = fs::read(log).unwrap_or_default();
    let tail = &text[text.len().saturating_sub(LOG_TAIL)..];
    match String::from_utf8_lossy(tail).trim() {
        "" => String::new(),
        tail => format!("; its log ends with: {tail}"),
    }
}

/// The helper: creates and starts one container in this single-threaded process, whose standard input is
/// the control socket, and prints the pid of its init process. The arguments are the container's id, its
/// bundle, libcontainer's directory, and the log file.
pub fn helper_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let result = match args.as_slice() {
        [id, bundle, root, log] => {
            create(&id.to_string_lossy(), Path::new(bundle), Path::new(root), Path::new(log))
        }
        _ => Err(format!("usage: {HELPER_COMMAND} ID BUNDLE ROOT LOG")),
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

fn create(id: &str, bundle: &Path, root: &Path, log: &Path) -> Result<i32, String> {
    // libcontainer keeps the descriptors from 3 on that it is told of, and the control socket is one.
    sys::place_fd(io::stdin(), CONTROL_FD)
        .map_err(|error| format!("cannot place the control socket: {error}"))?;
    let null = File::open("/dev/null").map_err(|error| format!("cannot open /dev/null: {error}"))?;
    let log = OpenOptions::new().create(true).append(true).open(log);
    let log = log.map_err(|error| format!("cannot open the zygote's log: {error}"))?;
    let log_too = log.try_clone().map_err(|error| format!("cannot open the zygote's log: {error}"))?;
    let build = || {
        let mut container = ContainerBuilder::new(id.to_owned(), SyscallType::default())
            .with_root_path(root)?
            .with_preserved_fds(1)
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
    build().map_err(|error: libcontainer::error::LibcontainerError| error_chain(&error))
}
