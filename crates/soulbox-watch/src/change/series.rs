//! One series: what is usual, and whether it still is.
//!
//! Owns the test. It is a CUSUM (Page 1954) of ranks: each block's place among the blocks of the day before, after it
//! was made better by half of the least change that matters, as a normal score. The sum grows while blocks are worse than usual
//! by more than that, and falls back otherwise; an alarm needs a sum that chance reaches less often than it may. Ranks
//! know nothing of how figures are distributed; the day before has its busy hours; how much the blocks of one hour hang
//! together is taken out of the scores ([`super::reference`]).
//!
//! Shares that are almost always 0 have no ranks: errors are tested by their likelihood instead, at the usual rate and
//! at four times that.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::block::{Block, BlockRule, Closed};
use super::reference::{Reference, SavedReference};

/// What a block's score must exceed to count, in standard deviations: half of the smallest shift that is looked for.
const ALLOWANCE: f64 = 0.5;

/// One block alone tells no more than this.
const MOST_SCORE: f64 = 3.0;

/// Before the baseline is complete, it may not have seen all times of the day: a change must be so many times as large.
const YOUNG: f64 = 3.0;

/// A difference of shares that matters.
const LEAST_SHARE: f64 = 0.2;

/// An alarm of a rare event needs at least so many blocks.
const LEAST_BLOCKS: f64 = 3.0;

/// Blocks that wait until it is clear whether they are usual.
const MOST_PENDING: usize = 60;

/// So many blocks in a row tell whether it is over.
const LOOKED_BACK: usize = 5;

/// How a figure is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// Times and sizes, by the ratio of a quantile of theirs.
    Size(Quantile),
    /// Shares, by their difference.
    Share,
    /// Shares of what seldom is, by their likelihood.
    Rare,
}

/// The share of a block's executions that are not slower than its figure.
///
/// What else runs on a machine disturbs the slower half, so that a lower quantile tells more of the server. Starts have
/// two sorts of fast ones, as a core slept or not, and the lower quartile lies between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantile {
    /// 40 %.
    OfStarts,
    /// 25 %.
    OfOthers,
}

impl Test {
    fn quantile(self) -> f64 {
        if self == Test::Size(Quantile::OfStarts) { 0.4 } else { 0.25 }
    }
}

/// What happened to a series.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is worse than it was.
    Worse {
        /// What it is now.
        now: f64,
        /// What it was.
        usual: f64,
        /// How long ago it began.
        since: Duration,
    },
    /// It is as it was.
    AsBefore {
        /// What it is now.
        now: f64,
    },
    /// It has been worse for so long that this is usual from now on.
    Usual {
        /// What it is now.
        now: f64,
    },
}

/// How far a series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Too little is known.
    Learning,
    /// It is compared.
    Watching,
    /// It is worse than it was.
    Worse,
}

/// How a series stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeriesState {
    /// How far it is.
    pub phase: Phase,
    /// Blocks that are usual.
    pub blocks: usize,
    /// The median of those.
    pub usual: Option<f64>,
    /// The figure of the latest block.
    pub latest: Option<f64>,
}

/// What is saved of a series.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SavedSeries {
    phase: Phase,
    /// For how long it has been observed.
    known_s: u64,
    reference: SavedReference,
}

/// One series.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    test: Test,
    block: Block,
    reference: Reference,
    phase: Phase,
    /// The time of all blocks that are usual, also of those that are forgotten.
    known: Duration,
    /// The CUSUM.
    sum: f64,
    /// Since the sum was 0, with their ends; or since it is worse.
    pending: VecDeque<(Duration, Closed)>,
    latest: Option<Closed>,
    /// Blocks since it is worse.
    worse_for: usize,
}

impl Series {
    pub(super) fn new(test: Test, rule: &BlockRule, now: Duration) -> Self {
        Series {
            test,
            block: Block::new(now),
            reference: Reference::new(rule.reference),
            phase: Phase::Learning,
            known: Duration::ZERO,
            sum: 0.0,
            pending: VecDeque::new(),
            latest: None,
            worse_for: 0,
        }
    }

