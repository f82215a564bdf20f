//! The words of a question: lengths of time that sums are kept for, and what they can be grouped by.
//!
//! Owns these two lists with their names. It never reads a clock.

use std::str::FromStr;

/// A length of time that sums are kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resolution {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours, by UTC.
    Day,
}

/// What executions can be grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// The name of the API key.
    Key,
    /// The language.
    Language,
    /// The bundle.
    Bundle,
    /// How it ended.
    Status,
    /// What it started from.
    StartKind,
}

/// A name that is none of those that are known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is none of {known}")]
pub struct UnknownName {
    /// The name.
    pub name: String,
    /// Those that there are, with commas.
    pub known: &'static str,
}

impl Resolution {
    /// All, finest first.
    pub const ALL: [Resolution; 3] = [Resolution::Minute, Resolution::Hour, Resolution::Day];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Resolution::Minute => "minute",
            Resolution::Hour => "hour",
            Resolution::Day => "day",
        }
    }

    /// Its length.
    pub fn seconds(self) -> i64 {
        match self {
            Resolution::Minute => 60,
            Resolution::Hour => 60 * 60,
            Resolution::Day => 24 * 60 * 60,
        }
    }

    /// The next longer one.
    pub(crate) fn coarser(self) -> Option<Resolution> {
        match self {
            Resolution::Minute => Some(Resolution::Hour),
            Resolution::Hour => Some(Resolution::Day),
            Resolution::Day => None,
        }
    }

    /// The last of its beginnings that is not after a time, in seconds since 1970.
    pub(crate) fn floor(self, time: i64) -> i64 {
        time.div_euclid(self.seconds()).saturating_mul(self.seconds())
    }

    /// The first of its beginnings that is not before a time.
    pub(crate) fn ceil(self, time: i64) -> i64 {
        self.floor(time.saturating_add(self.seconds() - 1))
    }
}

impl Dimension {
    /// All, in the order of columns.
    pub const ALL: [Dimension; 5] =
        [Dimension::Key, Dimension::Language, Dimension::Bundle, Dimension::Status, Dimension::StartKind];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Dimension::Key => "key",
            Dimension::Language => "language",
            Dimension::Bundle => "bundle",
            Dimension::Status => "status",
            Dimension::StartKind => "start_kind",
        }
    }
}

impl FromStr for Resolution {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|resolution| resolution.as_str() == name);
        found.ok_or_else(|| UnknownName { name: name.to_owned(), known: "minute, hour, day" })
    }
}

impl FromStr for Dimension {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|dimension| dimension.as_str() == name);
        found.ok_or_else(|| UnknownName {
            name: name.to_owned(),
            known: "key, language, bundle, status, start_kind",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_again_and_others_are_told_what_there_is() {
        assert!(Resolution::ALL.iter().all(|known| known.as_str().parse() == Ok(*known)));
        assert!(Dimension::ALL.iter().all(|known| known.as_str().parse() == Ok(*known)));
        let error = "week".parse::<Resolution>().unwrap_err().to_string();
        assert_eq!(error, "\"week\" is none of minute, hour, day");
        let error = "code".parse::<Dimension>().unwrap_err().to_string();
        assert!(Dimension::ALL.iter().all(|known| error.contains(known.as_str())), "{error}");
    }

    #[test]
    fn a_time_lies_between_its_floor_and_its_ceiling() {
        for time in [-90_000, -1, 0, 1, 59, 60, 86_399, 1_800_000_000] {
            for resolution in Resolution::ALL {
                let (floor, ceil) = (resolution.floor(time), resolution.ceil(time));
                assert!(floor <= time && time <= ceil, "{time} {resolution:?}");
                assert!(ceil - floor == resolution.seconds() || (ceil == floor && ceil == time));
                assert_eq!(floor % resolution.seconds(), 0);
            }
        }
        assert!(Resolution::Day.ceil(i64::MAX) > 0 && Resolution::Day.floor(i64::MIN) < 0);
    }
}
