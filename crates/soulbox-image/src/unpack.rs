//! One layer, from its blob to its directory, by a helper that can reach nothing but that directory.
//!
//! Owns both sides: the parent gives the helper the bytes and verifies what it gave; the helper, this same
//! program under a hidden command, unpacks ([`helper_main`]). The helper's report is data: whether the layer
//! is what the image says is decided here.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest as _, Sha256};
use soulbox_sandbox::{CONFINED_IDS, Confined, ConfinedLimits, Confinement, Finished, describe_end, enter};

use crate::extract::extract;
use crate::refusal::{LayerReport, Limits, Refusal, Report};
use crate::source::Layer;
use crate::stream::digest_text;

/// The hidden command of the `soulbox` program that runs [`helper_main`].
pub const UNPACK_COMMAND: &str = "image-unpack";

/// Address space of the helper, bytes: the window of a decompressor is the most of it.
const HELPER_MEMORY: u64 = 1 << 30;

/// One read and one write.
const BUFFER: usize = 256 << 10;

/// What unpacks layers, and as whom.
#[derive(Clone, Debug)]
pub struct Unpacker {
    /// The program that has the command [`UNPACK_COMMAND`]; `/proc/self/exe` where that is this one.
    pub program: PathBuf,
    /// The host id of the files of the image's root. Its other ids, 65536 with this one, follow.
    pub first_id: u32,
}

impl Unpacker {
    /// By this program itself.
    pub fn new(first_id: u32) -> Self {
        Unpacker { program: PathBuf::from("/proc/self/exe"), first_id }
    }
}

/// A layer that could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// Its blob cannot be read.
    #[error("its blob cannot be read")]
    Read(#[source] io::Error),
    /// The blob is not as long as the manifest says.
    #[error("its blob has {} than the {expected} bytes that the manifest says", if *.received > *.expected { "more" } else { "less" })]
    Size {
        /// The length that the manifest says, bytes.
        expected: u64,
        /// What came until that was clear, bytes.
        received: u64,
    },
    /// The blob is not the one that the manifest names.
    #[error("its blob is damaged or another: its digest is {actual}")]
    Digest {
        /// The digest of what came.
        actual: String,
    },
    /// The archive is not the one that the image's configuration names.
    #[error("its uncompressed digest is {actual}, and {expected} in the image's configuration")]
    DiffId {
        /// That of the configuration.
        expected: String,
        /// That of what came.
        actual: String,
    },
    /// Its contents are refused, or cannot be written.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The directory to fill cannot be used.
    #[error("cannot prepare {}", path.display())]
    Target {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The helper could not be run.
    #[error("cannot run the helper that unpacks")]
    Helper(#[source] io::Error),
    /// The helper did not say what became of the layer.
    #[error("the helper that unpacks {0}")]
    HelperEnded(String),
    /// Another layer failed, or nobody waits for this one any more.
    #[error("it was not finished")]
    Cancelled,
}

/// Fills the empty directory `target` with a layer. `progress` is told how many bytes of the blob have come.
/// The directory's owner becomes the image's root. This blocks.
pub(crate) fn unpack(
    unpacker: &Unpacker,
    layer: &Layer,
    blob: &mut dyn Read,
    target: &Path,
    limits: Limits,
    cancelled: &AtomicBool,
    progress: &dyn Fn(u64),
) -> Result<LayerReport, LayerError> {
    let mut helper = spawn(unpacker, target, limits)?;

    let mut blob = Checked { blob, layer, hash: Sha256::new(), received: 0 };
    let mut buffer = vec![0; BUFFER];
    loop {
        if cancelled.load(Ordering::Relaxed) {
            return Err(LayerError::Cancelled);
        }
        let read = blob.read(&mut buffer)?;
        progress(blob.received);
        if read == 0 {
            break;
        }
        match helper.write(&buffer[..read]) {
            Ok(()) => {}
            // It reads no more, and says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            Err(error) => return Err(LayerError::Helper(error)),
        }
    }
    let report = understand(&helper.finish().map_err(LayerError::Helper)?);
    if let Err(LayerError::Refused(Refusal::Compression { .. } | Refusal::Archive { .. })) = &report {
        // It may be the wrong blob, which says more than that it cannot be read.
        while !cancelled.load(Ordering::Relaxed) && blob.read(&mut buffer)? > 0 {}
        blob.verify()?;
    }
    let report = report?;
    // The helper may have seen the end of the archive before that of the blob.
    while blob.read(&mut buffer)? > 0 {}
    blob.verify()?;
    if report.diff_id != layer.diff_id {
        let expected = layer.diff_id.clone();
        return Err(LayerError::DiffId { expected, actual: report.diff_id });
    }
    Ok(report)
}

/// Fills the empty directory `target` with a tar archive of which nothing is known beforehand. The directory's
/// owner becomes the archive's root. This blocks.
///
/// # Errors
/// [`LayerError`]; what was unpacked by then stays for the caller to remove.
pub fn unpack_archive(
    unpacker: &Unpacker,
    archive: &mut dyn Read,
    target: &Path,
    limits: Limits,
) -> Result<LayerReport, LayerError> {
    let mut helper = spawn(unpacker, target, limits)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = match archive.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(LayerError::Read(error)),
        };
        match helper.write(&buffer[..read]) {
            Ok(()) => {}
            // It reads no more, and says why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            Err(error) => return Err(LayerError::Helper(error)),
        }
    }
    understand(&helper.finish().map_err(LayerError::Helper)?)
}

