//! The form in which what was watched is saved.
//!
//! Owns what is refused of it. It opens no file.

use serde::{Deserialize, Serialize};

use crate::alerts::AlertBook;
use crate::change::SavedChanges;
use crate::slo::SavedLedger;

const FORMAT: &str = "soulbox-watch";
const VERSION: u32 = 1;

/// What cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// It is no JSON, or not of this form.
    #[error("it is not what a server has watched")]
    Malformed(#[from] serde_json::Error),
    /// It is of another program or version.
    #[error("it has format {format:?}, version {version}, where {FORMAT:?}, version {VERSION} is read")]
    Foreign {
        /// What it says.
        format: String,
        /// What it says.
        version: u32,
    },
    /// A number in it cannot be.
    #[error("it has numbers that cannot be observed")]
    Impossible,
}

/// All that is saved.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saved {
    /// When.
    pub(crate) unix_s: u64,
    pub(crate) slo: SavedLedger,
    pub(crate) changes: SavedChanges,
    pub(crate) book: AlertBook,
}

#[derive(Deserialize)]
struct Heading {
    format: String,
    version: u32,
}

#[derive(Deserialize, Serialize)]
struct File {
    format: String,
    version: u32,
    watched: Saved,
}

pub(crate) fn encode(saved: Saved) -> Result<Vec<u8>, SavedError> {
    Ok(serde_json::to_vec(&File { format: FORMAT.to_owned(), version: VERSION, watched: saved })?)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Saved, SavedError> {
    let Heading { format, version } = serde_json::from_slice(bytes)?;
    if format != FORMAT || version != VERSION {
        return Err(SavedError::Foreign { format, version });
    }
    let saved = serde_json::from_slice::<File>(bytes)?.watched;
    if !saved.book.is_possible() || !saved.changes.is_possible() {
        return Err(SavedError::Impossible);
    }
    Ok(saved)
}
