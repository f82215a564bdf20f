//! An execution that is in progress, and the test's ways to meet it: no sandbox can call out, but root can
//! look into one from the host, and send it a signal.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::host::{leaves_of, namespace_pids, processes_below};
use super::{Client, Execution, Process, Server, eventually};

/// For programs that are met: `hold()` tells that all before it has happened, and returns when the test
/// releases the program.
pub(crate) const HOLD: &str = "
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
def hold():
    open('/workspace/.ready', 'w').close()
    signal.sigwait({signal.SIGUSR1})
";

/// For programs that make system calls by their numbers: `call(number, arguments...)` is "0" for success, or the name of
/// the error.
pub(crate) const CALL: &str = "
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    return errno.errorcode[ctypes.get_errno()] if result == -1 else str(result)
";

/// The main process of a sandbox is the first that its pid 1 makes.
const MAIN_PID: i32 = 2;

/// An execution that was not waited for.
#[derive(Debug)]
pub(crate) struct Running<'a> {
    server: &'a Server,
    client: Client,
    id: String,
}

impl<'a> Running<'a> {
    /// Asks for an execution without waiting for it.
    #[track_caller]
    pub(crate) fn start(server: &'a Server, request: Value) -> Self {
        Self::start_by(server.client(), server, request)
    }

    /// The same by another client, which may have a key of its own.
    #[track_caller]
    pub(crate) fn start_by(client: &Client, server: &'a Server, mut request: Value) -> Self {
        request["wait"] = false.into();
        let response = client.execute(request);
        assert!([200, 201, 202].contains(&response.status), "{}", response.text());
        Running { client: client.clone(), ..Self::of(server, &Execution::new(response.json())) }
    }

    /// One that was asked for otherwise.
    pub(crate) fn of(server: &'a Server, execution: &Execution) -> Self {
        Running { server, client: server.client().clone(), id: execution.id().to_owned() }
    }

    /// Starts a program that calls `hold()`, and waits until it does.
    #[track_caller]
    pub(crate) fn held(server: &'a Server, code: &str) -> Self {
        let running = Self::start(server, Self::holding(code));
        running.await_hold();
        running
    }

    /// A request for a program that calls `hold()`.
    pub(crate) fn holding(code: &str) -> Value {
        serde_json::json!({"code": format!("{HOLD}\n{code}"), "limits": {"wall_time_ms": 120_000}})
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Waits until the program calls `hold()`.
    #[track_caller]
    pub(crate) fn await_hold(&self) {
        eventually("the program holds", || {
            let execution = self.now();
            assert!(!execution.has_ended(), "{:#}", execution.document());
            let main = self.main_process()?;
            std::path::Path::new(&format!("/proc/{main}/root/workspace/.ready")).exists().then_some(())
        });
    }

    /// Lets a program go on that holds.
    pub(crate) fn release(&self) {
        kill(Pid::from_raw(self.main_process().unwrap()), Signal::SIGUSR1).unwrap();
    }

    /// All processes of the sandbox.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let own = leaves_of(self.server)
            .into_iter()
            .filter(|leaf| leaf.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&self.id)));
        let mut processes: Vec<_> = own.flat_map(|leaf| processes_below(&leaf)).collect();
        processes.sort();
        processes.dedup();
        processes
    }

    /// The process that runs the program, by its pid on the host.
    pub(crate) fn main_process(&self) -> Option<i32> {
        let is_main = |pid: &i32| namespace_pids(*pid).last() == Some(&MAIN_PID);
        self.processes().into_iter().map(|process| process.pid).find(is_main)
    }

    /// What the server says of it now.
    #[track_caller]
    pub(crate) fn now(&self) -> Execution {
        self.client.find(&self.id)
    }

    /// Waits until it runs.
    #[track_caller]
    pub(crate) fn await_running(&self) {
        eventually("the execution runs", || (self.now().status() == "running").then_some(()));
    }

    /// Asks for its end.
    #[track_caller]
    pub(crate) fn cancel(&self) {
        let response = self.client.delete(&format!("/v1/executions/{}", self.id));
        assert!([200, 202, 204].contains(&response.status), "{}", response.text());
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn outcome(&self) -> Execution {
        eventually("the execution ends", || Some(self.now()).filter(Execution::has_ended))
    }
}
