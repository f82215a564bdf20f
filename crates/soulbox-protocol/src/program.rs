//! A job's program: arguments, environment and files in one memory file that the sandbox maps.
//!
//! Owns the layout, and reads it without allocating or trusting a length; it never touches a file system.
//!
//! ```text
//! u32 args   u32 variables   u32 files   u32 bytes of all strings
//! strings    args, then variables as NAME=VALUE, each ended by NUL
//! files      u32 bytes of path (its NUL included)  u32 bytes of content  path  content
//! ```
//!
//! All numbers are little-endian. The strings are laid out as execve(2) wants them, and as an interpreter
//! splits them most easily.

use core::ffi::CStr;
use core::fmt;

/// A program in the memory of the sandbox that will run it.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    args: u32,
    variables: u32,
    files: u32,
    strings: &'a [u8],
    file_bytes: &'a [u8],
}

/// One file of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceFile<'a> {
    /// Path below the workspace, as the daemon has validated it.
    pub path: &'a CStr,
    /// What the file holds.
    pub content: &'a [u8],
}

/// The bytes are no program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramError {
    /// They end before what the counts promise.
    Truncated,
    /// The number of strings is not what the counts promise.
    Strings,
    /// A path has no NUL at its end, or one before it.
    Path,
}

impl fmt::Display for ProgramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProgramError::Truncated => "program ends too early",
            ProgramError::Strings => "program has another number of strings than it says",
            ProgramError::Path => "program has a path that is not ended by its only NUL",
        })
    }
}

impl core::error::Error for ProgramError {}

fn take(bytes: &[u8], len: usize) -> Result<(&[u8], &[u8]), ProgramError> {
    bytes.split_at_checked(len).ok_or(ProgramError::Truncated)
}

fn take_u32(bytes: &[u8]) -> Result<(u32, &[u8]), ProgramError> {
    let (word, rest) = bytes.split_first_chunk::<4>().ok_or(ProgramError::Truncated)?;
    Ok((u32::from_le_bytes(*word), rest))
}

impl<'a> Program<'a> {
    /// Reads the header and checks the strings; files are checked as [`Program::files`] reaches them.
    ///
    /// # Errors
    /// [`ProgramError`] when the bytes are no program.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ProgramError> {
        let (args, rest) = take_u32(bytes)?;
        let (variables, rest) = take_u32(rest)?;
        let (files, rest) = take_u32(rest)?;
        let (strings_len, rest) = take_u32(rest)?;
        let (strings, file_bytes) = take(rest, strings_len as usize)?;
        let terminators = strings.iter().filter(|byte| **byte == 0).count() as u64;
        let ends_well = strings.last().is_none_or(|byte| *byte == 0);
        if !ends_well || terminators != u64::from(args) + u64::from(variables) {
            return Err(ProgramError::Strings);
        }
        Ok(Program { args, variables, files, strings, file_bytes })
    }

    /// How many of the strings are arguments.
    pub fn arg_count(&self) -> usize {
        self.args as usize
    }

    /// How many of the strings are environment variables.
    pub fn variable_count(&self) -> usize {
        self.variables as usize
    }

    /// The bytes of all strings: arguments, then variables, each ended by NUL.
    pub fn strings(&self) -> &'a [u8] {
        self.strings
    }

    /// The files in the order in which they are to be written.
    pub fn files(&self) -> impl Iterator<Item = Result<SourceFile<'a>, ProgramError>> + use<'a> {
        let mut rest = self.file_bytes;
        (0..self.files).map(move |_| {
            let (file, after) = next_file(rest)?;
            rest = after;
            Ok(file)
        })
    }
}

fn next_file(bytes: &[u8]) -> Result<(SourceFile<'_>, &[u8]), ProgramError> {
    let (path_len, rest) = take_u32(bytes)?;
    let (content_len, rest) = take_u32(rest)?;
    let (path, rest) = take(rest, path_len as usize)?;
    let (content, rest) = take(rest, content_len as usize)?;
    let path = CStr::from_bytes_with_nul(path).map_err(|_| ProgramError::Path)?;
    Ok((SourceFile { path, content }, rest))
}

#[cfg(feature = "host")]
pub use encode::{ProgramEncoder, TooLarge};

#[cfg(feature = "host")]
mod encode {
    extern crate alloc;

    use alloc::vec::Vec;
    use core::ffi::CStr;
    use core::fmt;

    const HEADER_LEN: usize = 16;
    const FILE_HEADER_LEN: usize = 8;

    /// Something in the program has 4 GiB or more, which no length of the layout can say.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct TooLarge;

