//! Numbers of a request.
//!
//! Owns what a client is told that sends another kind of number. It never decides how large one may be.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// A whole number, not negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole(pub(crate) u64);

/// Any number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fractional(pub(crate) f64);

struct WholeVisitor;

struct FractionalVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number that is not negative")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
        Ok(Whole(number))
    }
}

impl Visitor<'_> for FractionalVisitor {
    type Value = Fractional;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Fractional, E> {
        Ok(Fractional(number as f64))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Fractional, E> {
        Ok(Fractional(number as f64))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Fractional, E> {
        Ok(Fractional(number))
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(WholeVisitor)
    }
}

impl<'de> Deserialize<'de> for Fractional {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_f64(FractionalVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_whole() {
        assert_eq!(serde_json::from_str::<Whole>("18446744073709551615").unwrap().0, u64::MAX);
        for (bad, what) in
            [("-1", "integer `-1`"), ("1.5", "floating point `1.5`"), ("\"1\"", "string \"1\"")]
        {
            let error = serde_json::from_str::<Whole>(bad).unwrap_err().to_string();
            let expected = format!("invalid type: {what}, expected a whole number that is not negative");
            assert!(error.starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn any_number_will_do_for_a_fraction() {
        for (text, number) in [("1", 1.0), ("-1", -1.0), ("0.5", 0.5)] {
            assert_eq!(serde_json::from_str::<Fractional>(text).unwrap().0, number);
        }
        let error = serde_json::from_str::<Fractional>("\"1\"").unwrap_err().to_string();
        assert!(error.starts_with("invalid type: string \"1\", expected a number"), "{error}");
    }
}
