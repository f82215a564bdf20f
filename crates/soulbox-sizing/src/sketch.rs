//! A sketch of a distribution: a histogram of logarithms that forgets.
//!
//! Owns how values are counted and how they fade; it never says what they are of. It takes less than a kilobyte, and
//! tells each value to within a ninth of it. Known sketches of quantiles (DDSketch, t-digest, KLL) grow with what they
//! see and never forget, which is the half of what is needed here.
//!
//! Instead of fading all that was counted at each value, the next one weighs more (forward decay, Cormode et al.,
//! ICDE 2009): by a thousandth at each value, and twice as much after each half-life.

use std::time::Duration;

/// Bins for each doubling.
const PER_OCTAVE: f64 = 8.0;
/// Of 24 doublings: from 4 KiB to 64 GiB, or from 10 µs to 2.8 minutes.
const BINS: usize = 192;

/// As many values as are remembered when time plays no part.
const REMEMBERED: f64 = 1000.0;
/// After this time a value counts half.
const HALF_LIFE: Duration = Duration::from_secs(30 * 60);
/// Weights are made small again beyond this one; f32 is exact to a ten-millionth.
const HEAVIEST: f64 = 1e12;

/// A distribution of positive numbers, as it was seen of late.
#[derive(Clone, Debug)]
pub struct Sketch {
    /// Where the first bin begins.
    lowest: f64,
    weights: [f32; BINS],
    /// Of all values together, and of the next one.
    total: f64,
    next: f64,
    /// The sum of values, each with its weight.
    sum: f64,
    /// When the next one had this weight.
    at: Duration,
}

/// What a value will probably not exceed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UpperBound {
    /// The bound.
    pub value: f64,
    /// How probable it is that the next value does not exceed it, whatever the distribution is.
    pub confidence: f64,
}

impl Sketch {
    /// Of bytes: from a page on.
    pub fn of_bytes() -> Self {
        Self::new(4096.0)
    }

    /// Of seconds: from ten microseconds on.
    pub fn of_seconds() -> Self {
        Self::new(1e-5)
    }

    fn new(lowest: f64) -> Self {
        Sketch { lowest, weights: [0.0; BINS], total: 0.0, next: 1.0, sum: 0.0, at: Duration::ZERO }
    }

    /// Counts a value. Times are of one clock that only goes forward.
    pub fn add(&mut self, value: f64, now: Duration) {
        self.pass(now);
        let weight = self.next;
        let value = if value.is_nan() { self.lowest } else { value.clamp(self.lowest, self.end(BINS - 1)) };
        self.weights[self.bin(value)] += weight as f32;
        self.total += weight;
        self.sum += value * weight;
        self.next *= 1.0 + 1.0 / REMEMBERED;
        if self.next > HEAVIEST {
            let by = 1.0 / self.next;
            self.weights.iter_mut().for_each(|weight| *weight *= by as f32);
            (self.total, self.sum, self.next) = (self.total * by, self.sum * by, 1.0);
        }
    }

    /// Lets time pass: all that was counted fades.
    fn pass(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        let half_lives = elapsed.as_secs_f64() / HALF_LIFE.as_secs_f64();
        if half_lives > 30.0 {
            // Nothing of it would be left to see.
            *self = Sketch { at: self.at, ..Self::new(self.lowest) };
        } else {
            self.next *= half_lives.exp2();
        }
    }

    /// How many values are remembered, each as much as it counts now.
    pub fn count(&self, now: Duration) -> f64 {
        let half_lives = now.saturating_sub(self.at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.total / self.next / half_lives.exp2()
    }

    /// Their mean; 0 of nothing.
    pub fn mean(&self) -> f64 {
        if self.total > 0.0 { self.sum / self.total } else { 0.0 }
    }

    /// The least value that this share of all is not above; 0 of nothing.
    pub fn quantile(&self, share: f64) -> f64 {
        let wanted = share.clamp(0.0, 1.0) * self.total;
        let mut below = 0.0;
        for (bin, weight) in self.weights.iter().enumerate() {
            below += f64::from(*weight);
            if *weight > 0.0 && below >= wanted * (1.0 - 1e-6) {
                return self.middle(bin);
            }
        }
        0.0
    }

    /// All values by bins, from the least on: each bin's middle, and its share of all.
    pub fn shares(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let counted = self.weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0);
        counted.map(|(bin, weight)| (self.middle(bin), f64::from(*weight) / self.total))
    }

    /// What the next value does not exceed with this confidence, or with as much as there is; nothing of nothing.
    ///
    /// Of `n` values and the next one, each is as likely as any other to be among the `k` largest: the next one is above
    /// the `k`-th largest of the others with a probability of at most `k / (n + 1)`, whatever they are drawn from. With
    /// weights that fade, the same holds but for how much the distribution has changed (Barber et al., "Conformal
    /// prediction beyond exchangeability", 2023).
    pub fn upper_bound(&self, confidence: f64, now: Duration) -> Option<UpperBound> {
        let count = self.count(now);
        let newest = if self.total > 0.0 { count / self.total } else { return None };
        let confidence_above = |above: f64| 1.0 - (above + 1.0) / (count + 1.0);
        let mut found = None;
        let mut above = 0.0;
        for (bin, weight) in self.weights.iter().enumerate().rev().filter(|(_, weight)| **weight > 0.0) {
            let reached = confidence_above(above);
            if found.is_some() && reached < confidence {
                break;
            }
            found = Some(UpperBound { value: self.end(bin), confidence: reached });
            above += f64::from(*weight) * newest;
        }
        found
    }

