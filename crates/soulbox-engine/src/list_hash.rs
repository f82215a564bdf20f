//! A hash of a list of byte strings, in which the borders between them count.

use sha2::{Digest, Sha256};

/// SHA-256 over each string's length and bytes, so that no two lists are the same bytes.
#[derive(Debug, Default)]
pub(crate) struct ListHash(Sha256);

impl ListHash {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}
