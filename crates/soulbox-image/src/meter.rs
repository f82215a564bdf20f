//! What the reader of a tar archive reads through: a bound on what it takes into memory, since it follows names
//! and attributes as long as they come, and the padding that some archives lack at their end.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

/// Most bytes of headers of one entry, long names and extended attributes included.
pub(crate) const MAX_HEADERS: u64 = 2 << 20;

/// Archives are made of blocks of this size.
const BLOCK: u64 = 512;

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

    fn is_for_headers(&self) -> bool {
        self.0.get() <= MAX_HEADERS
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
    position: u64,
}

impl<R> Metered<R> {
    /// Nothing may be read before the allowance is set.
    pub(crate) fn new(inner: R, allowance: Allowance) -> Self {
        Metered { inner, allowance, position: 0 }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let allowed = self.allowance.0.get();
        if allowed == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let most = usize::try_from(allowed).unwrap_or(usize::MAX).min(into.len());
        let mut read = self.inner.read(&mut into[..most])?;
        let over = self.position % BLOCK;
        // umoci, for one, does not fill the last block. Inside a file or a header, this makes it no complete one.
        if read == 0 && over > 0 && self.allowance.is_for_headers() {
            read = most.min((BLOCK - over) as usize);
            into[..read].fill(0);
        }
        self.position += read as u64;
        self.allowance.0.set(allowed - read as u64);
        Ok(read)
    }
}

impl<R: Seek> Seek for Metered<R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.position = self.inner.seek(position)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(bytes: &[u8], set: impl Fn(&Allowance)) -> io::Result<usize> {
        let allowance = Allowance::default();
        set(&allowance);
        Metered::new(bytes, allowance).read_to_end(&mut Vec::new())
    }

    #[test]
    fn headers_end_at_their_allowance_and_contents_do_not() {
        let bytes = vec![1; MAX_HEADERS as usize + 1];
        assert!(read_all(&bytes, Allowance::headers).is_err());
        assert_eq!(read_all(&bytes, Allowance::contents).unwrap(), bytes.len());
    }

    #[test]
    fn the_last_block_is_filled_where_a_header_may_be() {
        assert_eq!(read_all(&[1; 700], Allowance::headers).unwrap(), 1024);
        assert_eq!(read_all(&[1; 512], Allowance::headers).unwrap(), 512);
        assert_eq!(read_all(&[1; 700], Allowance::contents).unwrap(), 700);
    }
}