    pub(super) fn add(&mut self, value: f64, now: Duration) {
        self.block.add(value, now);
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn state(&self) -> SeriesState {
        SeriesState {
            phase: self.phase,
            blocks: self.reference.len(),
            usual: self.usual(),
            latest: self.latest.map(|closed| self.figure(closed)),
        }
    }

    fn learn(&mut self, closed: Closed) {
        self.reference.push(self.figure(closed) as f32);
        self.known = self.known.saturating_add(closed.took);
    }

    fn figure(&self, closed: Closed) -> f64 {
        f64::from(if matches!(self.test, Test::Size(_)) { closed.size } else { closed.mean })
    }

    fn usual(&self) -> Option<f64> {
        match self.test {
            Test::Rare => (self.reference.len() > 0).then(|| self.reference.mean()),
            Test::Size(_) | Test::Share => self.reference.median(),
        }
    }

    /// Closes the block, if it is complete. `bound` is how many blocks shall pass between two false alarms.
    pub(super) fn tick(&mut self, rule: &BlockRule, bound: f64, now: Duration) -> Option<Change> {
        let closed = self.block.close(rule, self.test.quantile(), now)?;
        self.latest = Some(closed);
        match self.phase {
            Phase::Learning => {
                self.learn(closed);
                if self.reference.len() >= learnt(rule) {
                    self.phase = Phase::Watching;
                }
                None
            }
            Phase::Watching => self.compare(closed, rule, bound, now),
            Phase::Worse => self.look_whether_it_is_over(closed, rule, now),
        }
    }

    fn compare(&mut self, closed: Closed, rule: &BlockRule, bound: f64, now: Duration) -> Option<Change> {
        let threshold = self.threshold(bound);
        self.sum = (self.sum + self.evidence(closed, rule, threshold)).max(0.0);
        self.pending.push_back((now, closed));
        if self.sum == 0.0 || self.pending.len() > MOST_PENDING {
            let all = if self.sum == 0.0 { self.pending.len() } else { 1 };
            for _ in 0..all {
                if let Some((_, closed)) = self.pending.pop_front() {
                    self.learn(closed);
                }
            }
        }
        let figures = self.pending.iter().map(|(_, closed)| self.figure(*closed));
        let latest = middle(figures)?;
        if self.sum <= threshold || !self.matters(latest, rule) {
            // What has been enough for long is enough, when it becomes larger.
            self.sum = self.sum.min(threshold);
            return None;
        }
        self.phase = Phase::Worse;
        (self.sum, self.worse_for) = (0.0, 0);
        let since = self.pending.front().map_or(Duration::ZERO, |(ended, _)| now.saturating_sub(*ended));
        self.pending.clear();
        Some(Change::Worse { now: latest, usual: self.usual()?, since: since + rule.length })
    }

    /// By how much a block speaks for a change.
    fn evidence(&self, closed: Closed, rule: &BlockRule, threshold: f64) -> f64 {
        let most = threshold / LEAST_BLOCKS;
        if self.test == Test::Rare {
            let (usual, worse) = self.rates();
            let (bad, number) = (f64::from(closed.mean) * f64::from(closed.number), f64::from(closed.number));
            let ratio = bad * (worse / usual).ln() + (number - bad) * ((1.0 - worse) / (1.0 - usual)).ln();
            return ratio.clamp(-most, most);
        }
        let better = self.better(self.figure(closed), self.margin(rule) / 2.0);
        (self.reference.score(better).clamp(-MOST_SCORE, MOST_SCORE) - ALLOWANCE).min(most)
    }

    /// A figure without the change that is allowed.
    fn better(&self, figure: f64, margin: f64) -> f64 {
        match self.test {
            Test::Size(_) => figure / (1.0 + margin),
            Test::Share | Test::Rare => figure - margin,
        }
    }

    fn margin(&self, rule: &BlockRule) -> f64 {
        let day = rule.length.saturating_mul(u32::try_from(rule.reference).unwrap_or(u32::MAX));
        let young = if self.known >= day { 1.0 } else { YOUNG };
        match self.test {
            Test::Size(_) => rule.least_change * young,
            Test::Share | Test::Rare => LEAST_SHARE * young.min(2.0),
        }
    }

    /// The usual rate, and the one that it is tested against. Where none was ever seen, one is added: it could have
    /// been there.
    fn rates(&self) -> (f64, f64) {
        let usual = self.reference.mean().max(0.0005);
        (usual.min(0.5), (4.0 * usual).clamp(usual + 0.01, usual + 0.2).min(0.95))
    }

    /// Whether a figure is worse by as much as an alarm is worth.
    fn matters(&self, figure: f64, rule: &BlockRule) -> bool {
        self.test == Test::Rare
            || self.usual().is_some_and(|usual| self.better(figure, self.margin(rule)) >= usual)
    }

    /// The sum that chance reaches once in `bound` blocks: of a CUSUM of normal scores by Siegmund's approximation, of a
    /// likelihood ratio by Lorden's bound.
    fn threshold(&self, bound: f64) -> f64 {
        match self.test {
            Test::Rare => bound.max(2.0).ln(),
            Test::Size(_) | Test::Share => {
                let two_k = 2.0 * ALLOWANCE;
                (two_k * two_k / 2.0 * bound + 1.0).max(2.0).ln() / two_k - 1.166
            }
        }
    }

    fn look_whether_it_is_over(&mut self, closed: Closed, rule: &BlockRule, now: Duration) -> Option<Change> {
        self.worse_for += 1;
        self.pending.push_back((now, closed));
        let last = self.pending.iter().rev().take(LOOKED_BACK).map(|(_, closed)| self.figure(*closed));
        let figure = middle(last)?;
        let enough = self.pending.len() >= LOOKED_BACK;
        if enough && self.is_usual(figure, rule) {
            self.phase = Phase::Watching;
            self.pending.clear();
            return Some(Change::AsBefore { now: figure });
        }
        if self.worse_for >= rule.reference {
            self.reference.clear();
            self.known = Duration::ZERO;
            for (_, closed) in std::mem::take(&mut self.pending) {
                self.learn(closed);
            }
            self.phase = Phase::Learning;
            return Some(Change::Usual { now: figure });
        }
        if self.pending.len() > MOST_PENDING {
            self.pending.pop_front();
        }
        None
    }

    /// Whether it is no worse than usual by half of what is allowed, or not among the worst of the usual ones.
    fn is_usual(&self, figure: f64, rule: &BlockRule) -> bool {
        if self.test == Test::Rare {
            let (usual, worse) = self.rates();
            return figure <= (usual + worse) / 2.0;
        }
        let margin = self.margin(rule) / 2.0;
        self.usual().is_none_or(|usual| self.better(figure, margin) <= usual)
    }

    pub(super) fn saved(&self) -> SavedSeries {
        SavedSeries { phase: self.phase, known_s: self.known.as_secs(), reference: self.reference.saved() }
    }

    pub(super) fn resume(test: Test, saved: &SavedSeries, rule: &BlockRule) -> Self {
        let mut series = Series::new(test, rule, Duration::ZERO);
        series.reference.resume(&saved.reference);
        series.known = Duration::from_secs(saved.known_s);
        let known = series.reference.len() >= learnt(rule);
        series.phase = if known { saved.phase } else { Phase::Learning };
        series
    }
}

impl SavedSeries {
    pub(crate) fn is_possible(&self) -> bool {
        self.reference.0.iter().all(|block| block.is_finite() && *block >= 0.0)
    }
}

/// Blocks without which nothing is usual: an hour of the usual day.
fn learnt(rule: &BlockRule) -> usize {
    (rule.reference / 24).max(30).min(rule.reference)
}

fn middle(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const SIZE: Test = Test::Size(Quantile::OfOthers);
    const RULE: BlockRule = BlockRule { length: SECOND, least: 25, reference: 200, least_change: 0.1 };
    /// A week of minutes, for ten series.
    const BOUND: f64 = 100_000.0;

    /// A series, and numbers that look random.
    struct Feed {
        series: Series,
        now: Duration,
        random: u64,
    }

    impl Feed {
        fn new(test: Test) -> Self {
            let series = Series::new(test, &RULE, Duration::ZERO);
            Feed { series, now: Duration::ZERO, random: 1 }
        }

        fn even(&mut self) -> f64 {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            (self.random >> 11) as f64 / (1u64 << 53) as f64
        }

        /// So many blocks; told is in which something changed first.
        fn blocks(&mut self, number: usize, value: impl Fn(f64) -> f64) -> Option<(usize, Change)> {
            let mut first = None;
            for block in 1..=number {
                for _ in 0..25 {
                    let even = self.even();
                    self.series.add(value(even), self.now);
                }
                self.now += SECOND;
                let change = self.series.tick(&RULE, BOUND, self.now);
                first = first.or(change.map(|change| (block, change)));
            }
            first
        }
    }

    /// Around 1, with one in a hundred that is much larger.
    fn usual(even: f64) -> f64 {
        if even > 0.99 { 50.0 } else { 0.8 + 0.4 * even }
    }

    fn learnt(test: Test, value: impl Fn(f64) -> f64) -> Feed {
        let mut feed = Feed::new(test);
        assert_eq!(feed.blocks(RULE.reference, value), None);
        feed
    }

    #[test]
    fn nothing_is_found_where_nothing_changes() {
        let mut feed = learnt(SIZE, usual);
        assert_eq!(feed.blocks(20_000, usual), None);
        assert_eq!(feed.series.reference.len(), RULE.reference);
    }

    #[test]
    fn what_is_a_fifth_slower_is_found_in_some_blocks_and_its_end_as_well() {
        let mut feed = learnt(SIZE, usual);
        let (blocks, change) = feed.blocks(60, |even| 1.2 * usual(even)).unwrap();
        assert!(blocks <= 12, "{blocks}");
        let Change::Worse { now, usual: before, since } = change else { panic!("{change:?}") };
        assert!((1.15..1.25).contains(&(now / before)), "{now} {before}");
        assert!(since <= SECOND * blocks as u32, "{since:?}");
        let (blocks, change) = feed.blocks(20, usual).unwrap();
        assert!(blocks <= LOOKED_BACK && matches!(change, Change::AsBefore { .. }), "{blocks} {change:?}");
    }

    #[test]
    fn a_change_that_does_not_matter_is_none_however_long_it_lasts() {
        let mut feed = learnt(SIZE, usual);
        assert_eq!(feed.blocks(150, |even| 1.05 * usual(even)), None);
        let mut feed = learnt(SIZE, usual);
        assert_eq!(feed.blocks(1000, |even| 0.5 * usual(even)), None, "what is better is no change");
    }

    #[test]
    fn one_bad_block_is_no_change() {
        let mut feed = learnt(SIZE, usual);
        for _ in 0..50 {
            assert_eq!(feed.blocks(1, |even| 100.0 * usual(even)), None);
            assert_eq!(feed.blocks(30, usual), None);
        }
    }

    #[test]
    fn before_a_day_is_known_only_large_changes_count() {
        let mut young = Feed::new(SIZE);
        assert_eq!(young.blocks(60, usual), None);
        assert_eq!(young.blocks(40, |even| 1.2 * usual(even)), None);
        let mut young = Feed::new(SIZE);
        assert_eq!(young.blocks(60, usual), None);
        assert!(young.blocks(40, |even| 1.6 * usual(even)).is_some());
    }

    #[test]
    fn what_lasts_is_usual_after_a_day() {
        let mut feed = learnt(SIZE, usual);
        assert!(feed.blocks(20, |even| 2.0 * usual(even)).is_some());
        let (_, change) = feed.blocks(RULE.reference, |even| 2.0 * usual(even)).unwrap();
        assert!(matches!(change, Change::Usual { .. }), "{change:?}");
        assert_eq!(feed.blocks(1000, |even| 2.0 * usual(even)), None);
        assert!(feed.blocks(60, |even| 4.0 * usual(even)).is_some());
    }

    #[test]
    fn shares_are_compared_by_their_difference() {
        let share = |share: f64| move |even: f64| f64::from(u8::from(even < share));
        let mut feed = learnt(Test::Share, share(0.1));
        assert_eq!(feed.blocks(2000, share(0.15)), None);
        let (blocks, _) = feed.blocks(60, share(0.8)).unwrap();
        assert!(blocks <= 10, "{blocks}");
        assert!(matches!(feed.blocks(20, share(0.1)), Some((_, Change::AsBefore { .. }))));
    }

    #[test]
    fn errors_that_were_never_seen_are_found_soon_but_not_at_the_first() {
        let share = |share: f64| move |even: f64| f64::from(u8::from(even < share));
        let mut feed = learnt(Test::Rare, share(0.0));
        assert_eq!(feed.blocks(1, share(1.0)), None);
        assert_eq!(feed.blocks(2000, share(0.0002)), None);
        let (blocks, _) = feed.blocks(60, share(0.1)).unwrap();
        assert!(blocks <= 15, "{blocks}");
        assert!(matches!(feed.blocks(20, share(0.0)), Some((_, Change::AsBefore { .. }))));
    }
}
