//! Sizes as people type them, and lines for people. Owns no meaning.

use std::io::Write;

use bytesize::ByteSize;

/// Parses `128M`, `64KiB`, `1000`. A bare letter is binary, as ulimit, systemd and docker have it.
pub(crate) fn parse_size(text: &str) -> Result<ByteSize, String> {
    let binary = match text.as_bytes() {
        [.., digit, b'k' | b'K' | b'm' | b'M' | b'g' | b'G'] if digit.is_ascii_digit() || *digit == b'.' => {
            format!("{text}iB")
        }
        _ => text.to_owned(),
    };
    binary.parse().map_err(|_| format!("{text:?} is no size; write for example 64M or 1G"))
}

/// Tells the person at the terminal something of our own, apart from the program's output.
pub(crate) fn say(line: &str) {
    // When standard error is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "soulbox: {line}");
}

/// Writes to standard output. A reader that has gone away is not our error.
pub(crate) fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_alone_is_binary() {
        assert_eq!(parse_size("128M"), Ok(ByteSize(128 << 20)));
        assert_eq!(parse_size("1.5g"), Ok(ByteSize(3 << 29)));
        assert_eq!(parse_size("64KiB"), Ok(ByteSize(64 << 10)));
        assert_eq!(parse_size("1000"), Ok(ByteSize(1000)));
        assert_eq!(parse_size("1MB"), Ok(ByteSize(1_000_000)));
        assert!(parse_size("lots").is_err());
        assert!(parse_size("-1M").is_err());
    }
}
