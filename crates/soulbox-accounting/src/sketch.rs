//! A sketch of a distribution: counts of values in buckets whose bounds are a geometric series.
//!
//! Owns its accuracy and its form in a database. Two sketches of parts are merged to that of the whole, without loss: this
//! is the plain form of DDSketch (Masson, Rim and Lee, 2019), whose quantiles are off by a known share at most.

use std::collections::BTreeMap;

/// By how much of itself a quantile may be off.
pub(crate) const ACCURACY: f64 = 0.02;

/// What two bounds that follow each other differ by.
const GAMMA: f64 = (1.0 + ACCURACY) / (1.0 - ACCURACY);

/// More buckets than values of 64 bits can have: what has more is no sketch of ours.
const MOST_BUCKETS: usize = 2048;

/// Counts of values. Those below 1 count as 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch {
    zeros: u64,
    /// By the exponent of the bucket's upper bound.
    buckets: BTreeMap<i16, u64>,
}

impl Sketch {
    /// Counts one value.
    pub fn add(&mut self, value: u64) {
        if value == 0 {
            self.zeros += 1;
        } else {
            // At most 1109: 64 bits by the logarithm of GAMMA.
            let exponent = ((value as f64).ln() / GAMMA.ln()).ceil() as i16;
            *self.buckets.entry(exponent).or_default() += 1;
        }
    }

    /// Counts all that another one has counted.
    pub fn merge(&mut self, other: &Sketch) {
        self.zeros = self.zeros.saturating_add(other.zeros);
        for (exponent, count) in &other.buckets {
            let own = self.buckets.entry(*exponent).or_default();
            *own = own.saturating_add(*count);
        }
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.buckets.values().fold(self.zeros, |sum, count| sum.saturating_add(*count))
    }

    /// The value below which this share of all is; `None` when there was none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = (share.clamp(0.0, 1.0) * (count - 1) as f64) as u64;
        let mut below = self.zeros;
        if rank < below {
            return Some(0.0);
        }
        for (exponent, count) in &self.buckets {
            below = below.saturating_add(*count);
            if rank < below {
                return Some(2.0 * GAMMA.powi(i32::from(*exponent)) / (GAMMA + 1.0));
            }
        }
        None
    }

    /// Its form in a database: numbers of as many bytes as they need (LEB128), the exponents as differences.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + 3 * self.buckets.len());
        put(&mut bytes, self.zeros);
        let mut last = 0;
        for (exponent, count) in &self.buckets {
            // They are in order and none is negative: differences are not either.
            put(&mut bytes, exponent.abs_diff(last).into());
            put(&mut bytes, *count);
            last = *exponent;
        }
        bytes
    }

    /// The sketch of such bytes; `None` when they are none.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut sketch = Sketch { zeros: take(&mut bytes)?, buckets: BTreeMap::new() };
        let mut exponent = 0_i16;
        while !bytes.is_empty() {
            exponent = exponent.checked_add(i16::try_from(take(&mut bytes)?).ok()?)?;
            sketch.buckets.insert(exponent, take(&mut bytes)?);
            if sketch.buckets.len() > MOST_BUCKETS {
                return None;
            }
        }
        Some(sketch)
    }
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch(values: &[u64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|value| sketch.add(*value));
        sketch
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(Sketch::default().quantile(0.5), None);
        assert_eq!(sketch(&[0, 0, 7]).quantile(0.5), Some(0.0));
    }

    #[test]
    fn what_is_no_sketch_is_refused() {
        for wrong in [&[][..], &[0x80], &[0, 1], &[0xff; 12], &[1, 0xff, 0xff, 0x7f, 1, 0x7f]] {
            assert_eq!(Sketch::decode(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn quantiles_are_as_accurate_as_is_said(
            mut values in prop::collection::vec(1..u64::MAX, 1..200), share in 0.0..=1.0_f64,
        ) {
            let found = sketch(&values).quantile(share).unwrap();
            values.sort_unstable();
            let exact = values[(share * (values.len() - 1) as f64) as usize] as f64;
            prop_assert!((found - exact).abs() <= exact * (ACCURACY + 1e-9), "{found} is not {exact}");
        }

        #[test]
        fn parts_are_merged_to_the_whole(
            left in prop::collection::vec(any::<u64>(), 0..50), right in prop::collection::vec(0..9_u64, 0..50),
        ) {
            let whole = sketch(&[&left[..], &right].concat());
            let mut merged = sketch(&left);
            merged.merge(&Sketch::decode(&sketch(&right).encode()).unwrap());
            prop_assert_eq!(&merged, &whole);
            prop_assert_eq!(merged.count(), (left.len() + right.len()) as u64);
        }

        #[test]
        fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Sketch::decode(&bytes).map(|sketch| sketch.quantile(0.5));
        }
    }
}