fn spawn(unpacker: &Unpacker, target: &Path, limits: Limits) -> Result<Confined, LayerError> {
    prepare(target, unpacker.first_id)
        .map_err(|source| LayerError::Target { path: target.to_owned(), source })?;
    let arguments: [OsString; 4] = [
        UNPACK_COMMAND.into(),
        target.into(),
        limits.bytes.to_string().into(),
        limits.entries.to_string().into(),
    ];
    let confinement =
        Confinement { program: &unpacker.program, arguments: &arguments, first_id: unpacker.first_id };
    Confined::spawn(&confinement).map_err(LayerError::Helper)
}

/// A blob whose length and digest are checked on the way.
struct Checked<'a> {
    blob: &'a mut dyn Read,
    layer: &'a Layer,
    hash: Sha256,
    received: u64,
}

impl Checked<'_> {
    /// Fills the buffer as far as there is something: every part costs the helper a wake-up.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, LayerError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.blob.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(LayerError::Read(error)),
            }
        }
        self.hash.update(&buffer[..filled]);
        self.received += filled as u64;
        let expected = self.layer.size;
        if self.received > expected || (filled < buffer.len() && self.received < expected) {
            return Err(LayerError::Size { expected, received: self.received });
        }
        Ok(filled)
    }

    /// After everything was read.
    fn verify(&self) -> Result<(), LayerError> {
        let actual = digest_text(self.hash.clone());
        match &self.layer.digest {
            Some(expected) if *expected != actual => Err(LayerError::Digest { actual }),
            _ => Ok(()),
        }
    }
}

fn prepare(target: &Path, owner: u32) -> io::Result<()> {
    if fs::read_dir(target)?.next().is_some() {
        return Err(io::ErrorKind::DirectoryNotEmpty.into());
    }
    chown(target, Some(owner), Some(owner))?;
    fs::set_permissions(target, Permissions::from_mode(0o755))
}

fn understand(finished: &Finished) -> Result<LayerReport, LayerError> {
    match serde_json::from_slice(&finished.report) {
        Ok(Report::Unpacked(report)) if finished.status.success() => Ok(report),
        Ok(Report::Refused(refusal)) => Err(LayerError::Refused(refusal)),
        Ok(Report::Unpacked(_)) | Err(_) => {
            let end = describe_end(finished.status);
            let said = if finished.said.is_empty() { end } else { format!("{end}: {}", finished.said) };
            Err(LayerError::HelperEnded(said))
        }
    }
}

/// The helper: confines itself to a directory and unpacks the layer there that comes on standard input. The
/// arguments are the directory, the most bytes and the most entries.
pub fn helper_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let number = |text: &OsString| text.to_str().and_then(|text| text.parse().ok());
    let result = match args.as_slice() {
        [root, bytes, entries] => match (number(bytes), number(entries)) {
            (Some(bytes), Some(entries)) => unpack_confined(Path::new(root), Limits { bytes, entries }),
            _ => Err(confinement("the limits are no numbers")),
        },
        _ => Err(confinement(&format!("usage: {UNPACK_COMMAND} ROOT BYTES ENTRIES"))),
    };
    let (report, code) = match result {
        Ok(report) => (Report::Unpacked(report), ExitCode::SUCCESS),
        Err(refusal) => (Report::Refused(refusal), ExitCode::FAILURE),
    };
    let written = serde_json::to_string(&report)
        .map_err(io::Error::from)
        .and_then(|line| writeln!(io::stdout(), "{line}"));
    if written.is_ok() { code } else { ExitCode::FAILURE }
}

fn unpack_confined(root: &Path, limits: Limits) -> Result<LayerReport, Refusal> {
    // A file's length has its limit in words too; this one is for what those do not see.
    let confined = ConfinedLimits { memory: HELPER_MEMORY, file: limits.bytes };
    enter(root, confined).map_err(|error| confinement(&error.to_string()))?;
    // Without the buffer and the lock of std.
    let blob = io::stdin().as_fd().try_clone_to_owned();
    let blob = blob.map_err(|error| confinement(&error.to_string()))?;
    extract(File::from(blob), limits)
}

fn confinement(reason: &str) -> Refusal {
    Refusal::Confinement { reason: reason.to_owned() }
}

const _: () = assert!(CONFINED_IDS == 65536, "ids are mapped to the last one that an image may use");
