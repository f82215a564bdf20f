//! A bound on what the reader of a tar archive takes into memory: it follows names and attributes as long as
//! they come, and they may come for ever.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

/// Most bytes of headers of one entry, long names and extended attributes included.
pub(crate) const MAX_HEADERS: u64 = 2 << 20;

/// How many bytes may be read until the meter is set again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowance(Rc<Cell<u64>>);

impl Allowance {
    /// The headers of one entry are next.
    pub(crate) fn headers(&self) {
        self.0.set(MAX_HEADERS);
    }

    /// The contents of a file are next, whose length is the caller's care.
    pub(crate) fn contents(&self) {
        self.0.set(u64::MAX);
    }

    /// Whether reading failed since all was read that might be.
    pub(crate) fn is_used_up(&self) -> bool {
        self.0.get() == 0
    }
}

/// A reader with an allowance.
#[derive(Debug)]
pub(crate) struct Metered<R> {
    pub(crate) inner: R,
    pub(crate) allowance: Allowance,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let allowed = self.allowance.0.get();
        if allowed == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let most = usize::try_from(allowed).unwrap_or(usize::MAX).min(into.len());
        let read = self.inner.read(&mut into[..most])?;
        self.allowance.0.set(allowed - read as u64);
        Ok(read)
    }
}

impl<R: Seek> Seek for Metered<R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}
