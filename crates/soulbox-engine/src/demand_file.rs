//! What is known of demand, kept over restarts.
//!
//! Owns its file's name, and what is done with one that cannot be used: it costs the knowledge of some days, and is
//! learnt anew.

use std::path::Path;

use soulbox_demand::{Histories, HistoryError};
use soulbox_sandbox::error_chain;

use crate::state_file::{StateFile, StateFileError};

const NAME: &str = "demand.json";

#[derive(Debug, thiserror::Error)]
enum DemandFileError {
    #[error(transparent)]
    File(#[from] StateFileError),
    #[error(transparent)]
    History(#[from] HistoryError),
}

/// The file.
#[derive(Clone, Debug)]
pub(crate) struct DemandFile(StateFile);

impl DemandFile {
    pub(crate) fn new(state_dir: &Path, instance: &Path) -> Self {
        DemandFile(StateFile::new(state_dir, instance, NAME))
    }

    /// What was saved; nothing where that cannot be used, which the next save replaces.
    pub(crate) fn read(&self) -> Histories {
        self.try_read().unwrap_or_else(|error| {
            let (path, error) = (self.0.path().display(), error_chain(&error));
            tracing::warn!(%path, error, "what was known of demand cannot be used, and is learnt anew");
            Histories::default()
        })
    }

    fn try_read(&self) -> Result<Histories, DemandFileError> {
        Ok(self.0.read()?.map(|bytes| Histories::decode(&bytes)).transpose()?.unwrap_or_default())
    }

    /// Replaces the file.
    pub(crate) fn save(&self, histories: &Histories) {
        if let Err(error) = self.try_save(histories) {
            let (path, error) = (self.0.path().display(), error_chain(&error));
            tracing::warn!(%path, error, "what is known of demand cannot be saved");
        }
    }

    fn try_save(&self, histories: &Histories) -> Result<(), DemandFileError> {
        Ok(self.0.save(&histories.encode()?)?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::Duration;

    use soulbox_demand::{Bounds, Demand, History};

    use super::*;
    use crate::state_file::MAX_BYTES;

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
        assert!(matches!(file.try_read(), Err(DemandFileError::File(StateFileError::TooLarge))));
    }
}
