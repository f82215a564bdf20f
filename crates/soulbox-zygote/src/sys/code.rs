//! The memory of a process's code.
//!
//! Owns what is told of mappings by proc(5). It changes no byte that anybody can see.

use core::ops::Range;

use syscalls::{Sysno, syscall};

use super::{Errno, Result, close, open, read};

/// Most mappings of code that are looked at.
const CAPACITY: usize = 64;

/// Gives back the memory of all code, by madvise(2) with `MADV_DONTNEED`: what is needed again comes from the page cache,
/// where all of it stays. Most of what an interpreter runs when it starts is never run again, and a fork does not get
/// the pages of files from this process but from the page cache too.
pub(crate) fn forget_code() -> Result<()> {
    let mut found = [const { 0..0 }; CAPACITY];
    let mut count = 0;
    let mut last = None;
    let fd = open(c"/proc/self/smaps", libc::O_RDONLY, 0)?;
    let mut buffer = [0; 4096];
    loop {
        // The kernel gives what it has to say of a mapping as a whole.
        let len = read(fd, &mut buffer)?;
        if len == 0 {
            break;
        }
        for line in buffer[..len].split(|byte| *byte == b'\n') {
            match Line::parse(line) {
                Line::Mapping(code) => last = code,
                // Nothing was written to it, as a debugger or a loader would.
                Line::Unchanged => {
                    if let (Some(place), Some(code)) = (found.get_mut(count), last.take()) {
                        *place = code;
                        count += 1;
                    }
                }
                Line::Other => {}
            }
        }
    }
    close(fd);
    for code in &found[..count] {
        // SAFETY: the pages are of a file and nobody has written to them, so that they read the same afterwards. Where
        // it fails, they stay.
        let _ = unsafe { call!(madvise, code.start, code.len(), libc::MADV_DONTNEED) };
    }
    Ok(())
}

/// A line of proc_pid_smaps(5).
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// The first of a mapping, with its range if it is the code of a file.
    Mapping(Option<Range<usize>>),
    /// It has no page of its own.
    Unchanged,
    Other,
}

impl Line {
    fn parse(line: &[u8]) -> Self {
        let mut fields = line.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
        let (Some(first), Some(second)) = (fields.next(), fields.next()) else { return Line::Other };
        match (first, second) {
            (b"Anonymous:", b"0") => Line::Unchanged,
            _ if first.ends_with(b":") => Line::Other,
            (range, rights) => {
                let is_code = rights == b"r-xp" && fields.nth(2).is_some_and(|inode| inode != b"0");
                Line::Mapping(parse_range(range).filter(|_| is_code))
            }
        }
    }
}

fn parse_range(text: &[u8]) -> Option<Range<usize>> {
    let (start, end) = core::str::from_utf8(text).ok()?.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    Some(address(start)?..address(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_of_files_is_told_from_all_else() {
        let line = |text: &str| Line::parse(text.as_bytes());
        let code = line("7f10a000-7f10b000 r-xp 00001000 fe:00 1234    /usr/lib/lib m.so");
        assert_eq!(code, Line::Mapping(Some(0x7f10_a000..0x7f10_b000)));
        for other in [
            "7f10a000-7f10b000 r--p 00001000 fe:00 1234    /usr/lib/libm.so",
            "7ffc0000-7ffc2000 r-xp 00000000 00:00 0    [vdso]",
            "7ffc0000-7ffc2000 ---p 00000000 00:00 0",
        ] {
            assert_eq!(line(other), Line::Mapping(None), "{other}");
        }
        assert_eq!(line("Anonymous:             0 kB"), Line::Unchanged);
        assert_eq!(line("Anonymous:             4 kB"), Line::Other);
        assert_eq!(line("VmFlags: rd ex mr mw me"), Line::Other);
        assert_eq!(line(""), Line::Other);
    }

    #[test]
    fn a_process_goes_on_as_before() {
        forget_code().unwrap();
        assert_eq!(std::format!("{:.3}", std::f64::consts::PI.sqrt()), "1.772");
    }
}
