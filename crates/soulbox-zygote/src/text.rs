//! Short texts without an allocator. Owns the making of paths and mount options.

use core::ffi::CStr;

use crate::sys::{self, Errno};

/// Longest path that mount options and directory prefixes are built in (`PATH_MAX`).
const CAPACITY: usize = 4096;

/// A short string on the stack, always ended by NUL.
pub(crate) struct Text {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl Text {
    pub(crate) fn new() -> Self {
        Text { bytes: [0; CAPACITY], len: 0 }
    }

    pub(crate) fn push(&mut self, text: &[u8]) -> sys::Result<()> {
        // One byte stays for the NUL.
        let end = self.len + text.len();
        if end >= CAPACITY {
            return Err(Errno(libc::ENAMETOOLONG));
        }
        self.bytes[self.len..end].copy_from_slice(text);
        self.len = end;
        Ok(())
    }

    pub(crate) fn push_number(&mut self, number: u64) -> sys::Result<()> {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return self.push(&digits[at..]);
            }
        }
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: u64) -> Text {
        let mut text = Text::new();
        text.push(b"size=").unwrap();
        text.push_number(number).unwrap();
        text
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        assert_eq!(text(0).as_c_str(), c"size=0");
        assert_eq!(text(67_108_864).as_c_str(), c"size=67108864");
        assert_eq!(text(u64::MAX).as_c_str(), c"size=18446744073709551615");
    }

    #[test]
    fn a_text_that_is_too_long_is_refused_whole() {
        let mut text = Text::new();
        assert_eq!(text.push(&[b'a'; CAPACITY]), Err(Errno(libc::ENAMETOOLONG)));
        assert_eq!(text.as_c_str(), c"");
        assert_eq!(text.push(&[b'a'; CAPACITY - 1]), Ok(()));
        assert_eq!(text.as_c_str().count_bytes(), CAPACITY - 1);
    }
}