    fn bin(&self, value: f64) -> usize {
        let bin = (value / self.lowest).log2() * PER_OCTAVE;
        (bin.max(0.0) as usize).min(BINS - 1)
    }

    fn end(&self, bin: usize) -> f64 {
        self.lowest * ((bin + 1) as f64 / PER_OCTAVE).exp2()
    }

    fn middle(&self, bin: usize) -> f64 {
        self.lowest * ((bin as f64 + 0.5) / PER_OCTAVE).exp2()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Duration = Duration::from_secs(1000);
    const MIB: f64 = 1048576.0;

    fn of(values: impl IntoIterator<Item = f64>) -> Sketch {
        let mut sketch = Sketch::of_bytes();
        values.into_iter().for_each(|value| sketch.add(value, NOW));
        sketch
    }

    #[test]
    fn it_is_small() {
        assert!(size_of::<Sketch>() <= 1024, "{}", size_of::<Sketch>());
    }

    #[test]
    fn nothing_is_known_of_nothing() {
        let sketch = of([]);
        assert_eq!((sketch.count(NOW), sketch.mean(), sketch.quantile(0.5)), (0.0, 0.0, 0.0));
        assert_eq!(sketch.upper_bound(0.9, NOW), None);
    }

    #[test]
    fn a_bound_is_the_largest_until_there_are_enough_and_then_a_smaller_one() {
        let bound =
            |n: usize, confidence| of((1..=n).map(|i| i as f64 * MIB)).upper_bound(confidence, NOW).unwrap();
        let few = bound(4, 0.95);
        assert!(few.value >= 4.0 * MIB && (few.confidence - 0.8).abs() < 1e-2, "{few:?}");
        let many = bound(400, 0.95);
        assert!((300.0 * MIB..400.0 * MIB).contains(&many.value) && many.confidence >= 0.95, "{many:?}");
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let mut sketch = of([100.0 * MIB; 300]);
        let later = NOW + 10 * HALF_LIFE;
        assert!(sketch.count(later) < 1.0);
        (0..50).for_each(|_| sketch.add(MIB, later));
        assert!(sketch.upper_bound(0.9, later).unwrap().value < 2.0 * MIB);
        sketch.add(MIB, later + 100 * HALF_LIFE);
        assert!((sketch.mean() - MIB).abs() < 1.0);
    }

    #[test]
    fn what_was_many_values_ago_is_forgotten() {
        let sketch = of([100.0 * MIB; 1000].into_iter().chain([MIB; 8000]));
        assert!(sketch.upper_bound(0.99, NOW).unwrap().value < 2.0 * MIB);
        assert!((500.0..=1010.0).contains(&sketch.count(NOW)));
    }

    #[test]
    fn strange_values_are_counted_somewhere() {
        let sketch = of([0.0, -1.0, f64::NAN, f64::INFINITY, 1e300]);
        assert!((sketch.count(NOW) - 5.0).abs() < 0.1);
        let _ = (sketch.quantile(0.5), sketch.upper_bound(0.5, NOW));
    }

    proptest! {
        #[test]
        fn quantiles_are_within_a_ninth(values in prop::collection::vec(1e4..1e10, 1..500), share in 0.0..1.0) {
            let sketch = of(values.iter().copied());
            let mut sorted = values;
            sorted.sort_by(f64::total_cmp);
            // Newer values weigh a little more: by half of all at most, since there are so few.
            let near = |by: f64| -> f64 {
                let at: f64 = (share + by) * sorted.len() as f64;
                let at = at.clamp(0.0, sorted.len() as f64 - 1.0);
                sorted[at as usize]
            };
            let found = sketch.quantile(share);
            prop_assert!(found >= near(-0.15) / 1.1 && found <= near(0.15) * 1.1, "{}", found);
        }

        #[test]
        fn the_next_value_is_below_its_bound_as_often_as_is_said(
            values in prop::collection::vec(1e5..1e9f64, 20..80), confidence in 0.5..0.95,
        ) {
            // Each value takes its turn as the next one after all others: exchangeable by construction.
            let mut below = 0;
            for next in 0..values.len() {
                let others = values.iter().enumerate().filter(|(at, _)| *at != next).map(|(_, value)| *value);
                let bound = of(others).upper_bound(confidence, NOW).unwrap();
                below += usize::from(values[next] <= bound.value);
            }
            let share = below as f64 / values.len() as f64;
            prop_assert!(share >= confidence - 1.5 / values.len() as f64 - 0.05, "{} of {}", share, confidence);
        }

        #[test]
        fn more_confidence_never_makes_a_bound_smaller(
            values in prop::collection::vec(1e4..1e10, 1..100), a in 0.0..1.0, b in 0.0..1.0,
        ) {
            let sketch = of(values);
            let bound = |confidence| sketch.upper_bound(confidence, NOW).unwrap().value;
            prop_assert!(bound(f64::max(a, b)) >= bound(f64::min(a, b)));
        }
    }
}
