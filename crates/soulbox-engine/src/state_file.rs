//! A file in the state directory, for what is learnt and kept over restarts.
//!
//! Owns how it is read and replaced, and never what is in it. It is replaced whole: of several servers that share the
//! directory, the last to write has it. Losing it costs nothing but what was learnt, so that no failure here stops a
//! server.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file that is larger is none of ours.
pub(crate) const MAX_BYTES: u64 = 16 << 20;

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateFileError {
    /// The system refuses it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Nothing that is written here has this size.
    #[error("it has more than {MAX_BYTES} bytes")]
    TooLarge,
}

/// The file.
#[derive(Clone, Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    /// In a directory of the instance alone, which goes with it.
    new: PathBuf,
}

impl StateFile {
    pub(crate) fn new(state_dir: &Path, instance: &Path, name: &str) -> Self {
        StateFile { path: state_dir.join(name), new: instance.join(name) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What was saved, where something was.
    pub(crate) fn read(&self) -> Result<Option<Vec<u8>>, StateFileError> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_BYTES { Err(StateFileError::TooLarge) } else { Ok(Some(bytes)) }
    }

    /// Replaces the file.
    pub(crate) fn save(&self, bytes: &[u8]) -> Result<(), StateFileError> {
        // When who runs what is nobody else's business.
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&self.new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(fs::rename(&self.new, &self.path)?)
    }
}
