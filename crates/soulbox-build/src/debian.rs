//! The lowest layer: a root file system of Debian's packages, made by mmdebstrap(1).
//!
//! Owns how mmdebstrap is called and that it ends with us. It verifies every package by the release's signature.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use soulbox_image::{Limits, Unpacker, unpack_archive};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::error::BuildError;
use crate::{Event, Progress};

/// Time that everything in the file system has: that of Debian 13's release. The content does not depend on when
/// it was built then.
pub(crate) const SOURCE_DATE_EPOCH: &str = "1754697600";

/// What no program reads: manuals, translations, documentation but for the licences.
const PATHS: [&str; 7] = [
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/lintian/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/share/bug/*",
];

/// mmdebstrap copies these from the host for the time of its work. They are no business of a bundle.
const CLEAN: &str = "rm -f \"$1/etc/resolv.conf\" \"$1/etc/hostname\" \"$1/etc/machine-id\"";

/// Lines that an error shows.
const TAIL_LINES: usize = 20;

/// Fills the empty directory `tree`. `scratch` is a directory that does not exist yet.
pub(crate) async fn bootstrap(
    suite: &str,
    packages: &[String],
    mirror: Option<&str>,
    (tree, scratch): (&Path, &Path),
    unpacker: &Unpacker,
    progress: &Progress,
) -> Result<(), BuildError> {
    for program in ["mmdebstrap", "unshare"] {
        if !is_installed(program) {
            return Err(BuildError::NotInstalled(program));
        }
    }
    let mode = mode();
    progress(Event::Note(match mode {
        "unshare" => "mmdebstrap installs the packages in a user namespace",
        _ => {
            "mmdebstrap installs the packages as root of this host, since /etc/subuid has no ids for root; the packages' own scripts run in a chroot"
        }
    }));
    let scratch = Scratch::create(scratch).map_err(BuildError::Run)?;
    // In a PID namespace of its own all of it ends with its first process, and that with this one; its mounts go
    // with the mount namespace.
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "mmdebstrap"]);
    command.args(["--variant=essential", "--format=tar"]).arg(format!("--mode={mode}"));
    for path in PATHS {
        command.arg(format!("--dpkgopt={path}"));
    }
    command.arg("--aptopt=APT::Install-Recommends \"false\"").arg(format!("--customize-hook={CLEAN}"));
    if !packages.is_empty() {
        command.arg(format!("--include={}", packages.join(",")));
    }
    command.args(["--", suite, "-"]).args(mirror);
    command.env("SOURCE_DATE_EPOCH", SOURCE_DATE_EPOCH).env("TMPDIR", &scratch.0).env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(BuildError::Run)?;
    let no_pipe = || BuildError::Run(io::ErrorKind::BrokenPipe.into());
    let archive = child.stdout.take().ok_or_else(no_pipe)?.into_owned_fd().map_err(BuildError::Run)?;
    let said = child.stderr.take().ok_or_else(no_pipe)?;
    let (unpacker, tree) = (unpacker.clone(), tree.to_owned());
    let unpacked = tokio::task::spawn_blocking(move || {
        unpack_archive(&unpacker, &mut File::from(archive), &tree, Limits::default())
    });
    let tail = tell(said, progress).await.map_err(BuildError::Run)?;
    let status = child.wait().await.map_err(BuildError::Run)?;
    let unpacked = unpacked.await.map_err(|_| BuildError::Interrupted)?;
    // A broken archive is a consequence, unless there is another reason for it.
    if !status.success() && !matches!(&unpacked, Err(soulbox_image::LayerError::Refused(_))) {
        return Err(BuildError::Debian { status, tail });
    }
    let report = unpacked?;
    if !status.success() {
        return Err(BuildError::Debian { status, tail });
    }
    tracing::debug!(entries = report.entries, bytes = report.bytes, "unpacked");
    Ok(())
}

/// Tells each line, and returns the last.
async fn tell(said: impl tokio::io::AsyncRead + Unpin, progress: &Progress) -> io::Result<String> {
    let (mut lines, mut last) = (BufReader::new(said).split(b'\n'), std::collections::VecDeque::new());
    while let Some(line) = lines.next_segment().await? {
        let line = String::from_utf8_lossy(&line);
        // Progress is drawn over the same line again and again.
        let line = line.trim_end().rsplit('\r').next().unwrap_or_default().to_owned();
        progress(Event::Line(&line));
        if last.len() == TAIL_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
    Ok(last.iter().map(|line| format!("\n  {line}")).collect())
}

/// mmdebstrap's way to have a root of its own: in a user namespace, where root has ids for one.
fn mode() -> &'static str {
    let ids = fs::read_to_string("/etc/subuid").unwrap_or_default();
    if ids.lines().any(|line| line.starts_with("root:")) { "unshare" } else { "root" }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Where mmdebstrap works; its users have to get through.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn create(path: &Path) -> io::Result<Self> {
        fs::create_dir(path)?;
        let scratch = Scratch(path.to_owned());
        fs::set_permissions(path, fs::Permissions::from_mode(0o1777))?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is still being written to goes with the instance.
        let _ = fs::remove_dir_all(&self.0);
    }
}