    impl fmt::Display for TooLarge {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a program is limited to 4 GiB in each of its parts")
        }
    }

    impl core::error::Error for TooLarge {}

    fn length(bytes: usize) -> Result<[u8; 4], TooLarge> {
        Ok(u32::try_from(bytes).map_err(|_| TooLarge)?.to_le_bytes())
    }

    /// Writes a program, strings first, then files.
    #[derive(Debug)]
    pub struct ProgramEncoder {
        bytes: Vec<u8>,
        files: u32,
    }

    impl ProgramEncoder {
        /// Starts a program with its arguments and its environment (`NAME=VALUE`).
        ///
        /// # Errors
        /// [`TooLarge`].
        pub fn new<'s>(
            args: impl IntoIterator<Item = &'s CStr>,
            variables: impl IntoIterator<Item = &'s CStr>,
        ) -> Result<Self, TooLarge> {
            let mut bytes = alloc::vec![0; HEADER_LEN];
            let mut push_all = |strings: &mut dyn Iterator<Item = &'s CStr>| {
                let mut count = 0;
                for string in strings {
                    bytes.extend_from_slice(string.to_bytes_with_nul());
                    count += 1;
                }
                length(count)
            };
            let args = push_all(&mut args.into_iter())?;
            let variables = push_all(&mut variables.into_iter())?;
            let strings = length(bytes.len() - HEADER_LEN)?;
            bytes[0..4].copy_from_slice(&args);
            bytes[4..8].copy_from_slice(&variables);
            bytes[12..16].copy_from_slice(&strings);
            Ok(ProgramEncoder { bytes, files: 0 })
        }

        /// Adds a file; directories on its path are made when it is written.
        ///
        /// # Errors
        /// [`TooLarge`].
        pub fn file(&mut self, path: &CStr, content: &[u8]) -> Result<(), TooLarge> {
            let path = path.to_bytes_with_nul();
            self.bytes.reserve(FILE_HEADER_LEN + path.len() + content.len());
            self.bytes.extend_from_slice(&length(path.len())?);
            self.bytes.extend_from_slice(&length(content.len())?);
            self.bytes.extend_from_slice(path);
            self.bytes.extend_from_slice(content);
            self.files += 1;
            Ok(())
        }

        /// The finished program.
        pub fn finish(mut self) -> Vec<u8> {
            let files = self.files.to_le_bytes();
            self.bytes[8..12].copy_from_slice(&files);
            self.bytes
        }
    }
}

#[cfg(feature = "host")]
#[cfg(test)]
mod tests {
    extern crate std;

    use proptest::prelude::*;
    use std::ffi::CString;
    use std::vec::Vec;

    use super::*;

    fn encode(args: &[CString], variables: &[CString], files: &[(CString, Vec<u8>)]) -> Vec<u8> {
        let mut encoder =
            ProgramEncoder::new(args.iter().map(|s| &**s), variables.iter().map(|s| &**s)).unwrap();
        for (path, content) in files {
            encoder.file(path, content).unwrap();
        }
        encoder.finish()
    }

    #[test]
    fn an_empty_program_has_nothing() {
        let bytes = encode(&[], &[], &[]);
        let program = Program::parse(&bytes).unwrap();
        assert_eq!((program.arg_count(), program.variable_count(), program.files().count()), (0, 0, 0));
    }

    #[test]
    fn a_cut_program_is_refused_at_every_length() {
        let bytes = encode(&[c"main.py".into()], &[c"A=b".into()], &[(c"main.py".into(), b"pass".to_vec())]);
        for len in 0..bytes.len() {
            let cut = Program::parse(&bytes[..len])
                .and_then(|program| program.files().try_for_each(|f| f.map(|_| ())));
            assert!(cut.is_err(), "cut to {len} bytes");
        }
    }

    fn strings() -> impl Strategy<Value = Vec<CString>> {
        let string = prop::collection::vec(1u8..=255, 0..20).prop_map(|bytes| CString::new(bytes).unwrap());
        prop::collection::vec(string, 0..5)
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read(
            args in strings(),
            variables in strings(),
            paths in strings(),
            content in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let files: Vec<_> = paths.into_iter().map(|path| (path, content.clone())).collect();
            let bytes = encode(&args, &variables, &files);
            let program = Program::parse(&bytes).unwrap();
            prop_assert_eq!(program.arg_count(), args.len());
            prop_assert_eq!(program.variable_count(), variables.len());
            let expected: Vec<u8> = args.iter().chain(&variables).flat_map(|s| s.as_bytes_with_nul()).copied().collect();
            prop_assert_eq!(program.strings(), &expected[..]);
            let read: Vec<_> = program.files().map(|f| f.unwrap()).map(|f| (CString::from(f.path), f.content.to_vec())).collect();
            prop_assert_eq!(read, files);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(program) = Program::parse(&bytes) {
                for file in program.files() {
                    let _ = file;
                }
            }
        }
    }
}
