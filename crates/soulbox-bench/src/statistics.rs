//! Estimates with intervals, from a handful of runs.
//!
//! Owns three methods that assume no distribution, since nobody knows that of a run's figures: the median with
//! the interval of the sign test, the shift between two samples by Hodges and Lehmann with that of Mann and
//! Whitney, and the same for pairs with that of Wilcoxon's signed ranks. All three take the interval from the
//! exact distribution of their test. Knows nothing of what the numbers mean.

use serde::{Deserialize, Serialize};

/// What intervals are to have. With few values the nearest that can be had is taken, and said.
const CONFIDENCE: f64 = 0.95;

/// From so many pairs of values on, the exact distribution is not worth its time.
const MAX_EXACT: usize = 2500;

/// A value that was estimated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The estimate itself.
    pub median: f64,
    /// Where the interval begins; with one value there is no interval.
    pub low: Option<f64>,
    /// Where the interval ends.
    pub high: Option<f64>,
    /// The probability with which such an interval has the true value.
    pub confidence: Option<f64>,
}

impl Estimate {
    /// The same on another scale that keeps the order.
    pub(crate) fn map(self, scale: impl Fn(f64) -> f64) -> Self {
        Estimate {
            median: scale(self.median),
            low: self.low.map(&scale),
            high: self.high.map(&scale),
            confidence: self.confidence,
        }
    }
}

/// The median of a sample; nothing of an empty one.
pub(crate) fn median(values: &[f64]) -> Option<Estimate> {
    let n = values.len();
    // How many of n values are below the true median: as many as n coins show heads.
    let heads = (0..n).fold(vec![1.0], |distribution, _| convolve(&distribution, 1));
    estimate(values.to_vec(), &heads)
}

/// How much higher the second sample is, of which nothing is known but that it has the same shape.
pub(crate) fn shift(before: &[f64], after: &[f64]) -> Option<Estimate> {
    let differences = after.iter().flat_map(|after| before.iter().map(move |before| after - before));
    estimate(differences.collect(), &mann_whitney(before.len(), after.len()))
}

/// How much higher the second value of each pair is.
pub(crate) fn paired_shift(before: &[f64], after: &[f64]) -> Option<Estimate> {
    let differences: Vec<f64> = before.iter().zip(after).map(|(before, after)| after - before).collect();
    let n = differences.len();
    let averages = (0..n).flat_map(|i| (i..n).map(move |j| (i, j)));
    let averages = averages.map(|(i, j)| differences[i].midpoint(differences[j])).collect();
    // Each rank is among the positive ones or not.
    let ranks = (1..=n).fold(vec![1.0], |distribution, rank| convolve(&distribution, rank));
    estimate(averages, &ranks)
}

/// The middle of the values, and those that bound an interval: as many of them are outside on each side as the
/// test's statistic stays below with a probability of half of what the interval may miss. `distribution` has the
/// probability of each value of that statistic, from 0 to the number of values.
fn estimate(mut values: Vec<f64>, distribution: &[f64]) -> Option<Estimate> {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    let middle = values.get(n / 2)?.midpoint(*values.get((n - 1) / 2)?);
    let mut below = distribution[0];
    let mut outside = 0;
    // At least the most extreme values bound it, whatever that is worth.
    while outside + 1 < n.div_ceil(2) && below + distribution[outside + 1] <= (1.0 - CONFIDENCE) / 2.0 {
        outside += 1;
        below += distribution[outside];
    }
    let interval = (n > 1).then(|| (values[outside], values[n - 1 - outside], 1.0 - 2.0 * below));
    Some(Estimate {
        median: middle,
        low: interval.map(|(low, ..)| low),
        high: interval.map(|(_, high, _)| high),
        confidence: interval.map(|(.., confidence)| confidence),
    })
}

/// The distribution of a sum to which a value was added, or was not, with the same probability.
fn convolve(distribution: &[f64], value: usize) -> Vec<f64> {
    let mut sum = vec![0.0; distribution.len() + value];
    for (place, probability) in distribution.iter().enumerate() {
        sum[place] += probability / 2.0;
        sum[place + value] += probability / 2.0;
    }
    sum
}

/// How probable it is that so many pairs of `m` and `n` values of one distribution are in one order.
fn mann_whitney(m: usize, n: usize) -> Vec<f64> {
    if m * n > MAX_EXACT {
        return normal(m, n);
    }
    // counts[k][u]: in how many ways k of the values seen so far are of the first sample, with u pairs in order.
    let mut counts = vec![vec![0.0; m * n + 1]; m + 1];
    counts[0][0] = 1.0;
    for seen in 1..=m + n {
        for k in (1..=m.min(seen)).rev() {
            // The kth value of the first sample, when it is the next, is above those of the second seen so far.
            let above = seen - k;
            if above > n {
                continue;
            }
            for pairs in (above..=m * n).rev() {
                let ways = counts[k - 1][pairs - above];
                counts[k][pairs] += ways;
            }
        }
    }
    let all: f64 = counts[m].iter().sum();
    counts[m].iter().map(|count| count / all).collect()
}

