//! The plain fork server in Python, started and spoken to. Owns its socket's short protocol: a program, then what it
//! prints.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};

use crate::cgroups::Cgroups;
use crate::payloads::{Language, Program};

/// A running one.
pub(crate) struct ForkServer {
    process: Child,
    socket: PathBuf,
    pub(crate) cgroups: Cgroups,
    _home: tempfile::TempDir,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/peers/fork_server.py")
}

fn python() -> Command {
    let [interpreter, _] = Language::Python.interpreter();
    let mut command = Command::new(interpreter);
    command.arg(script());
    command
}

impl ForkServer {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let home = crate::support::home();
        let socket = home.path().join("sock");
        let mut process = python().arg("serve").arg(&socket).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no pipe")?).read_line(&mut line)?;
        ensure!(line == "ready\n", "the fork server says {line:?}");
        let cgroups = Cgroups::with("fork-server", [process.id()], Vec::new())?;
        Ok(ForkServer { process, socket, cgroups, _home: home })
    }

    /// What a program prints.
    pub(crate) fn run(&self, program: &Program) -> anyhow::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.write_all(program.code.as_bytes())?;
        stream.shutdown(Shutdown::Write)?;
        let mut output = Vec::new();
        stream.read_to_end(&mut output)?;
        Ok(output)
    }
}

impl Drop for ForkServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Cpu seconds of forking a warm Python so often, running the program and waiting for it, and nothing else.
pub(crate) fn loop_cpu_seconds(runs: usize, program: &Program) -> anyhow::Result<f64> {
    let output = python().arg("loop").arg(runs.to_string()).arg(&program.code).output()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().context("the loop of forks failed")
}
