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
