//! Words and numbers for a terminal.
//!
//! Owns the units, and that nothing of a server's or a program's reaches a terminal as a command to it.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Stands for a character that a terminal would obey, or that would change the direction of others.
const REPLACEMENT: char = '\u{fffd}';

/// A text that can be shown: on one line, and without what a terminal obeys.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    let is_bad = |c: char| c.is_control() || is_invisible(c);
    if text.contains(is_bad) { Cow::Owned(text.replace(is_bad, "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// Separators of lines, marks of direction, and what else has no shape (Unicode, "General Category" Cf, Zl, Zp).
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// As much of it as fits into so many columns.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let text = clean(text);
    if text.width() <= columns {
        return text.into_owned();
    }
    let (mut fitted, mut used) = (String::new(), 0);
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used + 1 > columns {
            break;
        }
        fitted.push(c);
    }
    if columns > 0 {
        fitted.push('…');
    }
    debug_assert!(!fitted.contains(|c: char| c.is_control() && c != REPLACEMENT));
    fitted
}

/// Bytes with a binary unit: `45.0 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    // What would be rounded up to 1024 is told in the next unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// Milliseconds in the unit that suits them: `0.34 ms`, `4.8 s`, `2 h 15 min`.
pub(crate) fn duration(ms: f64) -> String {
    let seconds = (ms / 1e3) as u64;
    match ms {
        ms if ms < 9.995 => format!("{ms:.2} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 59_950.0 => format!("{:.1} s", ms / 1e3),
        ms if ms < 3_600_000.0 => format!("{} min {} s", seconds / 60, seconds % 60),
        ms if ms < 48.0 * 3_600_000.0 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// What there is to say of a figure that may not be known.
pub(crate) fn known<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), show)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_obeyed_by_a_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\u{9b}2Jc\r\nd\u{7f}\u{202e}e"), "a�[31mb�2Jc��d��e");
        assert!(matches!(clean("exec_01 é 中"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_does_not_fit_ends_with_an_ellipsis() {
        assert_eq!(
            (fit("python", 6).as_str(), fit("python", 5).as_str(), fit("python", 0).as_str()),
            ("python", "pyth…", "")
        );
        assert_eq!(fit("中中中", 4), "中…");
        assert_eq!(fit("\u{1b}[2Jxx", 3), "�[…");
    }

    #[test]
    fn units_suit_their_numbers() {
        assert_eq!(
            [0, 1023, 1024, 47_185_920, 1 << 30, (1 << 30) - 1].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "45.0 MiB", "1.0 GiB", "1.0 GiB"]
        );
        assert_eq!(
            [0.344, 9.996, 312.4, 4812.4, 61_500.0, 8_124_600.0, 500_000_000.0].map(duration),
            ["0.34 ms", "10 ms", "312 ms", "4.8 s", "1 min 1 s", "2 h 15 min", "5 d 18 h"]
        );
        assert_eq!(known(None::<u64>, bytes), "-");
    }
}
