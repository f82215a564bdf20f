//! What a bundle of layers has to have made once, such as a compiled standard library: a layer of its own.
//!
//! Owns the recipe's `prepare` command in the image, where it is the image's toolchain that runs, in a container
//! that can reach nothing.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use soulbox_bundle::store::{Layer, STORE_IDS, Writer};
use soulbox_bundle::{Folder, PREPARED_DIR};
use soulbox_sandbox::{
    Changes, CommandLimits, CommandNetwork, CommandSpec, HostIds, Instance, ReadOnlyBind, run_command,
};

use crate::install::InstallError;

/// Where the command sees the bundle's files; not below the directory in which it writes.
pub(crate) const FILES_DIR: &str = "/.soulbox-files";

/// Enough for a compiler that compiles its own library.
const LIMITS: CommandLimits =
    CommandLimits { memory_bytes: 4 << 30, pids: 1024, cpus: 4.0, wall_time: Duration::from_secs(900) };

/// The layer that the command makes, below [`PREPARED_DIR`].
pub(crate) async fn prepare(
    instance: &Instance,
    writer: &Writer,
    folder: &Folder,
    command: Vec<String>,
    environment: Vec<(String, String)>,
    layers: Vec<PathBuf>,
) -> Result<Layer, InstallError> {
    let files = writer.new_layer()?;
    folder.write_files(&files.tree())?;
    let work = writer.new_layer()?;
    let mut place = work.tree();
    for name in Path::new(PREPARED_DIR).iter().skip(1) {
        place.push(name);
        let root = Some(STORE_IDS.first);
        fs::create_dir(&place).and_then(|()| chown(&place, root, root)).map_err(InstallError::Place)?;
    }
    let spec = CommandSpec {
        args: command,
        directory: PathBuf::from(PREPARED_DIR),
        env: environment,
        layers,
        changes: Some(Changes { upper: work.tree(), work: work.overlay_work() }),
        ids: HostIds { first: STORE_IDS.first, count: STORE_IDS.count },
        network: CommandNetwork::None,
        binds: vec![ReadOnlyBind { source: files.tree(), destination: PathBuf::from(FILES_DIR) }],
        limits: LIMITS,
    };
    let ended = run_command(instance, &spec, |_| {});
    ended.await.map_err(|source| InstallError::Prepare { language: folder.name().to_owned(), source })?;
    Ok(writer.add_layer(work)?)
}
