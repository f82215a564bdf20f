//! Executions of one minute and more, of which one figure is left.
//!
//! Owns the bound on what is kept of a block: a sample of its values, drawn evenly.

use std::time::Duration;

/// So many values give a quantile that is exact enough.
const SAMPLE: usize = 128;

/// When a block is complete, and what it is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockRule {
    /// It is at least this long.
    pub length: Duration,
    /// It has at least so many values.
    pub least: u32,
    /// Blocks that are remembered.
    pub reference: usize,
    /// What is worse by less is no change.
    pub least_change: f64,
}

/// A block that is not complete.
#[derive(Clone, Debug)]
pub(super) struct Block {
    began: Duration,
    values: Vec<f32>,
    seen: u32,
    sum: f64,
    random: u64,
}

/// What is left of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Closed {
    /// The quantile that was asked for.
    pub(super) size: f32,
    /// The share of values that are 1, where they are 0 and 1.
    pub(super) mean: f32,
    pub(super) number: u32,
    /// How long it was.
    pub(super) took: Duration,
}

impl Block {
    pub(super) fn new(now: Duration) -> Self {
        Block { began: now, values: Vec::new(), seen: 0, sum: 0.0, random: 0x9e37_79b9_7f4a_7c15 }
    }

    pub(super) fn add(&mut self, value: f64, now: Duration) {
        if self.seen == 0 {
            self.began = now;
        }
        self.seen = self.seen.saturating_add(1);
        self.sum += value;
        if self.values.len() < SAMPLE {
            self.values.push(value as f32);
            return;
        }
        // Vitter's algorithm R: each value of the block is as likely to be kept as any other.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let place = (self.random % u64::from(self.seen)) as usize;
        if let Some(kept) = self.values.get_mut(place) {
            *kept = value as f32;
        }
    }

    /// Closes it, if it is complete. `quantile` is less than 1.
    pub(super) fn close(&mut self, rule: &BlockRule, quantile: f64, now: Duration) -> Option<Closed> {
        if self.seen < rule.least || now.saturating_sub(self.began) < rule.length {
            return None;
        }
        let place = (self.values.len() as f64 * quantile) as usize;
        let (_, size, _) = self.values.select_nth_unstable_by(place, f32::total_cmp);
        let mean = (self.sum / f64::from(self.seen)) as f32;
        let closed = Closed { size: *size, mean, number: self.seen, took: now.saturating_sub(self.began) };
        self.values.clear();
        (self.seen, self.sum) = (0, 0.0);
        Some(closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: BlockRule =
        BlockRule { length: Duration::from_secs(60), least: 25, reference: 100, least_change: 0.1 };

    #[test]
    fn a_block_needs_its_time_and_its_number() {
        let at = Duration::from_secs;
        let mut block = Block::new(Duration::ZERO);
        (0..24).for_each(|n| block.add(f64::from(n), at(5)));
        assert_eq!(block.close(&RULE, 0.5, at(100)), None);
        block.add(24.0, at(101));
        assert_eq!(block.close(&RULE, 0.5, at(64)), None);
        assert_eq!(
            block.close(&RULE, 0.5, at(101)),
            Some(Closed { size: 12.0, mean: 12.0, number: 25, took: at(96) })
        );
        assert_eq!(block.close(&RULE, 0.5, at(1000)), None);
    }

    #[test]
    fn a_sample_is_drawn_evenly() {
        let mut block = Block::new(Duration::ZERO);
        (0..100_000).for_each(|n| block.add(f64::from(n), Duration::ZERO));
        assert!(block.values.len() <= SAMPLE);
        let closed = block.close(&RULE, 0.5, Duration::from_secs(60)).unwrap();
        assert!((30_000.0..70_000.0).contains(&closed.size), "{closed:?}");
        assert_eq!(closed.number, 100_000);
    }
}
