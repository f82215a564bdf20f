//! What is known of demand, kept over restarts.
//!
//! Owns one file in the state directory, which is replaced whole: of several servers that share the directory, the last
//! to write has it. Losing it costs nothing but the knowledge of some days, so that no failure here stops a server.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use soulbox_demand::{Histories, HistoryError};
use soulbox_sandbox::error_chain;

const NAME: &str = "demand.json";

/// A file that is larger is none of ours.
const MAX_BYTES: u64 = 16 << 20;

#[derive(Debug, thiserror::Error)]
enum DemandFileError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error("it has more than {MAX_BYTES} bytes")]
    TooLarge,
}

/// The file.
#[derive(Clone, Debug)]
pub(crate) struct DemandFile {
    path: PathBuf,
    /// In a directory of the instance alone, which goes with it.
    new: PathBuf,
}

impl DemandFile {
    pub(crate) fn new(state_dir: &Path, instance: &Path) -> Self {
        DemandFile { path: state_dir.join(NAME), new: instance.join(NAME) }
    }

    /// What was saved; nothing where that cannot be used, which the next save replaces.
    pub(crate) fn read(&self) -> Histories {
        match self.try_read() {
            Ok(histories) => histories,
            Err(DemandFileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                Histories::default()
            }
            Err(error) => {
                let (path, error) = (self.path.display(), error_chain(&error));
                tracing::warn!(%path, error, "what was known of demand cannot be used, and is learnt anew");
                Histories::default()
            }
        }
    }

    fn try_read(&self) -> Result<Histories, DemandFileError> {
        let mut bytes = Vec::new();
        File::open(&self.path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(DemandFileError::TooLarge);
        }
        Ok(Histories::decode(&bytes)?)
    }

    /// Replaces the file.
    pub(crate) fn save(&self, histories: &Histories) {
        if let Err(error) = self.try_save(histories) {
            let (path, error) = (self.path.display(), error_chain(&error));
            tracing::warn!(%path, error, "what is known of demand cannot be saved");
        }
    }

    fn try_save(&self, histories: &Histories) -> Result<(), DemandFileError> {
        // When who runs what is nobody else's business.
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&self.new)?;
        file.write_all(&histories.encode()?)?;
        file.sync_all()?;
        Ok(fs::rename(&self.new, &self.path)?)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use soulbox_demand::{Bounds, Demand, History};

    use super::*;

    fn histories() -> Histories {
        let bounds = Bounds { min: 1, max: 9, max_idle: Duration::from_secs(60) };
        let mut demand = Demand::new(bounds, History::default(), Duration::ZERO);
        demand.take(Duration::ZERO);
        let mut histories = Histories::default();
        histories.put("python", demand.history(Duration::from_secs(1), 0));
        histories
    }

    #[test]
    fn what_is_saved_is_read_by_the_next_server() {
        let (state, instance) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = DemandFile::new(state.path(), instance.path());
        assert_eq!(file.read(), Histories::default());
        file.save(&histories());
        assert_eq!(DemandFile::new(state.path(), Path::new("/other")).read(), histories());
        assert_eq!(fs::read_dir(instance.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_replaced() {
        let (state, instance) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = DemandFile::new(state.path(), instance.path());
        for content in ["", "{\"format\":\"soulbox-demand\",\"version\":77}", "\0\0\0", &"[".repeat(100_000)]
        {
            fs::write(state.path().join(NAME), content).unwrap();
            assert_eq!(file.read(), Histories::default());
            file.save(&histories());
            assert_eq!(file.read(), histories());
        }
        let large = File::create(state.path().join(NAME)).unwrap();
        large.set_len(MAX_BYTES + 1).unwrap();
        assert!(matches!(file.try_read(), Err(DemandFileError::TooLarge)));
    }
}
