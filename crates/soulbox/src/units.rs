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

/// A size for a person.
pub(crate) fn size(bytes: f64) -> String {
    ByteSize(bytes.max(0.0) as u64).display().iec().to_string()
}

/// A length of time for a person.
pub(crate) fn millis(millis: f64) -> String {
    match millis {
        ..1000.0 => format!("{millis:.2} ms"),
        ..600_000.0 => format!("{:.2} s", millis / 1e3),
        _ => format!("{:.2} h", millis / 3.6e6),
    }
}

/// An amount of money, or of what costs some, for a person: two places or two digits, whichever tells more.
pub(crate) fn money(amount: f64) -> String {
    if amount == 0.0 {
        return "0".to_owned();
    }
    let digits = 1.0 - amount.abs().log10().floor();
    format!("{amount:.*}", digits.clamp(2.0, 12.0) as usize)
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
    #[test]
    fn amounts_have_two_digits_at_least() {
        for (amount, expected) in [
            (0.0, "0"),
            (12.345, "12.35"),
            (0.5, "0.50"),
            (0.000_012_34, "0.000012"),
            (1e-20, "0.000000000000"),
        ] {
            assert_eq!(money(amount), expected);
        }
        for (time, expected) in [(2.25, "2.25 ms"), (1500.0, "1.50 s"), (5.4e6, "1.50 h")] {
            assert_eq!(millis(time), expected);
        }
    }
}
