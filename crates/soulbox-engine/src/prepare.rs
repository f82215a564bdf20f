//! What a bundle has to have made once on this host before it can start, such as a compiled standard library.
//!
//! Owns one directory for each bundle and version of its toolchain, made whole or not at all, shared by all
//! instances and kept over restarts. The command is the bundle's own, never
//! a user's; still an unprivileged user of the host executes it, which is the one who runs SoulBox where that is an
//! ordinary user.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use soulbox_bundle::{Bundle, IdRange, ListHash, MaterializeError, Unavailable};
use soulbox_sandbox::Rights;

/// A bundle that could not be prepared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error(transparent)]
    Files(#[from] MaterializeError),
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{} belongs to or can be written by other users; make it root's own (chown root, chmod go-w)", .0.display())]
    Untrusted(PathBuf),
    #[error("the command that prepares bundle {bundle} failed: {output}")]
    Command { bundle: String, output: String },
}

impl PrepareError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PrepareError {
        move |source| PrepareError::Io { action, path: path.to_owned(), source }
    }
}

/// The directory that the bundle's `prepare` command makes, made now when it is not there; `None` for a bundle
/// without one. Takes as long as the command: up to a minute.
pub(crate) fn prepare(
    bundle: &Bundle,
    version: &str,
    all: &Path,
    ids: IdRange,
    rights: Rights,
) -> Result<Option<PathBuf>, PrepareError> {
    if let Some(made) = bundle.prepared() {
        return Ok(Some(made));
    }
    let Some(named) = bundle.prepare_command(Path::new("."))? else { return Ok(None) };
    let digest = digest(bundle, version, &named);
    fs::create_dir_all(all).map_err(PrepareError::io("create", all))?;
    let all = fs::canonicalize(all).map_err(PrepareError::io("read", all))?;
    check_owner(&all)?;
    let target = all.join(format!("{}-{digest}", bundle.name()));
    if target.exists() {
        return Ok(Some(target));
    }
    // Who comes second finds it made.
    let lock = all.join(format!("{}.lock", bundle.name()));
    let lock = File::create(&lock)
        .and_then(|file| file.lock().map(|()| file))
        .map_err(PrepareError::io("lock", &lock))?;
    if target.exists() {
        return Ok(Some(target));
    }
    // Nobody else has the lock: these are of daemons that were killed.
    let unfinished = format!(".new-{}~", bundle.name());
    for entry in fs::read_dir(&all).map_err(PrepareError::io("read", &all))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&unfinished) {
            let path = entry.path();
            fs::remove_dir_all(&path).map_err(PrepareError::io("remove", &path))?;
        }
    }
    let work = tempfile::Builder::new()
        .prefix(&unfinished)
        .tempdir_in(&all)
        .map_err(PrepareError::io("create", &all))?;
    let own = match rights {
        Rights::Root => ids.first,
        // The way to the directory may be closed to others.
        Rights::UserNamespace => 0,
    };
    let work = work.path();
    let (made, runtime) = (work.join("made"), work.join("runtime"));
    for directory in [work, &made, &runtime] {
        fs::create_dir_all(directory).map_err(PrepareError::io("create", directory))?;
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(directory, mode).map_err(PrepareError::io("open", directory))?;
    }
    chown(&made, Some(own), Some(own)).map_err(PrepareError::io("give away", &made))?;
    bundle.write_files(&runtime)?;
    let Some(command) = bundle.prepare_command(&runtime)? else { return Ok(None) };
    execute(bundle, &command, &made, own, &lock)?;
    fs::rename(&made, &target).map_err(PrepareError::io("create", &target))?;
    drop(lock);
    Ok(Some(target))
}

/// Root will execute what lies there.
fn check_owner(directory: &Path) -> Result<(), PrepareError> {
    const WRITE_BY_OTHERS: u32 = 0o022;
    let metadata = fs::metadata(directory).map_err(PrepareError::io("read", directory))?;
    if metadata.uid() != 0 || metadata.mode() & WRITE_BY_OTHERS != 0 {
        return Err(PrepareError::Untrusted(directory.to_owned()));
    }
    Ok(())
}

/// The command has the lock as its standard input, which it does not read: while it works, also when the daemon was
/// killed, nobody else does.
fn execute(
    bundle: &Bundle,
    command: &[String],
    directory: &Path,
    id: u32,
    lock: &File,
) -> Result<(), PrepareError> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    tracing::info!(bundle = bundle.name(), "preparing: this happens once for each version of the toolchain");
    let cannot = PrepareError::io("execute", Path::new(program));
    let output = lock.try_clone().and_then(|lock| {
        Command::new(program)
            .args(arguments)
            .current_dir(directory)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", directory)
            .stdin(lock)
            .uid(id)
            .gid(id)
            .output()
    });
    let output = output.map_err(cannot)?;
    if output.status.success() {
        return Ok(());
    }
    let output = format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    Err(PrepareError::Command { bundle: bundle.name().to_owned(), output })
}

/// Names everything that what is prepared depends on.
fn digest(bundle: &Bundle, version: &str, command: &[String]) -> String {
    let mut hash = ListHash::default();
    hash.add(version.as_bytes());
    command.iter().for_each(|word| hash.add(word.as_bytes()));
    bundle.files().for_each(|(name, content)| {
        hash.add(name.as_os_str().as_encoded_bytes());
        hash.add(content);
    });
    hash.finish().as_bytes().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
