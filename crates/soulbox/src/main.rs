//! The `soulbox` program: its command line, its configuration, and the wiring of the libraries.
//!
//! Owns what a person types and reads. No logic that a library could hold.

use std::process::ExitCode;

use clap::Parser;

mod cli;
mod commands;
mod config;
mod logging;
mod rights;
mod table;
mod units;

use cli::{Cli, Command};

/// What the program exits with when it failed, rather than the program it ran; as docker and env(1) have it.
const OWN_ERROR: u8 = 125;

fn main() -> ExitCode {
    // Before anything that starts a thread: the helpers fork.
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(command) if command == soulbox_sandbox::HELPER_COMMAND => {
            return soulbox_sandbox::helper_main(args);
        }
        Some(command) if command == soulbox_sandbox::MAP_COMMAND => return soulbox_sandbox::map_main(args),
        Some(command) if command == soulbox_image::UNPACK_COMMAND => return soulbox_image::helper_main(args),
        _ => {}
    }
    let cli = Cli::parse();
    let level = match (&cli.command, cli.verbose) {
        (_, true) => "debug",
        (Command::Serve(_), false) => "info",
        (_, false) => "error",
    };
    logging::init(level, cli.log_format);
    let result = match cli.command {
        Command::Run(args) => commands::run::run(*args, cli.state_dir),
        Command::Serve(args) => commands::serve::serve(args, cli.state_dir),
        Command::Doctor(args) if args.attack => commands::attack::attack(&args, cli.state_dir),
        Command::Doctor(args) => commands::doctor::doctor(&args, cli.state_dir),
        Command::Bundle(command) => commands::bundle::bundle(command, cli.state_dir),
        Command::Bench(args) => commands::bench::bench(*args),
        Command::Monitoring { file } => Ok(commands::monitoring::monitoring(file)),
        Command::Accounting(args) => commands::accounting::accounting(&args),
        Command::Cost(args) => commands::cost::cost(&args),
        Command::Top(args) => commands::top::top(args),
        Command::Capacity(args) => commands::capacity::capacity(&args),
        Command::Completions { shell } => commands::completions(shell),
    };
    result.unwrap_or_else(|error| {
        units::say(&format!("{error:#}"));
        ExitCode::from(OWN_ERROR)
    })
}
