//! `soulbox bundle`: what is stored, and whether it is what it was.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use soulbox_bundle::store::{BundleName, Removed, Store};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::BundleCommand;
use crate::config::default_state_dir;
use crate::rights::need_root;
use crate::units;

mod add;
mod build;
mod list;
mod verify;

pub(crate) fn bundle(command: BundleCommand, state_dir: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let state_dir = state_dir.unwrap_or_else(default_state_dir);
    match command {
        BundleCommand::Build(args) => {
            need_root("bundle build")?;
            build::build(&state_dir, args)
        }
        BundleCommand::Pull(args) => {
            need_root("bundle pull")?;
            add::pull(&state_dir, args)
        }
        BundleCommand::Import(args) => {
            need_root("bundle import")?;
            add::import(&state_dir, args)
        }
        BundleCommand::Ls { json } => list::list(&state_dir, json),
        BundleCommand::Inspect { name, json } => list::inspect(&state_dir, &name, json),
        BundleCommand::Verify { names, json } => verify::verify(&state_dir, &names, json),
        BundleCommand::Gc => {
            let Removed { versions, layers } = Store::new(&state_dir).collect_garbage()?;
            units::print(&format!("old versions of bundles removed: {versions}, layers: {layers}\n"));
            Ok(ExitCode::SUCCESS)
        }
        BundleCommand::Rm { names, force } => remove(&state_dir, &names, force),
    }
}

/// What is done, unless the operator asks to stop it before: then it is dropped, which ends all of its processes.
async fn until_interrupted<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<Option<T>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        done = work => done.map(Some),
        _ = interrupt.recv() => Ok(None),
        _ = terminate.recv() => Ok(None),
    }
}

/// The end of a command that was asked to stop, as shells have it for SIGINT.
fn interrupted() -> ExitCode {
    units::say("stopped; what was complete by then is kept for the next time");
    ExitCode::from(130)
}

fn remove(state_dir: &Path, names: &[String], force: bool) -> anyhow::Result<ExitCode> {
    let store = Store::new(state_dir);
    for name in names {
        let removed = store.remove(&BundleName::parse(name)?, force)?;
        units::print(&format!("{name} is removed{}\n", with_layers(removed)));
    }
    Ok(ExitCode::SUCCESS)
}

fn with_layers(removed: Removed) -> String {
    match removed.layers {
        0 => String::new(),
        1 => ", with one layer".to_owned(),
        layers => format!(", with {layers} layers"),
    }
}