/// The same for many values, in good approximation.
fn normal(m: usize, n: usize) -> Vec<f64> {
    let (m_f, n_f) = (m as f64, n as f64);
    let (mean, deviation) = (m_f * n_f / 2.0, (m_f * n_f * (m_f + n_f + 1.0) / 12.0).sqrt());
    let density = |pairs: usize| (-((pairs as f64 - mean) / deviation).powi(2) / 2.0).exp();
    let densities: Vec<f64> = (0..=m * n).map(density).collect();
    let all: f64 = densities.iter().sum();
    densities.iter().map(|density| density / all).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn interval(estimate: Option<Estimate>) -> (f64, f64, f64) {
        let estimate = estimate.unwrap();
        (estimate.low.unwrap(), estimate.high.unwrap(), estimate.confidence.unwrap())
    }

    fn near(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9
    }

    #[test]
    fn a_median_has_the_interval_of_the_sign_test() {
        let numbers = |n: u32| (1..=n).map(f64::from).collect::<Vec<_>>();
        assert_eq!(median(&[]), None);
        assert_eq!(
            median(&[7.0]).unwrap(),
            Estimate { median: 7.0, low: None, high: None, confidence: None }
        );
        assert_eq!(median(&[4.0, 1.0]).unwrap().median, 2.5);
        assert_eq!(median(&[9.0, 1.0, 2.0]).unwrap().median, 2.0);
        // Tables of the sign test.
        for (n, expected) in [
            (5, (1.0, 5.0, 1.0 - 2.0 / 32.0)),
            (6, (1.0, 6.0, 1.0 - 2.0 / 64.0)),
            (9, (2.0, 8.0, 1.0 - 20.0 / 512.0)),
        ] {
            assert_eq!(interval(median(&numbers(n))), expected, "{n} values");
        }
    }

    #[test]
    fn a_shift_has_the_interval_of_its_test() {
        let before = [1.0, 2.0, 3.0, 4.0, 5.0];
        let after = before.map(|value| value + 10.0);
        // Of 25 differences two are outside on each side (U = 2, of 252 orders four are as extreme).
        let (low, high, confidence) = interval(shift(&before, &after));
        assert!(near(confidence, 1.0 - 8.0 / 252.0), "{confidence}");
        assert_eq!((low, high), (7.0, 13.0));
        // Five pairs with one difference.
        assert_eq!(interval(paired_shift(&before, &after)), (10.0, 10.0, 1.0 - 2.0 / 32.0));
    }

    /// By writing down every order of two samples.
    #[test]
    fn the_distribution_of_mann_and_whitney_is_exact() {
        for (m, n) in (1..=5).flat_map(|m| (1..=5).map(move |n| (m, n))) {
            let mut counts = vec![0.0; m * n + 1];
            for order in (0_u32..1 << (m + n)).filter(|order| order.count_ones() as usize == m) {
                let of_first = |place: usize| order >> place & 1 == 1;
                let pairs = (0..m + n).filter(|place| of_first(*place));
                let pairs: usize =
                    pairs.map(|place| (0..place).filter(|below| !of_first(*below)).count()).sum();
                counts[pairs] += 1.0;
            }
            let all: f64 = counts.iter().sum();
            for (found, count) in mann_whitney(m, n).iter().zip(&counts) {
                assert!(near(*found, count / all), "{m}, {n}: {found} is not {count} of {all}");
            }
        }
    }

    #[test]
    fn the_approximation_for_many_values_is_good() {
        let (exact, approximate) = (mann_whitney(25, 25), normal(25, 25));
        let (mut left, mut right) = (0.0, 0.0);
        for (one, other) in exact.iter().zip(&approximate) {
            left += one;
            right += other;
            assert!((left - right).abs() < 0.002, "{left} is not {right}");
        }
        assert_eq!(mann_whitney(60, 60).len(), 3601);
    }

    proptest! {
        #[test]
        fn estimates_follow_the_values(
            before in prop::collection::vec(-1e3..1e3_f64, 2..12),
            after in prop::collection::vec(-1e3..1e3_f64, 2..12),
            by in -1e3..1e3_f64,
        ) {
            let moved: Vec<_> = after.iter().map(|value| value + by).collect();
            let mut reversed = after.clone();
            reversed.reverse();
            let close = |left: f64, right: f64| (left - right).abs() < 1e-6;
            let there = shift(&before, &after).unwrap();
            let back = shift(&after, &before).unwrap();
            prop_assert!(close(there.median, -back.median));
            prop_assert!(close(there.low.unwrap(), -back.high.unwrap()));
            prop_assert!(there.low.unwrap() <= there.median && there.median <= there.high.unwrap());
            prop_assert_eq!(shift(&before, &reversed).unwrap(), there);
            prop_assert!(close(shift(&before, &moved).unwrap().median, there.median + by));
            let pairs = paired_shift(&after, &moved).unwrap();
            prop_assert!(close(pairs.low.unwrap(), by) && close(pairs.high.unwrap(), by));
            let middle = median(&after).unwrap();
            prop_assert!(middle.low.unwrap() <= middle.median && middle.median <= middle.high.unwrap());
        }
    }
}
