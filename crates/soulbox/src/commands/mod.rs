//! What each command does.

use std::io;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;

pub(crate) mod accounting;
pub(crate) mod attack;
pub(crate) mod bench;
pub(crate) mod bundle;
pub(crate) mod capacity;
pub(crate) mod cost;
pub(crate) mod doctor;
pub(crate) mod monitoring;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod top;

/// Prints a completion script.
pub(crate) fn completions(shell: Shell) -> anyhow::Result<ExitCode> {
    clap_complete::generate(shell, &mut Cli::command(), "soulbox", &mut io::stdout());
    Ok(ExitCode::SUCCESS)
}

/// The runtime of a command: one thread is enough for one execution.
pub(crate) fn small_runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
