//! What is usual: the figures of the blocks of the day before.
//!
//! Owns their number and how far they hang together.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize, Serializer};

use super::normal::quantile;

/// Blocks that are taken together to see how far they hang together.
const BATCH: usize = 12;

/// More than this is not taken out: by the least change that matters, what wanders has been allowed for already.
const MOST_INFLATION: f64 = 2.25;

/// After so many new blocks it is looked at again.
const LOOKED_AT_EVERY: usize = 30;

/// What is saved of it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct SavedReference(pub(super) Vec<f32>);

impl Serialize for SavedReference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Four digits tell as much as all, and are half as long.
        let short = |block: &f32| {
            let block = f64::from(*block);
            if block <= 0.0 {
                return 0.0;
            }
            let scale = 10f64.powi(3 - block.log10().floor() as i32);
            (block * scale).round() / scale
        };
        serializer.collect_seq(self.0.iter().map(short))
    }
}

/// The blocks that are usual, oldest first.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    blocks: VecDeque<f32>,
    most: usize,
    /// The sum of all, for shares.
    sum: f64,
    /// The standard deviation of means of many blocks, to that of independent ones.
    spread: f64,
    since: usize,
}

impl Reference {
    pub(super) fn new(most: usize) -> Self {
        Reference { blocks: VecDeque::new(), most, sum: 0.0, spread: 1.0, since: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn push(&mut self, block: f32) {
        if self.blocks.len() >= self.most
            && let Some(oldest) = self.blocks.pop_front()
        {
            self.sum -= f64::from(oldest);
        }
        self.blocks.push_back(block);
        self.sum += f64::from(block);
        self.since += 1;
        if self.since >= LOOKED_AT_EVERY {
            self.since = 0;
            self.spread = self.inflation().sqrt();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Reference::new(self.most);
    }

    pub(super) fn mean(&self) -> f64 {
        if self.blocks.is_empty() { 0.0 } else { (self.sum / self.blocks.len() as f64).max(0.0) }
    }

    pub(super) fn median(&self) -> Option<f64> {
        let mut sorted: Vec<f32> = self.blocks.iter().copied().collect();
        let middle = sorted.len() / 2;
        (!sorted.is_empty()).then(|| f64::from(*sorted.select_nth_unstable_by(middle, f32::total_cmp).1))
    }

    /// Where a block stands among the usual ones, as a standard normal variable if it is one of them. Where blocks hang
    /// together, as those of a day with its busy hours do, it is nearer to 0, as much as their means vary more than
    /// those of independent ones.
    pub(super) fn score(&self, block: f64) -> f64 {
        let block = block as f32;
        let (mut below, mut equal) = (0usize, 0usize);
        for usual in &self.blocks {
            below += usize::from(*usual < block);
            equal += usize::from(*usual == block);
        }
        rank_score(below, equal, self.blocks.len()) / self.spread
    }

    /// The long-run variance by batch means, to the variance; at least 1.
    fn inflation(&self) -> f64 {
        let batches = self.blocks.len() / BATCH;
        if batches < 4 {
            return 1.0;
        }
        let scores = self.scores();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let variance = |values: &[f64]| {
            let mean = mean(values);
            values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
        };
        let means: Vec<f64> = scores.chunks_exact(BATCH).map(mean).collect();
        let all = variance(&scores);
        if all <= 0.0 {
            return 1.0;
        }
        (variance(&means) * BATCH as f64 / all).clamp(1.0, MOST_INFLATION)
    }

    /// The score of each, in their order.
    fn scores(&self) -> Vec<f64> {
        let mut sorted: Vec<f32> = self.blocks.iter().copied().collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let score = |block: &f32| {
            let below = sorted.partition_point(|usual| usual < block);
            let equal = sorted.partition_point(|usual| usual <= block) - below;
            rank_score(below, equal, sorted.len())
        };
        self.blocks.iter().map(score).collect()
    }

    pub(super) fn saved(&self) -> SavedReference {
        SavedReference(self.blocks.iter().copied().collect())
    }

    pub(super) fn resume(&mut self, saved: &SavedReference) {
        saved.0.iter().for_each(|block| self.push(*block));
        self.spread = self.inflation().sqrt();
    }
}

fn rank_score(below: usize, equal: usize, number: usize) -> f64 {
    quantile((below as f64 + equal as f64 / 2.0 + 0.5) / (number as f64 + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(blocks: impl IntoIterator<Item = f32>) -> Reference {
        let mut reference = Reference::new(1000);
        blocks.into_iter().for_each(|block| reference.push(block));
        reference
    }

    /// Even and without order.
    fn shuffled(number: u32) -> impl Iterator<Item = f32> {
        (0..number).map(move |n| (n * 7919 % number) as f32)
    }

    #[test]
    fn scores_are_symmetric_and_bounded() {
        let reference = of(shuffled(999));
        assert!(reference.score(499.0).abs() < 0.01);
        assert!((reference.score(840.0) - 1.0).abs() < 0.05, "{}", reference.score(840.0));
        let (low, high) = (reference.score(-1.0), reference.score(1e9));
        assert!((low + high).abs() < 1e-9 && (3.0..3.5).contains(&high), "{low} {high}");
        assert_eq!(of([0.0; 100]).score(0.0), 0.0);
    }

    #[test]
    fn blocks_that_hang_together_say_less() {
        assert!(of(shuffled(960)).spread < 1.3);
        let waves = of((0..960).map(|n| (n as f32 / 100.0).sin()));
        assert_eq!(waves.spread, MOST_INFLATION.sqrt());
    }

    #[test]
    fn old_blocks_are_forgotten() {
        let mut reference = Reference::new(10);
        (0..100).for_each(|n| reference.push(n as f32));
        assert_eq!((reference.len(), reference.median(), reference.mean()), (10, Some(95.0), 94.5));
    }
}
